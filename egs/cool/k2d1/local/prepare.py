"""Course recordings → data/train, and recordings with hand-corrected subtitles → data/cool_{dev,test}[_long].

Read is any tree of audio and video files; the folders are sources (courses). With --ready_labels DIR, .srt
and .vtt files beside the recordings are taken as the teacher's output: they are packed to chunks in DIR,
and recordings without them are left out.
"""

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
from k2d.datadir import DataDir
from k2d.text import timestamps

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
    ready = args.ready_labels
    if ready:
        rejects += without(found)
        found = [r for r in found if r.subtitles]
        if not found:
            raise not_found(Path(args.corpus), f"{CORPUS} with ready labels", ".srt or .vtt beside the recordings")
    seconds, bad = check(found, args.output_dir / "cool_files.json", whole=bool(ready), nj=args.nj)
    rejects += bad
    subtitles = {r.id: r.subtitles for r in found if r.id in seconds and ready}
    cues, bad = read_all(subtitles, seconds)
    rejects += bad
    kept = {r.id: r for r in found if r.id in seconds and (not ready or r.id in cues)}
    train = args.output_dir / "train"
    write_recordings(
        train,
        {name: (str(r.path.absolute()), seconds[name]) for name, r in kept.items()},
        by_source(found, kept),
    )
    account = Account("train", len(kept), len(kept), sum(seconds[r] for r in kept) / 3600,
                      len({r.source for r in kept.values()}), None, rejects)  # fmt: skip
    if ready and kept:
        from k2d.corpus.ready_labels import write_ready_labels

        counts = write_ready_labels(ready, DataDir(train), cues, subtitles, args.max_chunk)
        chunks = DataDir(ready).text or {}
        account.english = english_share([timestamps.strip(text) for text in chunks.values()])
        done = "as before" if counts is None else f"{counts.chunk_seconds / 3600:.2f} h"
        account.notes.append(f"train: {len(chunks)} chunks from ready subtitles ({done}); no teacher will decode")
    return account


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
    options.add_argument("--ready_labels", type=Path, help="directory for chunks from subtitles, in place of stage 2")
    options.add_argument("--max_chunk", type=float, default=30.0, help="seconds of a chunk (default %(default)s)")
    sys.exit(run(CORPUS, options.parse_args(), prepare))
