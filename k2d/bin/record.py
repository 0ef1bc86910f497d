"""Write model.json, which describes a model for tables and cards.

    k2d record --output_dir exp/student_comp --role student --path exp/student_comp/average --selection comp
"""

import argparse
from pathlib import Path

from k2d.options import CommandParser, command
from k2d.work.folders import json_or_none
from k2d.work.models import ROLES, ModelRecord, write_record

LISTED = ("recipes", 3)


def parser() -> argparse.ArgumentParser:
    p = CommandParser("record", __doc__)
    p.add_argument("--output_dir", required=True, type=Path, help="the model's folder in exp/")
    p.add_argument("--role", required=True, choices=ROLES, help="what the model is in the experiment")
    p.add_argument("--path", required=True, help="its checkpoint, relative to the recipe's folder")
    p.add_argument("--selection", help="selection of its labels, a name in conf/selections")
    p.add_argument("--alpha", type=float, help="α of that selection")
    p.add_argument("--keep", type=float, help="share of the speech that alpha was chosen for")
    p.add_argument("--teacher", help="name of its teacher's folder in exp/")
    p.add_argument("--validator", help="name of the validator's folder in exp/")
    p.add_argument("--seed", type=int, help="seed of its training")
    p.add_argument("--data", help="directory of its labels")
    p.add_argument("--tag", help="suffix for how it was trained")
    p.add_argument("--revised_by", metavar="MODELS", help="models whose transcripts replaced labels (k2d revise)")
    p.add_argument("--hours", type=float, help="hours of recordings that the labels were selected from, if not all")
    return p


def run(args: argparse.Namespace) -> int:
    given = {name: value for name, value in vars(args).items() if name != "output_dir"}
    if args.keep is not None:
        given["alpha"] = (json_or_none(Path(args.data) / "report.json") or {}).get("alpha")
    write_record(args.output_dir, ModelRecord(name=args.output_dir.name, **given))
    return 0


main = command(parser, run)
