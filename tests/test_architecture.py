"""The layers of the house: imports go down, ESPnet stays where it belongs, and light commands stay light."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from chunk_material import corpus  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[1]
VAGUE = {"told", "heard", "ahead", "together", "alike"}  # names that say nothing to whoever knows the field
sys.path.insert(0, str(ROOT / "tools"))
import draw_architecture  # noqa: E402

# Commands that compute without torch, which takes two seconds to import, in an order in which each finds its input.
WITHOUT_TORCH = """
recordings --recordings audio --output_dir recordings
distance --teacher data/text --validator decode_base/text --data data --output_dir scores
explore --data data --scores scores --output_dir explorer --audio_mb 0
hold_out --data data --scores scores --output_dir held_out
revise --data data --transcripts timed --output_dir revised
select --data data --scores scores --selection comp@9 --output_dir selected
training_tables --data selected --valid_data data --output_dir tables
record --output_dir exp/student --role student --path text:decode_base/text
score --ref data/text --hyp decode_base/text --output_dir exp/student/decode_test/score
report --exp exp --models student --test_sets test --train_data data --output_dir exp/report
next --models student --test_sets test
export_labels --data selected --output_dir labels
import_labels --labels labels/nemo.jsonl --output_dir imported
plan --train_hours 10
clean
"""


def test_imports_go_down():
    assert draw_architecture.faults() == []


def test_the_picture_is_up_to_date():
    picture = (ROOT / "docs/architecture.svg").read_text(encoding="utf-8")
    assert draw_architecture.description() in picture, "draw it again with tools/draw_architecture.py"


def test_an_import_that_goes_up_is_found(monkeypatch):
    up = [("k2d/work/step.py", 7, "k2d.label.select", True), ("k2d/score/rates.py", 3, "espnet2.tasks.asr", False)]
    monkeypatch.setattr(draw_architecture, "imports", lambda: iter(up))
    files = [fault.partition(":")[0] for fault in draw_architecture.faults()]
    assert files == ["k2d/work/step.py", "k2d/score/rates.py"]


def imported(source: str) -> dict[str, bool]:
    """module.name -> whether it is there, of what a script imports from the package."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("k2d"):
            module = importlib.import_module(node.module)
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                is_module = hasattr(module, "__path__") and importlib.util.find_spec(name)
                found[name] = bool(hasattr(module, name.rpartition(".")[2]) or is_module)
    return found


def test_what_scripts_outside_the_package_import_is_there():
    """Some of them run only where models are that no test has."""
    assert imported("from k2d.work import lock, nothing\nfrom k2d.errors import DataError, BadDate\n") == {
        "k2d.work.lock": True, "k2d.work.nothing": False, "k2d.errors.DataError": True, "k2d.errors.BadDate": False,
    }  # fmt: skip
    scripts = [*ROOT.glob("egs/*/*/local/*.py"), *ROOT.glob("tools/*.py"), *ROOT.glob("utils/*.py")]
    found = {path.relative_to(ROOT): imported(path.read_text(encoding="utf-8")) for path in scripts}
    assert sum(map(len, found.values())) > 100
    assert {path: names for path, names in found.items() if not all(names.values())} == {}


def test_a_command_that_only_reads_its_options_imports_no_torch():
    code = """
import importlib, sys
from k2d.bin.main import commands
for name in commands():
    command = importlib.import_module(f"k2d.bin.{name}")
    getattr(command, "parser", lambda: None)()
    heavy = {"torch", "espnet2", "transformers", "librosa"} & set(sys.modules)
    assert not heavy, f"{name} imports {heavy}"
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr


def test_commands_that_compute_without_torch_do_not_import_it(corpus):  # noqa: F811
    code = """
import importlib, os, sys
for line in sys.argv[1].splitlines():
    name, *words = line.split()
    assert importlib.import_module(f"k2d.bin.{name}").main(words) == 0, line
    heavy = {"torch", "espnet2", "transformers"} & set(sys.modules)
    assert not heavy, f"{name} imports {heavy}"
"""
    folder = corpus[0].parent
    shutil.copytree(folder / "data", folder / "timed")
    words = [sys.executable, "-c", code, WITHOUT_TORCH.strip()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_two_classes_have_one_name():
    found = Counter()
    places = ("k2d/**/*.py", "utils/*.py", "tools/*.py", "egs/*/*/local/*.py")
    for path in {path.resolve() for place in places for path in ROOT.glob(place)}:
        found.update(re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert [name for name, times in found.items() if times > 1] == []


def test_names_are_the_fields_words():
    found = set()
    for path in (ROOT / "k2d").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found |= {getattr(node, field, None) for field in ("id", "attr", "name", "arg")}
    assert not {name.strip("_").lower() for name in found if isinstance(name, str)} & VAGUE


def test_every_folder_of_code_is_installed_and_says_what_it_is_for():
    for folder in {path.parent for path in (ROOT / "k2d").rglob("*.py")}:
        purpose = folder / "__init__.py"
        assert purpose.is_file() and ast.get_docstring(ast.parse(purpose.read_text(encoding="utf-8"))), folder
