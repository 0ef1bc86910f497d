"""Weak supervision: what a captioner of the web might have written under the recordings of a set.

In: a set that synthesize.py made. Out: a data directory of the same recordings whose `segments` and `text` are
captions. The share of each fault is an option; README.md has the reasons for their values in one table.

    invented        a stock phrase over music, noise or silence
    elsewhere       the words of another utterance of the recording
    cut             the beginning of what was said
    repeated        the last words, written several times
    translated      an English term in Chinese, by meaning: glossary.tsv
    transliterated  ... by sound

Captioners have habits, or a model would learn to do without their faults: one that translates "data" does so each
time, over music it writes one of its own few phrases, and it is careless where the recording is noisy. Two captioners
have different habits, so models trained on either do not fail alike.
"""

import argparse
import json
import random
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "k2d1" / "local"))
import grammar

from k2d.constants import chunk_id
from k2d.datadir import DataDir, DataDirWriter, Segment, segment_value
from k2d.errors import guarded
from k2d.work import identity
from k2d.work.step import Step, run_step

GLOSSARY = Path(__file__).with_name("glossary.tsv")
NONE = "–"  # in the glossary: nothing is written for this word
ENGLISH = re.compile(r"[a-z]+(?: [a-z]+)*")
NOISY = 12.0  # dB; below, a captioner is CARELESS times as careless
CARELESS = 2.0
STOCK = (
    "谢谢大家", "谢谢大家收看", "我们下次再见", "下个星期再见", "请大家注意", "大家好", "这是音乐", "请看下一页",
    "thank you", "thank you very much", "see you next week", "please look at the video", "music", "so",
)  # fmt: skip


def share(default: float, help: str) -> float:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Shares:
    """How often each fault occurs."""

    invented: float = share(0.6, "of the stretches of music, noise or tones")
    elsewhere: float = share(0.03, "of the utterances; twice that in noisy recordings, as for the next two")
    cut: float = share(0.06, "of the utterances")
    repeated: float = share(0.03, "of the utterances")
    translated: float = share(0.3, "of the English terms")
    transliterated: float = share(0.15, "of the English terms that have a transliteration")


def read_glossary(path: Path = GLOSSARY) -> dict[str, tuple[str, str]]:
    """English words to (translation, transliteration), NONE where there is none."""
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {english: (by_meaning, by_sound) for english, by_meaning, by_sound in (line.split("\t") for line in lines)}


class Captioner:
    """Somebody who writes captions; the same name has the same habits."""

    def __init__(self, name: str, shares: Shares, glossary: dict[str, tuple[str, str]]):
        self.name, self.shares, self.glossary = name, shares, glossary
        self.longest = max(len(english.split()) for english in glossary)
        phrases = sorted(STOCK, key=lambda phrase: self._habit("stock", phrase))
        self.stock = phrases[: len(STOCK) // 2]

    def _habit(self, *words: str) -> float:
        """A number in [0, 1) that this captioner always has for these words."""
        return zlib.crc32(" ".join((self.name, *words)).encode()) / 2**32

    def captions(self, facts: dict) -> Iterator[tuple[int, int, str]]:
        """(start, end, text) in centiseconds, of one recording; facts: what synthesize.py wrote about it."""
        rng = random.Random(f"{self.name} {facts['recording']}")
        careless = CARELESS if facts["snr"] < NOISY else 1.0
        texts = [text for _, _, text in facts["utterances"]]
        for start, end, text in facts["utterances"]:
            yield start, end, self._caption(text, texts, careless, rng)
        for start, end, _ in facts["interruptions"]:
            if rng.random() < self.shares.invented:
                yield start, min(end, start + rng.randint(150, 600)), rng.choice(self.stock)

    def _caption(self, text: str, texts: list[str], careless: float, rng: random.Random) -> str:
        draw = rng.random() / careless
        if draw < self.shares.elsewhere:
            text = rng.choice(texts)
        elif (draw := draw - self.shares.elsewhere) < self.shares.cut:
            units = grammar.units(text)
            text = grammar.tidy(" ".join(units[: max(1, int(len(units) * rng.uniform(0.3, 0.7)))]))
        elif draw - self.shares.cut < self.shares.repeated:
            units = grammar.units(text)
            text = grammar.tidy(" ".join(units + units[-rng.randint(1, 5) :] * rng.randint(4, 12)))
        return self.in_chinese(text)

    def in_chinese(self, text: str) -> str:
        """The text with those English terms in Chinese that this captioner translates or transliterates."""
        written = ENGLISH.sub(lambda run: " " + " ".join(self._terms(run.group().split())) + " ", text)
        return grammar.tidy(written) or text

    def _terms(self, words: list[str]) -> Iterator[str]:
        while words:
            for n in range(min(self.longest, len(words)), 0, -1):
                term = " ".join(words[:n])
                if term in self.glossary or n == 1:
                    break
            yield self._written(term)
            words = words[n:]

    def _written(self, term: str) -> str:
        by_meaning, by_sound = self.glossary.get(term, (term, NONE))
        habit = self._habit("term", term)
        if habit < self.shares.translated:
            return by_meaning.replace(NONE, "")
        if by_sound != NONE and habit < self.shares.translated + self.shares.transliterated:
            return by_sound
        return term


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--captioner", required=True, help="a name; another has other habits")
    for one in fields(Shares):
        parser.add_argument(f"--{one.name}", type=float, default=one.default, help=one.metadata["help"])
    args = parser.parse_args()
    shares = Shares(**{one.name: getattr(args, one.name) for one in fields(Shares)})
    inputs = {"data": identity.of_step(args.data), "glossary": identity.of_file(GLOSSARY)}
    options = {"captioner": args.captioner, **asdict(shares)}
    step = Step("captions", args.output_dir, inputs=inputs, options=options, arguments=vars(args))
    captioner = Captioner(args.captioner, shares, read_glossary())
    return run_step(step, False, lambda: write_captions(captioner, args.data, args.output_dir))


def write_captions(captioner: Captioner, source: Path, output_dir: Path) -> None:
    data, changed, count = DataDir(source), 0, 0
    with DataDirWriter(output_dir) as tables:
        for recording, audio in sorted(data.wav.items()):
            facts = json.loads((source / "reference" / "recordings" / f"{recording}.json").read_text("utf-8"))
            said = {(start, end): text for start, end, text in facts["utterances"]}
            tables.write("wav.scp", recording, audio)
            for start, end, text in sorted(captioner.captions(facts)):
                uid = chunk_id(recording, start, end)
                tables.write("segments", uid, segment_value(Segment(uid, recording, start / 100, end / 100)))
                tables.write("text", uid, text)
                tables.write("utt2spk", uid, facts["voice"])
                count, changed = count + 1, changed + (said.get((start, end)) != text)
    print(f"captions: {captioner.name}: {count} captions, {100 * changed / max(count, 1):.1f} % not as said")


if __name__ == "__main__":
    sys.exit(guarded("captions.py", main))
