"""How far off word times are, beside the true ones, by model, by heads and by program.

    egs/mini_cs/k2d1/run.sh --stop_stage 5            # a student, and the words' true times of its tests
    tools/venv/bin/python tools/bench_words.py --data egs/mini_cs/k2d1/data/test_in_long \\
        --words egs/mini_cs/k2d1/data/test_in/reference/words.ctm \\
        --models egs/mini_cs/k2d1/exp/student_full egs/mini_cs/pretrain1/models/teacher

Each model transcribes the recordings of --data with word times, by the heads that it has stored (`k2d align_heads`
chooses a student's) and by all heads of its last layer, which is what one guesses. Programs: k2d; faster-whisper on the
model's CTranslate2 form and openai-whisper on its `.pt`, each where it is installed, and openai-whisper where the
vocabulary is Whisper's. faster-whisper takes vocabularies for English ones by their size; here it is told better.

Words are found by an alignment of characters: a true word counts where all of its characters are in the transcript, its
start where a word of the transcript starts with it, its end likewise. Prints a table: words found, the mean and the
median of the absolute errors of starts and ends in ms, the share of starts within 100 ms, and `odd`: words without
length, before the one before them has ended, or outside of their segment.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein

from k2d.audio.sources import AudioSource
from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir
from k2d.publish.export import save_ctranslate2
from k2d.text import markdown
from k2d.text.normalise import normalise
from k2d.whisper import checkpoint
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine_torch import TorchEngine
from k2d.whisper.heads import heads_of, last_layer, packed, use_heads
from k2d.whisper.long_form import transcribe_all
from k2d.whisper.words import add_words

PROGRAMS = ("k2d", "faster", "openai")
Word = tuple[float, float, str]  # start, end (seconds), text
Segment = tuple[float, float, list[Word]]
Program = Callable[[np.ndarray], list[Segment]]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, type=Path, help="data directory of whole recordings")
    p.add_argument("--words", required=True, type=Path, help="CTM: recording, channel, start, seconds, word")
    p.add_argument("--models", required=True, nargs="+", help="a student's folder, or any checkpoint")
    p.add_argument("--programs", default=",".join(PROGRAMS))
    p.add_argument("--language", default="zh")
    p.add_argument("--recordings", type=int, default=0, help="the first so many; 0: all")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--output", type=Path, help="JSON file")
    return p


# ------------------------------------------------------------------------------------------------ programs


def options(args) -> DecodingOptions:
    return DecodingOptions(language=args.language, temperatures=(0.0, 0.4, 0.8), best_of=1, condition_on_previous=False)


def ours(model: Checkpoint, args, folder: Path) -> Program:
    engine = TorchEngine(model, 1)

    def run(audio: np.ndarray) -> list[Segment]:
        source = AudioSource(lambda name: [audio], lambda n: 0.0, lambda n: "")
        (transcript,) = transcribe_all(engine, ["r"], source, options(args))
        add_words(engine, transcript, [audio])
        return [(s.start, s.end, [(w["start"], w["end"], w["word"]) for w in s.words]) for s in transcript.segments]

    return run


def faster(model: Checkpoint, args, folder: Path) -> Program:
    from faster_whisper import WhisperModel

    save_ctranslate2(folder, model, "float32")
    program = WhisperModel(str(folder), device="cpu", compute_type="float32", cpu_threads=args.threads)
    program.model = _Multilingual(program.model, model.tokenizer.multilingual)

    def run(audio: np.ndarray) -> list[Segment]:
        found, _ = program.transcribe(
            audio, language=args.language, beam_size=1, best_of=1, temperature=[0.0, 0.4, 0.8],
            condition_on_previous_text=False, word_timestamps=True,
        )  # fmt: skip
        return [(s.start, s.end, [(w.start, w.end, w.word) for w in s.words or ()]) for s in found]

    return run


class _Multilingual:
    """CTranslate2's model, which says of a vocabulary of fewer than 51,865 tokens that it is English."""

    def __init__(self, model, multilingual: bool):
        self._model, self.is_multilingual = model, multilingual

    def __getattr__(self, name: str):
        return getattr(self._model, name)


def openai(model: Checkpoint, args, folder: Path) -> Program:
    import whisper

    path = folder / "openai.pt"
    checkpoint.save_openai(path, model.model)
    program = whisper.load_model(str(path), device="cpu")
    program.set_alignment_heads(packed(model.model))

    def run(audio: np.ndarray) -> list[Segment]:
        found = whisper.transcribe(
            program, audio, language=args.language, fp16=False, word_timestamps=True, condition_on_previous_text=False
        )
        return [
            (s["start"], s["end"], [(w["start"], w["end"], w["word"]) for w in s["words"]]) for s in found["segments"]
        ]

    return run


def hindrance(program: str, model: Checkpoint) -> str | None:
    """Why the program cannot take part."""
    if program == "faster" and importlib.util.find_spec("faster_whisper") is None:
        return "the package faster-whisper is not installed"
    if program == "openai" and not model.tokenizer.published:
        return "openai-whisper reads Whisper's own vocabularies alone"
    return None


# ------------------------------------------------------------------------------------------------- errors


def characters(words: Iterable[Word]) -> tuple[str, list[tuple[int, float, float, bool, bool]]]:
    """The folded characters of words, and for each: the word's number, start and end, whether it is first or last."""
    text, of = "", []
    for number, (start, end, word) in enumerate(words):
        said = "".join(c for c in normalise(word) if not c.isspace())
        text += said
        of += [(number, start, end, i == 0, i == len(said) - 1) for i in range(len(said))]
    return text, of


def errors(truth: list[Word], found: list[Word]) -> tuple[list[float], list[float], int]:
    """Errors of starts and of ends (found - true, ms) of the true words that are found, and how many these are."""
    (ours, of_ours), (theirs, of_theirs) = characters(truth), characters(found)
    place = {}  # character of the truth -> character found
    for block in Levenshtein.opcodes(ours, theirs):
        if block.tag == "equal":
            place |= dict(zip(range(block.src_start, block.src_end), range(block.dest_start, block.dest_end)))
    by_word: dict[int, list[int]] = {}
    for i, (number, *_) in enumerate(of_ours):
        by_word.setdefault(number, []).append(i)
    starts, ends, count = [], [], 0
    for number, letters in by_word.items():
        if not all(i in place for i in letters) or place[letters[-1]] - place[letters[0]] != len(letters) - 1:
            continue
        count += 1
        first, last = of_theirs[place[letters[0]]], of_theirs[place[letters[-1]]]
        if first[3]:
            starts.append(1000 * (first[1] - truth[number][0]))
        if last[4]:
            ends.append(1000 * (last[2] - truth[number][1]))
    return starts, ends, count


def oddities(segments: list[Segment]) -> int:
    """Words without length, that begin before the one before has ended, or that lie outside of their segment."""
    odd, until = 0, 0.0
    for begin, stop, words in segments:
        for start, end, _ in words:
            odd += not (end > start and start >= until - 1e-6 and start >= begin - 1e-6 and end <= stop + 1e-6)
            until = max(until, end)
    return odd


def row(name: str, program: str, heads: str, results: list[tuple[list[Word], list[Segment]]]) -> dict:
    starts, ends, count = [], [], 0
    for truth, segments in results:
        a, b, found = errors(truth, [word for _, _, words in segments for word in words])
        starts, ends, count = starts + a, ends + b, count + found
    starts, ends = np.abs(starts), np.abs(ends)
    return {
        "model": name, "program": program, "heads": heads, "true": sum(len(truth) for truth, _ in results),
        "words": count, "start_mean": starts.mean(), "start_median": np.median(starts),
        "start_within_100": (starts <= 100).mean(), "end_mean": ends.mean(), "end_median": np.median(ends),
        "odd": sum(oddities(segments) for _, segments in results),
    }  # fmt: skip


def table(rows: list[dict]) -> str:
    header = ("model", "program", "heads", "words found", "start: mean, median ms", "within 100 ms",
              "end: mean, median ms", "odd")  # fmt: skip
    lines = [
        (r["model"], r["program"], r["heads"], f"{r['words']} of {r['true']}",
         f"{r['start_mean']:.0f}, {r['start_median']:.0f}", f"{100 * r['start_within_100']:.0f} %",
         f"{r['end_mean']:.0f}, {r['end_median']:.0f}", str(r["odd"]))
        for r in rows
    ]  # fmt: skip
    return "\n".join(markdown.table(header, lines, left=(0, 1, 2)))


def read_ctm(path: Path) -> dict[str, list[Word]]:
    words: dict[str, list[Word]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        recording, _, start, seconds, word = line.split()
        words.setdefault(recording, []).append((float(start), float(start) + float(seconds), word))
    return words


def main(argv: list[str] | None = None) -> int:
    p = parser()
    args = p.parse_args(argv)
    programs = args.programs.split(",")
    if unknown := set(programs) - set(PROGRAMS):
        p.error(f"--programs: unknown {' '.join(sorted(unknown))}; known are {','.join(PROGRAMS)}")
    truth = read_ctm(args.words)
    if not truth:
        p.error(f"--words {args.words}: it is empty; the corpus was made before words had times, make it anew")
    torch.set_num_threads(args.threads)
    audio = open_utterances(DataDir(args.data))
    recordings = [name for name in audio if name in truth][: args.recordings or None]
    run_of = {"k2d": ours, "faster": faster, "openai": openai}
    rows = []
    for name in args.models:
        model = checkpoint.load(name)
        sets = {"stored": heads_of(model.model), "last layer": last_layer(model.dims)}
        for program in programs:
            if reason := hindrance(program, model):
                print(f"{name}, {program}: left out, {reason}", file=sys.stderr)
                continue
            for kind, heads in sets.items():
                use_heads(model.model, heads)
                with tempfile.TemporaryDirectory() as folder:
                    run = run_of[program](model, args, Path(folder))
                    results = [(truth[r], run(audio[r])) for r in recordings]
                said = f"{kind} ({len(heads)})"
                rows.append(row(Path(name).name, program, said, results))
                print(f"{name}, {program}, {said}: {rows[-1]['start_mean']:.0f} ms", file=sys.stderr, flush=True)
    print(table(rows))
    if args.output:
        args.output.write_text(json.dumps(rows, indent=1, default=float) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
