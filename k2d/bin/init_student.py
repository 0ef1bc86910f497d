"""Build a student from its teacher: `python -m k2d.bin.init_student --teacher T --output_dir D`.

Default as in K²D: the whole encoder and the decoder's first and last layer.
"""

import argparse
import json
from pathlib import Path

from k2d.datadir import atomic
from k2d.distill.student import build_student, choose_layers, mix_language_embeddings
from k2d.whisper import checkpoint
from k2d.whisper.model import count_parameters


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--output_dir", required=True, type=Path)
    parser.add_argument(
        "--decoder_layers", default="first,last", help="all, spaced:N, or a list: first,last or 0,3,7"
    )
    parser.add_argument("--encoder_layers", default="all", help="the same choices")
    parser.add_argument(
        "--mix_languages", help="codes such as zh,en: the first token's embedding becomes their mean"
    )
    args = parser.parse_args(argv)
    teacher = checkpoint.load(args.teacher)
    try:
        student = build_student(teacher.model, args.decoder_layers, args.encoder_layers)
    except ValueError as error:
        parser.error(str(error))
    if args.mix_languages:
        mix_language_embeddings(student, teacher.tokenizer, args.mix_languages.split(","))
    checkpoint.save(args.output_dir, student, teacher.tokenizer, {"trim_padding": teacher.trim_padding})
    sizes = {"teacher": count_parameters(teacher.model), "student": count_parameters(student)}
    report = {
        **sizes,
        "ratio": round(sizes["student"] / sizes["teacher"], 4),
        "decoder_layers": choose_layers(args.decoder_layers, teacher.dims.n_text_layer),
        "encoder_layers": choose_layers(args.encoder_layers, teacher.dims.n_audio_layer),
    }
    with atomic(args.output_dir / "parameters.json") as stream:
        stream.write(json.dumps(report, indent=2) + "\n")
    print(
        f"init_student: {sizes['student'] / 1e6:.2f} M of the teacher's {sizes['teacher'] / 1e6:.2f} M "
        f"parameters ({report['ratio']:.2f}); decoder layers {report['decoder_layers']}, "
        f"encoder layers {len(report['encoder_layers'])}"
    )


if __name__ == "__main__":
    main()
