"""All sets of a run together: what is found of each, and of what they share.

In: paths of data directories. Out: findings, and the sets that can be read.
"""

from collections.abc import Sequence

from k2d.audio.options import AudioOptions
from k2d.check.findings import Finding
from k2d.check.memory import Memory
from k2d.check.recordings import Check
from k2d.check.tables import DEV, TEST, TEST_LONG, TRAIN, Set, commands, dev_in_tests, open_set, shared_recordings


def look_at_sets(
    train: str | None,
    dev: str | None,
    tests: Sequence[str],
    audio: AudioOptions,
    max_skipped: int | None,
    memory: Memory,
) -> tuple[list[Finding], list[Set]]:
    """tests: those whose names end in _long are decoded long-form. max_skipped: see `Check`."""
    parts = [(train, TRAIN), (dev, DEV)]
    parts += [(path, TEST_LONG if path.rstrip("/").endswith("_long") else TEST) for path in tests]
    looks = Check(audio, max_skipped, memory)
    found: list[Finding] = []
    sets: list[Set] = []
    for path, part in parts:
        if not path:
            continue
        one, rows = open_set(path, part, audio.allow_pipes)
        found += rows
        if one is None:
            continue
        sets.append(one)
        found += looks.look(one)
        if audio.allow_pipes:
            found += commands(one)
    return found + shared_recordings(sets) + dev_in_tests(sets), sets
