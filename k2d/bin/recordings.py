"""Make a data directory from a folder of audio and video.

    k2d recordings --recordings ~/lectures --output_dir data/lectures

All audio and video files that libsndfile or ffmpeg's libraries read are used, also in subfolders; hidden files and
other files are ignored. Two files with the same name in one folder are one recording (the audio of a video); exact
copies and files that cannot be opened are left out. Nothing is copied. Writes wav.scp, utt2spk, utt2dur and
recordings.tsv, beside the directory lectures_preparation.md (hours, what was left out) and lectures_rejects.txt (why,
file by file); a second run opens only what is new or changed. Transcripts beside recordings (.srt, .vtt, .ass, .ssa,
.sbv, .tsv, .json, .txt of the same name) are linked in labels/, for `--labels text:…`.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from k2d.corpus.command import Preparation, run
from k2d.corpus.folder import LABELS_FOLDER, check_folder, offer, prepare_folder
from k2d.options import CommandParser

COMMAND = "recordings"
LISTED = ("labels", -1)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("recordings", __doc__)
    p.add_argument("--recordings", required=True, type=Path, metavar="FOLDER", help="folder of audio and video files")
    p.add_argument("--output_dir", required=True, type=Path, help="the data directory, such as data/lectures")
    p.add_argument("--nj", type=int, default=1, help="processes")
    return p


def check(args: argparse.Namespace) -> None:
    """Raises DataError for a folder that no run could begin with."""
    check_folder(args.recordings.expanduser())


@dataclass(frozen=True)
class Folder(Preparation):
    reads = ("recordings",)

    recordings: Path = Path()
    data: Path = Path()

    @property
    def writes(self) -> list[Path]:
        return [self.data]

    @property
    def decides(self) -> dict[str, object]:
        return {"prefix": self.prefix}

    @property
    def arguments(self) -> dict[str, object]:
        return {"recordings": self.recordings, "output_dir": self.data, "nj": self.nj}


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if not args.output_dir.name:
        parser().error(f"--output_dir {args.output_dir}: expected a data directory, such as data/lectures")
    data, offers = args.output_dir, []
    options = Folder(recordings=args.recordings, data=data, output_dir=data.parent, prefix=f"{data.name}_", nj=args.nj)

    def prepare(options: Folder) -> list:
        prepared = prepare_folder(options.recordings.expanduser(), data, nj=options.nj)
        offers.append(offer(prepared, str(data / LABELS_FOLDER)))
        return [prepared.account]

    status = run(COMMAND, options, prepare)
    for said in filter(None, offers):
        print(f"recordings: {said}")
    return status
