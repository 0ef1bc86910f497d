"""Find the heads of a student's attention that tell when a word is said.

    k2d align_heads --model exp/student_comp/average --data data/lectures_comp --output_dir exp/student_comp/heads \\
        [--encoder_out DIR]

The teacher's labels say when segments begin and end. Each head of each layer of the decoder aligns the same texts with
their audio, and is scored by how far off it finds the tokens from where they would be if all tokens of a segment were
equally long; then heads are put together, one more as long as the error falls. Half of the chunks choose; of the other
half are the errors that are printed, beside those of what one would guess: all heads of the last layer, or of the upper
half of the layers. If they do not beat the better guess clearly (by twice the standard error), it is taken in their
place, so nobody's word times become worse.

A step: writes alignment_heads.json, in the folder `heads` of a student, where every command that loads the student
finds it; `k2d publish` writes the heads into all forms. Where labels have no times, or too few, it says so and takes
the upper half, as openai-whisper does.
"""

import argparse
import sys
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
from k2d.errors import BadAudio, UsageError
from k2d.options import CommandParser, add_options, command, options_of
from k2d.tables import read_table
from k2d.text.trusted import TRUSTED
from k2d.whisper.identity import HEADS, check_name, model_identity
from k2d.work import identity
from k2d.work.folders import write_json
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("train", 7)
FEWEST = 100  # tokens on either side, below which chance chooses


def parser() -> argparse.ArgumentParser:
    p = CommandParser("align_heads", __doc__)
    p.add_argument("--model", required=True, help="the student's checkpoint, any that k2d reads")
    p.add_argument("--data", required=True, type=Path, help="chunks with labels that have timestamps")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--encoder_out", type=Path, help="output of the same encoder (k2d encode), read instead of audio")
    p.add_argument("--chunks", type=int, default=24, help="how many to look at, evenly spaced (default %(default)s)")
    p.add_argument("--language", default="zh", help="that the student decodes in")
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 …")
    add_options(p, AudioOptions, "recordings")
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    check_name(args.model)
    if args.chunks < 2:
        raise UsageError(f"--chunks {args.chunks}: expected at least 2, one to choose by and one to look at")


def run(args: argparse.Namespace) -> int:
    check(args)
    inputs = {"model": model_identity(args.model)}
    if args.encoder_out:
        inputs["data"] = identity.of_tables(args.data, "text", TRUSTED)
        inputs["encoder_out"] = identity.of_step(args.encoder_out)
    else:
        inputs["data"] = identity.of_data(args.data, "wav.scp", "segments", "text", TRUSTED)
    step = Step(
        "align_heads",
        args.output_dir,
        inputs=inputs,
        options={"chunks": args.chunks, "language": args.language, **options_of(AudioOptions, args).reading},
        arguments=args,
    )
    return run_step(step, args, lambda: work(args))


def work(args: argparse.Namespace) -> dict:
    from tqdm import tqdm

    from k2d.whisper import checkpoint
    from k2d.whisper.head_choice import Alignments, Choice, choose
    from k2d.whisper.heads import last_layer, upper_half

    student = checkpoint.load(args.model, device=args.device)
    dims, languages = student.dims, student.tokenizer.languages
    alignments = Alignments(
        student.model,
        student.tokenizer,
        args.language if args.language in languages else languages[0],
        {"last layer": last_layer(dims), "upper half": upper_half(dims)},
    )
    for example in tqdm(examples_of(args, student), desc="align_heads", unit="chunk", mininterval=2):
        alignments.add(example)
    labels = alignments.labels
    timed = [sum(labels[n].timed for n in part) for part in (alignments.choosing, alignments.held_out)]
    if min(timed) < FEWEST:
        print(
            f"align_heads: {args.data}: only {sum(timed)} tokens of {len(labels)} chunks lie in segments with times, "
            "too few to choose by; all heads of the upper half of the layers are taken"
        )
        choice = Choice(upper_half(dims), "upper half", {}, [])
    else:
        choice = choose(alignments)
        print(table(choice, timed[1]))
    facts = {
        "chunks": len(labels),
        "tokens": sum(timed),
        "chosen": choice.chosen,
        "heads": [list(head) for head in choice.heads],
        "errors": choice.errors,
    }
    record = {
        "model": model_identity(args.model).digest,
        **facts,
        "path": [{"head": list(head), "choosing": round(error, 1)} for head, error in choice.path],
        "by_head": [
            {"head": list(head), "choosing": round(a, 1), "held_out": round(b, 1)}
            for head, (a, b) in sorted(choice.by_head.items())
        ],
    }
    write_json(args.output_dir / HEADS.name, record)
    return facts


def examples_of(args: argparse.Namespace, student):
    """Evenly spaced chunks whose labels have times; what cannot be read is passed over."""
    import numpy as np
    import torch

    from k2d.audio.utterances import open_utterances
    from k2d.distill.sources import ENCODER_OUT, ArchiveReader, encoder_frames
    from k2d.text import timestamps, trusted
    from k2d.whisper.head_choice import Example, encoded, read_label

    labels = read_table(args.data / "text")
    flags = read_table(args.data / TRUSTED) if (args.data / TRUSTED).is_file() else {}
    stored = ArchiveReader(args.encoder_out / f"{ENCODER_OUT}.scp") if args.encoder_out else None
    most = student.dims.n_text_ctx - len(student.tokenizer.sot_sequence(timestamps=False)) - 1
    known = {}
    for uid, text in labels.items():
        if stored is not None and uid not in stored:
            continue
        told = trusted.read(uid, flags[uid], len(timestamps.parse(text))) if uid in flags else None
        label = read_label(text, student.tokenizer, told)
        if label.timed and len(label.tokens) <= most:
            known[uid] = label
    audio = open_utterances(DataDir(args.data), **options_of(AudioOptions, args).reading)
    for uid in list(known)[:: max(1, len(known) // args.chunks)][: args.chunks]:
        try:
            if stored is not None:
                rows = torch.from_numpy(np.array(stored[uid]))[None]
            else:
                rows = encoded(student.model, audio[uid], student.trim_padding)
            yield Example(known[uid], rows, min(encoder_frames(audio.duration(uid)), rows.shape[1]))
        except BadAudio as error:
            print(f"align_heads: {uid} is left out: {error}", file=sys.stderr)


def table(choice, tokens: int) -> str:
    """Sets of heads with their errors, for people."""
    lines = ["heads                 mean ms  median ms"]
    for name, error in choice.errors.items():
        mark = " ←" if name == choice.chosen else ""
        lines.append(f"{name:20} {error['mean']:8.0f} {error['median']:10.0f}{mark}")
    single = sorted(choice.by_head.items(), key=lambda item: item[1][1])
    best = ", ".join(f"{layer}.{head} {errors[1]:.0f}" for (layer, head), errors in single[:6])
    heads = ", ".join(f"{layer}.{head}" for layer, head in choice.heads)
    lines.append(f"single heads (layer.head, mean ms): {best} … {single[-1][1][1]:.0f}")
    lines.append(f"align_heads: {tokens} tokens held out; words are timed by {heads}")
    if choice.chosen != "chosen":
        lines.append(f"align_heads: no choice clearly beat {choice.chosen}, which is taken")
    return "\n".join(lines)


main = command(parser, run)
