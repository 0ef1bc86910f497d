"""openai-whisper imported without numba, which it wants for two functions of word times: a third of a second less.

    from k2d.text.whisper_import import whisper

Every module at whose import openai-whisper is needed takes it from here: the first import of it in a process decides.
The two are compiled when one of them is first called.
"""

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType


class Later:
    """Functions that numba is to compile, into their modules and all of them at once, since they call each other."""

    def __init__(self):
        self.functions: list[tuple[FunctionType, dict]] = []

    def jit(self, **options) -> Callable[[FunctionType], Callable]:
        def decorate(function: FunctionType) -> Callable:
            self.functions.append((function, options))

            def compiled(*args):
                self.compile()
                return function.__globals__[function.__name__](*args)

            return compiled

        return decorate

    def compile(self) -> None:
        """Once: who has kept what stood in a function's place (`from whisper.timing import dtw_cpu`) calls it again."""
        numba = importlib.import_module("numba")
        for function, options in self.functions:
            function.__globals__[function.__name__] = numba.jit(**options)(function)
        self.functions = []


@contextlib.contextmanager
def light() -> Iterator[None]:
    """Inside, numba is what puts compiling off; whoever has it already, or imports it later, has the real one."""
    if "numba" in sys.modules:
        yield
        return
    stand_in = ModuleType("numba")
    stand_in.jit = Later().jit
    sys.modules["numba"] = stand_in
    try:
        yield
    finally:
        del sys.modules["numba"]


with light():
    import whisper

__all__ = ["whisper"]
