"""The heads of a student's attention that tell when a word is said, chosen by its labels.

In: a student and the labelled chunks that it learnt. Out: its alignment heads, with the errors of every choice
(k2d/whisper/head_choice.py).
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from k2d.audio.options import AudioOptions
from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir
from k2d.distill.sources import ENCODER_OUT, ArchiveReader, encoder_frames
from k2d.errors import BadAudio
from k2d.tables import read_table
from k2d.text import timestamps, trusted
from k2d.text.trusted import TRUSTED
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.head_choice import Alignments, Choice, Example, choose, encoded, read_label
from k2d.whisper.heads import last_layer, upper_half
from k2d.wording import counted

FEWEST = 100  # tokens on either side, below which chance chooses


def examples_of(
    student: Checkpoint, data: DataDir, count: int, encoder_out: Path | None, audio: AudioOptions
) -> Iterator[Example]:
    """Evenly spaced chunks whose labels have times; what cannot be read is passed over."""
    labels = read_table(data.path / "text")
    flags = read_table(data.path / TRUSTED) if (data.path / TRUSTED).is_file() else {}
    stored = ArchiveReader(encoder_out / f"{ENCODER_OUT}.scp") if encoder_out else None
    most = student.dims.n_text_ctx - len(student.tokenizer.sot_sequence(timestamps=False)) - 1
    known = {}
    for uid, text in labels.items():
        if stored is not None and uid not in stored:
            continue
        flag = trusted.read(uid, flags[uid], len(timestamps.parse(text))) if uid in flags else None
        label = read_label(text, student.tokenizer, flag)
        if label.timed and len(label.tokens) <= most:
            known[uid] = label
    utterances = open_utterances(data, **audio.reading)
    chosen = list(known)[:: max(1, len(known) // count)][:count]
    for uid in tqdm(chosen, desc="align_heads", unit="chunk", mininterval=2):
        try:
            if stored is not None:
                rows = torch.from_numpy(np.array(stored[uid]))[None]
            else:
                rows = encoded(student.model, utterances[uid], student.trim_padding)
            yield Example(known[uid], rows, min(encoder_frames(utterances.duration(uid)), rows.shape[1]))
        except BadAudio as error:
            print(f"align_heads: {uid} is left out: {error}", file=sys.stderr)


def choose_heads(
    student: Checkpoint, examples: Iterable[Example], language: str, labels: Path
) -> tuple[dict, dict]:
    """What alignment_heads.json says: facts of the choice, and the errors on the way to it. Prints them for people.
    labels: where the examples are from.
    """
    dims, languages = student.dims, student.tokenizer.languages
    alignments = Alignments(
        student.model,
        student.tokenizer,
        language if language in languages else languages[0],
        {"last layer": last_layer(dims), "upper half": upper_half(dims)},
    )
    for example in examples:
        alignments.add(example)
    seen = alignments.labels
    timed = [sum(seen[n].timed for n in part) for part in (alignments.choosing, alignments.held_out)]
    if min(timed) < FEWEST:
        print(
            f"align_heads: {labels}: only {sum(timed)} of the tokens of {counted(len(seen), 'chunk')} lie in segments "
            "with times, too few to choose by; all heads of the upper half of the layers are taken"
        )
        choice = Choice(upper_half(dims), "upper half", {}, [])
    else:
        choice = choose(alignments)
        print(f"align_heads: {described(choice, timed[1])}")
    facts = {
        "chunks": len(seen),
        "tokens": sum(timed),
        "chosen": choice.chosen,
        "heads": [list(head) for head in choice.heads],
        "errors": choice.errors,
    }
    more = {
        "path": [{"head": list(head), "choosing": round(error, 1)} for head, error in choice.path],
        "by_head": [
            {"head": list(head), "choosing": round(a, 1), "held_out": round(b, 1)}
            for head, (a, b) in sorted(choice.by_head.items())
        ],
    }
    return facts, more


def described(choice: Choice, tokens: int) -> str:
    """The choice in a line; its record holds the errors of every set of heads and of every head."""
    heads = ", ".join(f"{layer}.{head}" for layer, head in choice.heads)
    beaten_by_none = f"; no choice clearly beat all heads of {choice.chosen}, so those are used"
    kept = "" if choice.chosen == "chosen" else beaten_by_none
    error = choice.errors[choice.chosen]["median"]
    of = counted(tokens, "held-out token")
    return f"words are timed by heads {heads}: {error:.0f} ms off, the median of {of}{kept}"
