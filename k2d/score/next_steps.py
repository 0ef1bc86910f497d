"""What a run has made in, what to do with it out: lines that people can copy.

In: exp/ and data/ of a recipe. Out: the best student and a command that uses it, pages, and, without references, a
command that makes a test set.
"""

import shlex
import sys
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from k2d.held_out import AUDIT
from k2d.score.agreement import FEWEST
from k2d.score.aims import best_student
from k2d.score.experiment import Experiment, Model, mean_known, read_records, read_results
from k2d.tables import read_table
from k2d.work.folders import json_or_none
from k2d.work.identity import record_in
from k2d.work.models import MODEL, ModelRecord

EARLIER = "earlier student"


def next_steps(
    exp: Path,
    data: Path,
    models: Sequence[str],
    sets: Sequence[str],
    held_out: Path | None = None,
    earlier: Container[str] = (),
    explorers: Sequence[Path] = (),
) -> Iterator[tuple[str, str]]:
    """(what, where or how) of everything that is there. models: names of folders in exp, all where there are none;
    data: folder of the data directories; held_out: that of the run, else the first in data; earlier: those of `models`
    that the run has not made; explorers: folders of the run's, else all in exp. Nothing where there is no exp."""
    if not exp.is_dir():
        return
    records = _records(exp, models)
    results = read_results(exp, records, sets)
    students = [Model(r, None) for r in records if r.role == "student" and _made(exp, r)]
    own = [student for student in students if student.name not in earlier]
    others = [student for student in students if student.name in earlier]
    best = None
    if students:
        experiment = Experiment(exp, tuple(own or others), tuple(sets), results)
        best = _best(experiment).record
        of_teacher, rates = _shown(experiment, best.teacher), _shown(experiment, best.name)
        if len(own) > 1 and not rates:
            yield "students", f"{', '.join(s.name for s in own)}: no error rate is known; the report compares them"
        else:
            title = "best student" if len(own) > 1 else "student" if own else EARLIER
            yield title, ": ".join(filter(None, [best.name, rates]))
        if of_teacher:
            yield "its teacher", f"{best.teacher}: {of_teacher}"
        where = (exp / best.name).absolute()
        yield "use it", shlex.join([_k2d(), "transcribe", _recording(data, sets, held_out), "--model", str(where)])
    if own and others:
        experiment = Experiment(exp, tuple(others), tuple(sets), results)
        name = _best(experiment).name
        yield EARLIER, ": ".join(filter(None, [name, _shown(experiment, name)]))
    ours = held_out.name.removesuffix("_held_out") if held_out else ""
    if held_out is None or not (held_out / "text").is_file():
        held_out = next((path.parent for path in sorted(data.glob("*_held_out/text"))), None)
    if not sets and held_out:
        audits = _audits_of(data, ours)
        yield "a test set", _audit(exp, data, held_out, audits)
        if answered := [path.name for path in audits if (path / "text").is_file()]:
            chose = [name for name in answered if best and _chose_epoch(exp / best.name, name)]
            name = next((name for name in answered if name not in chose), answered[0])
            instead = f" in place of --dev_set {name}" if name in chose else ""
            yield "error rates", f"the command of your run again, with --test_sets {name}{instead}"
    cards = [exp / best.name / "publish" / name for name in ("huggingface/README.md", "README.md")] if best else []
    labels = [page for folder in explorers or sorted(exp.glob("*/explorer*")) for page in sorted(folder.glob("*.html"))]
    pages = {"report": [exp / "report/index.html"], "labels": labels, "card": cards}
    for name, paths in pages.items():
        for path in [path for path in paths if path.is_file()][: 1 if name == "card" else None]:
            yield name, path.absolute().as_uri() if path.suffix == ".html" else str(path.absolute())


def _chose_epoch(student: Path, name: str) -> bool:
    """Whether a set of this name was the student's development set."""
    return Path(record_in(student / "data").get("arguments", {}).get("valid_data") or "").name == name


def _audits_of(data: Path, name: str) -> list[Path]:
    """Folders of the test sets that k2d audit has drawn from labels of this name, also held out or revised ones; of any
    labels where there is no name."""
    found = {path.parent: (json_or_none(path) or {}).get("data") for path in sorted(data.glob(f"*/{AUDIT}"))}
    names = {folder: Path(source).name.removesuffix("_held_out") for folder, source in found.items() if source}
    return [f for f, source in names.items() if not name or source == name or source.startswith(f"{name}_by_")]


def _audit(exp: Path, data: Path, held_out: Path, audits: Sequence[Path]) -> str:
    """A command that goes on with an audit, or that makes a test set by ear: of what was held out, or where that is
    little, of all chunks; those that are drawn are then held out, and the students trained again without them."""
    all_chunks = held_out.with_name(held_out.name.removesuffix("_held_out"))
    scores = sorted(path.parent for path in (exp / all_chunks.name).glob("*/utt2comp"))
    few = len(read_table(held_out / "text")) < FEWEST and (all_chunks / "text").is_file()
    chunks = all_chunks if few else held_out
    words = [] if audits else ["--data", str(chunks), *(["--scores", str(scores[0])] if scores else [])]
    out = audits[0] if audits else data / "audited"
    if not audits and out.exists():  # of other labels
        out = data / f"{all_chunks.name}_audited"
    command = shlex.join([_k2d(), "audit", *words, "--output_dir", str(out)])
    return f"cd {shlex.quote(str(Path.cwd()))} && {command}"


def _records(exp: Path, names: Sequence[str]) -> list[ModelRecord]:
    known = names or sorted(path.parent.name for path in exp.glob(f"*/{MODEL}"))
    return read_records(exp, [name for name in known if (exp / name / MODEL).is_file()])


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


def _recording(data: Path, sets: Sequence[str], held_out: Path | None) -> str:
    """A file of a test set, of what is held out, or of any set, so that the command can be tried at once."""
    tables = [data / test_set / "wav.scp" for test_set in sets]
    for table in tables or [*([held_out / "wav.scp"] if held_out else []), *sorted(data.glob("*/wav.scp"))]:
        for source in read_table(table).values() if table.is_file() else ():
            if Path(source).is_file():
                return str(Path(source).absolute())
    return "RECORDING"


def _k2d() -> str:
    """The command as it can be typed anywhere: with its folder, which a recipe's path.sh alone puts on the path."""
    beside = Path(sys.executable).with_name("k2d")
    return str(beside) if beside.is_file() else "k2d"
