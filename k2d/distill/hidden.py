"""Hidden-state distillation: decoder layers of the student follow chosen layers of the teacher.

In: states after a layer, {layer: (tokens, width)}, of student and teacher. Out: one loss.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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

    def __init__(self, pairs: list[list[int]], kind: str = "cosine", adaptive: bool = False):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"hidden_loss: {kind!r} is unknown; choose one of {', '.join(KINDS)}")
        self.pairs, self.kind = [tuple(pair) for pair in pairs], kind
        self.log_variance = nn.Parameter(torch.zeros(len(pairs))) if adaptive else None

    def check(self, student_layers: int, teacher_layers: int) -> None:
        """Raise ValueError where the map names a layer that one of the two does not have."""
        for pair in self.pairs:
            if len(pair) != 2 or not (0 <= pair[0] < student_layers and 0 <= pair[1] < teacher_layers):
                raise ValueError(
                    f"hidden_map: {list(pair)} is not a pair [student layer, teacher layer]; the student has "
                    f"layers 0 to {student_layers - 1}, the teacher 0 to {teacher_layers - 1}"
                )

    def forward(self, student: dict[int, Tensor], teacher: dict[int, Tensor]) -> Tensor:
        """Pairs whose student layer did not run (layer drop) are left out."""
        total = next(iter(teacher.values())).new_zeros((), dtype=torch.float32)
        for index, (ours, theirs) in enumerate(self.pairs):
            if ours not in student:
                continue
            a, b = student[ours].float(), teacher[theirs].float()
            if self.kind == "cosine":
                distance = 1 - F.cosine_similarity(a, b, dim=-1).mean()
            else:
                distance = F.mse_loss(a, b)
            if self.log_variance is not None:
                s = self.log_variance[index]
                distance = 0.5 * (torch.exp(-s) * distance + s)
            total = total + distance
        return total
