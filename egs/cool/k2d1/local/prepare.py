"""Course recordings → data/train, and recordings with hand-corrected subtitles → data/cool_{dev,test}[_long].

Read is any tree of audio and video files; the folders are sources (courses). With --subtitles true, recordings without
.srt or .vtt files beside them are left out, and those files are linked in data/train/subtitles by recording, where
`--labels text:data/train/subtitles` finds them.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from k2d.constants import chunk_id
from k2d.corpus.clips import Clip, File
from k2d.corpus.command import parser, run
from k2d.corpus.joined import Joined, Placed, Reject
from k2d.corpus.recordings import AUDIO, VIDEO, Recording, by_source, check, convert, find_recordings
from k2d.corpus.release import corpus_folder, not_found
from k2d.corpus.sets import Account, english_share, write_labelled, write_recordings
from k2d.corpus.subtitles import read_all

CORPUS = "COOL"


def recordings_of(folder: Path, what: str) -> tuple[list[Recording], list[Reject]]:
    recordings, rejects = find_recordings(folder)
    if not recordings:
        raise not_found(folder, what, f"audio or video files ({' '.join(AUDIO + VIDEO)}) in it or below")
    return recordings, rejects


def without(recordings: list[Recording]) -> list[Reject]:
    return [
        Reject(r.id, "no subtitles", f"{r.path}: no subtitles; expected {r.path.stem}.srt or .vtt beside it")
        for r in recordings
        if r.subtitles is None
    ]


def prepare_train(args) -> Account:
    found, rejects = recordings_of(corpus_folder(args.corpus, "COOL", CORPUS), CORPUS)
    wanted = args.subtitles == "true"
    if wanted:
        rejects += without(found)
        found = [r for r in found if r.subtitles]
        if not found:
            raise not_found(Path(args.corpus), f"{CORPUS} with subtitles", ".srt or .vtt beside the recordings")
    seconds, bad = check(found, args.output_dir / "cool_files.json", whole=wanted, nj=args.nj)
    rejects += bad
    subtitles = {r.id: r.subtitles for r in found if r.id in seconds and wanted}
    cues, bad = read_all(subtitles, seconds)
    rejects += bad
    kept = {r.id: r for r in found if r.id in seconds and (not wanted or r.id in cues)}
    train = args.output_dir / "train"
    write_recordings(
        train,
        {name: (str(r.path.absolute()), seconds[name]) for name, r in kept.items()},
        by_source(found, kept),
    )
    shutil.rmtree(train / "subtitles", ignore_errors=True)
    for name in cues:
        (train / "subtitles").mkdir(exist_ok=True)
        (train / "subtitles" / f"{name}{subtitles[name].suffix.lower()}").symlink_to(subtitles[name].absolute())
    english = english_share([cue.text for own in cues.values() for cue in own]) if wanted else None
    return Account("train", len(kept), len(kept), sum(seconds[r] for r in kept) / 3600,
                   len({r.source for r in kept.values()}), english, rejects)  # fmt: skip


def prepare_labelled(path: str, variable: str, name: str, args) -> Account:
    found, rejects = recordings_of(corpus_folder(path, variable, f"the {name} set"), f"{CORPUS}'s {name} set")
    rejects += without(found)
    found = [r for r in found if r.subtitles]
    if not found:
        raise not_found(Path(path), f"{CORPUS}'s {name} set", "hand-corrected .srt or .vtt beside the recordings")
    recordings, bad = convert(found, args.output_dir / "audio" / name, args.nj)
    rejects += bad
    subtitles = {r.id: r.subtitles for r in found if r.id in recordings}
    cues, bad = read_all(subtitles, {r: seconds for r, (_, seconds) in recordings.items()})
    rejects += bad
    speakers = by_source(found, cues)
    placed = [
        Placed(
            Clip(chunk_id(r, round(c.start * 100), round(c.end * 100)), r, speakers[r], c.text,
                 File(recordings[r][0])),
            c.start,
            min(c.end, recordings[r][1]),
        )
        for r, own in cues.items()
        for c in own
    ]  # fmt: skip
    return write_labelled(args.output_dir / name, Joined({r: recordings[r] for r in cues}, placed, rejects))


def prepare(args) -> Iterator[Account]:
    yield prepare_train(args)
    for path, variable, name in ((args.dev, "COOL_DEV", "cool_dev"), (args.test, "COOL_TEST", "cool_test")):
        if path:
            yield prepare_labelled(path, variable, name, args)


if __name__ == "__main__":
    options = parser(__doc__, CORPUS)
    options.add_argument("--dev", default="", help="recordings with hand-corrected subtitles")
    options.add_argument("--test", default="", help="the same, for testing")
    options.add_argument("--subtitles", choices=("true", "false"), default="false", help="they are to be the labels")
    sys.exit(run(CORPUS, options.parse_args(), prepare))
