"""Hidden-state distillation: decoder layers of the student follow chosen layers of the teacher.

In: states after a layer, {layer: (tokens, width)}, of student and teacher. Out: one loss.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from k2d.distill.losses import MODEL, Outputs, mean, term_options
from k2d.errors import UsageError

NAMES = ("hidden",)
NEEDS = {"hidden": MODEL}
KINDS = ("cosine", "mse")


def default_map(student_layers: int, teacher_layers: int) -> list[list[int]]:
    """Each student layer stands for an equal share of the teacher's and follows the last of its share."""
    return [[i, round((i + 1) * teacher_layers / student_layers) - 1] for i in range(student_layers)]


class HiddenLoss(nn.Module):
    """Mean over tokens of the distance between mapped layers, summed over the pairs.

    kind: "cosine", 1 − cos(student, teacher), or "mse", mean squared difference over the width.
    adaptive: learn a weight for each pair from its own noise, ½ Σ (e^(−s) · distance + s) with s a parameter
    (Kendall et al., CVPR 2018); it keeps one far layer from drowning the others.
    """

    def __init__(self, pairs: list[list[int]], kind: str = "cosine", adaptive: bool = False, weight: float = 1.0):
        super().__init__()
        if kind not in KINDS:
            raise UsageError(f"losses: hidden: kind {kind!r} is unknown; choose one of {', '.join(KINDS)}")
        self.pairs, self.kind, self.weight = [tuple(pair) for pair in pairs], kind, weight
        self.log_variance = nn.Parameter(torch.zeros(len(pairs))) if adaptive else None

    def check(self, student_layers: int, teacher_layers: int) -> None:
        """Raise UsageError where the map names a layer that one of the two does not have."""
        for pair in self.pairs:
            if len(pair) != 2 or not (0 <= pair[0] < student_layers and 0 <= pair[1] < teacher_layers):
                raise UsageError(
                    f"losses: hidden: map: {list(pair)} is not a pair [student layer, teacher layer]; the student has "
                    f"layers 0 to {student_layers - 1}, the teacher 0 to {teacher_layers - 1}"
                )

    @property
    def student_layers(self) -> set[int]:
        return {pair[0] for pair in self.pairs}

    @property
    def teacher_layers(self) -> set[int]:
        return {pair[1] for pair in self.pairs}

    def forward(self, student: Outputs, teacher: Outputs, batch: dict[str, Tensor]):
        """The term of the loss, weighted."""
        distance = self.distance(student.layers, teacher.layers, batch.get("weights"))
        return self.weight * distance, {"hidden": distance}

    def distance(
        self, student: dict[int, Tensor], teacher: dict[int, Tensor], weights: Tensor | None = None
    ) -> Tensor:
        """Pairs whose student layer did not run (layer drop) are left out."""
        total = next(iter(teacher.values())).new_zeros((), dtype=torch.float32)
        for index, (ours, theirs) in enumerate(self.pairs):
            if ours not in student:
                continue
            a, b = student[ours].float(), teacher[theirs].float()
            apart = 1 - F.cosine_similarity(a, b, dim=-1) if self.kind == "cosine" else (a - b).square().mean(-1)
            distance = mean(apart, weights)
            if self.log_variance is not None:
                s = self.log_variance[index]
                distance = 0.5 * (torch.exp(-s) * distance + s)
            total = total + distance
        return total


def build(options: dict[str, dict], student, teacher, n_text: int) -> HiddenLoss:
    """`hidden: {weight, kind: cosine or mse, map: pairs [student layer, teacher layer], adaptive}`."""
    conf = term_options("hidden", options["hidden"], kind="cosine", map=None, adaptive=False)
    ours, theirs = student.dims, teacher.dims
    if ours.n_text_state != theirs.n_text_state:
        raise UsageError(
            f"losses: hidden: the student's decoder is {ours.n_text_state} wide, the teacher's {theirs.n_text_state}; "
            "states of different widths have no distance"
        )
    pairs = conf["map"] or default_map(ours.n_text_layer, theirs.n_text_layer)
    loss = HiddenLoss(pairs, conf["kind"], conf["adaptive"], options["hidden"]["weight"])
    loss.check(ours.n_text_layer, theirs.n_text_layer)
    return loss
