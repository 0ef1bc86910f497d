"""Products with a model's weights on a CPU, in each type of numbers that a processor may be quick at.

In: float32 weights (out, in) and biases (out,). Out: functions of (…, in) tensors to (…, out). Sums of products have 32
bits in every type; what is rounded are the factors:

    float32    nothing. Few rows read the weights packed as float16, where that is exact.
    int8       weights to 127 steps a row of them, inputs to 63 or 127: a first look at a vocabulary
    bfloat16   both, and the result
"""

import warnings
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

Multiply = Callable[[Tensor], Tensor]
BF16 = torch.bfloat16


def product(kind: str, weight: Tensor, bias: Tensor, gelu: bool = False) -> Multiply:
    """x · weightᵀ + bias, and gelu of it, as a function of x. kind: float32 or bfloat16.

    x: (…, in) float32 or bfloat16. The result is float32, of bfloat16 bfloat16. No int8: with an encoder in it base
    found 95 % of the units of code-switched speech, and was 1.2 times as fast.
    """
    if kind == "bfloat16":
        multiply = bfloat16(weight, bias, gelu)
        return lambda x: multiply(x.to(BF16))
    multiply, dtype = float32(weight, bias), weight.dtype
    return (lambda x: F.gelu(multiply(x.to(dtype)))) if gelu else (lambda x: multiply(x.to(dtype)))


# ---------------------------------------------------------------------------------------------------- float32


def float32(weight: Tensor, bias: Tensor | None) -> Multiply:
    """The product in the weights' own type, on any device.

    A decoder's step multiplies few rows with all the weights, and reading those is what it costs on a CPU. Float32
    weights that float16 holds exactly, as Whisper's published ones, are packed so; the arithmetic stays
    float32 (logits of tiny.en, 4 rows, one core: 2.9 ms instead of 11.2).
    """
    on_cpu = weight.device.type == "cpu"
    if on_cpu and has_fbgemm() and weight.dtype == torch.float32 and torch.equal(weight.half().float(), weight):
        packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
        return lambda x: torch.ops.quantized.linear_dynamic_fp16(x, packed)
    if on_cpu:
        weight = weight.t().contiguous().t()  # multiplied faster with few rows when it lies so
    return lambda x: F.linear(x, weight, bias)


@cache
def has_fbgemm() -> bool:
    """Whether this torch has FBGEMM's products with float16 and int8 weights; they are for x86."""
    fbgemm = torch.backends.quantized.engine in ("x86", "fbgemm")
    names = ("linear_dynamic_fp16", "linear_with_input_q_dq_qweight_dq_output_fp32")
    return fbgemm and all(hasattr(torch.ops.quantized, name) for name in names)


# ------------------------------------------------------------------------------------------------------- int8


def int8(weight: Tensor) -> Multiply:
    """x · weightᵀ by FBGEMM's int8; for where `has_fbgemm`.

    Each row of x takes all the steps there are, so that its result depends on no other row. Without VNNI the sum of two
    products has to fit 16 bits, which leaves 63 steps.
    """
    rows, sizes = rounded_rows(weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch announces another interface, which has no such kernel
        zeros = torch.zeros(len(weight), dtype=torch.int64)
        tensor = torch._make_per_channel_quantized_tensor(rows, sizes.double(), zeros, 0)
    packed = torch.ops.quantized.linear_prepack(tensor, None)
    steps = 127 if torch.cpu._is_vnni_supported() else 63

    def multiply(x: Tensor) -> Tensor:
        largest = x.abs().amax(dim=-1, keepdim=True).clamp_(min=1e-12)
        y = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            x / largest, 1 / steps, steps + 1, packed
        )
        return y.mul_(largest)

    return multiply


def onednn_int8(weight: Tensor) -> Multiply:
    """x · weightᵀ with 127 steps for all of x, by oneDNN; for where `has_onednn` and AMX are: elsewhere it may take
    seconds.

    Twice as fast as FBGEMM's where the processor has AMX, and nearer than that is where it has no VNNI.
    """
    rows, sizes = rounded_rows(weight)
    packed = torch.ops.onednn.qlinear_prepack(rows, None)
    zeros = torch.zeros(len(weight), dtype=torch.int64)

    def multiply(x: Tensor) -> Tensor:
        step = max(float(x.abs().max()) / 127, 1e-12)
        rounded = (x / step).round_().to(torch.int8)
        return torch.ops.onednn.qlinear_pointwise(
            rounded, step, 0, packed, sizes, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )

    return multiply


def rounded_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The weights rounded to 127 steps a row, int8, and (rows,) the size of a step."""
    sizes = (weight.abs().amax(dim=1) / 127).clamp_(min=1e-12)
    return (weight / sizes[:, None]).round_().to(torch.int8), sizes


# --------------------------------------------------------------------------------------------------- bfloat16


def bfloat16(weight: Tensor, bias: Tensor | None, gelu: bool = False) -> Multiply:
    """The product, and gelu of it, as a function of (rows, in) bfloat16.

    oneDNN keeps the weight in its own order, which saves a fifth of the time for a window of tiny.en, and takes gelu
    before it rounds.
    """
    weight, bias = weight.to(BF16), None if bias is None else bias.to(BF16)
    if has_onednn():
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        attribute, algorithm = ("gelu", "none") if gelu else ("none", "")
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, attribute, [], algorithm)
    if gelu:
        return lambda x: F.gelu(F.linear(x, weight, bias))
    return lambda x: F.linear(x, weight, bias)


@cache
def has_onednn() -> bool:
    """Whether this torch has oneDNN's products with packed weights, and they multiply bfloat16 on this processor."""
    names = ("_is_mkldnn_bf16_supported", "_reorder_linear_weight", "_linear_pointwise")
    there = all(hasattr(torch.ops.mkldnn, name) for name in names) and hasattr(torch.ops.onednn, "qlinear_pointwise")
    return there and torch.ops.mkldnn._is_mkldnn_bf16_supported()
