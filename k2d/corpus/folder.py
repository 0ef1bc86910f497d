"""Any folder of recordings → a data directory of them, and what of it was left out.

In: a tree of audio and video files as they come. Out: `wav.scp utt2spk utt2dur` of the recordings, which stay where
they are; recordings.tsv, the list of them for people; labels/, links to the transcripts that lie beside recordings,
each under its recording's id, where `--labels text:…` finds them. Recordings of one folder have one speaker's id, since
a course has one lecturer.
"""

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from k2d.atomic import atomic
from k2d.audio.inputs import SOUND, VIDEO, walk
from k2d.constants import file_name
from k2d.corpus.joined import Reject
from k2d.corpus.recordings import Recording, by_source, check, find_recordings, in_any_format, same_content
from k2d.corpus.release import not_found
from k2d.corpus.sets import Account, english_share, write_recordings
from k2d.corpus.subtitles import SUFFIXES, fault_of_times
from k2d.corpus.transcripts import read_json, read_transcript, segments_in, segments_of_json
from k2d.errors import DataError
from k2d.wording import counted

LABELS_FOLDER = "labels"
LIST = "recordings.tsv"
_COLUMNS = ("id", "seconds", "file", "transcript", "unusable transcript")
# What the JSON of speech services has, which is not read: AWS, Google and Deepgram; Vosk; Azure; AssemblyAI; Rev.
_OF_SERVICES = {"results", "result", "recognizedPhrases", "combinedPhrases", "utterances", "monologues"}
_MOST_OTHER = 6  # kinds of other files that are named


@dataclass(frozen=True)
class Prepared:
    """labels: recording -> the transcript beside it; unusable: those that cannot be used; unread: of recordings without
    another, those in forms that are not read.
    """

    account: Account
    recordings: Mapping[str, Recording]
    labels: Mapping[str, Path]
    unusable: tuple[Reject, ...] = ()
    unread: tuple[Path, ...] = ()


def recordings_in(folder: Path, what: str) -> tuple[list[Recording], list[Reject], Counter]:
    """Recordings, rejects, and other files by suffix. NotTheCorpus where there is no recording."""
    if not folder.is_dir():
        kind = "is a file; give the folder it lies in" if folder.exists() else "no such folder; correct the path"
        raise DataError(f"{folder}: {kind}")
    tree = find_recordings(folder)
    if not tree.recordings and tree.rejects:  # a folder that cannot be read, or a name that no table can hold
        raise DataError(tree.rejects[0].message)
    if not tree.recordings:
        raise not_found(folder, what, "audio or video files in it or below")
    return tree.recordings, tree.rejects, tree.other


def prepare_folder(
    folder: Path,
    out: Path,
    *,
    what: str = "a folder of recordings",
    labelled_only: bool = False,
    labels: str = LABELS_FOLDER,
    nj: int = 1,
    damaged: str = "warn",
) -> Prepared:
    """Write the data directory `out`.

    labelled_only : recordings without usable subtitles are left out, and all are decoded to their end, since no stage
                    of labelling will
    labels        : name of the folder of links in `out`
    damaged       : "skip" leaves out what is damaged, of recordings that are decoded; labelling does so of others

    Raises DataError where the folder holds no recording.
    """
    plain = Path(os.path.abspath(folder))
    if ".." in folder.parts and plain.is_dir() and plain.samefile(folder):
        folder = plain  # however it was spelt, wav.scp says the same, or all labels would be made again
    found, rejects, other = recordings_in(folder, what)
    if labelled_only:
        rejects = rejects + without_subtitles(found)
        found = [r for r in found if r.subtitles]
        if not found:
            raise not_found(folder, f"{what} with subtitles", ".srt or .vtt beside the recordings")
    cache = out.with_name(f"{out.name}_files.json")
    read = partial(check, cache=cache, whole=labelled_only, nj=nj, damaged=damaged)
    found, seconds, bad = in_any_format(found, read)
    if labelled_only and (alone := without_subtitles(found)):  # files of one name that are other recordings
        rejects = rejects + alone
        found = [r for r in found if r.subtitles]
        seconds = {r.id: seconds[r.id] for r in found if r.id in seconds}
    rejects = rejects + bad + (twice := same_content([r for r in found if r.id in seconds]))
    for reject in twice:
        del seconds[reject.id]
    ready, said, unusable, unread = ready_labels([r for r in found if r.id in seconds], seconds, labelled_only)
    if labelled_only:
        rejects = rejects + unusable
        seconds = {name: length for name, length in seconds.items() if name in ready}
    kept = {r.id: r for r in found if r.id in seconds}
    if kept:  # else what was there stays as it was, and the account says why nothing came
        files = {name: (str(r.path.absolute()), seconds[name]) for name, r in kept.items()}
        write_recordings(out, files, by_source(found, kept))
        _link(out / labels, ready)
        _list(out / LIST, kept, seconds, ready, unusable)
    english = english_share([text for own in said.values() for text in own]) if labelled_only else None
    account = Account(out.name, len(kept), len(kept), sum(seconds.values()) / 3600,
                      len(set(by_source(found, kept).values())), english, rejects)  # fmt: skip
    if other:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in other.most_common(_MOST_OTHER))
        more = " …" if len(other) > _MOST_OTHER else ""
        account.notes.append(f"{out.name}: ignored {counted(sum(other.values()), 'other file')}: {kinds}{more}")
    return Prepared(account, kept, ready, tuple(unusable), tuple(unread))


def check_folder(folder: Path) -> None:
    """Raise DataError for a folder in which no recording has a byte. No file is opened, so a run may ask first."""
    for here, files, _ in walk(folder):
        for name in files:
            if Path(name).suffix.lower() in SOUND + VIDEO and _size(here / name):
                return
    found, _, _ = recordings_in(folder, "a folder of recordings")
    raise DataError(
        f"{folder}: all recordings there are empty, such as {found[0].path}; downloads that failed leave files of "
        "0 bytes: download or copy them again"
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def hours_of(folder: Path) -> tuple[float, list[Reject]]:
    """(hours of the recordings of a folder that can be used, as their headers say; what is left out). DataError where
    there is none.
    """
    found, passed, _ = recordings_in(folder, "a folder of recordings")
    found, seconds, bad = in_any_format(found, partial(check, cache=None, whole=False, nj=1))
    if not seconds:
        raise DataError(f"{folder}: none of {counted(len(found), 'recording')} can be used: {bad[0].message}")
    twice = same_content([r for r in found if r.id in seconds])
    for reject in twice:
        del seconds[reject.id]
    return sum(seconds.values()) / 3600, passed + bad + twice


def without_subtitles(recordings: list[Recording]) -> list[Reject]:
    return [
        Reject(r.id, "no subtitles", f"{r.path}: no subtitles; expected {r.path.stem}.srt or .vtt beside it")
        for r in recordings
        if r.subtitles is None
    ]


def ready_labels(
    recordings: list[Recording], seconds: Mapping[str, float], subtitles_only: bool
) -> tuple[dict[str, Path], dict[str, list[str]], list[Reject], list[Path]]:
    """(recording -> transcript beside it, its segments' texts, transcripts that cannot be used, and, of recordings
    without one, those in forms that are not read).

    Of several the first that can be used, in the order of `LABELS`, as `text:FOLDER` takes them.
    """
    ready: dict[str, Path] = {}
    said: dict[str, list[str]] = {}
    unusable: list[Reject] = []
    unread: list[Path] = []
    for recording in recordings:
        failed: list[Reject] = []
        of_services: list[Path] = []
        beside = recording.beside
        if subtitles_only:
            beside = (recording.subtitles,) if recording.subtitles else ()
        for path in beside:
            try:
                if path.suffix.lower() == ".json":
                    record = read_json(path)
                    if record is not None and segments_in(record) is None:  # a downloader's, or another program's
                        of_services += [path] if isinstance(record, dict) and record.keys() & _OF_SERVICES else []
                        continue
                    found = segments_of_json(path, record)
                else:
                    found = read_transcript(path)
                why = fault_of_times(found, seconds[recording.id]) if found else "holds no words; remove it"
                why = why and f"{path}: {why}"
            except DataError as error:
                why = str(error)
            if not why:
                ready[recording.id] = path
                said[recording.id] = [segment.text for segment in found]
                break
            what = "subtitles" if path.suffix.lower() in SUFFIXES else "transcript"
            failed.append(Reject(recording.id, f"unusable {what}", why))
        else:
            unusable += failed
            unread += [*recording.unread, *of_services]
    return ready, said, unusable, unread


def _link(folder: Path, labels: Mapping[str, Path]) -> None:
    links = {folder / f"{file_name(name)}{path.suffix.lower()}": path.absolute() for name, path in labels.items()}
    if folder.is_dir() and {link: link.is_symlink() and link.readlink() for link in folder.iterdir()} == links:
        return  # somebody may read them
    shutil.rmtree(folder, ignore_errors=True)
    for link, path in links.items():
        folder.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)


def _list(
    path: Path,
    kept: Mapping[str, Recording],
    seconds: Mapping[str, float],
    labels: Mapping[str, Path],
    unusable: list[Reject],
) -> None:
    why = {reject.id: reject.message for reject in reversed(unusable)}
    with atomic(path) as handle:
        handle.write("\t".join(_COLUMNS) + "\n")
        for name, r in sorted(kept.items()):
            handle.write(f"{name}\t{seconds[name]:.2f}\t{r.path}\t{labels.get(name, '')}\t{why.get(name, '')}\n")


def unusable_transcripts(path: Path) -> dict[str, str]:
    """recording -> why the transcript beside it cannot be used, of the list that `prepare_folder` writes."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")]
    return {row[0]: row[-1] for row in rows[1:] if len(row) == len(_COLUMNS) and row[-1]}


def offer(prepared: Prepared, place: str) -> str:
    """What to say of transcripts that are there; place: of the links. "" where there are none."""
    kinds = Counter(path.suffix.lower() for path in prepared.labels.values())
    said = ""
    if kinds:
        count, of = sum(kinds.values()), len(prepared.recordings)
        what = ", ".join(f"{number} {suffix}" for suffix, number in kinds.most_common())
        said = (
            f"transcripts beside {count} of {counted(of, 'recording')} ({what}). They are not read unless you ask for "
            f"them in place of the teacher's: --labels text:{place}; then recordings without one are left out"
        )
        if kinds[".txt"]:
            said += ", as are recordings longer than 30 s whose .txt has no times"
        said += "."
    several = [
        (path, other)
        for name, path in sorted(prepared.labels.items())
        for other in prepared.recordings[name].beside
        if other != path and other.suffix == path.suffix
    ]
    if several:
        taken, other = several[0]
        said += f"\nof several transcripts beside a recording one is taken, such as {taken} in place of {other.name}; "
        said += "if that is the wrong language, move it away"
    if prepared.unusable:
        first, listed = prepared.unusable[0].message, Path(place).with_name(LIST)
        said += f"\nunusable: {counted(len(prepared.unusable), 'transcript')} beside recordings, the first: {first}"
        said += f"; {listed} has them all" if len(prepared.unusable) > 1 else ""
    if prepared.unread:
        forms = Counter(path.suffix.lower() for path in prepared.unread)
        what = ", ".join(f"{number} {form}" for form, number in forms.most_common())
        what = what.replace(".json", ".json of speech services")
        said += (
            f"\npassed over: {counted(len(prepared.unread), 'transcript')} beside recordings, in forms that are not "
            f"read ({what}), such as {prepared.unread[0]}; convert them to .srt, .vtt or .txt (of .lrc, .smi, .sub and "
            ".stl 'ffmpeg -i TALK.lrc TALK.srt' does)"
        )
    return said.strip()
