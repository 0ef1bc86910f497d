"""ESPnet imported without what nothing here uses: in half the time, 4 s less for every training that starts.

    with espnet_import.light():
        from espnet2.tasks.abs_task import AbsTask

Inside, two modules that ESPnet's trainer imports for one name each are not loaded: adapters, which bring transformers
and are loaded if one is built after all, and the aligner of a speech synthesiser, of which no model here is an
instance. typeguard compiles no function a second time to check its arguments, as under `python -O`. Functions that are
to be left alone by torch's compiler stay as they are, since nothing here is compiled: marking one imports it. That an
attention which no model here has is not installed remains unsaid.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType


def _create_adapter(*args, **kwargs):
    return importlib.import_module("espnet2.layers.create_adapter").create_adapter(*args, **kwargs)


NOT_LOADED = {
    "espnet2.layers.create_adapter": {"create_adapter": _create_adapter},
    "espnet2.gan_tts.jets.alignments": {"AlignmentModule": type("AlignmentModule", (), {})},
}


def _unchanged(target=None, *_arguments, **_options):
    """A decorator that leaves a function as it is, with options or without."""
    return target if target is not None else _unchanged


class _WithoutFlash:
    """A stream without ESPnet's line on Flash Attention."""

    def __init__(self, stream):
        self._stream, self._dropped = stream, False

    def write(self, text: str) -> int:
        drop = "Flash Attention" in text or (self._dropped and text == "\n")
        self._dropped = drop and text != "\n"
        return len(text) if drop else self._stream.write(text)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


@contextlib.contextmanager
def light() -> Iterator[None]:
    """What is imported inside binds the substitutes; who imports those modules later gets the real ones."""
    import torch
    import typeguard

    stand_ins = {name: ModuleType(name) for name in NOT_LOADED if name not in sys.modules}
    for name, module in stand_ins.items():
        vars(module).update(NOT_LOADED[name])
    checked, disable = typeguard.typechecked, torch.compiler.disable
    typeguard.typechecked = torch.compiler.disable = _unchanged
    sys.modules.update(stand_ins)
    try:
        with contextlib.redirect_stderr(_WithoutFlash(sys.stderr)):
            yield
    finally:
        typeguard.typechecked, torch.compiler.disable = checked, disable
        for name in stand_ins:
            del sys.modules[name]
