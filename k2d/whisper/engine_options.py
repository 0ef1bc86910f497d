"""Command-line options of everything that decodes, and the engine they ask for.

In: an argument parser. Out: `DecodingOptions`, a loaded engine, the key under which their work is stored.
"""

from __future__ import annotations

import argparse
import ctypes
import os

from k2d.errors import UsageError
from k2d.whisper.decoding import FALLBACK_TEMPERATURES, DecodingOptions, options_key
from k2d.whisper.defaults import default_batch
from k2d.work.journal import FORMAT

ENGINES = ("auto", "torch", "ctranslate2")
CUBLAS = "libcublas.so.12"  # that of CTranslate2's wheels; torch brings a later one
DTYPES = ("auto", "float32", "bfloat16", "float16", "int8")


def true_or_false(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def number_or_none(text: str) -> float | None:
    """A threshold; "none" switches its test off."""
    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor none") from None


def _temperatures(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(t) for t in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers separated by commas, as 0,0.4,0.8") from None


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """--engine, --device, --dtype, --batch_size, --num_threads, --cache_dir."""
    group = parser.add_argument_group("engine")
    group.add_argument("--engine", choices=ENGINES, default="auto", help="auto: torch, for int8 ctranslate2")
    group.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 …; auto: cuda where there is one")
    group.add_argument(
        "--dtype",
        choices=DTYPES,
        default="auto",
        help="auto: float16, for ctranslate2 on a CPU int8. There float16 and int8 are how the decoder's weights "
        "are kept, and float32 is computed in; Whisper's published weights lose nothing by float16. bfloat16 on a CPU "
        "(torch) multiplies in bfloat16 and does the rest in float32: several times as fast where the processor has "
        "AMX (lscpu | grep amx_bf16), slow where it has not",
    )
    group.add_argument(
        "--batch_size",
        type=int,
        default=0,
        help=f"windows decoded side by side (0: {default_batch(False)}, on a GPU {default_batch(True)})",
    )
    group.add_argument(
        "--workers",
        type=int,
        default=0,
        help="batches at once, each with its share of the threads (0: 2 on a CPU, 1 in a job or on a GPU)",
    )
    group.add_argument("--num_threads", type=int, default=0, help="CPU threads; 0: OMP_NUM_THREADS or all cores")
    group.add_argument("--cache_dir", default=None, help="converted models (default $XDG_CACHE_HOME/k2d, ~/.cache/k2d)")


def add_decoding_arguments(
    parser: argparse.ArgumentParser, temperatures: tuple[float, ...] | None = FALLBACK_TEMPERATURES
) -> None:
    """temperatures: the default; None where the command decides it by what else is asked."""
    group = parser.add_argument_group("decoding (Whisper's defaults)")
    group.add_argument("--language", default="zh", help="code as zh, en; auto: detected (default %(default)s)")
    group.add_argument("--task", choices=("transcribe", "translate"), default="transcribe")
    group.add_argument(
        "--mix_languages",
        default="",
        help="as zh,en: --language's embedding becomes the mean of these languages'",
    )
    group.add_argument("--beam_size", type=int, default=1, help="1 is greedy (default %(default)s)")
    group.add_argument("--patience", type=float, default=1.0)
    group.add_argument("--length_penalty", type=number_or_none, default=None)
    group.add_argument("--best_of", type=int, default=1, help="samples drawn at temperatures above 0")
    group.add_argument(
        "--temperatures",
        type=_temperatures,
        default=temperatures,
        help="tried in turn while a window fails (long form: 0,0.2,0.4,0.6,0.8,1; short form: 0)",
    )
    group.add_argument("--compression_ratio_threshold", type=number_or_none, default=2.4, help="above: failed")
    group.add_argument("--logprob_threshold", type=number_or_none, default=-1.0, help="below: failed")
    group.add_argument("--no_speech_threshold", type=number_or_none, default=0.6, help="above, and improbable: silence")
    group.add_argument(
        "--condition_on_previous",
        type=true_or_false,
        default=True,
        metavar="true|false",
        help="prompt a window with the text before it (default true)",
    )
    group.add_argument("--initial_prompt", default="", help="text before the first window, as names and terms")
    group.add_argument("--max_new_tokens", type=int, default=None, help="of a window (default: half the context)")
    group.add_argument(
        "--token_confidence",
        action="store_true",
        help="utt2confidence from token probabilities; free with torch, a second pass with ctranslate2",
    )
    group.add_argument("--seed", type=int, default=0, help="of sampling at temperatures above 0")


def decoding_options(args: argparse.Namespace, **changed) -> DecodingOptions:
    """The options given on the command line, with some `changed`."""
    values = {
        "language": None if args.language == "auto" else args.language,
        "task": args.task,
        "mix_languages": tuple(code for code in args.mix_languages.split(",") if code),
        "beam_size": args.beam_size,
        "patience": args.patience,
        "length_penalty": args.length_penalty,
        "best_of": args.best_of,
        "temperatures": args.temperatures,
        "compression_ratio_threshold": args.compression_ratio_threshold,
        "logprob_threshold": args.logprob_threshold,
        "no_speech_threshold": args.no_speech_threshold,
        "condition_on_previous": args.condition_on_previous,
        "initial_prompt": args.initial_prompt,
        "max_new_tokens": args.max_new_tokens,
        "token_confidence": args.token_confidence,
        "seed": args.seed,
    }
    try:
        return DecodingOptions(**{**values, **changed})
    except ValueError as error:
        raise UsageError(str(error)) from None


def resolve_engine(args: argparse.Namespace) -> tuple[str, str, str]:
    """(engine, device, dtype) with every "auto" decided. UsageError for a combination that does not exist.

    The device need not be there: joining what jobs with a GPU have decoded takes none.
    """
    import torch

    device = args.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    on_cpu = device == "cpu"
    engine, dtype = args.engine, args.dtype
    if engine == "auto":
        # As fast as CTranslate2 with int8, and words and times stay openai-whisper's.
        engine = "ctranslate2" if dtype == "int8" else "torch"
    if dtype == "auto":
        dtype = "int8" if on_cpu and engine == "ctranslate2" else "float16"
    if engine == "torch" and dtype == "int8":
        raise UsageError("--dtype int8 is for --engine ctranslate2; the torch engine has float32, bfloat16, float16")
    if engine == "ctranslate2" and on_cpu and dtype not in ("int8", "float32"):
        raise UsageError(f"--engine ctranslate2 on a CPU computes in int8 or float32, not {dtype}")
    return engine, device, dtype


def work_key(args: argparse.Namespace, options: DecodingOptions, model_hash: str, form: str) -> str:
    """Digest of everything that decides results: model, options, engine, data type and batch (which decides
    rounding).
    """
    engine, device, dtype = resolve_engine(args)
    return options_key(
        options,
        model=model_hash,
        engine=engine,
        device=device.split(":")[0],
        dtype=dtype,
        batch_size=resolve_batch_size(args),
        form=form,
        journal=FORMAT,
    )


def resolve_batch_size(args: argparse.Namespace) -> int:
    """Windows of a batch, unless --batch_size says it."""
    if args.batch_size < 0:
        raise UsageError(f"--batch_size {args.batch_size}: expected at least 0")
    return args.batch_size or default_batch(resolve_engine(args)[1] != "cpu")


def resolve_workers(args: argparse.Namespace) -> int:
    """Batches that a process decodes at once, unless --workers says it: 2 on a CPU, 1 on a GPU or where the
    work is split into jobs, which run side by side themselves.

    The number does not follow from this machine's cores: the parts of the work have to be the same when it is
    taken up on another one.
    """
    if args.workers < 0:
        raise UsageError(f"--workers {args.workers}: expected at least 0")
    alone_on_cpu = args.num_jobs == 1 and resolve_engine(args)[1] == "cpu"
    return args.workers or (2 if alone_on_cpu else 1)


def load_engine(args: argparse.Namespace, options: DecodingOptions, workers: int = 1):
    """The engine that the options ask for, with its model, for so many threads that call it at once."""
    import torch

    from k2d.whisper import checkpoint

    engine, device, dtype = resolve_engine(args)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(f"--device {device}: no CUDA device is seen; use --device cpu, or look at nvidia-smi")
    if engine == "ctranslate2" and device.startswith("cuda") and not _can_load(CUBLAS):
        raise UsageError(
            f"--engine ctranslate2 --device {device}: CTranslate2 computes with CUDA 12's {CUBLAS}, which is not "
            "found; install it and name its folder in LD_LIBRARY_PATH, or use --engine torch"
        )
    threads = args.num_threads or int(os.environ.get("OMP_NUM_THREADS", 0)) or len(os.sched_getaffinity(0))
    torch.set_num_threads(max(1, threads // workers))
    # Beside CTranslate2, which keeps its own weights, torch encodes. On a CPU all but products is float32.
    of_torch = "float16" if dtype == "int8" else dtype
    if device == "cpu":
        of_torch = "float32"
    loaded = checkpoint.load(args.model, device=device, dtype=getattr(torch, of_torch))
    if options.language and loaded.tokenizer.multilingual:
        try:
            loaded.tokenizer.language_token(options.language)
        except ValueError as error:
            raise UsageError(f"--language: {error}") from None
    if options.mix_languages:
        mix_languages(loaded, options.mix_languages, options.language)
    if device == "cpu" and dtype == "float16":
        with torch.no_grad():
            for weight in loaded.model.decoder.parameters():
                weight.copy_(weight.half())
    if engine == "torch":
        from k2d.whisper.engine_torch import TorchEngine

        return TorchEngine(loaded, workers, bfloat16=device == "cpu" and dtype == "bfloat16")
    from k2d.whisper.engine_ctranslate2 import CTranslate2Engine

    return CTranslate2Engine(loaded, dtype, args.cache_dir, workers)


def _can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def mix_languages(loaded, languages: tuple[str, ...], into: str | None) -> None:
    """Replace the embedding of the language `into` by the mean of several (as the paper's authors' code
    does).
    """
    import torch

    if not loaded.tokenizer.multilingual:
        raise UsageError("--mix_languages: an English-only model has no language tokens")
    if into is None:
        raise UsageError("--mix_languages needs a fixed --language, whose embedding it replaces")
    embedding = loaded.model.decoder.token_embedding.weight
    ids = [loaded.tokenizer.language_token(code) for code in languages]
    with torch.no_grad():
        embedding[loaded.tokenizer.language_token(into)] = embedding[ids].float().mean(dim=0).to(embedding.dtype)
