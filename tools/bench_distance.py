#!/usr/bin/env python3
"""How many chunk pairs a second? k2d distance against a plain loop over the same pairs, one core each.

tools/bench_distance.py [--pairs 20000] [--loop_pairs 300] [--full] [--signals none]

Writes pairs of made-up Mandarin–English text (about 110 units, Traditional, Whisper's timestamps, the
validator's copy with a fifth of its units changed), scores them with the command in a process of its own and
then the first of them with the loop: OpenCC character by character, pypinyin, a pronouncing lexicon, edit
distances in Python lists by rapidfuzz. Compares the two answers pair by pair, and prints pairs a second by
the wall clock and by processor time (the fair number when the machine is shared) and the peak memory.
`--full` scores one million pairs.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))
from k2d.tables import read_numbers  # noqa: E402
from k2d.text import pronunciation, timestamps  # noqa: E402

FILES = ("mer", "per", "comp", "loop_teacher", "loop_aux")
LECTURE = (
    "我們今天來討論一下這個問題然後你會發現說這個模型其實是怎麼樣去解決的所以大家要注意重要的部分什麼時候"
    "可以得到更好的結果如果沒有足夠的資料那我們就必須要用別的方法比如說先做一個簡單的假設再看看它的表現"
)


def make_texts(pairs: int, seed: int, folder: Path) -> tuple[Path, Path]:
    """Write `pairs` lines of teacher and of validator text; the same seed writes the same bytes."""
    from opencc import OpenCC
    from pypinyin.constants import PHRASES_DICT

    draw = random.Random(seed)
    phrases = OpenCC("s2t").convert(" ".join(p for p in PHRASES_DICT if len(p) == 2)).split(" ")
    words = [word for word in pronunciation.lexicon() if word.isalpha() and 3 < len(word) < 13]
    words = [*draw.sample(words, 4000), "kubernetes", "chatgpt", "lora", "pytorch"]

    def sentence(units: int) -> list[str]:
        out: list[str] = []
        while len(out) < units:
            kind = draw.random()
            if kind < 0.10:
                out += [f" {draw.choice(words)} " for _ in range(draw.randint(1, 2))]
            elif kind < 0.60:
                start = draw.randrange(len(LECTURE) - 6)
                out += LECTURE[start : start + draw.randint(2, 6)]
            else:
                out += draw.choice(phrases)
            if draw.random() < 0.12:
                out[-1] += "，"
        return out

    teacher, validator = folder / "teacher", folder / "validator"
    with teacher.open("w", encoding="utf-8") as ours, validator.open("w", encoding="utf-8") as theirs:
        for number in range(pairs):
            parts = [sentence(37) for _ in range(3)]
            copy = [list(part) for part in parts]
            for _ in range(22):
                part = draw.choice(copy)
                part[draw.randrange(len(part))] = draw.choice((draw.choice(LECTURE), "", " the "))
            if number % 50 == 0:
                parts[1] = list("謝謝大家") * 10
            key = f"rec{number // 1000:05d}-{number % 1000 * 3000:07d}-{number % 1000 * 3000 + 3000:07d}"
            for file, chunk in ((ours, parts), (theirs, copy)):
                spans = [(i * 10.0, i * 10.0 + 10.0, "".join(part)) for i, part in enumerate(chunk)]
                file.write(f"{key} {timestamps.format(spans)}\n")
    return teacher, validator


def is_chinese(character: str) -> bool:
    """Simplified forms may lie outside the first block: OpenCC folds some into the extension planes."""
    return "\u3400" <= character <= "\u9fff" or character >= "\U00020000"


class PlainLoop:
    """δ of one pair at a time, the way one would write it first. Answers as `distance --paper` does."""

    def __init__(self):
        from opencc import OpenCC

        self.simplified = OpenCC("t2s")
        self.lexicon = {word: phones.split() for word, phones in pronunciation.lexicon().items()}

    def units(self, text: str) -> list[str]:
        units, word = [], ""
        for character in timestamps.strip(text).lower() + " ":
            if character.isascii() and (character.isalnum() or character in "'-"):
                word += character
                continue
            if word:
                units.append(word)
                word = ""
            if is_chinese(character):
                units.append(self.simplified.convert(character))
        return units

    def phonemes(self, units: list[str]) -> list[str]:
        from pypinyin import Style, lazy_pinyin

        phones, run = [], ""
        for unit in [*units, ""]:
            if unit and is_chinese(unit):
                run += unit
                continue
            for syllable in lazy_pinyin(run, style=Style.BOPOMOFO, errors="ignore") if run else ():
                phones += [symbol for symbol in syllable if symbol not in "ˊˇˋ˙"]
            run = ""
            phones += self.lexicon.get(unit, [])
        return phones

    @staticmethod
    def loops(units: list[str]) -> int:
        text = "".join(
            unit if not before or unit >= "\u4e00" or before >= "\u4e00" else " " + unit
            for before, unit in zip(["", *units], units, strict=False)
        )
        grams = Counter(text[i : i + 6] for i in range(len(text) - 5))
        return int(max(grams.values(), default=0) > 5)

    def score(self, teacher: str, validator: str) -> tuple[float, ...]:
        from rapidfuzz.distance import Levenshtein

        ours, theirs = self.units(teacher), self.units(validator)
        mer = Levenshtein.distance(ours, theirs) / len(theirs)
        reference = self.phonemes(theirs)
        per = Levenshtein.distance(self.phonemes(ours), reference) / len(reference)
        loop_teacher, loop_aux = self.loops(ours), self.loops(theirs)
        return mer, per, max(loop_teacher, min(1 - loop_aux, per)), loop_teacher, loop_aux


def read_pairs(teacher: Path, validator: Path, count: int) -> list[tuple[str, str, str]]:
    pairs = []
    with teacher.open(encoding="utf-8") as ours, validator.open(encoding="utf-8") as theirs:
        for a, b, _ in zip(ours, theirs, range(count), strict=False):
            key, text = a.rstrip("\n").split(" ", 1)
            pairs.append((key, text, b.rstrip("\n").split(" ", 1)[1]))
    return pairs


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--full", action="store_true", help="one million pairs")
    parser.add_argument("--loop_pairs", type=int, default=300, help="pairs given to the plain loop")
    parser.add_argument("--signals", default="none", help="further signals, as in k2d distance")
    parser.add_argument("--nj", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    pairs = 1_000_000 if args.full else args.pairs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        teacher, validator = make_texts(pairs, args.seed, folder)
        command = [sys.executable, "-m", "k2d distance", "--paper", "--signals", args.signals]
        command += ["--teacher", str(teacher), "--validator", str(validator)]
        command += ["--output_dir", str(folder / "out"), "--nj", str(args.nj)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        subprocess.run(command, cwd=REPOSITORY, check=True)
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        sample = read_pairs(teacher, validator, min(args.loop_pairs, pairs))
        loop = PlainLoop()
        loop.score(*sample[0][1:])  # dictionaries are loaded before the clock starts
        started, started_cpu = time.perf_counter(), time.process_time()
        for _, *texts in sample:
            loop.score(*texts)
        loop_wall, loop_cpu = time.perf_counter() - started, time.process_time() - started_cpu
        # OpenCC's phrases need whole texts, which the loop does not give it; to compare answers it gets them.
        whole = loop.simplified.convert
        expected = {key: loop.score(whole(ours), whole(theirs)) for key, ours, theirs in sample}

        scores = [read_numbers(folder / "out" / f"utt2{name}") for name in FILES]
        different = sum(
            any(abs(table[key] - value) > 1e-6 for table, value in zip(scores, values, strict=True))
            for key, values in expected.items()
        )
        units = sum(len(loop.units(text)) for _, *texts in sample for text in texts) / (2 * len(sample))
    wall_rate, cpu_rate = pairs / wall, pairs / cpu
    loop_rate, loop_cpu_rate = len(sample) / loop_wall, len(sample) / loop_cpu
    print(f"{pairs} pairs, {units:.0f} units a text, files: {' '.join(FILES)}; start-up included")
    print("                    pairs/s   pairs a processor second")
    print(f"k2d distance  {wall_rate:9.0f}  {cpu_rate:9.0f}")
    print(f"plain loop        {loop_rate:9.0f}  {loop_cpu_rate:9.0f}")
    print(f"times faster      {wall_rate / loop_rate:9.0f}  {cpu_rate / loop_cpu_rate:9.0f}")
    print(f"peak memory       {after.ru_maxrss / 1024:9.0f} MB")
    print(f"different answers {different} of {len(sample)}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
