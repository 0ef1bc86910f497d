"""The tables of one training: what is learnt, and where its audio, encoder output and teacher lie.

In: a selection, a set to validate with, stored encoder output and a stored teacher, as far as there are any. Out:
text, text.prev, text.trusted, utt2weight, frames_shape, wav.scp with segments or encoder_out.scp, topk_*.scp, and
skipped.txt, which names what cannot be used.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from k2d.audio.options import AudioOptions
from k2d.audio.stamps import FileStamps, check_may_run
from k2d.audio.utterances import open_utterances
from k2d.constants import LONGEST, SAMPLE_RATE
from k2d.distill.sources import COPY_MARK, ENCODER_OUT, TOPK_IDS, TOPK_LOG_PROBS, encoder_frames
from k2d.errors import BadAudio, DataError
from k2d.held_out import HeldOut
from k2d.tables import WEIGHT, read_numbers, read_table, write_table
from k2d.text.trusted import TRUSTED
from k2d.wording import counted
from k2d.work.jobs import prefetch
from k2d.work.skipped import read_skipped, why, write_skipped

AUDIO = ("wav.scp", "segments")
LABELS = ("text", "text.prev", TRUSTED)


@dataclass(frozen=True)
class Wanted:
    """data: of the selected chunks; leave_out: directory of chunks that are not to be learnt. encoder_out: versions of
    the audio, stored; valid_data, valid_encoder_out: the set that chooses the epoch. teacher_topk: a cached teacher."""

    data: Path
    leave_out: Path | None = None
    encoder_out: Sequence[Path] = ()
    valid_data: Path | None = None
    valid_encoder_out: Path | None = None
    teacher_topk: Path | None = None


def write(wanted: Wanted, output: Path, audio: AudioOptions, max_skipped: float) -> dict:
    """The tables into `output`; how many utterances are learnt and skipped. Raises DataError where nothing is left, or
    more than max_skipped.
    """
    text = read_table(wanted.data / "text") if (wanted.data / "text").exists() else {}
    if wanted.leave_out:
        held_out = HeldOut(read_table(wanted.leave_out / "text"))
        text = {uid: label for uid, label in text.items() if uid not in held_out}
    if not text:
        raise DataError(f"{wanted.data}/text: no utterance was selected; raise --alpha or look at dropped.tsv")
    skipped = _unreachable(wanted.data, text, audio) if not wanted.encoder_out else {}
    topk = {}
    if wanted.teacher_topk:
        topk = {name: read_table(wanted.teacher_topk / f"{name}.scp") for name in (TOPK_IDS, TOPK_LOG_PROBS)}
        of_teacher = read_skipped(wanted.teacher_topk)
        skipped |= {uid: of_teacher[uid] for uid in text.keys() & of_teacher.keys()}
    of_encoder = [read_skipped(folder) for folder in wanted.encoder_out] or [{}]
    ids = {}
    for uid in text:
        if uid not in skipped and (left_out := [found[uid] for found in of_encoder if uid in found]):
            skipped[uid] = left_out[0]
        if uid not in skipped:
            ids |= {f"{uid}{COPY_MARK}{v}" if v else uid: (uid, v) for v in range(len(of_encoder))}
    write_skipped(output, skipped, len(text), max_skipped)
    for name in LABELS:
        if (wanted.data / name).exists():
            values = text if name == "text" else read_table(wanted.data / name)
            write_table(output / name, {copy: values.get(uid, "") for copy, (uid, _) in ids.items()})
    if (wanted.data / WEIGHT).exists():
        weights = _weights(wanted.data / WEIGHT, text)
        write_table(output / WEIGHT, {copy: weights[uid] for copy, (uid, _) in ids.items()})
    _write_audio(output, wanted.data, ids, wanted.encoder_out, audio)
    for name, source in topk.items():
        lines = {copy: _value(source, uid, wanted.teacher_topk) for copy, (uid, _) in ids.items()}
        write_table(output / f"{name}.scp", lines)
    if wanted.valid_data:
        _write_valid(wanted, output / "valid", audio)
    kept = len(text) - len(skipped)
    print(
        f"training_tables: {counted(kept, 'utterance')} in {counted(len(of_encoder), 'version')} → {output}, "
        f"{len(skipped)} skipped"
    )
    return {"utterances": kept, "skipped": len(skipped)}


def _weights(path: Path, ids: Iterable[str]) -> Mapping[str, str]:
    """Of every chunk how much it counts in the loss, as it is written."""
    read_numbers(path)  # which refuses those that are none
    weights = read_table(path)
    if missing := next((uid for uid in ids if uid not in weights), None):
        raise DataError(f"{path}: {missing!r} has no weight; run k2d select again")
    return weights


def _write_valid(wanted: Wanted, folder: Path, audio: AudioOptions) -> None:
    """The validation set without the utterances that cannot be used, which its skipped.txt names."""
    data = wanted.valid_data
    text = read_table(data / "text")
    if not text:
        raise DataError(f"{data}/text: empty; the validation set needs labelled utterances to choose an epoch by")
    stored = [wanted.valid_encoder_out] if wanted.valid_encoder_out else []
    if stored:
        of_encoder = read_skipped(stored[0])
        skipped = {uid: of_encoder[uid] for uid in text.keys() & of_encoder.keys()}
    else:
        skipped = _unusable(data, text, audio)
    for uid, reason in sorted(skipped.items()):
        print(f"training_tables: {uid} of {data} is left out: {reason}", file=sys.stderr)
    write_skipped(folder, skipped, len(text))
    text = {uid: value for uid, value in text.items() if uid not in skipped}
    write_table(folder / "text", text)
    _write_audio(folder, data, {uid: (uid, 0) for uid in text}, stored, audio)
    print(f"training_tables: {counted(len(text), 'utterance')} to validate with, {len(skipped)} skipped")


def _write_audio(
    folder: Path, data: Path, ids: Mapping[str, tuple[str, int]], stored: list[Path], audio: AudioOptions
) -> None:
    """frames_shape, and encoder_out.scp where it is stored, else wav.scp and segments. ids: id → (source, version)."""
    if stored:
        tables = [read_table(source / f"{ENCODER_OUT}.scp") for source in stored]
        frames = [read_numbers(source / "utt2num_frames") for source in stored]
        lines = {copy: _value(tables[v], uid, stored[v]) for copy, (uid, v) in ids.items()}
        write_table(folder / f"{ENCODER_OUT}.scp", lines)
        shapes = {copy: int(_value(frames[v], uid, stored[v])) for copy, (uid, v) in ids.items()}
    else:
        for name in AUDIO:
            if (data / name).exists():
                write_table(folder / name, read_table(data / name))
        utterances = open_utterances(data, **audio.reading)
        shapes = {uid: encoder_frames(utterances.duration(uid)) for uid in ids}
    write_table(folder / "frames_shape", shapes)


def _unreachable(data: Path, text: Mapping[str, str], audio: AudioOptions) -> dict[str, str]:
    """id → why, of utterances whose audio is not there or has no known length, or that are too long to be cut. Headers
    are looked at: what is inside them is found in training, which then goes on without it.
    """
    utterances, stamp = open_utterances(data, **audio.reading), FileStamps()
    _known(text, utterances, data)
    sources, skipped = utterances.data.wav, {}
    for uid, label in text.items():
        source = sources.get(utterances.data.segments[uid].recording, "")
        try:
            check_may_run(source, audio.allow_pipes)
            if stamp(source).startswith("missing"):
                raise BadAudio(source, "missing", "no such file; correct wav.scp")
            _check_length(uid, label, utterances.duration(uid))
        except BadAudio as error:
            skipped[uid] = why(error)
    return skipped


def _unusable(data: Path, text: Mapping[str, str], audio: AudioOptions) -> dict[str, str]:
    """id → why, of utterances that cannot be read from their first to their last sample, or are too long."""
    utterances = open_utterances(data, **audio.reading)
    _known(text, utterances, data)

    def fault(uid: str) -> tuple[str, str]:
        try:
            _check_length(uid, text[uid], len(utterances[uid]) / SAMPLE_RATE)
            return uid, ""
        except BadAudio as error:
            return uid, why(error)

    found = tqdm(prefetch(text, fault, 4), desc=f"read {data}", total=len(text), unit="utt", mininterval=2)
    return {uid: reason for uid, reason in found if reason}


def _check_length(uid: str, label: str, seconds: float) -> None:
    """BadAudio where a student cannot take so many seconds, and a label without times has no place to be cut at."""
    if seconds > LONGEST and "<|" not in label:
        raise BadAudio(uid, "too long", f"{seconds:.1f} s, and its label has no time to cut it at; cut it in two")


def _known(ids: Iterable[str], utterances, data: Path) -> None:
    if missing := [uid for uid in ids if uid not in utterances]:
        raise DataError(f"{data}/text: {missing[0]} has a label and no audio; run utils/fix_data.py {data}")


def _value(table: dict, uid: str, folder: Path):
    if uid not in table:
        raise DataError(f"{folder}: {uid} is not stored; run the stage that makes this directory again")
    return table[uid]
