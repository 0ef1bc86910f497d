"""Benchmarks and drawings are run by hand, and are there when they are."""

import importlib.util
import sys
from pathlib import Path

import pytest

TOOLS = sorted(Path(__file__).resolve().parents[2].joinpath("tools").glob("*.py"))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.stem)
def test_what_a_tool_imports_is_there(tool, monkeypatch):
    monkeypatch.syspath_prepend(tool.parent)
    spec = importlib.util.spec_from_file_location(f"tool_{tool.stem}", tool)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    assert module.__doc__, "what it does"
