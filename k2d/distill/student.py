"""Student construction: the teacher's encoder and a choice of its decoder layers.

In: a teacher of the Whisper family. Out: a smaller model of the same family, or whether another model can be
its student.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from k2d.distill.layers import choose_layers
from k2d.errors import CheckpointError
from k2d.whisper import checkpoint
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.engine import mix_languages
from k2d.whisper.model import Whisper, count_parameters, same_weights
from k2d.work.folders import write_json


def build_student(
    teacher: Whisper, decoder_layers: str = "first,last", encoder_layers: str = "all"
) -> Whisper:
    """A student whose layer i is the teacher's layer choice[i]; everything else is copied."""
    chosen = {
        "encoder": choose_layers(encoder_layers, teacher.dims.n_audio_layer),
        "decoder": choose_layers(decoder_layers, teacher.dims.n_text_layer),
    }
    dims = dataclasses.replace(
        teacher.dims, n_audio_layer=len(chosen["encoder"]), n_text_layer=len(chosen["decoder"])
    )
    student = Whisper(dims)
    state = {}
    source = teacher.state_dict()
    for name in student.state_dict():
        parts = name.split(".")
        if "blocks" in parts:
            at = parts.index("blocks") + 1
            parts[at] = str(chosen[parts[0]][int(parts[at])])
        state[name] = source[".".join(parts)]
    student.load_state_dict(state)
    return student.eval()


def check_student(student: Checkpoint, teacher: Checkpoint, same_encoder: bool = False) -> None:
    """Raise CheckpointError unless `student` can learn from `teacher`: the tokens it is forced along, the
    features it takes and, with `same_encoder`, the stored encoder output are the teacher's.
    """
    who = f"{student.path} cannot be a student of {teacher.path}"
    if student.tokenizer.tokens() != teacher.tokenizer.tokens():
        raise CheckpointError(
            f"{who}: they do not share a vocabulary ({student.dims.n_vocab} and {teacher.dims.n_vocab} tokens); "
            "give a model of the same family"
        )
    for name, what in (("n_mels", "mel bands"), ("n_audio_ctx", "encoder frames"), ("n_text_ctx", "text tokens")):
        ours, theirs = getattr(student.dims, name), getattr(teacher.dims, name)
        if ours != theirs:
            raise CheckpointError(f"{who}: it takes {ours} {what}, the teacher {theirs}; both get one batch")
    if same_encoder and not same_weights(student.model.encoder, teacher.model.encoder):
        raise CheckpointError(
            f"{who} on stored encoder output: its encoder is not the teacher's; use --store_encoder_out false"
        )


def make_student(
    teacher: str | None,
    output: Path,
    init: str | None,
    layers: Mapping[str, str],
    same_encoder: bool = False,
    languages: Sequence[str] = (),
) -> dict:
    """Write a student: the model `init` as it is, or the teacher's `layers` (build_student). teacher: None where it has
    no layers to take over, only labels. languages: codes, the first of which gets the mean of their embeddings. Returns
    numbers of parameters; raises CheckpointError for an `init` that cannot be the teacher's student.
    """
    source = checkpoint.load(teacher) if teacher else None
    if init:
        start = checkpoint.load(init)
        if source:
            check_student(start, source, same_encoder)
        student, report = start.model, {"init": init}
    else:
        start = source
        student = build_student(source.model, **layers)
        counts = {"decoder_layers": source.dims.n_text_layer, "encoder_layers": source.dims.n_audio_layer}
        report = {name: choose_layers(choice, counts[name]) for name, choice in layers.items()}
    if languages:
        mix_languages(student, start.tokenizer, languages, into=languages[0])
    checkpoint.save(output, student, start.tokenizer, {"trim_padding": start.trim_padding})
    made = f"{init} as it is" if init else f"decoder layers {report['decoder_layers']}"
    sizes = {"student": count_parameters(student)}
    said = f"{sizes['student'] / 1e6:.2f} M parameters"
    if source:
        sizes = {"teacher": count_parameters(source.model), **sizes}
        sizes["ratio"] = round(sizes["student"] / sizes["teacher"], 4)
        said = (
            f"{sizes['student'] / 1e6:.2f} M of the teacher's {sizes['teacher'] / 1e6:.2f} M parameters "
            f"({sizes['ratio']:.2f})"
        )
    write_json(output / "parameters.json", {**sizes, **report})
    print(f"init_student: {said}; {made}, encoder layers {student.dims.n_audio_layer}")
    return sizes
