"""Common Voice zh-TW, version 16 or later, as released → data directories.

Read are clips/*.mp3, {train,dev,test,validated}.tsv and clip_durations.tsv of the official release directory
(`cv-corpus-16.1-2023-12-06/zh-TW`, or the folder above it). Clips are single read sentences, so the corpus
has no recordings: clips of one speaker are joined, in the order of the table and with 0.3 s between two, to
recordings of at most ten minutes, for unlabelled training and for the long-form test.
"""

import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from k2d.corpus.clips import Clip, File
from k2d.corpus.command import Preparation, main, write_set
from k2d.corpus.joined import GAP
from k2d.corpus.release import NotTheCorpus, check_counts, corpus_folder, not_found
from k2d.corpus.sets import Account
from k2d.errors import DataError
from k2d.options import option
from k2d.tables import safe_id

CORPUS = "Common Voice zh-TW"
OLDEST = 16
# Clips by table, from the release's own statistics.
STATED = {"16.1": {"train": 7101, "dev": 4976, "test": 4976, "validated": 82297}}
TABLES = ("train", "dev", "test", "validated")
COLUMNS = ("client_id", "path", "sentence")
LONGEST = 600.0  # seconds of a joined recording
TYPICAL = 4.0  # seconds of a clip that clip_durations.tsv does not have, for cutting recordings only
_VERSION = re.compile(r"cv-corpus-(\d+(?:\.\d+)?)")


def find_release(folder: Path) -> Path:
    """The folder with the tables. NotTheCorpus says what was looked for."""
    for candidate in (folder, folder / "zh-TW"):
        if (candidate / "clips").is_dir() and all((candidate / f"{t}.tsv").is_file() for t in TABLES):
            return candidate
    looked_for = f"clips/, {', '.join(f'{t}.tsv' for t in TABLES)} there or in zh-TW/"
    raise not_found(folder, CORPUS, looked_for)


def version_of(release: Path) -> str | None:
    """ "16.1" of …/cv-corpus-16.1-2023-12-06/zh-TW, None where no folder is named so."""
    for part in reversed(release.resolve().parts):
        if match := _VERSION.match(part):
            return match[1]
    return None


def read_tsv(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a table of the release. No field is quoted: a sentence may begin with a quotation mark."""
    # Sentences hold U+2028 and the like; only the newline ends a row.
    with open(path, encoding="utf-8-sig", newline="\n") as handle:
        reader = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        if missing := [c for c in columns if c not in (reader.fieldnames or ())]:
            raise NotTheCorpus(
                f"{path} does not look like {CORPUS}: looked for the columns {', '.join(columns)}, "
                f"{', '.join(missing)} is missing"
            )
        rows = []
        for row in reader:
            if None in row.values():
                raise DataError(f"{path}:{reader.line_num}: fewer fields than the header has; unpack it again")
            rows.append(row)
    return rows


def durations(release: Path) -> dict[str, float]:
    """clip -> seconds of clip_durations.tsv; empty, with a warning, where the release has none."""
    path = release / "clip_durations.tsv"
    if not path.is_file():
        print(f"WARNING: {path} is missing; cut-off clips will not be noticed by their length", file=sys.stderr)
        return {}
    found = {}
    for row in read_tsv(path, ("clip",)):
        try:
            found[row["clip"]] = float(row.get("duration[ms]") or row.get("duration") or "") / 1000
        except ValueError:
            raise DataError(f"{path}: {row['clip']!r} has no duration in milliseconds") from None
    return found


def clips_of(release: Path, rows: list[dict], seconds: dict[str, float], prefix: str) -> list[Clip]:
    """Clips by speaker, and the long recording each goes to."""
    speakers: dict[str, list[dict]] = {}
    for row in rows:
        speakers.setdefault(row["client_id"], []).append(row)
    names = {client: f"{prefix}{client[:12]}" for client in speakers}
    if len(set(names.values())) < len(names):  # twelve of 128 hexadecimal digits tell thousands apart
        names = {client: f"{prefix}{client}" for client in speakers}
    clips = []
    for client, own in speakers.items():
        number, length = 0, 0.0
        for row in own:
            name = row["path"] if row["path"].endswith(".mp3") else f"{row['path']}.mp3"
            stated = seconds.get(name)
            duration = TYPICAL if stated is None else stated
            if length and length + GAP + duration > LONGEST:
                number, length = number + 1, 0.0
            length += (GAP if length else 0.0) + duration
            recording = f"{names[client]}-{number:04d}"
            clip_id = f"{names[client]}-{safe_id(name.removesuffix('.mp3'))}"
            audio = File(str(release / "clips" / name))
            clips.append(Clip(clip_id, recording, names[client], row["sentence"], audio, stated))
    return clips


@dataclass(frozen=True)
class Clips(Preparation):
    train_from: str = option(
        "train",
        "validated: all validated clips by speakers of neither dev nor test",
        choices=("train", "validated"),
    )


def prepare(options: Clips) -> Iterator[Account]:
    release = find_release(corpus_folder(options.corpus, "COMMONVOICE_ZH_TW", CORPUS))
    asked = options.asked
    version = version_of(release)
    if version is None:
        print(
            f"WARNING: {release}: no folder above says which version it is (cv-corpus-16.1-…)",
            file=sys.stderr,
        )
    elif float(version) < OLDEST and options.counts != "any":
        raise DataError(f"{release}: version {version}, expected {OLDEST} or later; COUNTS=any in db.sh goes on")
    tables = {t: read_tsv(release / f"{t}.tsv", COLUMNS) for t in TABLES}
    found = {t: len(rows) for t, rows in tables.items()}
    check_counts(f"{CORPUS} {version}", found, STATED.get(version or "", {}), options.counts == "any")
    if options.train_from == "validated":  # all speech that is in no test and by no speaker of one
        held_out = {row["client_id"] for t in ("dev", "test") for row in tables[t]}
        tables["train"] = [row for row in tables["validated"] if row["client_id"] not in held_out]
    seconds = durations(release)
    for name in asked:
        prefix = f"{(options.prefix or 'cv_').replace('_', '-')}{name}-"
        yield write_set(options, name, clips_of(release, tables[name], seconds, prefix))


if __name__ == "__main__":
    sys.exit(main(CORPUS, __doc__, prepare, Clips))
