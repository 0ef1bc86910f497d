"""Numbers as a person writes them.

In: a number, and a noun. Out: words for a message, a help text or a table.
"""


def counted(number: int, noun: str, nouns: str = "") -> str:
    """ "1 utterance", "2,000 utterances"; nouns: the plural, where an s is not enough."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"
