"""How long encoder and decoder take at a published size, beside openai-whisper's: what k2d plan's rates rest on.

    tools/venv/bin/python tools/bench_decoder.py --size large-v2 --device cuda --dtype float16 --batch_sizes 1,8,16

Weights are random, which changes no speed, and the end of text is forbidden, so that every window has --tokens
tokens, a lecture's 30 s; no window is decoded again. Times are the best of --repeats after a warm-up. openai-whisper
decodes one window at a time, as its `transcribe` does. Times real time: windows advance by 26 s.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import whisper
from bench_train import SIZES, dimensions

from k2d.plan import ADVANCE, TOKENS
from k2d.text import markdown
from k2d.text.tokenizer import WhisperTokenizer
from k2d.whisper import engine_torch
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.decoding import DecodingOptions, initial_tokens
from k2d.whisper.engine_torch import TorchEngine
from k2d.whisper.logit_rules import LogitRules
from k2d.whisper.model import Whisper, convert

HEADER = ["program", "beam", "windows", "encoder, s a window", "decoder, s a window", "ms a step", "times real time",
          "GB"]  # fmt: skip


class EndlessRules(LogitRules):
    """Whisper's rules, and no end of text."""

    def __init__(self, *args):
        super().__init__(*args)
        self.suppressed = torch.cat([self.suppressed, self.suppressed.new_tensor([self.eot])])


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--size", choices=SIZES, default="large-v2")
    p.add_argument("--decoder_layers", type=int, help="a student's, else the size's own")
    p.add_argument("--device", default="cuda")
    p.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float16")
    p.add_argument("--batch_sizes", default="1,8,16", help="windows decoded side by side (default %(default)s)")
    p.add_argument("--beams", default="1,5")
    p.add_argument("--tokens", type=int, default=TOKENS, help="of a window (default %(default)s)")
    p.add_argument("--prompt", type=int, default=100, help="tokens of previous text (default %(default)s)")
    p.add_argument("--repeats", type=int, default=2)
    p.add_argument("--openai", type=int, default=2, help="windows that openai-whisper decodes; 0: none")
    p.add_argument("--output", help="JSON file")
    return p


def best_of(repeats: int, work, device: torch.device) -> float:
    """Seconds of the fastest run after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    device = torch.device(args.device)
    torch.manual_seed(0)
    dims = dimensions(args.size)
    if args.decoder_layers:
        dims = dataclasses.replace(dims, n_text_layer=args.decoder_layers)
    with device:
        model = convert(Whisper(dims), device, getattr(torch, args.dtype)).eval()
    tokenizer = WhisperTokenizer(dims.n_vocab)
    engine = TorchEngine(Checkpoint(model, tokenizer, "random", "random", {}))
    engine_torch.LogitRules = EndlessRules
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{args.size}, {args.dtype}, {name}, torch {torch.__version__}; {args.tokens} tokens a window")
    print(*markdown.table(HEADER, []), sep="\n")
    rows = []

    def report(program: str, beam: int, batch: int, encoder: float, decoder: float) -> None:
        peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0
        rows.append(
            {
                "program": program,
                "beam": beam,
                "windows": batch,
                "encoder": encoder,
                "decoder": decoder,
                "step": decoder * batch / args.tokens,
                "times_real_time": ADVANCE / (encoder + decoder),
                "gigabytes": peak,
            }
        )
        r = rows[-1]
        cells = (program, f"{beam}", f"{batch}", f"{encoder:.4f}", f"{decoder:.4f}", f"{1000 * r['step']:.2f}",
                 f"{r['times_real_time']:.1f}", f"{peak:.1f}")  # fmt: skip
        print(markdown.row(cells), flush=True)

    language = "zh" if tokenizer.multilingual else "en"
    for beam in map(int, args.beams.split(",")):
        for batch in map(int, args.batch_sizes.split(",")):
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            mels = list(torch.randn(batch, dims.n_mels, 3000))
            options = DecodingOptions(language=language, beam_size=beam, max_new_tokens=args.tokens)
            previous = torch.randint(0, 20_000, (batch, args.prompt)).tolist()
            prompts = [initial_tokens(tokenizer, dims.n_text_ctx, p, options, language) for p in previous]
            encoder = best_of(args.repeats, lambda m=mels: engine.encode(m), device)
            features = engine.encode(mels)
            decoder = best_of(args.repeats, lambda f=features, p=prompts, o=options: engine.generate(f, p, o), device)
            report("k2d", beam, batch, encoder / batch, decoder / batch)
        if args.openai:
            _openai(args, model, tokenizer, language, beam, device, report)
    if args.output:
        Path(args.output).write_text(json.dumps({"size": args.size, "device": name, "rows": rows}, indent=1) + "\n")
    return 0


def _openai(args, model, tokenizer, language: str, beam: int, device, report) -> None:
    plain = whisper.model.Whisper(model.dims).to(device)
    plain.load_state_dict(model.float().state_dict(), strict=False)
    convert(model, device, getattr(torch, args.dtype))
    half = args.dtype == "float16"
    options = whisper.DecodingOptions(
        language=language,
        beam_size=beam if beam > 1 else None,
        sample_len=args.tokens,
        prompt=torch.randint(0, 20_000, (args.prompt,)).tolist(),
        suppress_tokens=[-1, tokenizer.eot],
        fp16=half,
    )
    mel = torch.randn(model.dims.n_mels, 3000, device=device, dtype=torch.float16 if half else torch.float32)
    with torch.inference_mode():
        encoder = best_of(args.repeats, lambda: plain.encoder(mel[None]), device)

    def decode() -> None:
        for _ in range(args.openai):
            whisper.decode(plain, mel, options)

    report("openai-whisper", beam, 1, encoder, best_of(1, decode, device) / args.openai - encoder)


if __name__ == "__main__":
    sys.exit(main())
