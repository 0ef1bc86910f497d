"""openai-whisper without numba, and its functions that want it."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

from k2d.text.whisper_import import Later

ROOT = Path(__file__).resolve().parents[2]
SOURCE = """
@numba.jit(nopython=True)
def inner(x):
    return x + 1

@numba.jit(nopython=True)
def outer(x):
    return 2 * inner(x)
"""


def test_functions_that_call_each_other_are_compiled_when_one_of_them_is_called():
    module = ModuleType("made")
    module.numba = Later()
    exec(SOURCE, vars(module))
    first = module.outer
    assert not hasattr(first, "py_func")
    assert first(3) == 8
    compiled = module.outer
    assert hasattr(compiled, "py_func") and hasattr(module.inner, "py_func"), "of numba's dispatchers"
    assert first(4) == 10 and module.outer is compiled


def test_a_model_and_its_features_come_without_numba():
    code = """
import sys
from k2d.whisper import model, features, engine_torch, words
features.mel_filters(80)
assert not {"numba", "librosa"} & set(sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
