"""Train a model with ESPnet's trainer: `python -m k2d.bin.train --config conf/train_student.yaml …`.

Takes ESPnet's own options beside --student, --teacher, --model_conf and --batch_conf; `--help` lists all.
"""

import sys


def main(argv: list[str] | None = None) -> None:
    from k2d.distill.task import DistillTask  # ESPnet takes 12 s to import; only this command pays

    DistillTask.main(cmd=sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    main()
