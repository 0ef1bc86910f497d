"""Show what a run has made, and what to do with it.

    k2d next --exp exp --models "teacher student_full student_comp" --test_sets "test_in test_out"

Names the best student with its error rates beside its teacher's, a command to copy that uses it, and the pages that
exist; and, without references, how to make a test set. The best student is that of the report: of those scored on most
test sets the one with the lowest mean rate; intervals and significance are in the report. k2d.sh ends with it.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from k2d.bin.audit import COUNT
from k2d.errors import DataError
from k2d.options import CommandParser, command
from k2d.score.aims import best_student
from k2d.score.experiment import Experiment, Model, mean_known, read_results
from k2d.tables import read_table
from k2d.work.models import ModelRecord, read_record

LISTED = ("results", 4)
FEWEST = 20  # chunks, below which an error rate says next to nothing


def parser() -> argparse.ArgumentParser:
    p = CommandParser("next", __doc__)
    p.add_argument("--exp", type=Path, default=Path("exp"), help="folder of the experiment")
    p.add_argument("--data", type=Path, default=Path("data"), help="folder of the data directories")
    p.add_argument("--models", default="", help="names of folders in --exp, separated by blanks (default: all)")
    p.add_argument("--test_sets", default="", help="names of test sets, separated by blanks")
    return p


def run(args: argparse.Namespace) -> int:
    lines = list(_lines(args))
    if not lines:
        raise DataError(f"{args.exp}: nothing has been made there yet; run a recipe's run.sh first")
    width = max(len(name) for name, _ in lines) + 2
    for name, text in lines:
        print(f"  {name:<{width}}{text}")
    return 0


def _lines(args: argparse.Namespace):
    """(what, where or how) of everything that is there."""
    records, sets = _records(args.exp, args.models.split()), args.test_sets.split()
    results = read_results(args.exp, records, sets)
    students = tuple(Model(r, None) for r in records if r.role == "student" and _made(args.exp, r))
    best = None
    if students:
        experiment = Experiment(args.exp, students, tuple(sets), results)
        best = _best(experiment).record
        known, of_teacher = _shown(experiment, best.name), _shown(experiment, best.teacher)
        yield "best student" if len(students) > 1 and known else "student", best.name + (f": {known}" if known else "")
        if of_teacher:
            yield "its teacher", f"{best.teacher}: {of_teacher}"
        where = (args.exp / best.name).absolute()
        yield "use it", shlex.join([_k2d(), "transcribe", _recording(args), "--model", str(where)])
    if not sets and (held_out := next(iter(sorted(args.data.glob("*_held_out/text"))), None)):
        yield "a test set", _audit(args, held_out.parent)
        if (args.data / "audited/text").is_file():
            yield "error rates", "the command of your run again, with --test_sets audited"
    pages = {
        "report": [args.exp / "report/index.html"],
        "labels": sorted(args.exp.glob("*/explorer*/*.html")),
        "card": [args.exp / best.name / "publish" / name for name in ("huggingface/README.md", "README.md")]
        if best
        else [],
    }
    for name, paths in pages.items():
        for path in [path for path in paths if path.is_file()][: 1 if name == "card" else None]:
            yield name, path.absolute().as_uri() if path.suffix == ".html" else str(path.absolute())


def _audit(args: argparse.Namespace, held_out: Path) -> str:
    """A command that makes a test set by ear: of what was held out, or where that is little, of all chunks; those that
    are drawn are then held out, and the students trained again without them."""
    all_chunks = held_out.with_name(held_out.name.removesuffix("_held_out"))
    scores = sorted(path.parent for path in (args.exp / all_chunks.name).glob("*/utt2comp"))
    few = len(read_table(held_out / "text")) < FEWEST and (all_chunks / "text").is_file()
    chunks = all_chunks if few else held_out
    # Half at most: the students learn from the others.
    most = max(1, len(read_table(all_chunks / "text")) // 2) if few else COUNT
    if (args.data / "audited/audit.json").is_file():  # drawn before, perhaps from the others
        words = []
    else:
        words = ["--data", str(chunks), *(["--scores", str(scores[0])] if scores else [])]
        words += ["--count", str(most)] if most < COUNT else []
    command = shlex.join([_k2d(), "audit", *words, "--output_dir", str(args.data / "audited")])
    return f"cd {shlex.quote(str(Path.cwd()))} && {command}"


def _records(exp: Path, names: Sequence[str]) -> list[ModelRecord]:
    found = []
    for folder in [exp / name for name in names] or sorted(path.parent for path in exp.glob("*/model.json")):
        if (folder / "model.json").is_file():
            found.append(read_record(folder))
    return found


def _made(exp: Path, record: ModelRecord) -> bool:
    return (exp / record.name / "average/config.json").is_file() or Path(record.path).exists()


def _best(experiment: Experiment) -> Model:
    """The student that the report calls the best; of several seeds the one with the lowest rates."""
    found = best_student(experiment)
    if found is None:
        return experiment.models[0]
    group, test_sets = found

    def mean_rate(model: Model) -> float:
        return mean_known(experiment.rate(model.name, test_set) for test_set in test_sets)

    return min((m for m in group.members if mean_rate(m) is not None), key=mean_rate)


def _shown(experiment: Experiment, name: str | None) -> str:
    rates = {test_set: experiment.rate(name, test_set) for test_set in experiment.test_sets}
    return ", ".join(f"{100 * rate:.1f} % errors on {test_set}" for test_set, rate in rates.items() if rate is not None)


def _recording(args: argparse.Namespace) -> str:
    """A file of a test set, or of any set, so that the command can be tried at once."""
    tables = [args.data / test_set / "wav.scp" for test_set in args.test_sets.split()]
    for table in tables or sorted(args.data.glob("*/wav.scp")):
        for source in read_table(table).values() if table.is_file() else ():
            if Path(source).is_file():
                return str(Path(source).absolute())
    return "RECORDING"


def _k2d() -> str:
    """The command as it can be typed anywhere: with its folder, which a recipe's path.sh alone puts on the path."""
    beside = Path(sys.executable).with_name("k2d")
    return str(beside) if beside.is_file() else "k2d"


main = command(parser, run)
