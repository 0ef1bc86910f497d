"""Chunks that are kept from training where nobody has transcribed anything.

In: labelled chunks, their scores, the selections to be compared. Out: data directories, of chunks of two kinds.

    held-out recordings   a share of the recordings, whole as far as they are short enough: what student, teacher and
                          validator make of them is compared in place of error rates, of which nobody knows any
    the development set   of the chunks that every selection keeps, those on which teacher and validator agree best:
                          their labels are the nearest thing to a transcript, and choose a student's epoch

Nothing is drawn at random: recordings and ties go by the digest of their id, so that more recordings move no others,
and the same corpus gives the same sets on any machine. Students of several selections have the same sets.
"""

import heapq
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from k2d.constants import digest_of_id
from k2d.datadir import DataDir, SubsetWriter
from k2d.errors import DataError
from k2d.label.chunk_directory import Chunk, in_blocks, read_chunks
from k2d.label.scores import Columns, Scores, find_scores
from k2d.tables import Cursor
from k2d.text import timestamps
from k2d.text.units import has_words
from k2d.wording import counted

VALIDATOR_TEXT = "text.validator"  # beside the labels of held-out chunks
LEAST = 4  # chunks, of which some can be held out
SHARE_OF_RECORDINGS = 0.05  # of the hours
SHARE_OF_DEV = 0.02
LEAST_OF_DEV = 10  # chunks, as far as a quarter of what is kept has so many
MOST_PART = 4  # at most every fourth chunk
AN_HOUR = 3600.0
MOST_CHUNKS = 500
DISTANCE = "comp"
_NO_WITNESS = ("loop_teacher", "loop_aux", "blank_aux")  # δ_comp is 0 where only the validator loops


def write_held_out(out: Path, data: DataDir, scores: Path, kept: Sequence[Path]) -> tuple[int, float]:
    """A data directory of what is held out: of all recordings, or for epochs of what all selections `kept`; returns
    (chunks, seconds). scores: directory of scores, with the validator's text."""
    if kept:
        ids = hold_out_for_epochs(data, find_scores(data, {"validator": scores}), kept)
    else:
        ids = hold_out_recordings(data)
    labels = Cursor(data.path / "text")
    said = Cursor(scores / "text") if (scores / "text").is_file() else None
    seconds, durations = 0.0, data.utt2dur or {}
    texts = [name for name in data.utterance_tables() if name.startswith("text")]
    with SubsetWriter(data, out, without=texts) as part:
        part.table("text", {})  # which is read even where nothing is held out
        for key in ids:
            part.keep(key)
            part.write("text", key, timestamps.strip(labels.get(key) or ""))
            if said is not None:
                part.write(VALIDATOR_TEXT, key, timestamps.strip(said.get(key) or ""))
            seconds += durations.get(key, 0.0)
    return len(ids), seconds


def hold_out_recordings(data: DataDir) -> list[str]:
    """Ids of the chunks of a share of the recordings, at most an hour, in order of id.

    Recordings follow each other by the digest of their id. One that is more than twice what is still wanted gives its
    first chunks only. None of fewer than LEAST chunks, which a warning says: they can still be labelled and looked at.
    """
    seconds: Counter = Counter()
    chunks = 0
    for chunk in read_chunks(data):
        seconds[chunk.recording] += max(chunk.seconds, 0.0) or 1.0
        chunks += 1
    if chunks < LEAST:
        print(
            f"hold_out: {data.path}: {counted(chunks, 'chunk')}, too few to hold some out for tests (at least "
            f"{LEAST}); to train and test a student, give more recordings, or labelled --dev_set and --test_sets",
            file=sys.stderr,
        )
        return []
    still = min(SHARE_OF_RECORDINGS * sum(seconds.values()), AN_HOUR)
    wanted: dict[str, float] = {}
    for recording in sorted(seconds, key=digest_of_id):
        if still <= 0:
            break
        wanted[recording] = seconds[recording] if seconds[recording] <= 2 * still else still
        still -= wanted[recording]
    taken: Counter = Counter()
    ids = []
    for chunk in read_chunks(data):
        if taken[chunk.recording] < wanted.get(chunk.recording, 0.0) and len(ids) < chunks // MOST_PART:
            taken[chunk.recording] += max(chunk.seconds, 0.0) or 1.0
            ids.append(chunk.id)
    return ids


def hold_out_for_epochs(data: DataDir, scores: Scores, kept: Sequence[Path]) -> list[str]:
    """Ids of the chunks of the development set, in order of id.

    kept: data directories of the selections that are compared. At most a quarter of the chunks that all of them keep,
    2 % of their hours, an hour; at least ten chunks where the quarter has so many. Where they share fewer than two
    chunks, or none that says anything, the same of all chunks. Raises DataError where there is none in these either.
    """
    count, total, best = _best_agreed(data, scores, kept)
    if not best:
        names = "all of " * (len(kept) > 1) + ", ".join(path.name for path in kept)
        found = counted(count, "chunk")
        count, total, best = _best_agreed(data, scores, ())
        if not best:
            why = "training needs them" if count < 2 else "in each of them a transcript loops or is empty"
            raise DataError(
                f"{data.path}: of {counted(count, 'chunk')}, none can be held out to choose the epoch by: {why}; give "
                "more recordings, or a labelled --dev_set"
            )
        print(
            f"hold_out: of {found} in {names}, none can choose the epoch, so others do; --keep 0.75 keeps more",
            file=sys.stderr,
        )
    wanted = min(SHARE_OF_DEV * total, AN_HOUR)
    ids, seconds = [], 0.0
    for _, _, key, length in best:
        if seconds >= wanted and len(ids) >= LEAST_OF_DEV:
            break
        ids.append(key)
        seconds += length
    return sorted(ids)


def _best_agreed(
    data: DataDir, scores: Scores, kept: Sequence[Path]
) -> tuple[int, float, list[tuple[float, str, str, float]]]:
    """Of the chunks that all of `kept` have: how many there are, their seconds, and those with the smallest distance;
    none of a single one."""
    count, total = 0, 0.0
    for chunk in _in_all(read_chunks(data), kept):
        count += 1
        total += max(chunk.seconds, 0.0)
    most = min(max(count // MOST_PART, 1), MOST_CHUNKS) if count > 1 else 0
    return count, total, heapq.nsmallest(most, _witnessed(_in_all(read_chunks(data), kept), scores))


def _in_all(chunks: Iterable[Chunk], kept: Sequence[Path]) -> Iterator[Chunk]:
    cursors = [Cursor(path / "text") for path in kept]
    for chunk in chunks:
        if all(cursor.get(chunk.id) is not None for cursor in cursors):
            yield chunk


def _witnessed(chunks: Iterable[Chunk], scores: Scores) -> Iterator[tuple[float, str, str, float]]:
    """(distance, digest, id, seconds) of chunks whose label says something and whose validator could contradict it."""
    if DISTANCE not in scores.names:
        raise DataError(f"no utt2{DISTANCE} among the scores; run k2d distance, or give a labelled --dev_set")
    facts = [name for name in _NO_WITNESS if name in scores.names]
    columns = Columns(scores, [DISTANCE, *facts])
    for block in in_blocks(chunks):
        found = columns.of([chunk.id for chunk in block])
        sound = np.isfinite(found[DISTANCE])
        for name in facts:
            sound &= found[name] == 0
        for place in np.flatnonzero(sound).tolist():
            chunk = block[place]
            if has_words(timestamps.strip(chunk.text)):
                yield float(found[DISTANCE][place]), digest_of_id(chunk.id), chunk.id, max(chunk.seconds, 0.0)
