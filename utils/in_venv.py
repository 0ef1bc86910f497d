"""Import this first: it runs the calling script in tools/venv, whichever Python it was called with."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / "tools/venv"

try:
    import k2d.audio.read  # noqa: F401  and numpy with it
except (ImportError, SyntaxError):  # of a Python without K2D's packages, or an older one
    python = VENV / "bin/python"
    if not python.is_file() or Path(sys.prefix) == VENV:
        sys.exit(f"{Path(sys.argv[0]).name}: K2D is not installed here; run {ROOT / 'tools/install.sh'} first")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.execve(python, [str(python), *sys.argv], {**os.environ, "PYTHONPATH": path})
