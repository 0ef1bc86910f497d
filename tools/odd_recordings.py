"""Recordings as people have them, made on the spot, and what is read of each.

    tools/venv/bin/python tools/odd_recordings.py --docs docs/recordings.md
    tools/venv/bin/python tools/odd_recordings.py --label exp/teacher --recordings 500 --folder /tmp/odd

The first makes every kind (tools/odd_kinds.py), reads it and writes the page's table. The second makes a corpus of so
many recordings, in which every kind stands once, labels it with `k2d label`, labels a sample of them each alone, and
prints whether both give the same text, whether skipped.txt gives the true reasons, and the peak memory. Both end with
status 1 if anything is not as expected.

Kinds that need ffmpeg's programs or a shared library are left out, loudly, where those are not installed.
"""

import argparse
import json
import logging
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from odd_kinds import KINDS, Kind, can_make, make, voice

from k2d.audio.read import read_audio, recording_duration
from k2d.constants import SAMPLE_RATE
from k2d.errors import BadAudio
from k2d.text.markdown import table
from k2d.whisper.identity import english_only

NEAR = 0.1  # seconds by which a length may differ from what is expected


# -- what came ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tried:
    """seconds and samples of what was read, or the reason why not; warning: the message that came with it."""

    audio: np.ndarray | None
    reason: str = ""
    message: str = ""
    warning: str = ""

    def __str__(self) -> str:
        if self.audio is None:
            return "named"
        return "read with a warning" if self.warning else "read"


class _Messages(logging.Handler):
    def __init__(self):
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def read(source: str) -> Tried:
    log, handler = logging.getLogger("k2d.audio"), _Messages()
    log.addHandler(handler)
    log.propagate = False
    try:
        audio = read_audio(source)
    except BadAudio as error:
        return Tried(None, error.reason, str(error))
    finally:
        log.removeHandler(handler)
        log.propagate = True
    return Tried(audio, warning=" ".join(handler.messages))


def likeness(audio: np.ndarray, other: np.ndarray) -> float:
    """How much 2.5 s of sound are like the same of another, shifted by at most 0.1 s: the least correlation."""
    least, size, reach = 1.0, 5 * SAMPLE_RATE // 2, round(NEAR * SAMPLE_RATE)
    for first in range(0, min(len(audio), len(other)) - size, size):
        here, there = audio[first : first + size], other[first : first + size]
        if np.ptp(there) == 0.0:  # silence is like silence only, but for a frame that reaches into it
            least = min(least, float(here.std() < 0.03))
            continue
        product = np.fft.irfft(np.fft.rfft(here, 2 * size) * np.conj(np.fft.rfft(there, 2 * size)))
        best = np.abs(np.r_[product[:reach], product[-reach:]]).max()
        least = min(least, float(best / np.linalg.norm(here) / np.linalg.norm(there)))
    return least


def fault(kind: Kind, source: str, outcome: Tried) -> str:
    """What is not as expected, "" if all is."""
    if isinstance(kind.heard, str):
        return "" if outcome.reason == kind.heard else f"expected {kind.heard}, got {outcome.reason or 'sound'}"
    if outcome.audio is None:
        return outcome.message
    cut_short, damaged = kind.file.startswith("cut."), kind.file.startswith("damaged.")
    near = 3.0 if cut_short else 1.5 if damaged else NEAR
    seconds, wanted = len(outcome.audio) / SAMPLE_RATE, len(kind.heard) / SAMPLE_RATE
    if abs(seconds - wanted) > near:
        return f"expected {wanted:.2f} s, got {seconds:.2f} s"
    if abs(recording_duration(source) - seconds) > 0.045:  # one packet each of two recordings
        return f"recording_duration says {recording_duration(source):.2f} s, {seconds:.2f} s are read"
    if bool(outcome.warning) != kind.warning:
        return f"expected {'a' if kind.warning else 'no'} warning, got {outcome.warning!r}"
    sound = slice(0, len(outcome.audio) // 2 if damaged else None)  # the first half is
    alike = likeness(outcome.audio[sound], kind.heard[sound])
    return "" if alike > 0.8 else f"it is not what was recorded: correlation {alike:.2f}"


# -- commands -------------------------------------------------------------------------------------------------

_HEADER = ("container", "codec", "what is odd", "result", "seconds read (expected)", "says")


def write_docs(path: Path) -> int:
    """Write the page's first table anew, of all kinds; returns how many are not as expected."""
    page = path.read_text(encoding="utf-8")
    old = re.search(r"^\|.*\n(\|.*\n)+", page, re.MULTILINE)
    if old is None:
        sys.exit(f"odd_recordings.py: {path}: has no table to write anew; give docs/recordings.md")
    rows, wrong = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            if not can_make(kind):
                print(f"{kind.file}: left out, {kind.needs} is not installed", file=sys.stderr)
                continue
            source = make(kind, Path(folder))
            outcome = read(source)
            if trouble := fault(kind, source, outcome):
                wrong += 1
                print(f"{kind.file}: {trouble}", file=sys.stderr)
            rows.append(_row(kind, outcome, folder))
    new = "".join(f"{line}\n" for line in table(_HEADER, rows, left=range(len(_HEADER))))
    path.write_text(page[: old.start()] + new + page[old.end() :], encoding="utf-8")
    print(f"odd_recordings.py: {path}: {len(rows)} kinds, {wrong} not as expected")
    return wrong


def _row(kind: Kind, outcome: Tried, folder: str) -> Sequence[str]:
    said = (outcome.message or outcome.warning).replace(f"{folder}/", "")
    said = re.sub(r"no such file from \S+;", "no such file;", said)
    seconds = ""
    if outcome.audio is not None:
        seconds = f"{len(outcome.audio) / SAMPLE_RATE:.2f} ({len(kind.heard) / SAMPLE_RATE:.2f})"
    return kind.container, kind.codec, kind.oddity, str(outcome), seconds, said


def label_corpus(model: str, count: int, folder: Path, batch_size: int, alone: int) -> int:
    """Label a corpus with every kind in it, and some of its recordings alone; returns what is not as expected."""
    odd = [kind for kind in KINDS if can_make(kind) and kind.oddity != "none"]
    plain = {f"plain{n:04d}": folder / "audio" / f"plain{n:04d}.wav" for n in range(count - len(odd))}
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(plain.values()):
        soundfile.write(path, voice(4 + number % 5, number), SAMPLE_RATE)
    sources = plain | {_key(kind): make(kind, folder / "odd") for kind in odd}
    together = _label(model, sources, folder / "all", batch_size)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    skipped = dict(
        line.split(" ", 1) for line in (folder / "all_labels/skipped.txt").read_text(encoding="utf-8").splitlines()
    )
    wrong = [key for key in plain if key not in together]
    for kind in odd:
        reason = kind.heard if isinstance(kind.heard, str) else ""
        named = skipped.get(_key(kind), "").partition(":")[0]
        if named != reason or (_key(kind) in together) == bool(reason):
            wrong.append(_key(kind))
    sample = sorted(together)[:: max(1, len(together) // max(1, alone))][:alone]
    for key in sample:
        if _label(model, {key: sources[key]}, folder / "alone" / key, batch_size) != {key: together[key]}:
            wrong.append(f"{key}, alone")
    print(
        f"odd_recordings.py: {count} recordings, {len(odd)} odd: {len(together)} labelled, {len(skipped)} skipped, "
        f"{len(sample)} labelled alone; peak memory {peak:.2f} GB; not as expected: {', '.join(wrong) or 'none'}"
    )
    return len(wrong) + (peak > 3)


def _key(kind: Kind) -> str:
    return kind.file.replace(".", "-")


def _label(model: str, sources: Mapping[str, object], data: Path, batch_size: int) -> dict[str, list]:
    """Label recordings by the command; returns their segments."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "wav.scp").write_text("".join(f"{key} {source}\n" for key, source in sorted(sources.items())))
    labels = data.with_name(f"{data.name}_labels")
    command = [sys.executable, "-m", "k2d.bin.main", "label", "--model", model, "--data", data, "--output_dir", labels]
    command += ["--batch_size", batch_size, "--temperatures", "0", "--max_new_tokens", "24"]
    command += ["--language", "en"] if english_only(model) else []
    done = subprocess.run(list(map(str, command)), cwd=Path(__file__).resolve().parents[1])
    if done.returncode:
        sys.exit(f"odd_recordings.py: k2d label ended with status {done.returncode}")
    return _transcripts(labels, scores=batch_size == 1)


def _transcripts(labels: Path, scores: bool) -> dict[str, list]:
    """recording -> its segments; without their scores, whose last digits depend on who is decoded beside whom."""
    records = map(json.loads, (labels / "transcripts.jsonl").read_text(encoding="utf-8").splitlines())
    compared = ("start", "end", "text")
    return {
        record["id"]: record["segments"] if scores else [[s[name] for name in compared] for s in record["segments"]]
        for record in records
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, help="write the table there")
    parser.add_argument("--label", metavar="MODEL", help="label a corpus with this checkpoint")
    parser.add_argument("--recordings", type=int, default=500, help="in that corpus (default %(default)s)")
    # Who is decoded beside whom moves the last bits, by which a random model decides.
    parser.add_argument("--batch_size", type=int, default=1, help="0: k2d label's default (default %(default)s)")
    parser.add_argument("--alone", type=int, default=20, help="labelled each alone, too (default %(default)s)")
    parser.add_argument("--folder", type=Path, help="where the corpus is made (default: a temporary one)")
    args = parser.parse_args()
    if not (args.docs or args.label):
        parser.error("give --docs or --label")
    wrong = write_docs(args.docs) if args.docs else 0
    if args.label:
        with tempfile.TemporaryDirectory() as folder:
            wrong += label_corpus(args.label, args.recordings, args.folder or Path(folder), args.batch_size, args.alone)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
