"""Products in bfloat16 on a CPU: linear maps, attention to encoder outputs, a vocabulary's logits.

In: float32 weights. Out: functions of bfloat16 tensors, for `encoding` and `incremental`. Sums of products are float32
and only their results are rounded. What is read while decoding is half of float32's, and processors with AMX multiply
it eight times as fast; on others this may be slow.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

BF16 = torch.bfloat16


def product(weight: Tensor, bias: Tensor | None, gelu: bool = False) -> Callable[[Tensor], Tensor]:
    """x · weightᵀ + bias, and gelu of it, as a function of x: (rows, in) bfloat16 to (rows, out) bfloat16.

    weight: (out, in) float32; x may have several dimensions of rows. oneDNN keeps the weight in its own order, which
    saves a fifth of the time for a window of tiny.en, and takes gelu before it rounds.
    """
    weight, bias = weight.to(BF16), None if bias is None else bias.to(BF16)
    if _can_pack():
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        attribute, algorithm = ("gelu", "none") if gelu else ("none", "")
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, attribute, [], algorithm)
    if gelu:
        return lambda x: F.gelu(F.linear(x, weight, bias))
    return lambda x: F.linear(x, weight, bias)


def _can_pack() -> bool:
    """Whether this torch has oneDNN's products with packed weights, and they multiply bfloat16 on this processor."""
    names = ("_is_mkldnn_bf16_supported", "_reorder_linear_weight", "_linear_pointwise")
    return all(hasattr(torch.ops.mkldnn, name) for name in names) and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def of_float32(multiply: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The function for what is float32 or bfloat16; its result is bfloat16 still."""
    return lambda x: multiply(x.to(BF16))


def lay_out_cross(keys: Tensor, values: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """Keys and values, (windows, heads, frames, head size) each, as `attend` reads them fastest.

    A single query leaves them as they are (4 layers, 8 windows, one core: 7 ms a step instead of float32's 14); those
    of a `group` have the keys as (windows, heads, head size, frames) (5 queries: 14 ms instead of 27).
    """
    return (keys.contiguous() if group == 1 else keys.transpose(2, 3).contiguous()), values.contiguous()


def attend_cross(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, group: int) -> Tensor:
    """`attend` to keys and values of `lay_out_cross`."""
    if group == 1:
        return attend(q, keys, values, mask)
    scores = q @ keys
    if mask is not None:
        scores += mask.to(BF16)
    return torch.softmax(scores, dim=-1) @ values


def attend(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """softmax(q · keys + mask) · values, all (rows, heads, length, head size) bfloat16; q scaled, mask float32."""
    return F.scaled_dot_product_attention(q, keys, values, None if mask is None else mask.to(BF16), scale=1.0)


def rounded_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The weights rounded to 127 steps a row, int8, and (rows,) the size of a step."""
    scales = (weight.abs().amax(dim=1) / 127).clamp_(min=1e-12)
    return (weight / scales[:, None]).round_().to(torch.int8), scales


def int8_product(weight: Tensor) -> Callable[[Tensor], Tensor] | None:
    """x · weightᵀ, float32, with the weights rounded to 127 steps a row and x to 127 steps; None without oneDNN's.

    Twice as fast as FBGEMM's where the processor has AMX, and nearer, as it takes all 8 bits of x.
    """
    if not _can_pack() or not hasattr(torch.ops.onednn, "qlinear_pointwise"):
        return None
    rows, scales = rounded_rows(weight)
    packed = torch.ops.onednn.qlinear_prepack(rows, None)
    zeros = torch.zeros(len(weight), dtype=torch.int64)

    def multiply(x: Tensor) -> Tensor:
        step = max(float(x.abs().max()) / 127, 1e-12)
        rounded = (x / step).round_().to(torch.int8)
        return torch.ops.onednn.qlinear_pointwise(
            rounded, step, 0, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )

    return multiply
