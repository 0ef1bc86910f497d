"""The terms of the loss, by name and weight in one line of YAML: `losses: {ce: 0.8, kl: 1.0, hidden: 1.0}`.

A term is a function (student, teacher, batch) → (loss, statistics): what the two models made of the batch, and the
batch itself; a scalar, weighted, and curves by name. To add one, add a file with

    NAMES = ("mine",)                       # as the YAML calls it
    NEEDS = {"mine": LOGITS}                # of the teacher: LOGITS, which may be cached, or the MODEL; or nothing
    def build(options, student, teacher, n_text) -> Callable     # options: {"mine": {"weight": 1.0, …}}

What `build` returns may be an nn.Module with parameters of its own, which are trained along. A term that follows
layers of the decoder names them, for they are kept only then: `student_layers`, `teacher_layers`.
"""

import importlib
import logging
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType

from torch import Tensor, nn

from k2d.distill.config import check_terms
from k2d.errors import UsageError

LOGITS, MODEL = "logits", "model"


@dataclass
class Outputs:
    """What a model made of a batch; of a cached teacher only `topk`, of which the rest is None.

    encoder_out: (batch, frames, width). hidden: the decoder's last states, (tokens, width), where the batch is scored.
    embedding: (vocabulary, width), Whisper's output projection. layers: {layer: (tokens, width)}, the states behind
    decoder layers. topk: ids and log-probabilities, (tokens, k) each.
    """

    encoder_out: Tensor | None = None
    hidden: Tensor | None = None
    embedding: Tensor | None = None
    layers: dict[int, Tensor] = field(default_factory=dict)
    topk: tuple[Tensor, Tensor] | None = None


@cache
def terms() -> dict[str, ModuleType]:
    """name of a term → the file that defines it."""
    files = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return {name: file for file in files for name in file.NAMES}


def needs(wanted: Iterable[str]) -> dict[str, str]:
    """Those of the terms that need a teacher, and what of it."""
    return {name: need for name in wanted if (need := getattr(terms()[name], "NEEDS", {}).get(name))}


def term_options(name: str, options: dict, **defaults) -> dict:
    """A term's options in the YAML, without its weight, over their defaults. Raises UsageError for unknown ones."""
    given = {key: value for key, value in options.items() if key != "weight"}
    if unknown := sorted(set(given) - set(defaults)):
        known = ", ".join(defaults) or "none"
        raise UsageError(f"model_conf: losses: {name} has no option {', '.join(unknown)}; known are {known}")
    return defaults | given


def mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Of values (tokens,), weighted; 0 where there are no tokens."""
    if weights is None:
        return values.mean() if len(values) else values.sum()
    return (values * weights).sum() / weights.sum().clamp_min(1e-8)


class Losses(nn.Module):
    """The sum of the terms that a YAML asks for. Cross-entropy is always computed, as a curve to choose epochs by."""

    def __init__(self, wanted: dict[str, dict], student, teacher, n_text: int, cached: bool = False):
        """wanted: name → options, DistillConfig.terms(). cached: the teacher's logits come with the batches.

        Without a teacher, terms that need one are left out, and the log says so.
        """
        super().__init__()
        check_terms(wanted, terms())
        of_teacher = needs(wanted)
        if teacher is None and not cached and of_teacher:
            wanted = {name: options for name, options in wanted.items() if name not in of_teacher}
            logging.info(
                "no teacher with logits: the student learns from its labels by cross-entropy, without "
                + ", ".join(of_teacher)
            )
            wanted.setdefault("ce", {"weight": 1.0})
        if teacher is None and cached and (lacking := [name for name, need in of_teacher.items() if need == MODEL]):
            raise UsageError(f"losses: {lacking[0]} needs the teacher itself: give --teacher, not its cached top k")
        self.needs = set(needs(wanted).values())
        self.functions = []
        for file in dict.fromkeys([terms()["ce"], *(terms()[name] for name in wanted)]):
            options = {name: wanted[name] for name in file.NAMES if name in wanted}
            self.functions.append(file.build(options, student, teacher, n_text))
        self.trained = nn.ModuleList(f for f in self.functions if isinstance(f, nn.Module))

    def layers(self, of: str) -> set[int]:
        """Decoder layers of the "student" or the "teacher" whose states the terms want."""
        return {layer for function in self.functions for layer in getattr(function, f"{of}_layers", ())}

    def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]):
        """batch: as `DistillModel.forward` takes it, and `targets`, (tokens,) ids that the student should predict, with
        their `weights`, (tokens,), or None where all count alike: a term is the `mean` over tokens.
        """
        total, statistics = 0.0, {}
        for function in self.functions:
            loss, stats = function(student, teacher, batch)
            total = total + loss
            statistics |= {name: value.detach() for name, value in stats.items()}
        return total, {**statistics, "loss": total.detach()}
