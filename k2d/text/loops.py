"""h(x): does a text loop? (paper: some character n-gram occurs more than c times; n = 6, c = 5.)

Counted over the characters of the normalised text, timestamp tokens removed; occurrences may overlap.
"""

from collections import Counter
from collections.abc import Sequence

from k2d.text.normalise import normalise

N, C = 6, 5  # the paper's n and c


def has_loop(text: str) -> bool:
    """True when some n-gram of characters occurs more than c times in the normalised text."""
    return most_frequent(normalise(text), N, C) > C


def most_frequent(normalised: str, n: int = N, c: int = 0) -> int:
    """How often the most frequent n-gram of a normalised text occurs.

    Any number up to c may stand for a smaller or equal one: a text whose n-grams are nearly all distinct
    is then answered without counting.
    """
    if n < 1:
        raise ValueError(f"n-grams of {n} characters: expected n of at least 1")
    grams = [normalised[i : i + n] for i in range(len(normalised) - n + 1)]
    if not grams:
        return 0
    # With d distinct n-grams among g, the most frequent one occurs at most g - d + 1 times.
    bound = len(grams) - len(set(grams)) + 1
    return bound if bound <= c else max(Counter(grams).values())


def ends_in_loop(items: Sequence) -> bool:
    """Whether a sequence ends with a run of at most 24 items said six times or more, 36 items at least: a decoder that
    has come so far does not find out by itself.
    """
    for period in range(1, 25):
        length = max(6 * period, 36)
        if length > len(items):
            return False
        tail = items[-length:]
        if tail[period:] == tail[:-period]:
            return True
    return False
