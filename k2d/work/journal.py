"""Work that cannot be lost: windows as they are decoded, results as they are finished.

In: results of windows and of recordings, as JSON objects. Out: the same after a kill. Every line is on disk (fsync)
before the work that follows it begins, and a line is written by one system call, so that a kill leaves whole lines
and perhaps a torn last one, which the next run cuts off.

    <output>/work/<key>/job<i>of<n>/journal.jsonl    {"open": …} and {"round": …} lines
    <output>/work/<key>/job<i>of<n>/results.jsonl    one finished recording or utterance a line
    <output>/work/<key>/job<i>of<n>/cost.jsonl       seconds spent, which differ from run to run
    <output>/work/<key>/job<i>of<n>/finished         the size of results.jsonl, when the job is complete

`key` digests model, options and everything else that decides a result; a recording is known by its samples. Into how
many jobs the work is split decides nothing: each job finds the windows of its recordings in all journals of the key.
"""

import errno
import heapq
import json
import os
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from pathlib import Path

from k2d.atomic import atomic
from k2d.errors import BadAudio, Incomplete

# Changes when stored lines change their meaning, or the same options give another result, so that older work is not
# misread or mixed with newer.
FORMAT = 3
FINISHED = "finished"


class JsonLines:
    """A file of JSON lines that is only ever appended to, durably."""

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)

    def append(self, record, durable: bool = True) -> None:
        data = _as_line(record).encode()
        size = os.fstat(self._descriptor).st_size
        written = os.write(self._descriptor, data)
        if written != len(data):  # a disk that fills up takes a part without an error
            os.ftruncate(self._descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        if durable:
            self.sync()

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def __iter__(self) -> Iterator:
        return read_lines(self.path)

    def close(self) -> None:
        os.close(self._descriptor)


def _as_line(record) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def read_lines(path: Path) -> Iterator:
    """The whole lines of a file that somebody else may be appending to."""
    with open(path, "rb") as handle:
        for line in handle:
            if line.endswith(b"\n"):
                yield json.loads(line)


def _cut_torn_line(path: Path) -> None:
    """Remove what a kill or a full disk left behind the last line end."""
    if not path.exists():
        return
    with open(path, "rb+") as handle:
        size = handle.seek(0, os.SEEK_END)
        end = size
        while end:
            start = max(0, end - (1 << 20))
            handle.seek(start)
            last = handle.read(end - start).rfind(b"\n")
            if last >= 0:
                end = start + last + 1
                break
            end = start
        if end < size:
            handle.truncate(end)


class Journal:
    """Rounds of windows decoded in one batch, by recording and seek position."""

    def __init__(
        self,
        folder: Path,
        stamp: Callable[[str], str],
        names: Iterable[str] | None = None,
        stopwatch=None,
        workers: int = 1,
    ):
        """stamp(id): changes when the file behind the id may have changed. names: ids of this job, of which the
        journals beside this one may hold windows, from another split of the same work or of a smaller corpus (None:
        do not look). stopwatch: of the engine, for the costs. workers: how many work at once and share the time.
        """
        self.stamp, self.stopwatch, self.workers = stamp, stopwatch, workers
        self._opened: dict[str, dict] = {}
        self._windows: dict[str, dict[int, dict]] = {}
        self.lines = JsonLines(folder / "journal.jsonl")
        self.cost = JsonLines(folder / "cost.jsonl")
        if names is not None:
            mine = set(names)
            # Of a recording that has changed meanwhile the latest journal is right.
            others = (path for path in folder.parent.glob("*/journal.jsonl") if path != self.lines.path)
            for path in sorted(others, key=lambda path: path.stat().st_mtime_ns):
                self._take_in(read_lines(path), mine)
        self._take_in(self.lines)
        self._since = time.perf_counter()

    def _take_in(self, records: Iterable[dict], mine: set[str] | None = None) -> None:
        for record in records:
            for entry in record.get("open", ()):
                if mine is None or entry["id"] in mine:
                    self._remember(entry)
            for name, seek, result in record.get("round", ()):
                if mine is None or name in mine:
                    self._windows.setdefault(name, {})[seek] = result

    def _remember(self, entry: dict) -> None:
        if "bad" in entry and entry["bad"][1] in BadAudio.PASSING:
            return  # nothing is known of its audio: windows from when it could be read stay right
        name = entry["id"]
        old = self._opened.get(name)
        if old is None or old["audio"] != entry["audio"]:
            self._windows.pop(name, None)  # other audio than what was decoded before
        self._opened[name] = entry

    def opened(self, name: str) -> int | BadAudio | None:
        """Samples of a recording opened before, or what was wrong with it; None if its file has changed."""
        entry = self._opened.get(name)
        if entry is None or entry["stamp"] != self.stamp(name):
            return None
        if "bad" in entry:
            source, reason, said = entry["bad"]
            error = BadAudio(source, reason, said.removeprefix(f"{source}: {reason}; "))  # the whole, in older journals
            error.recording = name
            return error
        return entry["samples"]

    def note_opened(self, name: str, samples: int | BadAudio, audio: str) -> None:
        """samples: how many, or what is wrong with the audio. audio: their digest."""
        self.note_all_opened([(name, samples, audio)])

    def note_all_opened(self, opened: list[tuple[str, int | BadAudio, str]]) -> None:
        entries = []
        for name, samples, audio in opened:
            entry = {"id": name, "stamp": self.stamp(name), "audio": audio}
            if isinstance(samples, BadAudio):
                entry["bad"] = [samples.source, samples.reason, samples.advice]
            else:
                entry["samples"] = samples
            entries.append(entry)
            self._remember(entry)
        self.lines.append({"open": entries})

    def window(self, name: str, seek: int) -> dict | None:
        """The window decoded before, or None."""
        return self._windows.get(name, {}).get(seek)

    def forget(self, name: str) -> None:
        """Drop a finished recording's windows from memory (not from disk)."""
        self._windows.pop(name, None)

    def note_round(self, results: list[tuple[str, int, dict]]) -> None:
        """Windows decoded in one batch: (recording, seek in frames, result)."""
        self.lines.append({"round": results})
        now = time.perf_counter()
        record = {"seconds": now - self._since}
        self._since = now
        if self.stopwatch is not None:
            record.update(self.stopwatch.lap())
        # Workers share the time that passes, so that sums over them are seconds on the clock.
        record = {n: round(v / self.workers, 4) if n.endswith("seconds") else v for n, v in record.items()}
        record["windows"] = len(results)
        self.cost.append(record, durable=False)

    def close(self) -> None:
        self.lines.close()
        self.cost.close()


class Results:
    """Finished recordings or utterances of one job, each a JSON object with an "id"."""

    def __init__(self, folder: Path, data: str):
        """data: digest of the audio files' stamps. Results of other audio are dropped; the journal still
        knows which of its windows are good, so what has not changed is not decoded again.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / "data"
        if not mark.exists() or mark.read_text() != data:
            for name in (FINISHED, "results.jsonl"):
                (folder / name).unlink(missing_ok=True)
            with atomic(mark) as handle:
                handle.write(data)
        if not self.complete:
            _drop_bad(folder / "results.jsonl")
        self.lines = JsonLines(folder / "results.jsonl")
        # Of a complete job nobody asks: the join of millions of results would read them all once more.
        self.ids = set() if self.complete else {record["id"] for record in self.lines}

    def add_all(self, records: list[dict]) -> None:
        for record in records:
            if record["id"] not in self.ids:
                self.lines.append(record, durable=False)
                self.ids.add(record["id"])
        self.lines.sync()

    @property
    def complete(self) -> bool:
        return is_finished(self.folder)

    def finish(self) -> None:
        """Mark the job complete."""
        with atomic(self.folder / FINISHED) as handle:
            handle.write(str((self.folder / "results.jsonl").stat().st_size))

    def close(self) -> None:
        self.lines.close()


def _drop_bad(path: Path) -> None:
    """Remove what results say of inputs that could not be used: of those that still cannot be the journal knows."""
    if path.exists() and any("bad" in record for record in read_lines(path)):
        with atomic(path) as handle:
            handle.writelines(_as_line(record) for record in read_lines(path) if "bad" not in record)


def is_finished(folder: Path) -> bool:
    """Whether a job is complete: its mark is believed while the results are those it was written for."""
    try:
        return (folder / FINISHED).read_text() == str((folder / "results.jsonl").stat().st_size)
    except OSError:
        return False


def job_folder(output_dir: Path, key: str, job: int, num_jobs: int) -> Path:
    return Path(output_dir) / "work" / key / f"job{job}of{num_jobs}"


def costs_of(output_dir: Path, key: str) -> dict[str, float]:
    """Sums over all runs of all jobs of a key: seconds, encode_seconds, decode_seconds, tokens, windows."""
    totals: dict[str, float] = {}
    for path in sorted((Path(output_dir) / "work" / key).glob("*/cost.jsonl")):
        for record in read_lines(path):
            for name, value in record.items():
                totals[name] = totals.get(name, 0) + value
    return totals


def finished_results(output_dir: Path, key: str, num_jobs: int, jobs: Iterable[int] | None = None) -> Iterator[dict]:
    """All results of all jobs, or of some, in order of id; Incomplete names the jobs that are not.

    Millions of results do not fit into memory: for each 8 bytes are kept, and the ids of one job at a time.
    """
    paths = _finished_files(output_dir, key, num_jobs, jobs)
    for _, record in heapq.merge(*(_in_order(path) for path in paths), key=itemgetter(0)):
        yield record


def bad_inputs(output_dir: Path, key: str, num_jobs: int, jobs: Iterable[int] | None = None) -> dict[str, str]:
    """id -> message of the inputs that could not be used, without reading the results of the others."""
    found = {}
    for path in _finished_files(output_dir, key, num_jobs, jobs):
        with open(path, "rb") as handle:
            for line in handle:
                # Inside a text the quotes would be escaped.
                if b'"bad":' in line and "bad" in (record := json.loads(line)):
                    found[record["id"]] = record["message"]
    return found


def _finished_files(output_dir: Path, key: str, num_jobs: int, jobs: Iterable[int] | None = None) -> list[Path]:
    folders = [job_folder(output_dir, key, job, num_jobs) for job in jobs or range(1, num_jobs + 1)]
    missing = [folder.name for folder in folders if not is_finished(folder)]
    if missing:
        raise Incomplete(
            f"{output_dir}: {', '.join(missing[:8])} {'is' if len(missing) == 1 else 'are'} not complete; "
            "run them again with --job and --num_jobs"
        )
    return [folder / "results.jsonl" for folder in folders]


def _in_order(path: Path) -> Iterator[tuple[str, dict]]:
    """(id, record) of a job's results in order of id."""
    places, offset = [], 0
    with open(path, "rb") as handle:
        for line in handle:
            places.append((_id_of(line), offset))
            offset += len(line)
        places.sort()
        offsets = array("Q", (place for _, place in places))
        del places
        for offset in offsets:
            handle.seek(offset)
            record = json.loads(handle.readline())
            yield record["id"], record


def _id_of(line: bytes) -> str:
    """The id of a record: what `JsonLines` writes first, so that the rest need not be parsed."""
    head, rest = b'{"id":"', line[7:]
    name = rest[: rest.find(b'"')]
    return json.loads(line)["id"] if not line.startswith(head) or b"\\" in name else name.decode()
