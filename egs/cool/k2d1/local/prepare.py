"""Course recordings → data/train, and recordings with hand-corrected subtitles → data/cool_{dev,test}[_long].

Read is any tree of audio and video files; the folders are sources (courses). With --subtitles true, recordings without
.srt or .vtt files beside them are left out, and those files are linked in data/train/subtitles by recording, where
`--labels text:data/train/subtitles` finds them.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from k2d.constants import chunk_id
from k2d.corpus.clips import Clip, File
from k2d.corpus.command import Preparation, main
from k2d.corpus.folder import prepare_folder, recordings_in, without_subtitles
from k2d.corpus.joined import Joined, Placed
from k2d.corpus.recordings import by_source, convert, in_any_format
from k2d.corpus.release import corpus_folder, not_found
from k2d.corpus.sets import Account, write_labelled
from k2d.corpus.subtitles import read_all
from k2d.options import option

CORPUS = "COOL"


@dataclass(frozen=True)
class Courses(Preparation):
    reads = ("corpus", "dev", "test")

    dev: str = option("", "recordings with hand-corrected subtitles")
    test: str = option("", "the same, for testing")
    subtitles: bool = option(False, "subtitles are to be the labels")

    @property
    def writes(self) -> list[Path]:
        names = ("train", "cool_dev", "cool_dev_long", "cool_test", "cool_test_long")
        return [self.output_dir / name for name in names]


def prepare_train(options: Courses) -> Account:
    folder = corpus_folder(options.corpus, "COOL", CORPUS)
    return prepare_folder(folder, options.output_dir / "train", what=CORPUS, labelled_only=options.subtitles,
                          labels="subtitles", nj=options.nj, damaged=options.damaged).account  # fmt: skip


def prepare_labelled(path: str, variable: str, name: str, options: Courses) -> Account:
    found, rejects, _ = recordings_in(corpus_folder(path, variable, f"the {name} set"), f"{CORPUS}'s {name} set")
    rejects += without_subtitles(found)
    found = [r for r in found if r.subtitles]
    if not found:
        raise not_found(Path(path), f"{CORPUS}'s {name} set", "hand-corrected .srt or .vtt beside the recordings")
    read = partial(convert, folder=options.output_dir / "audio" / name, nj=options.nj, damaged=options.damaged)
    found, recordings, bad = in_any_format(found, read)
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
    return write_labelled(options.output_dir / name, Joined({r: recordings[r] for r in cues}, placed, rejects))


def prepare(options: Courses) -> Iterator[Account]:
    yield prepare_train(options)
    for path, variable, name in ((options.dev, "COOL_DEV", "cool_dev"), (options.test, "COOL_TEST", "cool_test")):
        if path:
            yield prepare_labelled(path, variable, name, options)


if __name__ == "__main__":
    sys.exit(main(CORPUS, __doc__, prepare, Courses))
