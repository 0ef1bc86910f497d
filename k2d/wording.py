"""Numbers as a person writes them.

In: a number, and a noun or a unit. Out: words for a message, a help text or a table.
"""


def counted(number: int, noun: str, nouns: str = "") -> str:
    """ "1 utterance", "2,000 utterances"; nouns: the plural, where an s is not enough."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def part_of(seconds: float, whole: float) -> str:
    """ "0.05 h of 0.11 h": a part of some audio in the unit of the whole, unless that shows nothing."""
    shown = f"{seconds / 3600:,.2f} h" if whole >= 360 and (seconds >= 36 or not seconds) else audio_length(seconds)
    return f"{shown} of {audio_length(whole)}"


def audio_length(seconds: float) -> str:
    """ "12.5 s", "3.4 min", "0.25 h", "60,000.0 h": with digits that say something, however short."""
    if seconds < 360:
        return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:,.{2 if seconds < 360_000 else 1}f} h"
