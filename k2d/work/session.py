"""One command's work on one output directory: lock, journal, results, costs, skipped recordings.

In: ids with durations and what to do with them. Out: results on disk, each exactly once, whatever happens
between.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from threading import Event

from tqdm import tqdm

from k2d.audio.sources import AudioSource
from k2d.errors import BadAudio, TooManySkipped, UsageError
from k2d.tables import atomic
from k2d.work.jobs import Stopped, side_by_side
from k2d.work.journal import Journal, OutputLock, Results, bad_inputs, finished_results, job_folder, share_of


def add_work_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("work")
    group.add_argument(
        "--max_skipped", type=int, default=None, help="fail if more inputs cannot be used (default: no limit)"
    )
    group.add_argument("--allow_pipes", action="store_true", help="run the commands that wav.scp names")
    group.add_argument(
        "--job", type=int, default=None, help="do job JOB of --num_jobs only; a run without --job joins all"
    )
    group.add_argument("--num_jobs", type=int, default=1, help="split by duration into so many jobs (default 1)")


@dataclass
class Session:
    """The work of one key in one output directory.

    key: digest of model and options. data_key: that, and the stamps of all audio files.
    """

    command: str
    out: Path
    key: str
    source: AudioSource
    names: list[str]
    num_jobs: int = 1
    workers: int = 1
    max_skipped: int | None = None

    def __post_init__(self):
        digest = hashlib.sha256()
        for name in sorted(self.names):
            digest.update(f"{name} {self.source.stamp(name)}\n".encode())
        self.data = digest.hexdigest()[:16]

    def seconds(self) -> dict[str, float]:
        """Duration of every input, 0 where it cannot be read."""
        return {name: self.source.seconds(name) for name in self.names}

    def done(self, *more: object) -> bool:
        """Whether the output is complete and was made from the same model, options, audio and `more`."""
        mark = self.out / ".done"
        return mark.exists() and mark.read_text().strip() == self.done_key(*more)

    def done_key(self, *more: object) -> str:
        record = json.dumps([self.key, self.data, [str(m) for m in more]])
        return hashlib.sha256(record.encode()).hexdigest()[:16]

    def clear_for_joining(self) -> None:
        """The output is about to be written: it is not complete until then."""
        (self.out / ".done").unlink(missing_ok=True)
        audio = self.out / "audio"
        remove_leftovers(self.out, audio, *audio.glob("job*"), self.out / "subtitles")

    def mark_done(self, *more: object) -> None:
        with atomic(self.out / ".done") as handle:
            handle.write(self.done_key(*more) + "\n")

    @property
    def parts(self) -> int:
        """Into how many parts the inputs are split: each has a journal of its own."""
        return self.num_jobs * self.workers

    def _parts_of(self, job: int) -> range:
        return range((job - 1) * self.workers + 1, job * self.workers + 1)

    def run_job(
        self,
        job: int,
        load: Callable[[], object],
        work: Callable[[object, dict[str, float], Journal, Callable[[float], None]], Iterable[list[dict]]],
    ) -> None:
        """Do one job, all of it that is not complete: its parts side by side, a thread each.

        load(): the engine, called only if there is work. work(engine, seconds of the part's inputs, journal,
        progress) yields lists of result records, each with an "id".
        """
        if not 1 <= job <= self.num_jobs:
            raise UsageError(f"--job {job}: expected 1 to --num_jobs, which is {self.num_jobs}")
        mine = self._parts_of(job)
        parts = [Part(job_folder(self.out, self.key, number, self.parts), self.data) for number in mine]
        try:
            if all(part.complete for part in parts):
                return
            seconds = self.seconds()
            shares = [{n: seconds[n] for n in share_of(number, self.parts, seconds)} for number in mine]
            engine = load()
            with tqdm(
                total=ceil(sum(sum(share.values()) for share in shares)),
                unit="s",
                desc=f"{self.command} (audio)",
                smoothing=0.05,
            ) as bar:
                side_by_side(
                    [
                        partial(part.run, engine.for_worker(), share, self.source, work, bar, self.workers)
                        for part, share in zip(parts, shares)
                        if not part.complete
                    ]
                )
        finally:
            for part in parts:
                part.close()

    def costs(self) -> dict[str, float]:
        """Sums over all parts; seconds that passed side by side count once."""
        totals: dict[str, float] = {}
        for number in range(1, self.parts + 1):
            finished = job_folder(self.out, self.key, number, self.parts) / "finished"
            for name, value in json.loads(finished.read_text()).items():
                totals[name] = totals.get(name, 0) + value
        return totals

    def results(self, job: int | None = None) -> Iterator[dict]:
        """Finished results of all jobs, or of one, in order of id, without those of bad inputs."""
        parts = None if job is None else self._parts_of(job)
        return (record for record in finished_results(self.out, self.key, self.parts, parts) if "bad" not in record)

    def bad_inputs(self) -> dict[str, str]:
        """id -> message of the inputs of all jobs that could not be used."""
        return bad_inputs(self.out, self.key, self.parts)

    def report_skipped(self, skipped: dict[str, str]) -> None:
        """Write skipped.txt; TooManySkipped past the limit, or if nothing at all is left."""
        with atomic(self.out / "skipped.txt") as handle:
            handle.writelines(f"{name} {message}\n" for name, message in sorted(skipped.items()))
        if self.names and len(skipped) == len(self.names):
            raise TooManySkipped(f"none of {len(self.names)} inputs could be used; {self.out / 'skipped.txt'} says why")
        if self.max_skipped is not None and len(skipped) > self.max_skipped:
            raise TooManySkipped(
                f"{len(skipped)} inputs could not be used, more than --max_skipped {self.max_skipped}; "
                f"{self.out / 'skipped.txt'} says why. Correct them, or allow more"
            )


def remove_leftovers(*folders: Path) -> None:
    """Remove half-written files of killed runs; the caller holds the folders' lock."""
    for folder in folders:
        for temporary in folder.glob(".*.tmp"):
            temporary.unlink()


class Part:
    """One part of the inputs: its folder, locked, with journal and results."""

    def __init__(self, folder: Path, data: str):
        self.folder = folder
        self.lock = OutputLock(folder)
        remove_leftovers(folder)
        self.results = Results(folder, data)

    @property
    def complete(self) -> bool:
        return self.results.complete

    def run(self, engine, seconds: dict[str, float], source, work, bar, workers: int, stop: Event) -> None:
        """Do the part; `stop` is set when another one has failed."""
        journal = Journal(self.folder, source.stamp, engine.stopwatch, workers)

        seconds_done = 0.0

        def progress(more: float) -> None:
            nonlocal seconds_done
            if stop.is_set():
                raise Stopped
            bar.update(int(seconds_done + more) - int(seconds_done))  # whole seconds are easier to read
            seconds_done += more

        for records in work(engine, seconds, journal, progress):
            self.results.add_all(records)
            for record in records:
                journal.forget(record["id"])
                if "bad" in record:
                    bar.write(f"skipped {record['id']}: {record['message']}", file=sys.stderr)
        self.results.finish(journal.costs())
        journal.close()

    def close(self) -> None:
        self.results.close()
        self.lock.release()


def bad_record(error: BadAudio) -> dict:
    return {"id": error.recording, "bad": error.reason, "message": f"{error.reason}: {error}"}


def times_real_time(costs: dict[str, float], audio_seconds: float, num_jobs: int = 1) -> str:
    """How fast the decoding was. With several jobs the time is the sum of theirs, wherever they ran."""
    seconds = costs.get("seconds", 0)
    if not seconds:
        return "nothing was decoded anew"
    speed = f"{audio_seconds / seconds:.1f} times real time"
    return speed if num_jobs == 1 else f"{speed} in each of {num_jobs} jobs"


