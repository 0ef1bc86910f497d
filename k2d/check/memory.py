"""What earlier checks have learnt by reading, under what it was read from.

In: keys that change when a recording or a model does; facts as JSON holds them. Out: the same facts in the next run,
which then reads nothing twice. A killed check keeps what it had learnt up to a minute before.
"""

import json
import time
from pathlib import Path

from k2d.atomic import atomic

SECONDS = 60.0  # between two writes
FORMAT = 5  # changes with what facts mean: those of another format are forgotten


class Memory:
    """key -> facts, in one file; without a file only for this run."""

    def __init__(self, path: Path | None):
        self._path, self._facts, self._used = path, {}, {}
        self._changed, self._saved = False, time.monotonic()
        if path is not None and path.is_file():
            self._facts = _read(path)

    def get(self, key: str) -> dict | None:
        facts = self._facts.get(key)
        if facts is not None:
            self._used[key] = facts
        return facts

    def put(self, key: str, facts: dict) -> None:
        self._facts[key] = self._used[key] = facts
        self._changed = True
        if time.monotonic() - self._saved > SECONDS:
            self._write(self._facts)

    def save(self) -> None:
        """Keep what this run has asked for; what nobody asks for any more is forgotten."""
        if self._changed or len(self._used) < len(self._facts):
            self._write(self._used)

    def _write(self, facts: dict[str, dict]) -> None:
        if self._path is not None:
            with atomic(self._path) as handle:
                handle.write(json.dumps(["format", {"number": FORMAT}]) + "\n")
                for key, value in facts.items():
                    handle.write(json.dumps([key, value], ensure_ascii=False) + "\n")
        self._changed, self._saved = False, time.monotonic()


def _read(path: Path) -> dict[str, dict]:
    try:
        with path.open(encoding="utf-8") as lines:
            facts = dict(json.loads(line) for line in lines)
            return facts if facts.pop("format", None) == {"number": FORMAT} else {}
    except (OSError, ValueError, TypeError):  # not ours, or damaged: all is read again
        return {}
