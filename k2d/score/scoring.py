"""Two Kaldi text files of a test set in, what scoring leaves in a folder out: see `scored`, and
utt2mer, align.txt (every error), aligned.jsonl (every text aligned, for the report's page).
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from k2d.atomic import atomic
from k2d.constants import read_chunk_id
from k2d.datadir import DataDir, read_segments
from k2d.errors import DataError
from k2d.held_out import AUDIT, HeldOut
from k2d.score import significance
from k2d.score.align_text import corpus_text
from k2d.score.aligned import ALIGNED, write_aligned
from k2d.score.corpus import Score, join_by_recording, score
from k2d.score.scored import RESULT, TextCounts, write_counts
from k2d.score.significance import Comparison
from k2d.tables import read_table, scan, write_numbers
from k2d.wording import counted
from k2d.work.folders import write_json
from k2d.work.identity import file_digest, input_of, record_in
from k2d.work.skipped import read_skipped


@dataclass(frozen=True)
class ScoreOptions:
    """ref, hyp: the files. data: directory whose segments tell the recording of each text; segments_from: that by whose
    segments references are joined first; compare: directory of another system's `text`. bootstrap: draws."""

    ref: str
    hyp: str
    data: str | None
    segments_from: str | None
    fold_usage: bool
    compare: str | None
    bootstrap: int
    seed: int


@dataclass(frozen=True)
class Scored:
    """result: as in result.json. other: the system compared with; comparison: None where no test can be made."""

    score: Score
    result: dict
    other: Score | None = None
    comparison: Comparison | None = None


def _references(options: ScoreOptions) -> dict[str, str]:
    references = read_table(options.ref)
    if options.segments_from:
        return join_by_recording(references, DataDir(options.segments_from).segments)
    return references


def score_files(folder: Path, options: ScoreOptions) -> Scored:
    """Score and write the files into the folder."""
    references, hypotheses = _references(options), read_table(options.hyp)
    scored = score(references, hypotheses, fold_usage=options.fold_usage, progress=sys.stderr.isatty())
    ids = [u.id for u in scored.utterances]
    recordings = recordings_of(ids, options.data)
    result = scored.as_dict(recordings, samples=options.bootstrap, seed=options.seed)
    other = comparison = None
    if options.compare:
        other = score(references, read_table(Path(options.compare) / "text"), fold_usage=options.fold_usage)
        comparison = significance.compare(
            scored.errors, other.errors, scored.units, recordings, samples=options.bootstrap, seed=options.seed
        )
        result["comparison"] = {"with": options.compare, **(comparison.__dict__ if comparison else {})}
    write_numbers(folder / "utt2mer", {u.id: u.rate for u in scored.utterances})
    by_text = (dict(zip(ids, values, strict=True)) for values in (scored.errors, scored.units, recordings))
    write_counts(folder, TextCounts(*by_text))
    with atomic(folder / "align.txt") as out:
        out.write(corpus_text(scored))
    write_aligned(folder / ALIGNED, scored, references, hypotheses)
    write_json(folder / RESULT, result)
    return Scored(scored, result, other, comparison)


def scored_by(options: ScoreOptions) -> list[Path | None]:
    """The models whose texts are scored or compared; None where a text is no decoding."""
    return [input_of(folder, "model") for _, folder in _scored(options)]


def _scored(options: ScoreOptions) -> list[tuple[str | Path, Path]]:
    """(text, its folder) of hyp, and of what it is compared with."""
    texts = filter(None, (options.hyp, options.compare and Path(options.compare, "text")))
    return [(text, Path(text).resolve().parent) for text in texts]


def refuse_never_decoded(options: ScoreOptions) -> None:
    """DataError where k2d decode has neither decoded nor skipped what has a reference: such an error rate would be of
    another set."""
    references = _references(options).keys()
    for hyp, folder in _scored(options):
        if record_in(folder).get("step") != "decode":
            continue
        hypotheses = read_table(hyp).keys()
        never = sorted(references - hypotheses - read_skipped(folder).keys())
        if not never or hypotheses - references:  # where these are of something else, `score` says so
            continue
        said = f"{hyp}: {counted(len(never), 'text')} of {options.ref}, such as {never[0]}"
        data = input_of(folder, "data")
        decoded = DataDir(data) if data and data.is_dir() else None
        if decoded and never[0] not in decoded.segments and never[0] not in decoded.wav:
            raise DataError(f"{said}, lacks its audio in {data}, which was decoded; give the texts of that set alone")
        raise DataError(f"{said}, came after it was decoded; decode the set again (--stage decode)")


def learnt_by(model: Path | None, tested: HeldOut) -> list[str] | None:
    """The chunks that share sound with those tested and that a model has learnt, as far as the records of the steps
    tell; None where it is being trained again, or what it is to learn has changed since."""
    training = model and input_of(model, "exp")
    if not training or not training.is_dir():
        return []
    labels = record_in(training).get("inputs", {}).get("train text")
    if labels is None or not os.path.isfile(labels["path"]) or file_digest(labels["path"]) != labels["digest"]:
        return None
    return [key for key in _keys_of(labels["path"], labels["digest"]) if key in tested]


@lru_cache(16)
def _keys_of(table: str, _digest: str) -> tuple[str, ...]:
    return tuple(key for _, key, _ in scan(table))


def refuse_learnt(ref: str | Path, models: Iterable[Path | None]) -> None:
    """DataError where a model has learnt from chunks of the audit that it is to be tested on, whose references these
    are: they were drawn after its training."""
    if not Path(ref).with_name(AUDIT).is_file():
        return  # ids of other sets tell nothing of the training recordings
    tested = HeldOut(read_table(ref))
    for model in models:
        learnt = learnt_by(model, tested)
        if learnt is None:
            raise DataError(f"{model} is being trained again; let that end, and decode {ref} anew (--stage train)")
        if learnt:
            raise DataError(
                f"{model} has learnt from {counted(len(learnt), 'chunk')} of {ref}, such as {learnt[0]}; train it "
                "again from stage 4 (--stage select), which leaves them out"
            )


def recordings_of(ids: Sequence[str], data: str | None) -> list[str]:
    """The recording of each text, from the segments of a data directory, or from its id where each chunk is a file of
    its own; without a directory each text is one of its own."""
    if data is None:
        return list(ids)
    path = Path(data) / "segments"
    if not path.is_file():
        return [named.recording if (named := read_chunk_id(i)) else i for i in ids]
    segments = read_segments(path)
    # References that were joined are recordings already.
    return [segments[i].recording if i in segments else i for i in ids]
