"""One command's work on one output directory: journal, results, costs, skipped recordings.

In: ids with durations and what to do with them. Out: results on disk, each exactly once, whatever happens
between.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from threading import Event

from tqdm import tqdm

from k2d.audio.sources import AudioSource
from k2d.datadir import DataDir, balanced
from k2d.errors import BadAudio, UsageError
from k2d.options import option
from k2d.work.folders import write_json
from k2d.work.jobs import Stopped, in_threads
from k2d.work.journal import FINISHED, Journal, Results, bad_inputs, costs_of, finished_results, job_folder
from k2d.work.lock import DirectoryLock
from k2d.work.skipped import SkipOptions, passing, sources_of, why, write_skipped
from k2d.work.step import remove_leftovers

# A bar of seconds of audio. Left to itself, tqdm turns a rate below 1 upside down: half real time reads "2.00s/s".
AUDIO_BAR = {
    "unit": " s of audio",
    "bar_format": "{l_bar}{bar}| {n_fmt}/{total_fmt} s [{elapsed}<{remaining}, {rate_noinv_fmt}]",
    "smoothing": 0.05,
}


@dataclass(frozen=True)
class WorkOptions(SkipOptions):
    """How the work is split, and what may be wrong with its inputs."""

    GROUP = "work"
    job: int | None = option(None, "run only job JOB of --num_jobs; a run without --job joins the results", int)
    num_jobs: int = option(1, "number of jobs, split by duration")

    def __post_init__(self):
        if self.num_jobs < 1:
            raise UsageError(f"--num_jobs {self.num_jobs}: expected at least 1")
        if self.job is not None and not 1 <= self.job <= self.num_jobs:
            raise UsageError(f"--job {self.job}: expected 1 to --num_jobs, which is {self.num_jobs}")

    @property
    def jobs(self) -> list[int]:
        """The jobs that this process does, or finds done."""
        return [self.job] if self.job is not None else list(range(1, self.num_jobs + 1))


@dataclass
class Session:
    """The work of one key in one output directory. key: digest of model and options."""

    command: str
    out: Path
    key: str
    source: AudioSource
    names: list[str]
    options: WorkOptions
    workers: int = 1

    def __post_init__(self):
        digest = hashlib.sha256()
        for name in sorted(self.names):
            digest.update(f"{name} {self.source.stamp(name)}\n".encode())
        self.data = digest.hexdigest()[:16]

    def seconds(self) -> dict[str, float]:
        """Duration of every input, 0 where it cannot be read."""
        return {name: self.source.seconds(name) for name in self.names}

    @property
    def parts(self) -> int:
        """Into how many parts the inputs are split: each has a journal of its own."""
        return self.options.num_jobs * self.workers

    def _parts_of(self, job: int) -> range:
        return range((job - 1) * self.workers + 1, job * self.workers + 1)

    def run_job(
        self,
        job: int,
        load: Callable[[], object],
        work: Callable[[object, dict[str, float], Journal, Callable[[float], None]], Iterable[list[dict]]],
    ) -> None:
        """Do one job, all of it that is not complete: its parts at once, a thread each.

        load(): the engine, called only if there is work. work(engine, seconds of the part's inputs, journal,
        progress) yields lists of result records, each with an "id".
        """
        mine = self._parts_of(job)
        parts = [Part(job_folder(self.out, self.key, number, self.parts), self.data) for number in mine]
        try:
            if all(part.complete for part in parts):
                return
            seconds = self.seconds()
            all_shares = balanced(seconds, self.parts)  # longest first, which keeps a batch full until near the end
            shares = [{name: seconds[name] for name in all_shares[number - 1]} for number in mine]
            engine = load()
            with tqdm(
                total=ceil(sum(sum(share.values()) for share in shares)),
                desc=self.command,
                **AUDIO_BAR,
            ) as bar:
                in_threads(
                    [
                        partial(part.run, engine.for_worker(), share, self.source, work, bar, self.workers)
                        for part, share in zip(parts, shares)
                        if not part.complete
                    ]
                )
                bar.update(bar.total - bar.n)  # what was skipped, or counts for less than it lasts, is done too
        finally:
            for part in parts:
                part.close()

    def speed(self, audio_seconds: float) -> dict[str, float | None]:
        """How fast all of it was decoded, in whatever splits and runs; seconds that passed at once count once.

        real_time_factor: seconds of computing for a second of audio; times_real_time: the other way round.
        """
        costs = costs_of(self.out, self.key)
        seconds = costs.get("seconds", 0.0)
        return {
            "audio_seconds": round(audio_seconds, 3),
            "seconds": round(seconds, 3),
            "encode_seconds": round(costs.get("encode_seconds", 0.0), 3),
            "decode_seconds": round(costs.get("decode_seconds", 0.0), 3),
            "tokens": int(costs.get("tokens", 0)),
            "real_time_factor": round(seconds / audio_seconds, 6) if audio_seconds else None,
            "times_real_time": round(audio_seconds / seconds, 2) if seconds else None,
        }

    def write_speed(self, audio_seconds: float) -> str:
        """Write speed.json; returns it in words. With several jobs the time is the sum of theirs, wherever they ran."""
        speed = self.speed(audio_seconds)
        write_json(self.out / "speed.json", speed)
        if not speed["times_real_time"]:
            return "nothing was decoded"
        words = f"{speed['times_real_time']:.1f} times real time"
        computing = speed["encode_seconds"] + speed["decode_seconds"]
        if computing:
            words += f" (encoder {speed['encode_seconds'] / computing:.0%} of the computing)"
        return words if self.options.num_jobs == 1 else f"{words} in each of {self.options.num_jobs} jobs"

    def results(self, job: int | None = None) -> Iterator[dict]:
        """Finished results of all jobs, or of one, in order of id, without those of bad inputs."""
        parts = None if job is None else self._parts_of(job)
        return (record for record in finished_results(self.out, self.key, self.parts, parts) if "bad" not in record)

    def bad_inputs(self) -> dict[str, str]:
        """id -> message of the inputs of all jobs that could not be used."""
        return bad_inputs(self.out, self.key, self.parts)

    def out_of_reach(self, skipped: dict[str, str], data: DataDir) -> list[str]:
        """Sources of what was skipped and may be read by the next run (`Step.finish`). Their parts are not complete any
        more.
        """
        names = passing(skipped)
        for part in range(1, self.parts + 1):
            if bad_inputs(self.out, self.key, self.parts, [part]).keys() & set(names):
                (job_folder(self.out, self.key, part, self.parts) / FINISHED).unlink()
        return sources_of(names, data)

    def report_skipped(self, skipped: dict[str, str]) -> None:
        """See `write_skipped`."""
        write_skipped(self.out, skipped, len(self.names), self.options.max_skipped)


class Part:
    """One part of the inputs: its folder, locked, with journal and results."""

    def __init__(self, folder: Path, data: str):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = DirectoryLock(folder)
        remove_leftovers(folder)
        self.results = Results(folder, data)

    @property
    def complete(self) -> bool:
        return self.results.complete

    def run(self, engine, seconds: dict[str, float], source, work, bar, workers: int, stop: Event) -> None:
        """Do the part; `stop` is set when another one has failed."""
        journal = Journal(self.folder, source.stamp, seconds, engine.stopwatch, workers)
        advance = whole_seconds(bar)

        def progress(more: float) -> None:
            if stop.is_set():
                raise Stopped
            advance(more)

        for records in work(engine, seconds, journal, progress):
            self.results.add_all(records)
            for record in records:
                journal.forget(record["id"])
                if "bad" in record:
                    bar.write(f"skipped {record['id']}: {record['message']}", file=sys.stderr)
        self.results.finish()
        journal.close()

    def close(self) -> None:
        self.results.close()
        self.lock.release()


def whole_seconds(bar: tqdm) -> Callable[[float], None]:
    """progress(seconds of audio done) that moves a bar by whole ones, which are easier to read."""
    done = 0.0

    def progress(more: float) -> None:
        nonlocal done
        bar.update(int(done + more) - int(done))
        done += more

    return progress


def bad_record(error: BadAudio) -> dict:
    return {"id": error.recording, "bad": error.reason, "message": why(error)}
