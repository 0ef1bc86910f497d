"""Store the teacher's top-k tokens along every label, so training needs no teacher.

    k2d cache_teacher --teacher exp/teacher --data data/lectures_teacher --config conf/train_student.yaml \\
        --output_dir exp/lectures_teacher/teacher_topk

With teacher forcing on each label, the k most probable tokens and their log-probabilities at the training temperature
are stored (topk_ids.scp, topk_log_probs.scp); the loss treats the remaining probability as one class. Labels are
tokenised and cut as in training (batch_conf of the training YAML), with the same choices for an utterance in every
epoch; the teacher's audio gets no noise.

The tables are in archives of about --shard_rows tokens. An interrupted run resumes at the first incomplete archive. The
last line says how much probability the cache leaves out, which bounds the error of the gradient in the student's
logits; training logs the bound of the divergence itself as `kl_gap`.
"""

import argparse
from pathlib import Path

from k2d.audio.options import AudioOptions
from k2d.datadir import DataDir
from k2d.distill.config import BatchConfig, CacheOptions, DistillConfig, from_dict, in_language, padded_as, read_config
from k2d.options import CommandParser, add_options, command, options_of
from k2d.whisper.identity import model_identity
from k2d.work import identity
from k2d.work.skipped import SkipOptions
from k2d.work.step import Step, add_step_arguments, run_step

LISTED = ("train", 3)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("cache_teacher", __doc__)
    p.add_argument(
        "--teacher", required=True, help="model whose top-k tokens are stored: folder, file, published name or Hub id"
    )
    p.add_argument("--data", required=True, type=Path, help="chunks with labels (text, text.prev)")
    p.add_argument("--output_dir", required=True, type=Path, help="directory to write")
    p.add_argument("--encoder_out", type=Path, help="output of k2d encode with the same encoder, read instead of audio")
    p.add_argument("--config", action="append", required=True, help="training YAML; later ones override earlier ones")
    p.add_argument("--language", help="language of the labels, unless the YAML has one (default zh)")
    add_options(p, CacheOptions)
    add_options(p, AudioOptions)
    add_options(p, SkipOptions)
    add_step_arguments(p)
    return p


def check(args: argparse.Namespace) -> None:
    read(args)
    options_of(CacheOptions, args)


def read(args: argparse.Namespace) -> tuple[BatchConfig, float]:
    """What the YAML says of batches, as a cached teacher gets them, and the temperature."""
    options, where = padded_as(in_language(read_config(args.config), args.language), args.teacher), args.config[-1]
    config = from_dict(BatchConfig, options.get("batch_conf"), f"{where}: batch_conf").of_cached_teacher()
    return config, from_dict(DistillConfig, options.get("model_conf"), f"{where}: model_conf").temperature


def run(args: argparse.Namespace) -> int:
    check(args)
    config, temperature = read(args)
    options, audio = options_of(CacheOptions, args), options_of(AudioOptions, args)
    inputs = {"teacher": model_identity(args.teacher)}
    if args.encoder_out:
        inputs["data"] = identity.of_tables(args.data, "text", "text.prev")
        inputs["encoder_out"] = identity.of_step(args.encoder_out)
    else:
        inputs["data"] = identity.of_data(args.data, "wav.scp", "segments", "text", "text.prev")
    decides = {name: getattr(options, name) for name in ("k", "store", "shard_rows", "dtype")}
    decides |= {"batch_conf": vars(config), "temperature": temperature, **audio.decides(inputs["data"].commands)}
    step = Step("cache_teacher", args.output_dir, inputs=inputs, options=decides, arguments=vars(args))

    def work() -> dict:
        import torch

        from k2d.distill.teacher_cache import TopK, sound_of, store
        from k2d.whisper import checkpoint

        teacher = checkpoint.load(args.teacher, device=options.device, dtype=getattr(torch, options.dtype))
        topk, data = TopK(teacher, config, temperature, options), DataDir(args.data)
        return store(topk, data, args.output_dir, *sound_of(data, args.encoder_out, audio), args.max_skipped)

    return run_step(step, args.begin, work)


main = command(parser, run)
