"""The student before training: `python -m k2d.bin.init_student --teacher T --output_dir D`.

Default as in K²D: the teacher's whole encoder and its decoder's first and last layer. With `--init MODEL` the
student starts as that model instead (any form k2d reads); it must share the teacher's vocabulary and hear the
same features, and with --same_encoder its encoder must be the teacher's.
"""

import argparse
import json
from pathlib import Path

from k2d.distill.student import build_student, check_student, choose_layers, mix_language_embeddings
from k2d.errors import CheckpointError
from k2d.tables import atomic
from k2d.whisper import checkpoint
from k2d.whisper.model import count_parameters


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--output_dir", required=True, type=Path)
    parser.add_argument("--init", help="start from this model, as it is, instead of the teacher's layers")
    parser.add_argument(
        "--same_encoder", action="store_true", help="refuse --init with another encoder than the teacher's"
    )
    parser.add_argument("--decoder_layers", help="all, spaced:N, or a list: first,last (the default) or 0,3,7")
    parser.add_argument("--encoder_layers", help="the same choices (default all)")
    parser.add_argument(
        "--mix_languages", help="codes such as zh,en: the first token's embedding becomes their mean"
    )
    args = parser.parse_args(argv)
    if args.init and (args.decoder_layers or args.encoder_layers):
        parser.error("--init takes a model as it is: leave out --decoder_layers and --encoder_layers")
    decoder_layers, encoder_layers = args.decoder_layers or "first,last", args.encoder_layers or "all"
    try:
        start = checkpoint.load(args.init) if args.init else None  # first: it is the one that may be misspelt
        teacher = checkpoint.load(args.teacher)
        if start:
            check_student(start, teacher, args.same_encoder)
            student, report = start.model, {"init": args.init, "init_hash": start.hash}
        else:
            start, student = teacher, build_student(teacher.model, decoder_layers, encoder_layers)
            report = {
                "decoder_layers": choose_layers(decoder_layers, teacher.dims.n_text_layer),
                "encoder_layers": choose_layers(encoder_layers, teacher.dims.n_audio_layer),
            }
    except CheckpointError as error:
        parser.exit(1, f"init_student: {error}\n")
    except ValueError as error:
        parser.error(str(error))
    if args.mix_languages:
        mix_language_embeddings(student, teacher.tokenizer, args.mix_languages.split(","))
    checkpoint.save(args.output_dir, student, teacher.tokenizer, {"trim_padding": start.trim_padding})
    sizes = {"teacher": count_parameters(teacher.model), "student": count_parameters(student)}
    report = {**sizes, "ratio": round(sizes["student"] / sizes["teacher"], 4), **report}
    with atomic(args.output_dir / "parameters.json") as stream:
        stream.write(json.dumps(report, indent=2) + "\n")
    made = f"{args.init} as it is" if args.init else f"decoder layers {report['decoder_layers']}"
    print(
        f"init_student: {sizes['student'] / 1e6:.2f} M of the teacher's {sizes['teacher'] / 1e6:.2f} M "
        f"parameters ({report['ratio']:.2f}); {made}, encoder layers {student.dims.n_audio_layer}"
    )


if __name__ == "__main__":
    main()
