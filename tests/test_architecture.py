"""The layers of the house: imports go down, ESPnet stays where it belongs, and light commands stay light."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import draw_architecture  # noqa: E402


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
