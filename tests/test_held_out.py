"""What is held out with a chunk: whatever shares sound with it."""

import random
from itertools import product

from k2d.constants import chunk_id
from k2d.held_out import HeldOut


def test_a_chunk_shares_sound_where_each_reaches_half_a_second_into_the_other():
    draw = random.Random(0)
    held = [(start, start + draw.randrange(20, 900)) for start in (draw.randrange(9000) for _ in range(12))]
    held_out = HeldOut([*(chunk_id("a-1", *place) for place in held), chunk_id("b", 0, 9999), "c", "d-1-x"])
    found = 0
    for start, length in product(range(0, 9900, 45), (10, 60, 300, 2000)):
        end = start + length
        shares = any(min(end - first, last - start) >= 50 for first, last in held)
        assert ((key := chunk_id("a-1", start, end)) in held_out) == (shares or (start, end) in held), key
        found += shares
    assert 0 < found < 880
    assert "c" in held_out and "d-1-x" in held_out
    assert not any(key in held_out for key in ("c-0000000-0000300", "a-1", "d-1-y", "b-0000300-0000100", ""))
