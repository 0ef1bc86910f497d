"""Sentences of a code-switched world, drawn from its templates: those of mini_cs stand in lexicon.py.

In: a topic and a random generator. Out: a Sentence, which knows what is spoken (with pauses, in pieces of one
language each) and what is written (no punctuation, lower case).
"""

import random
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lexicon import CLOSINGS, COMMON, ELSEWHERE, ENGLISH, LECTURES, NOTICES, OPENINGS, TECHNICAL

SLOT = re.compile(r"\{(\w+)\}")
ENGLISH_RUN = re.compile(r"[a-z]+(?: [a-z]+)*")
PAUSE = "，"

NEW_TERM_SHARE = 0.12  # of the sentences of lectures and in-domain tests
TEST_SHARE = 5  # one sentence in five belongs to tests, the others to training sets: none is in both


@dataclass(frozen=True)
class Sentence:
    """One sentence with "，" where the speaker pauses."""

    spoken: str

    @property
    def text(self) -> str:
        """The transcript: no pauses, one space around English words only."""
        return tidy(self.spoken.replace(PAUSE, " "))

    @property
    def pieces(self) -> list[tuple[str, str]]:
        """(language, words): "en" for runs of English words, "zh" for what lies between; pauses as commas."""
        pieces, position = [], 0
        for run in ENGLISH_RUN.finditer(self.spoken):
            pieces.append(("zh", self.spoken[position : run.start()].strip()))
            pieces.append(("en", run.group()))
            position = run.end()
        pieces.append(("zh", self.spoken[position:].strip()))
        return [(language, words) for language, words in pieces if words]

    @property
    def languages(self) -> set[str]:
        return {language for language, _ in self.pieces}

    @property
    def for_tests(self) -> bool:
        """Which side of the split it is on: decided by its text alone, so that no set need know another."""
        return zlib.crc32(self.text.encode()) % TEST_SHARE == 0


def tidy(text: str) -> str:
    """Spaces between English words and at language switches, none inside Mandarin or beside a pause."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"(?<=[a-z])(?=[^\sa-z，])|(?<=[^\sa-z，])(?=[a-z])", " ", text)
    return re.sub(r"(?<![a-z]) (?![a-z])| ?， ?", lambda match: PAUSE if PAUSE in match.group() else "", text).strip()


def units(text: str) -> list[str]:
    """Chinese characters and English words of a transcript."""
    return re.findall(r"[a-z]+|[^\sa-z]", text)


@dataclass(frozen=True)
class Grammar:
    """The words of a world and how often each kind of sentence is drawn.

    topics: topic -> lists of words by slot, and under "own" sentences that only it has; "new_en" and "new_zh" are
    terms that take the place of others where new ones are wanted. common: slots of every topic. technical, english,
    openings, closings: templates for all topics. technical_share: topic -> share of sentences from `technical`, 0 for
    one that is not there.
    """

    topics: Mapping[str, Mapping[str, Sequence[str]]]
    common: Mapping[str, Sequence[str]]
    technical: Sequence[str]
    english: Sequence[str]
    openings: Sequence[str]
    closings: Sequence[str]
    technical_share: Mapping[str, float] = field(default_factory=dict)

    def draw(
        self, topic: str, rng: random.Random, tests: bool, new_terms: bool = False, language: str | None = None
    ) -> Sentence:
        """A sentence on a topic, of the tests' side of the split or of the training sets'.

        language: that alone, "zh" or "en". new_terms: with the probability NEW_TERM_SHARE the sentence holds a term
        that the seed lacks, if the topic has such.
        """
        new = [*self.topics[topic].get("new_en", []), *self.topics[topic].get("new_zh", [])]
        wants_new = new_terms and bool(new) and rng.random() < NEW_TERM_SHARE
        while True:
            sentence = Sentence(tidy(self._fill(self._template(topic, rng), topic, rng, wants_new)))
            if language is not None and sentence.languages != {language}:
                continue
            if sentence.for_tests == tests and (not wants_new or any(term in sentence.spoken for term in new)):
                return sentence

    def _template(self, topic: str, rng: random.Random) -> str:
        kind = rng.random()
        if kind < 0.16:
            return rng.choice(self.english)
        own = kind >= 0.16 + self.technical_share.get(topic, 0.0)
        template = rng.choice(self.topics[topic]["own"] if own else self.technical)
        # Sentences without slots would come back word for word: most get something said before or after.
        bare = not SLOT.search(template)
        if rng.random() < (0.9 if bare else 0.25):
            template = f"{rng.choice(self.openings)} {rng.choice([PAUSE, ''])} {template}"
        if rng.random() < (0.5 if bare else 0.15):
            template = f"{template} {PAUSE} {rng.choice(self.closings)}"
        return template

    def _fill(self, template: str, topic: str, rng: random.Random, new_terms: bool) -> str:
        """The template with its slots filled: no word twice, and one new term where new ones are wanted."""
        words, used = self.topics[topic], set()

        def choose(match: re.Match) -> str:
            nonlocal new_terms
            slot = match.group(1)
            choices = words.get(slot) or self.common[slot]
            if new_terms and slot in ("en", "zh"):
                new_terms = False
                choices = words[f"new_{slot}"]
            choices = [choice for choice in choices if choice not in used] or choices
            choice = rng.choice(choices)
            if "{" not in choice:
                used.add(choice)
            return f" {choice} "  # tidy() takes away the spaces that do not part English words

        while SLOT.search(template):
            template = SLOT.sub(choose, template)
        return template


# ------------------------------------------------------------------------------------------ the world of mini_cs

TOPICS = {**LECTURES, **NOTICES, **ELSEWHERE}
SEED_TOPICS = (*LECTURES, *NOTICES)
LECTURE_TOPICS = tuple(LECTURES)
ASIDE_TOPICS = tuple(NOTICES)
OUT_TOPICS = tuple(ELSEWHERE)

MINI = Grammar(
    TOPICS, COMMON, TECHNICAL, ENGLISH, OPENINGS, CLOSINGS,
    technical_share={topic: 0.35 if topic == "campus" else 0.7 for topic in LECTURES},
)  # fmt: skip
draw = MINI.draw
