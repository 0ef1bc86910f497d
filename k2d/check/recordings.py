"""Recordings of every set: headers; development and test utterances, read whole.

In: sets. Out: findings. Reading is remembered under the stamp of the file (size and time) and the part of it, so that a
second check reads only what has changed.
"""

import logging
import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from k2d.audio import sources
from k2d.audio.durations import recording_seconds
from k2d.audio.options import AudioOptions
from k2d.audio.read import check_length, extent, header
from k2d.audio.stamps import FileStamps, is_command
from k2d.check.findings import Finding, fails, fine, left_out, note, some, warning
from k2d.check.memory import Memory
from k2d.check.tables import DEV, TEST, TRAIN, Set
from k2d.constants import LONGEST, SAMPLE_RATE, WINDOW, digest_of_id
from k2d.errors import BadAudio
from k2d.wording import audio_length, counted
from k2d.work import machine
from k2d.work.jobs import prefetch

HEADERS = 2000  # of a larger set only so many are opened
COMMANDS = 20  # that are run to look at the header of what they write
QUIET = 0.003  # of full scale, -50 dB: a microphone that was off
CLIPPED = 0.001  # share of samples at full scale
_FULL = 32766 / 32768


class Check:
    """Looks at recordings as stages will read them, remembering what it reads. max_skipped: how many may be left out
    of a set before a stage fails (None: any number).
    """

    def __init__(self, audio: AudioOptions, max_skipped: int | None, memory: Memory):
        self.audio, self.max_skipped, self.memory = audio, max_skipped, memory
        self._stamp, self._warnings = FileStamps(), _Warnings()

    def look(self, one: Set) -> list[Finding]:
        """Headers; of labelled sets also every utterance."""
        summary = [counted(len(one.data.wav), "recording")]
        if one.part == TRAIN:  # whose segments nobody reads
            summary.append(audio_length(sum(recording_seconds(one.data).values())))
        else:
            summary.append(counted(len(one.data.segments), "utterance"))
        found = self._headers(one, summary)
        if one.part != TRAIN:
            found += self._listen(one, summary)
        return [fine(one.path, ", ".join(summary)), *found]

    def _headers(self, one: Set, summary: list[str]) -> list[Finding]:
        """Whether every file is there, and what headers say: of all, or of a sample of a large set."""
        wav = one.data.wav
        run = [name for name, source in wav.items() if is_command(source)]
        files = [name for name, source in wav.items() if not is_command(source)]
        bad = {name: _reason_and_remedy(why) for name, why in one.unmeasured.items()}
        bad |= {name: _fault(wav[name]) for name in files if self._stamp(wav[name]).startswith("missing")}
        names = sample([name for name in files if name not in bad], HEADERS)
        if self.audio.allow_pipes:
            names += sample([name for name in run if name not in bad], COMMANDS)
        else:
            bad |= {name: _fault(wav[name]) for name in run if name not in bad}
        keys = {name: f"header {wav[name]} {self._stamp(wav[name])}" for name in names}
        facts = self._facts(one, keys, "header", lambda name: _header(wav[name], self.audio.allow_pipes))
        bad |= {name: (fact["reason"], fact["why"]) for name, fact in facts.items() if "reason" in fact}
        if one.whole:
            bad |= self._lengths(one, facts)
        looked = len(bad.keys() | facts.keys())
        forms = Counter((fact["rate"], fact["channels"]) for fact in facts.values() if "rate" in fact)
        if forms:
            summary.append(_forms(forms))
        if looked < len(wav):
            summary.append(f"headers of {looked:,} looked at")
        found = []
        low = [name for name, fact in facts.items() if fact.get("rate", SAMPLE_RATE) < SAMPLE_RATE]
        if low:
            found.append(
                warning(one.path, f"{counted(len(low), 'recording')} below {SAMPLE_RATE:,} Hz ({some(low)})",
                        "use the originals if there are any: Whisper uses the high frequencies that these lack",
                        ((name, f"{facts[name]['rate']} Hz") for name in low))
            )  # fmt: skip
        found += self._durations(one, facts)
        if one.part == TRAIN:
            found += self._unusable(one, bad, len(wav), looked)
        return found

    def _lengths(self, one: Set, facts: dict[str, dict]) -> dict[str, tuple[str, str]]:
        """Recordings that are too short or too long, by utt2dur or their headers."""
        seconds = {name: fact["seconds"] for name, fact in facts.items() if fact.get("seconds") is not None}
        if not one.data.has_segments:
            seconds = (one.data.utt2dur or {}) | seconds
        bad = {}
        for name, length in seconds.items():
            try:
                check_length(one.source(name), length)
            except BadAudio as error:
                bad[name] = error.reason, error.advice
        return bad

    def _durations(self, one: Set, facts: dict[str, dict]) -> list[Finding]:
        """utt2dur that came with the data, against the headers."""
        known = (one.data.utt2dur or {}) if not one.data.has_segments else {}
        other = [
            name
            for name, fact in facts.items()
            if name in known and fact.get("seconds") and abs(known[name] - fact["seconds"]) > 0.5
        ]
        if not other:
            return []
        first = other[0]
        return [
            warning(f"{one.path}/utt2dur", f"wrong of {counted(len(other), 'recording')} ({some(other)}): {first} has "
                 f"{known[first]:.2f} s in it, and {facts[first]['seconds']:.2f} s in its file",
                 "remove utt2dur: it is made anew",
                 ((name, f"{known[name]} s, the file {facts[name]['seconds']:.2f} s") for name in other))
        ]  # fmt: skip

    def _listen(self, one: Set, summary: list[str]) -> list[Finding]:
        """Read every utterance of a development or test set, or every recording of a long-form one."""
        opened = (sources.recordings if one.whole else sources.utterances)(one.data, **self.audio.reading)
        names, keys = one.names, {}
        for name in names:
            part = "" if one.whole else f"{one.data.segments[name].start} {one.data.segments[name].end} "
            keys[name] = f"read {self.audio.damaged} {one.source(name)} {part}{self._stamp(one.source(name))}"
        with self._warnings as warnings:
            facts = self._facts(one, keys, one.noun, lambda name: _hear(opened, name, one.source(name), warnings))
        bad = {name: (fact["reason"], fact["why"]) for name, fact in facts.items() if "reason" in fact}
        measured = {name: fact for name, fact in facts.items() if "peak" in fact}
        long = [name for name, fact in measured.items() if fact["seconds"] > LONGEST] if not one.whole else []
        if one.part == DEV:
            bad |= {name: ("too long", f"{measured[name]['seconds']:.1f} s, more than {WINDOW:.0f}; cut it at pauses, "
                           "in segments and text: the epoch is chosen without it") for name in long}  # fmt: skip
        found = self._unusable(one, bad, len(names), len(names))
        if one.part == TEST and long:
            seconds = ((name, f"{measured[name]['seconds']:.1f} s") for name in long)
            found.append(
                note(one.path, f"{counted(len(long), 'utterance')} over {WINDOW:.0f} s ({some(long)})",
                     "nothing: they are decoded window by window, as recordings are", seconds)
            )  # fmt: skip
        if measured:
            summary.append(f"read whole: {audio_length(sum(fact['seconds'] for fact in measured.values()))}")
        return found + self._sound(one, measured)

    def _sound(self, one: Set, measured: dict[str, dict]) -> list[Finding]:
        """What one would hear: silence, clipping, missing ends."""
        found = []

        def those(test: Callable[[dict], bool]) -> list[str]:
            return [name for name, fact in measured.items() if test(fact)]

        for names, what, todo in (
            (those(lambda fact: fact["peak"] < QUIET), "almost silent",
             "listen to them: was the right channel recorded?"),
            (those(lambda fact: fact["clipped"] > CLIPPED), "clipped",
             "nothing mends it but a recording at a lower level; errors in them say less of the model"),
        ):  # fmt: skip
            if names:
                message = f"{counted(len(names), one.noun)} {what} ({some(names)})"
                found.append(warning(one.path, message, todo, ((name, what) for name in names)))
        damaged = {one.recording_of(name): measured[name]["damage"] for name in those(lambda fact: "damage" in fact)}
        if damaged:
            message = f"{counted(len(damaged), 'recording')} damaged or cut short ({some(list(damaged))})"
            found.append(warning(one.path, message, "copy them again; the intact part is read", damaged.items()))
        return found

    def _unusable(self, one: Set, bad: dict[str, tuple[str, str]], total: int, looked: int) -> list[Finding]:
        """A row a reason. bad: name -> (reason, what to do); total: of the set; looked: at how many of them."""
        noun, rows = one.noun, []
        all_of_them = bool(bad) and len(bad) >= looked
        past = self.max_skipped is not None and one.part != DEV and len(bad) > self.max_skipped
        for reason in sorted({reason for reason, _ in bad.values()}):
            names = [name for name in bad if bad[name][0] == reason]
            of = counted(looked, noun) + " looked at" * (looked < total)
            message = f"{len(names):,} of {of} cannot be used, {reason}: {some(names)}"
            todo = bad[names[0]][1]
            if all_of_them:
                message += "; nothing is left"
            elif past:
                message += f"; {len(bad):,} in all, more than --max_skipped {self.max_skipped}"
            elif one.part in (TEST, "test_long"):
                todo += "; till then its words count as deleted"
            named = ((name, ": ".join(bad[name])) for name in names)
            rows.append((fails if all_of_them or past else left_out)(one.path, message, todo, named))
        return rows

    def _facts(self, one: Set, keys: dict[str, str], unit: str, learn: Callable[[str], dict]) -> dict[str, dict]:
        """name -> what is known under its key, learnt where it is not.

        What was wrong is never remembered: a program that lacked may have been installed meanwhile.
        """
        facts = {name: self.memory.get(key) for name, key in keys.items()}
        unknown = [name for name in keys if facts.get(name) is None]
        watched = sys.stderr.isatty()  # in a log a bar is one line of thousands of characters
        with tqdm(total=len(unknown), desc=f"check: {one.path}", unit=unit, delay=3, disable=not watched) as bar:
            for name, fact in zip(unknown, prefetch(unknown, learn, machine.threads())):
                facts[name] = fact
                if "reason" not in fact:
                    self.memory.put(keys[name], fact)
                bar.update()
        return {name: facts[name] for name in keys}


def sample(names: list[str], most: int) -> list[str]:
    """At most so many, drawn by a digest of the name: the same when others are added."""
    if len(names) <= most:
        return list(names)
    return sorted(sorted(names, key=digest_of_id)[:most])


def _reason_and_remedy(why: str) -> tuple[str, str]:
    """(reason, what to do) of what make_durations says."""
    reason, _, message = why.partition(": ")
    return reason, message.partition(f"{reason}; ")[2] or message


def _fault(source: str) -> tuple[str, str]:
    """(reason, what to do) of a file that is not there, and of a command."""
    try:
        header(source)
    except BadAudio as error:
        return error.reason, error.advice
    return "missing", "it was not there a moment ago; look at the disk"


def _header(source: str, allow_pipes: bool) -> dict:
    try:
        found = header(source, allow_pipes)
    except BadAudio as error:
        return {"reason": error.reason, "why": error.advice}
    return {"rate": found.rate, "channels": found.channels, "seconds": found.seconds}


def _hear(opened: sources.AudioSource, name: str, source: str, warnings: "_Warnings") -> dict:
    samples, full, peak = 0, 0, 0.0
    try:
        for audio in opened.blocks(name):
            samples += len(audio)
            peak = max(peak, extent(audio) / 2)  # whatever its offset
            full += int((np.abs(audio) >= _FULL).sum())
    except BadAudio as error:
        return {"reason": error.reason, "why": error.advice}
    fact = {"seconds": round(samples / SAMPLE_RATE, 3), "peak": round(peak, 5), "clipped": round(full / samples, 6)}
    if damage := warnings.of(source):
        fact["damage"] = damage
    return fact


class _Warnings(logging.Handler):
    """Catches what reading says of damaged recordings: it becomes a row of the table."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self._said: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        source, _, what = record.getMessage().rpartition(": damaged or cut short: ")
        if what:
            self._said[source] = what

    def of(self, source: str) -> str | None:
        return self._said.get(source)

    def __enter__(self) -> "_Warnings":
        self._log = logging.getLogger("k2d.audio")
        self._passed_on, self._log.propagate = self._log.propagate, False
        self._log.addHandler(self)
        return self

    def __exit__(self, *error) -> None:
        self._log.removeHandler(self)
        self._log.propagate = self._passed_on


def _forms(forms: Counter) -> str:
    """ "16,000 Hz mono", "44,100 Hz stereo and 2 other forms" """
    (rate, channels), count = forms.most_common(1)[0]
    words = {1: "mono", 2: "stereo"}.get(channels, f"with {channels} channels")
    most = f"{rate:,} Hz {words}"
    rest = len(forms) - 1
    total = sum(forms.values())
    return most if not rest else f"{count:,} of {total:,} are {most}, the rest in {counted(rest, 'other format')}"
