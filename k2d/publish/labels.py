"""Labels, chosen or not, in the forms that other programs read.

In: a data directory. Out: one folder, with its audio as 16 kHz FLAC beside the manifests:

    audio/<thousand>/<id>.flac
    kaldi/          wav.scp text utt2spk spk2utt utt2dur utt2…; text.timed has the timestamps
    cuts.jsonl      Lhotse: a MonoCut a line, a supervision for each segment
    nemo.jsonl      NeMo: audio_filepath (from the manifest's folder), duration, text; segments with their times
    parquet/        Hugging Face: train-00000-of-….parquet, with the audio in it

kaldi/wav.scp and cuts.jsonl name the audio by absolute paths, since Kaldi and Lhotse look for relative ones from the
working directory: if the folder moves, these two need the new path. nemo.jsonl and parquet/ can be moved as they are.

Scores (utt2mer, utt2comp, …) go along under their names. Audio that cannot be read is left out and named.
"""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from k2d.atomic import atomic
from k2d.audio.read import write_flac
from k2d.audio.utterances import Utterances
from k2d.constants import SAMPLE_RATE, file_name
from k2d.datadir import DataDir, DataDirWriter
from k2d.errors import BadAudio, DataError, UsageError
from k2d.tables import read_numbers, read_table
from k2d.text import timestamps

FORMS = ("kaldi", "lhotse", "nemo", "parquet")
IN_FOLDER = 1000  # utterances in a folder of audio, and rows of a parquet file


@dataclass(frozen=True)
class Labelled:
    """One utterance. place: its FLAC file in the output folder, None where only parquet is written."""

    id: str
    speaker: str
    text: str  # with timestamp tokens
    previous: str | None
    scores: dict[str, float]
    samples: int
    flac: bytes
    place: str | None

    @property
    def seconds(self) -> float:
        return self.samples / SAMPLE_RATE

    @property
    def plain(self) -> str:
        return timestamps.strip(self.text)

    @property
    def segments(self) -> list[dict]:
        """Start, end, in seconds of the utterance, and text; the end of one that was cut off is the utterance's."""
        found = timestamps.parse(self.text)
        return [
            {"start": s, "end": min(self.seconds if e is None else e, self.seconds), "text": t} for s, e, t in found
        ]


Write = Callable[[Labelled], object]


def export(data: DataDir, audio: Utterances, forms: Sequence[str], out: Path) -> tuple[int, float, list[BadAudio]]:
    """Write the forms into `out`. Returns (utterances, seconds, what was left out). Raises DataError without labels."""
    if not data.text:
        raise DataError(f"{data.path / 'text'}: missing or empty; expected labels there")
    bad: list[BadAudio] = []
    out = out.absolute()  # its paths are read from other working directories
    count, seconds = 0, 0.0
    with ExitStack() as stack:
        writers = [stack.enter_context(_WRITERS[form](out)) for form in forms]
        for each in _utterances(data, audio, out if set(forms) - {"parquet"} else None, bad):
            for write in writers:
                write(each)
            count, seconds = count + 1, seconds + each.seconds
        if not count:
            raise DataError(f"{data.path}: no utterance can be read: {bad[0] if bad else 'there are none with a text'}")
    return count, seconds, bad


def _utterances(data: DataDir, audio: Utterances, out: Path | None, bad: list[BadAudio]) -> Iterator[Labelled]:
    scores = {
        name.removeprefix("utt2"): read_numbers(data.path / name)
        for name in data.utterance_tables()
        if name.startswith("utt2") and name not in ("utt2spk", "utt2dur") and _numbers(data.path / name)
    }
    previous = read_table(data.path / "text.prev") if (data.path / "text.prev").is_file() else {}
    speakers = data.utt2spk or {}
    for number, (name, text) in enumerate(data.text.items()):
        try:
            samples = audio[name]
        except BadAudio as error:
            bad.append(error)
            continue
        buffer = io.BytesIO()
        write_flac(buffer, samples)
        flac = buffer.getvalue()
        place = None
        if out is not None:
            place = f"audio/{number // IN_FOLDER:05d}/{file_name(name)}.flac"
            with atomic(out / place, "wb") as handle:
                handle.write(flac)
        own = {score: values[name] for score, values in scores.items() if name in values}
        yield Labelled(name, speakers.get(name, name), text, previous.get(name), own, len(samples), flac, place)


def _numbers(path: Path) -> bool:
    try:
        read_numbers(path)
    except DataError:
        return False
    return True


# A form: the output folder to a context in which a function takes one utterance after the other.


@contextmanager
def _kaldi(out: Path) -> Iterator[Write]:
    with DataDirWriter(out / "kaldi") as writer:

        def write(each: Labelled) -> None:
            writer.write("wav.scp", each.id, str(out / each.place))
            writer.write("text", each.id, each.plain)
            writer.write("text.timed", each.id, each.text)
            writer.write("utt2spk", each.id, each.speaker)
            writer.write("utt2dur", each.id, f"{each.seconds:.4f}")
            if each.previous is not None:
                writer.write("text.prev", each.id, each.previous)
            for name, value in each.scores.items():
                writer.write(f"utt2{name}", each.id, f"{value:g}")

        yield write


@contextmanager
def _lhotse(out: Path) -> Iterator[Write]:
    with atomic(out / "cuts.jsonl") as stream:
        yield lambda each: stream.write(json.dumps(_cut(each, out), ensure_ascii=False) + "\n")


@contextmanager
def _nemo(out: Path) -> Iterator[Write]:
    with atomic(out / "nemo.jsonl") as stream:
        yield lambda each: stream.write(json.dumps(_entry(each), ensure_ascii=False) + "\n")


def _entry(each: Labelled) -> dict:
    said = {"audio_filepath": each.place, "duration": round(each.seconds, 4), "text": each.plain, "id": each.id}
    return said | {"speaker": each.speaker, "segments": each.segments, **_previous(each), **each.scores}


def _cut(each: Labelled, out: Path) -> dict:
    of = {"recording_id": each.id, "channel": 0, "speaker": each.speaker}
    said = [
        {"id": f"{each.id}-{n}", "start": s["start"], "duration": round(s["end"] - s["start"], 4), "text": s["text"]}
        for n, s in enumerate(each.segments)
    ]
    recording = {
        "id": each.id,
        "sources": [{"type": "file", "channels": [0], "source": str(out / each.place)}],
        "sampling_rate": SAMPLE_RATE,
        "num_samples": each.samples,
        "duration": each.seconds,
        "channel_ids": [0],
    }
    custom = _previous(each) | each.scores
    return {
        "id": each.id,
        "start": 0,
        "duration": each.seconds,
        "channel": 0,
        "supervisions": [s | of for s in said if s["duration"] > 0],
        "recording": recording,
        **({"custom": custom} if custom else {}),
        "type": "MonoCut",
    }


def _previous(each: Labelled) -> dict[str, str]:
    return {} if each.previous is None else {"previous_text": each.previous}


@contextmanager
def _parquet(out: Path) -> Iterator[Write]:
    """Shards of IN_FOLDER rows, in memory one at a time."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise UsageError("parquet is written with pyarrow, which is not installed: pip install pyarrow") from None
    text, real = pyarrow.string(), pyarrow.float64()
    kinds = {
        "id": text,
        "audio": pyarrow.struct({"bytes": pyarrow.binary(), "path": text}),
        "text": text,
        "segments": pyarrow.list_(pyarrow.struct({"start": real, "end": real, "text": text})),
        "duration": real,
        "speaker": text,
        "previous_text": text,
        "scores": pyarrow.list_(pyarrow.struct({"name": text, "value": real})),
    }
    schema = pyarrow.schema(kinds, metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})})
    rows: list[dict] = []
    written: list[Path] = []

    def flush() -> None:
        path = out / f"parquet/.{len(written):05d}.parquet"
        with atomic(path, "wb") as handle:
            parquet.write_table(pyarrow.Table.from_pylist(rows, schema), handle, row_group_size=100)
        written.append(path)
        rows.clear()

    def write(each: Labelled) -> None:
        rows.append(
            {
                "id": each.id,
                "audio": {"bytes": each.flac, "path": f"{file_name(each.id)}.flac"},
                "text": each.plain,
                "segments": each.segments,
                "duration": each.seconds,
                "speaker": each.speaker,
                "previous_text": each.previous,
                "scores": [{"name": name, "value": value} for name, value in each.scores.items()],
            }
        )
        if len(rows) == IN_FOLDER:
            flush()

    yield write
    if rows:
        flush()
    for number, path in enumerate(written):  # named at the end, when it is known how many there are
        path.rename(out / f"parquet/train-{number:05d}-of-{len(written):05d}.parquet")


def _value(kind: str) -> dict[str, str]:
    return {"dtype": kind, "_type": "Value"}


# What the datasets library takes the columns for; a list is written in its older form, which all its versions read.
_FEATURES = {
    "id": _value("string"),
    "audio": {"sampling_rate": SAMPLE_RATE, "_type": "Audio"},
    "text": _value("string"),
    "segments": [{"start": _value("float64"), "end": _value("float64"), "text": _value("string")}],
    "duration": _value("float64"),
    "speaker": _value("string"),
    "previous_text": _value("string"),
    "scores": [{"name": _value("string"), "value": _value("float64")}],
}
_WRITERS = {"kaldi": _kaldi, "lhotse": _lhotse, "nemo": _nemo, "parquet": _parquet}
