"""Who speaks in each set of mini_cs, about what, and how it sounds: the whole experiment on one page.

The teacher's world (seed) is clean, has four voices and never a stretch without speech, so that on the
lectures (other voices, noise, music, silence, new terms) the teacher errs and hallucinates, as large models
do on real ones.
"""

from dataclasses import dataclass, replace

from espeak import Voice
from grammar import ASIDE_TOPICS, LECTURE_TOPICS, OUT_TOPICS, SEED_TOPICS

SEED_VOICES = (
    Voice("seed_m3", "m3", pitch=50, rate=170),
    Voice("seed_f3", "f3", pitch=52, rate=180),
    Voice("seed_m7", "m7", pitch=45, rate=165),
    Voice("seed_f5", "f5", pitch=55, rate=175),
)
LECTURE_VOICES = (
    Voice("lec_m1", "m1", pitch=42, rate=185),
    Voice("lec_f1", "f1", pitch=60, rate=195),
    Voice("lec_andy", "Andy", pitch=55, rate=170),
    Voice("lec_linda", "linda", pitch=45, rate=190),
    Voice("lec_m4", "m4", pitch=62, rate=200),
    Voice("lec_annie", "Annie", pitch=58, rate=160),
)
OUT_VOICES = (
    Voice("out_michael", "Michael", pitch=48, rate=215),
    Voice("out_belinda", "belinda", pitch=50, rate=205),
    Voice("out_m6", "m6", pitch=65, rate=225),
    Voice("out_f4", "f4", pitch=40, rate=210),
)
BABBLE_VOICES = (
    Voice("babble_f2", "f2", pitch=50, rate=175),
    Voice("babble_m2", "m2", pitch=50, rate=190),
    Voice("babble_edward", "edward", pitch=55, rate=165),
    Voice("babble_m5", "m5", pitch=45, rate=180),
)

# Those of the large dev and test sets, which no other set has.
DEV_VOICES = (
    Voice("dev_diogo", "Diogo", pitch=50, rate=185),
    Voice("dev_alicia", "Alicia", pitch=52, rate=175),
    Voice("dev_lee", "Lee", pitch=46, rate=195),
)
IN_VOICES = (
    Voice("in_alex", "Alex", pitch=48, rate=180),
    Voice("in_steph", "steph", pitch=55, rate=190),
    Voice("in_mario", "Mario", pitch=44, rate=170),
    Voice("in_shelby", "shelby", pitch=58, rate=185),
    Voice("in_hugo", "Hugo", pitch=52, rate=200),
    Voice("in_travis", "travis", pitch=42, rate=165),
)
LARGE_OUT_VOICES = (
    Voice("out_adam", "adam", pitch=50, rate=215),
    Voice("out_aunty", "aunty", pitch=54, rate=205),
    Voice("out_miguel", "miguel", pitch=46, rate=220),
    Voice("out_denis", "Denis", pitch=42, rate=210),
)
MONO_VOICES = (
    Voice("mono_gene", "Gene", pitch=50, rate=185),
    Voice("mono_boris", "boris", pitch=45, rate=175),
    Voice("mono_sandro", "sandro", pitch=55, rate=190),
    Voice("mono_max", "max", pitch=60, rate=180),
    Voice("mono_paul", "paul", pitch=40, rate=170),
    Voice("mono_john", "john", pitch=48, rate=195),
)
TEST_CROWD = (
    Voice("babble_ed", "ed", pitch=50, rate=180),
    Voice("babble_rob", "rob", pitch=52, rate=170),
    Voice("babble_zac", "zac", pitch=55, rate=190),
    Voice("babble_victor", "victor", pitch=45, rate=175),
)


@dataclass(frozen=True)
class Conditions:
    """What a set's recordings are drawn from. Ranges are (low, high), drawn uniformly."""

    prefix: str  # of recording ids
    voices: tuple[Voice, ...]  # in turn, recording by recording
    topics: tuple[str, ...]
    mixed_topics: bool  # every utterance its own topic, or one topic a recording
    tests: bool  # which side of the sentence split
    new_terms: bool  # terms the seed lacks
    minutes: tuple[float, float]  # length of a recording
    asides: tuple[str, ...] = ()  # topics of sentences between those on the recording's own
    aside_share: float = 0.0  # of the sentences
    recordings: int = 0  # how many; 0: as many as the hours asked for need
    pause: tuple[float, float] = (0.3, 2.0)  # seconds between utterances
    noises: tuple[str, ...] = ("white", "pink", "babble", "hum")
    snr: tuple[float, float] = (3.0, 18.0)  # dB, speech against noise, one value a recording
    level: tuple[float, float] = (-30.0, -21.0)  # dB under full scale, of the speech of a recording
    reverberant: float = 0.35  # share of recordings in a room
    interrupted: float = 0.75  # share of recordings with stretches without speech
    interruptions: tuple[str, ...] = ("noise", "music", "tones")
    interruption: tuple[float, float] = (4.0, 20.0)  # seconds
    languages: tuple[str, ...] = ()  # "zh" or "en", of all sentences of a recording, in turn; empty: both in each
    crowd: tuple[Voice, ...] = BABBLE_VOICES  # who babbles
    in_turn: bool = True  # topics, noises and ratios evenly over few recordings, or each recording at random


SEED = Conditions(
    prefix="mini_seed",
    voices=SEED_VOICES,
    topics=SEED_TOPICS,
    mixed_topics=True,
    tests=False,
    new_terms=False,
    minutes=(2.0, 4.0),
    pause=(0.2, 0.8),
    noises=("white", "pink"),
    snr=(25.0, 40.0),
    level=(-28.0, -22.0),
    reverberant=0.0,
    interrupted=0.0,
    in_turn=False,
)
WEAK = replace(
    SEED,
    topics=(*SEED_TOPICS, *OUT_TOPICS),
    pause=(0.2, 3.0),
    noises=("white", "pink", "hum"),
    snr=(6.0, 30.0),
    level=(-30.0, -21.0),
    interrupted=0.75,
)
LECTURES = Conditions(
    prefix="mini_lec",
    voices=LECTURE_VOICES,
    topics=LECTURE_TOPICS,
    mixed_topics=False,
    tests=False,
    new_terms=True,
    minutes=(2.0, 6.0),
    asides=ASIDE_TOPICS,
    aside_share=0.2,
)

SETS = {
    "seed": SEED,
    # Everyday topics, which the lectures never touch: a teacher knows more than its students' domain.
    "seed_general": replace(SEED, prefix="mini_general", topics=OUT_TOPICS),
    # Speakers who wait: without them a model takes any long pause for the end of the recording.
    "seed_pauses": replace(SEED, prefix="mini_pauses", topics=(*SEED_TOPICS, *OUT_TOPICS), pause=(0.2, 9.0)),
    # Recordings of the web, for weak supervision: pretrain1/local/captions.py writes what stands under them.
    "seed_weak_a": replace(WEAK, prefix="mini_weak_a"),
    "seed_weak_b": replace(WEAK, prefix="mini_weak_b"),
    "seed_dev": replace(SEED, prefix="mini_seed_dev", tests=True, minutes=(1.5, 2.5), recordings=6),
    "lectures": LECTURES,
    "dev": replace(LECTURES, prefix="mini_dev", tests=True, minutes=(1.5, 2.0), recordings=6),
    "test_in": replace(LECTURES, prefix="mini_in", tests=True, minutes=(1.7, 2.3), recordings=6),
    "test_out": Conditions(
        prefix="mini_out",
        voices=OUT_VOICES,
        topics=OUT_TOPICS,
        mixed_topics=False,
        tests=True,
        new_terms=False,
        minutes=(0.7, 1.0),
        recordings=8,
        pause=(0.2, 1.2),
        noises=("rumble", "fan", "crackle"),
        snr=(5.0, 15.0),
        interruption=(3.0, 8.0),
    ),
    # Speech of one language alone, on all topics: what a student of code-switched lectures must not unlearn.
    "test_mono": Conditions(
        prefix="mini_mono",
        voices=MONO_VOICES,
        topics=(*LECTURE_TOPICS, *OUT_TOPICS),
        mixed_topics=True,
        tests=True,
        new_terms=False,
        minutes=(0.7, 1.0),
        recordings=6,
        pause=(0.2, 1.2),
        noises=("pink", "babble", "fan", "typing"),
        snr=(5.0, 18.0),
        interruption=(3.0, 8.0),
        languages=("zh", "en"),
        crowd=TEST_CROWD,
    ),
}

# With --test_scale N above 1, N times as many recordings as stand here, by new voices, so that a test set of twenty
# texts a recording can tell two students apart: N = 10 gives 60 recordings and more than 1,200 texts of each test.
LARGE = {
    "dev": replace(SETS["dev"], voices=DEV_VOICES, crowd=TEST_CROWD, minutes=(1.7, 2.3), recordings=2),
    "test_in": replace(SETS["test_in"], voices=IN_VOICES, crowd=TEST_CROWD, minutes=(2.1, 2.5)),
    "test_out": replace(SETS["test_out"], voices=LARGE_OUT_VOICES, minutes=(1.3, 1.6), recordings=6),
    "test_mono": replace(SETS["test_mono"], minutes=(1.3, 1.6)),
}
SETS |= {f"large_{name}": conditions for name, conditions in LARGE.items()}
