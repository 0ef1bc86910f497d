#!/usr/bin/env python3
"""Make the mini_cs corpus: names of sets in, Kaldi data directories with FLAC recordings out.

    python local/synthesize.py --output_dir data --sets lectures,dev,test_in,test_out --seed 0

The same seed gives the same bytes with any number of jobs. A run that was killed goes on with the recordings
not finished; a set with the same options is not made twice. test_in also gives test_in_long: the same recordings, not
cut into utterances. --test_scale 10 makes dev and tests of 60 recordings and more than 1,200 texts by voices of their
own; without it tests are those of the demonstration.
"""

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))  # the repository, where no path.sh was sourced
import espeak
import grammar
from conditions import LARGE, SETS
from recording import MINI, Planned, World, make_recording, plan_set, read_facts

from k2d.atomic import atomic
from k2d.constants import chunk_id
from k2d.datadir import DataDir, DataDirWriter, Segment, segment_value
from k2d.options import end_if_parsed_only
from k2d.tables import TableWriters
from k2d.wording import counted
from k2d.work import identity
from k2d.work.step import Step

UNLABELLED = ("lectures",)  # sets whose true transcripts are kept apart


def make_set(
    name: str, output_dir: Path, plans: list[Planned], options: dict, nj: int, world: World = MINI
) -> None:
    """options: what decides the plans, for the key of the step."""
    folder = output_dir / name
    # wav.scp holds absolute paths, so a set whose folder was moved is made again.
    options = {"set": name, **options, "folder": os.path.abspath(folder)}
    with Step("synthesize", folder, inputs={}, options=options) as step:
        if step.done:
            print(f"synthesize: {folder} is there already, skipped")
        else:
            speak_set(name, folder, plans, nj, world)
            step.finish()
    if name != "test_in":
        return
    twin = output_dir / f"{name}_long"
    with Step("synthesize", twin, inputs={"recordings": identity.of_step(folder)}, options=options) as step:
        if not step.done:
            write_long(twin, folder, [read_facts(folder, plan) for plan in plans])
            step.finish()


def speak_set(name: str, folder: Path, plans: list[Planned], nj: int, world: World) -> None:
    """The recordings of a set that are not there yet, and its tables."""
    for part in ("recordings", "reference/recordings"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    missing = [plan for plan in plans if read_facts(folder, plan) is None]
    began = time.monotonic()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["numpy", "scipy.signal", "soundfile"])
    # max_tasks_per_child: a new process, and so a fresh engine, for every recording.
    with ProcessPoolExecutor(nj, mp_context=context, max_tasks_per_child=1) as pool:
        tasks = [pool.submit(make_recording, plan, str(folder), world) for plan in missing]
        try:
            finished = as_completed(tasks)
            for task in tqdm(finished, total=len(tasks), desc=name, unit="recording", disable=None if tasks else True):
                task.result()
        except espeak.SpeechError as error:
            pool.shutdown(cancel_futures=True)
            raise SystemExit(f"synthesize: {error}") from error
        except BrokenProcessPool as error:
            raise SystemExit(
                f"synthesize: a process making {name} was killed (out of memory?); finished recordings are "
                "kept, run the same command again, perhaps with --nj 1"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    took = time.monotonic() - began
    facts = [read_facts(folder, plan) for plan in plans]
    write_set(name, folder, facts)
    print(summary(name, facts, {plan.recording for plan in missing}, took))


def write_set(name: str, folder: Path, facts: list[dict]) -> None:
    """The Kaldi tables of a set; an unlabelled one knows recordings only, its truth goes to reference/."""
    unlabelled = name in UNLABELLED
    with DataDirWriter(folder) as tables, TableWriters(folder / "reference") as truth:
        write_recordings(tables, folder, facts)
        for recording in facts:
            for start, end, words in recording["utterances"]:
                utterance = chunk_id(recording["recording"], start, end)
                segment = Segment(utterance, recording["recording"], start / 100, end / 100)
                (truth if unlabelled else tables).write("segments", utterance, segment_value(segment))
                (truth if unlabelled else tables).write("text", utterance, words)
                if not unlabelled:
                    tables.write("utt2spk", utterance, recording["voice"])
                    tables.write_number("utt2dur", utterance, segment.end - segment.start)
            if unlabelled:
                write_whole(tables, recording)
    write_words(folder, facts)
    _check(folder)


def write_words(folder: Path, facts: list[dict]) -> None:
    """reference/words.ctm, when each word is spoken: recording, channel, start, seconds, word. Some synthesizers do not
    tell, nor do recordings that were made before this one did."""
    if not all(recording.get("words") for recording in facts):
        return
    with atomic(folder / "reference/words.ctm") as table:
        for recording in facts:
            for start, end, word in recording["words"]:
                table.write(f"{recording['recording']} 1 {start:.3f} {end - start:.3f} {word}\n")


def write_long(folder: Path, source: Path, facts: list[dict]) -> None:
    """The recordings of `source`, whole: the text of one is that of its utterances in order."""
    with DataDirWriter(folder) as tables:
        write_recordings(tables, source, facts)
        for recording in facts:
            write_whole(tables, recording)
            tables.write("text", recording["recording"], " ".join(u[2] for u in recording["utterances"]))
    _check(folder)


def write_recordings(tables: DataDirWriter, source: Path, facts: list[dict]) -> None:
    recordings = os.path.abspath(source / "recordings")
    for recording in facts:
        tables.write("wav.scp", recording["recording"], f"{recordings}/{recording['recording']}.flac")


def write_whole(tables: DataDirWriter, recording: dict) -> None:
    """A recording that is one utterance."""
    tables.write("utt2spk", recording["recording"], recording["voice"])
    tables.write_number("utt2dur", recording["recording"], recording["seconds"])


def _check(folder: Path) -> None:
    problems = DataDir(folder).validate()
    if problems:
        raise SystemExit(f"synthesize: {folder} came out wrong:\n" + "\n".join(problems))


def summary(name: str, facts: list[dict], made: set[str], took: float) -> str:
    texts = [utterance[2] for recording in facts for utterance in recording["utterances"]]
    units = [unit for text in texts for unit in grammar.units(text)]
    english = sum(unit.isascii() for unit in units) / len(units)
    seconds = sum(recording["seconds"] for recording in facts)
    made_seconds = sum(recording["seconds"] for recording in facts if recording["recording"] in made)
    speed = f", made at {made_seconds / took:.0f} times real time" if made else ""
    return (
        f"synthesize: {name}: {counted(len(facts), 'recording')} ({len(made)} new), {counted(len(texts), 'utterance')} "
        f"({len(set(texts))} distinct), {seconds / 3600:.2f} h, {100 * english:.1f} % English units{speed}"
    )


def made_by_name() -> list[str]:
    """The sets that one may ask for: --test_scale decides which of two forms they have."""
    return [name for name in SETS if name.removeprefix("large_") == name]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=Path("data"))
    parser.add_argument("--sets", default="lectures,dev,test_in,test_out", help=f"of {','.join(made_by_name())}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lecture_hours", type=float, default=1.0)
    parser.add_argument("--seed_hours", type=float, default=5.0)
    parser.add_argument("--weak_hours", type=float, default=3.0, help="of each of seed_weak_a and seed_weak_b")
    parser.add_argument("--scale", type=float, default=1.0, help="shorter dev and test recordings, to try things out")
    parser.add_argument("--test_scale", type=int, default=1, help="10 for dev and tests that can tell students apart")
    parser.add_argument("--nj", type=int, default=2)
    options = parser.parse_args()
    names, known = [name for name in options.sets.split(",") if name], made_by_name()
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        parser.error(f"--sets: expected some of {', '.join(known)}, got {options.sets!r}")
    if min(options.nj, options.test_scale) < 1 or options.seed < 0:
        parser.error("--nj and --test_scale must be at least 1, --seed at least 0")
    if min(options.lecture_hours, options.seed_hours, options.weak_hours, options.scale) <= 0:
        parser.error("--lecture_hours, --seed_hours, --weak_hours and --scale must be above 0")
    end_if_parsed_only()
    hours = {
        "seed": options.seed_hours,
        "seed_general": 0.3 * options.seed_hours,
        "seed_pauses": 0.3 * options.seed_hours,
        "seed_weak_a": options.weak_hours,
        "seed_weak_b": options.weak_hours,
        "lectures": options.lecture_hours,
    }
    for name in names:
        decide = {"seed": options.seed, "hours": hours.get(name, 0.0), "scale": options.scale}
        if options.test_scale > 1 and name in LARGE:
            decide["test_scale"] = options.test_scale
        make_set(name, options.output_dir, plan_set(name, **decide), decide, options.nj)


if __name__ == "__main__":
    main()
