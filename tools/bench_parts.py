"""Where the time of labelling goes: CPU seconds of every part, of our engines and of faster-whisper beside them.

    tools/venv/bin/python tools/bench_parts.py --audio speech/*.flac --recordings 8 --seconds 45

On one thread. Recordings are those of tools/bench_label.py, written to files, so that reading them counts. A part's
time is without that of the parts that it calls; "the rest" is what no part claims, Python's own time among it. The
clock is the process's, which sees other threads too: features are therefore made when they are needed, and not ahead as
in a recipe. CTranslate2 is one part, which `perf record` can look into; what the torch engine samples for it at higher
temperatures is listed apart.
"""

import argparse
import functools
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import soundfile
import torch
from bench_label import add_speech, hindrance, make_recordings

from k2d.audio.read import read_audio
from k2d.audio.sources import files
from k2d.constants import SAMPLE_RATE
from k2d.text import markdown
from k2d.whisper import caches, encoding, engine_torch, features, incremental, long_form, search
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig, load_engine
from k2d.whisper.identity import resolve
from k2d.work import machine

PROGRAMS = ("torch", "ctranslate2", "faster")


class PartClock:
    """CPU seconds and calls of each part, without those of the parts inside."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self.inner = [0.0]  # of each part that runs now, what the parts inside took

    def timed(self, part: str, work: Callable) -> Callable:
        @functools.wraps(work)
        def call(*args, **options):
            start = time.process_time()
            self.inner.append(0.0)
            try:
                return work(*args, **options)
            finally:
                taken = time.process_time() - start
                self.seconds[part] += taken - self.inner.pop()
                self.calls[part] += 1
                self.inner[-1] += taken

        return call

    def watch(self, part: str, owner, *names: str) -> None:
        """Time these functions of a module, a class or an object as parts of `part`."""
        for name in names:
            setattr(owner, name, self.timed(part, getattr(owner, name)))


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_speech(p, seconds=45.0)
    p.add_argument("--programs", default=",".join(PROGRAMS))
    p.add_argument("--beam_size", type=int, default=1)
    return p


def ours(program: str, args, clock: PartClock) -> Callable[[dict[str, str]], None]:
    options = DecodingOptions(language=args.language, beam_size=args.beam_size)
    engine = load_engine(args.model, EngineConfig(engine=program, device="cpu", num_threads=1), options)
    _watch_reading(clock)
    watch_features(clock)
    watch_model(clock, program, engine)

    def run(paths: dict[str, str]) -> None:
        for _ in long_form.transcribe_all(engine, paths, files(paths), options, args.batch_size):
            pass

    return run


def watch_model(clock: PartClock, program: str, engine) -> None:
    clock.watch("encoder: the rest", engine, "_encode")
    if engine.rounding_encoder is None:
        _watch_encoder(clock, engine.model.encoder)
    else:
        _watch_rounding_encoder(clock, engine.rounding_encoder)
    _watch_decoder(clock, engine)
    if program == "ctranslate2":
        clock.watch("decoder: CTranslate2", engine, "_generate_batch")


def watch_features(clock: PartClock) -> None:
    clock.watch("audio: features", features.RecordingFeatures, "__init__", "window")


def _watch_reading(clock: PartClock) -> None:
    long_form.prefetch = lambda items, prepare, readers: map(prepare, items)
    digest_of = long_form.AudioDigest.of

    def blocks(digest, source):
        blocks = digest_of(digest, source)
        following = clock.timed("audio: reading", lambda: next(blocks, None))
        while (block := following()) is not None:
            yield block

    long_form.AudioDigest.of = blocks


def _watch_encoder(clock: PartClock, encoder) -> None:
    for convolution in (encoder.conv1, encoder.conv2):
        clock.watch("encoder: convolutions", convolution, "forward")
    for block in encoder.blocks:
        attention, (up, gelu, down) = block.attn, block.mlp
        for linear in (attention.query, attention.key, attention.value, attention.out, up, down):
            clock.watch("encoder: products", linear, "forward")
        clock.watch("encoder: attention", attention, "qkv_attention")
        clock.watch("encoder: gelu", gelu, "forward")
        for norm in (block.attn_ln, block.mlp_ln):
            clock.watch("encoder: layer norms", norm, "forward")


def _watch_rounding_encoder(clock: PartClock, encoder) -> None:
    """With gelu in the products, and in the convolutions."""
    for convolution in encoder.convolutions:
        clock.watch("encoder: convolutions", convolution, "product")
    for block in encoder.blocks:
        clock.watch("encoder: products", block, "qkv", "out", "up", "down")
        clock.watch("encoder: layer norms", block, "norm1", "norm2")
    clock.watch("encoder: attention", encoding, "attend")


def _watch_decoder(clock: PartClock, engine) -> None:
    decoder = engine.decoder
    for layer in decoder.layers:
        clock.watch("decoder: products", layer, "qkv", "out", "cross_q", "cross_out", "up", "down")
        clock.watch("decoder: keys and values of audio", layer, "cross_kv")
    clock.watch("decoder: vocabulary", decoder, "logits")
    clock.watch("decoder: self-attention", caches.TextCache, "attend", "put")
    clock.watch("decoder: cross-attention", caches.AudioCache, "attend")
    clock.watch("decoder: keys and values of audio", caches.AudioCache, "add")
    clock.watch("decoder: prompts", incremental.DecoderState, "prefill")
    clock.watch("decoder: steps, the rest", incremental.DecoderState, "step")
    clock.watch("decoder: windows that end", incremental.DecoderState, "keep")
    clock.watch("decoder: beams that go on", incremental.DecoderState, "reorder")
    clock.watch("choice: rules", search.LogitRules, "apply")
    clock.watch("choice: likeliest", search, "top")
    clock.watch("choice: the rest", search, "sample", "beam_search")
    clock.watch("text", engine_torch.TorchEngine, "_hypothesis")
    clock.watch("text", long_form.RecordingState, "advance")


def faster(args, clock: PartClock) -> Callable[[dict[str, str]], None]:
    from faster_whisper import WhisperModel

    model = WhisperModel(str(resolve(args.model)), device="cpu", compute_type="int8", cpu_threads=1)
    read = clock.timed("audio: reading", read_audio)
    model.feature_extractor = clock.timed("audio: features", model.feature_extractor)
    clock.watch("encoder", model, "encode")
    clock.watch("decoder: CTranslate2", model, "generate_with_fallback")

    def run(paths: dict[str, str]) -> None:
        for path in paths.values():
            list(model.transcribe(read(path), language=args.language, beam_size=args.beam_size)[0])

    return run


def main(argv: list[str] | None = None) -> int:
    p = parser()
    args = p.parse_args(argv)
    if unknown := set(args.programs.split(",")) - set(PROGRAMS):
        p.error(f"--programs: unknown {' '.join(sorted(unknown))}; known are {','.join(PROGRAMS)}")
    torch.set_num_threads(1)
    recordings = make_recordings([read_audio(path) for path in args.audio], args.recordings, args.seconds)
    total = sum(map(len, recordings.values())) / SAMPLE_RATE
    print(f"{len(recordings)} recordings, {total / 60:.1f} min; {args.model}; {machine.processor()}")
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: f"{folder}/{name}.flac" for name in recordings}
        for name, audio in recordings.items():
            soundfile.write(paths[name], audio, SAMPLE_RATE)
        for program in args.programs.split(","):
            if reason := hindrance(program, args):
                print(f"{program}: left out, {reason}", file=sys.stderr)
                continue
            clock = PartClock()
            run = faster(args, clock) if program == "faster" else ours(program, args, clock)
            run(dict(list(paths.items())[:1]))
            clock.seconds.clear()
            clock.calls.clear()
            clock.timed("the rest", run)(paths)
            print(f"\n{program}: {total / sum(clock.seconds.values()):.1f} times real time on one core\n")
            print(table(clock, total))
    return 0


def table(clock: PartClock, total: float) -> str:
    whole = sum(clock.seconds.values())
    header = ("part", "share", "CPU s", "ms a minute of audio", "calls")
    rows = [
        (part, f"{100 * s / whole:.1f} %", f"{s:.2f}", f"{60000 * s / total:.0f}", str(clock.calls[part]))
        for part, s in sorted(clock.seconds.items(), key=lambda pair: -pair[1])
    ]
    return "\n".join(markdown.table(header, rows))


if __name__ == "__main__":
    sys.exit(main())
