"""One recording of a made corpus: its plan in; a FLAC file, and a JSON file with all that is true about it, out.

What is said, by whom, and who speaks it is a World: that of mini_cs stands here, egs/natural_cs has another.

A recording depends on the seed, its set and its number alone: every random choice comes from a generator made
of these. So any number of jobs gives the same bytes.
"""

import json
import random
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))  # the repository, where no path.sh was sourced
import acoustics
import espeak
import grammar
from conditions import LARGE, SETS, Conditions

from k2d.atomic import atomic

SAMPLE_RATE = acoustics.SAMPLE_RATE
GRID = SAMPLE_RATE // 100  # utterances start and end on whole centiseconds, the resolution of their ids


@dataclass(frozen=True)
class World:
    """A made corpus: its sets and what they are drawn from.

    large: sets of other sizes under --test_scale. synthesizer: makes the speaker, who can `say(sentence, voice, seed)`
    and `say_timed`, in the process that needs it. chatter: topics of those who babble.
    """

    sets: Mapping[str, Conditions]
    grammar: grammar.Grammar
    synthesizer: Callable[[], object]
    large: Mapping[str, Conditions] = field(default_factory=dict)
    chatter: tuple[str, ...] = ()


MINI = World(SETS, grammar.MINI, espeak.Synthesizer, LARGE, grammar.SEED_TOPICS)


@dataclass(frozen=True)
class Planned:
    """One recording to make. prefix: of its id. `seconds` is the length it grows to (an utterance more at most)."""

    set: str
    prefix: str
    number: int
    seed: int
    seconds: float

    @property
    def recording(self) -> str:
        return f"{self.prefix}_{self.number:04d}"

    def generator(self, purpose: str) -> np.random.Generator:
        """Random numbers for one purpose, the same on every run and in every process."""
        codes = [zlib.crc32(word.encode()) for word in (self.set, purpose)]
        return np.random.default_rng([self.seed, codes[0], self.number, codes[1]])


def plan_set(
    name: str, seed: int, hours: float, scale: float = 1.0, test_scale: int = 1, world: World = MINI
) -> list[Planned]:
    """The recordings of a set: a fixed number, lengths multiplied by `scale`, or as many as `hours` need.

    test_scale: above 1 so many times the recordings of the large dev and test sets of conditions.py.
    """
    if test_scale > 1 and name in world.large:
        name = f"large_{name}"
    conditions, plans, total = world.sets[name], [], 0.0
    while len(plans) < conditions.recordings * test_scale or (not conditions.recordings and total < hours * 3600):
        plan = Planned(name, conditions.prefix, len(plans), seed, 0.0)
        seconds = 60 * float(plan.generator("length").uniform(*conditions.minutes))
        if conditions.recordings:
            seconds *= scale
        else:
            seconds = min(seconds, max(hours * 3600 - total, 20.0))
        plans.append(replace(plan, seconds=round(seconds, 2)))
        total += seconds
    return plans


def balanced(plan: Planned, purpose: str, choices: tuple):
    """One of `choices` at random, such that any len(choices) recordings in turn have each of them once.

    Tests have few recordings: drawn independently, one of four noises would often be missing in them.
    """
    block, place = divmod(plan.number, len(choices))
    order = replace(plan, number=block).generator(purpose).permutation(len(choices))
    return choices[order[place]]


def balanced_uniform(plan: Planned, purpose: str, low: float, high: float, strata: int = 6) -> float:
    """A number between low and high, such that six recordings in turn have one in each sixth of the range."""
    stratum = balanced(plan, purpose, tuple(range(strata)))
    return low + (high - low) * (stratum + float(plan.generator(purpose + " within").uniform())) / strata


def make_recording(plan: Planned, folder: str, world: World = MINI) -> str:
    """Write <folder>/recordings/<recording>.flac and <folder>/reference/recordings/<recording>.json.

    Call it in a new process: espeak-ng carries state from one sentence to the next, and only a fresh engine
    gives the same samples whatever was spoken before.
    """
    conditions, synthesizer = world.sets[plan.set], world.synthesizer()
    rng = plan.generator("sound")
    words = random.Random(int(plan.generator("words").integers(2**32)))
    language, turn = None, plan.number
    if conditions.languages:  # in turn as well, and every voice in each
        turn, place = divmod(plan.number, len(conditions.languages))
        language = conditions.languages[place]
    voice = conditions.voices[turn % len(conditions.voices)]
    topic = words.choice(conditions.topics)
    if conditions.in_turn:
        topic = balanced(plan, "topic", conditions.topics)
    speech_level = acoustics.decibels(rng.uniform(*conditions.level))
    interrupted = rng.random() < conditions.interrupted

    utterances, interruptions, timed, said = [], [], [], set()
    position = GRID * int(rng.uniform(0.2, 1.0) * 100)
    while position < plan.seconds * SAMPLE_RATE:
        about = words.choice(conditions.topics) if conditions.mixed_topics else topic
        if conditions.asides and words.random() < conditions.aside_share:
            about = words.choice(conditions.asides)
        sentence = _new_sentence(world.grammar, conditions, about, words, said, language)
        speaking = voice.varied(rng)
        speech, times = synthesizer.say_timed(sentence, speaking, int(rng.integers(2**31)))
        begin = position / SAMPLE_RATE
        timed += [[round(begin + start, 3), round(begin + end, 3), word] for start, end, word in times]
        speech = acoustics.scaled(speech, speech_level * acoustics.decibels(rng.uniform(-2, 2)))
        speech = np.pad(speech, (0, -len(speech) % GRID))
        utterances.append((position, speech, sentence.text))
        position += len(speech) + GRID * int(rng.uniform(*conditions.pause) * 100)
        if interrupted and rng.random() < 0.12 and position < plan.seconds * SAMPLE_RATE:
            length = GRID * int(rng.uniform(*conditions.interruption) * 100)
            interruptions.append((position, length, str(rng.choice(conditions.interruptions))))
            position += length + GRID * int(rng.uniform(0.2, 0.6) * 100)

    track = np.zeros(position, np.float32)
    for start, speech, _ in utterances:
        track[start : start + len(speech)] += speech
    power = acoustics.level(np.concatenate([speech for _, speech, _ in utterances]))
    room = None
    if rng.random() < conditions.reverberant:
        room = {"decay": float(rng.uniform(0.2, 0.5)), "direct_db": float(rng.uniform(3, 10))}
        track = acoustics.room(track, rng, **room)
    kind, snr = str(rng.choice(conditions.noises)), float(rng.uniform(*conditions.snr))
    if conditions.in_turn:
        kind, snr = balanced(plan, "noise", conditions.noises), balanced_uniform(plan, "snr", *conditions.snr)
    babblers = _babblers(conditions.crowd, synthesizer, world, words, rng) if kind == "babble" else []
    track += acoustics.noise(kind, len(track), rng, babblers) * np.float32(power / acoustics.decibels(snr))
    for start, length, what in interruptions:
        if what != "noise":  # the recording's own noise alone is an interruption too
            sound = acoustics.faded(acoustics.SOUNDS[what](length, rng))
            loudness = power * acoustics.decibels(rng.uniform(-8, 2))
            track[start : start + length] += sound * np.float32(loudness)
    track *= min(1.0, 0.95 / float(np.abs(track).max()))

    audio = Path(folder, "recordings", f"{plan.recording}.flac")
    samples = np.round(track * 32767).astype(np.int16)
    with atomic(audio, "wb") as file:
        soundfile.write(file, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    facts = {
        "plan": vars(plan),
        "recording": plan.recording,
        "voice": voice.name,
        "topic": "mixed" if conditions.mixed_topics else topic,
        "noise": kind,
        "snr": round(snr, 2),
        "room": room,
        "seconds": len(track) / SAMPLE_RATE,
        "utterances": [[s // GRID, (s + len(speech)) // GRID, text] for s, speech, text in utterances],
        "words": timed,
        "interruptions": [[s // GRID, (s + length) // GRID, what] for s, length, what in interruptions],
    }
    with atomic(_facts_path(folder, plan)) as file:  # last: a recording with its facts is finished
        json.dump(facts, file, ensure_ascii=False, indent=1)
    return plan.recording


def _new_sentence(
    spoken: grammar.Grammar, conditions: Conditions, topic: str, words: random.Random, said: set[str],
    language: str | None,
) -> grammar.Sentence:  # fmt: skip
    """A sentence this recording has not had; after twenty tries one that it has."""
    for _ in range(20):
        sentence = spoken.draw(topic, words, conditions.tests, conditions.new_terms, language)
        if sentence.text not in said:
            break
    said.add(sentence.text)
    return sentence


def _babblers(
    voices: Sequence, synthesizer, world: World, words: random.Random, rng: np.random.Generator
) -> list[np.ndarray]:
    """About a quarter of a minute of speech by each voice of the crowd."""
    crowd = []
    for voice in voices:
        talk = [world.grammar.draw(words.choice(world.chatter), words, tests=False) for _ in range(3)]
        seeds = [int(seed) for seed in rng.integers(2**31, size=len(talk))]
        crowd.append(
            np.concatenate(
                [synthesizer.say(sentence, voice, seed) for sentence, seed in zip(talk, seeds, strict=True)]
            )
        )
    return crowd


def _facts_path(folder, plan: Planned) -> Path:
    return Path(folder, "reference", "recordings", f"{plan.recording}.json")


def read_facts(folder, plan: Planned) -> dict | None:
    """What was written about a finished recording; None if it is unfinished or was made from another plan."""
    try:
        facts = json.loads(_facts_path(folder, plan).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    finished = facts.get("plan") == vars(plan) and Path(folder, "recordings", f"{plan.recording}.flac").is_file()
    return facts if finished else None
