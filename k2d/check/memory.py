"""What earlier checks have learnt by reading, under what it was read from.

In: keys that change when a recording or a model does; facts as JSON holds them. Out: the same facts in the next run,
which then reads nothing twice. A killed check keeps what it had learnt up to a minute before. What another version of
the program has learnt is forgotten: its sentences may be others, and what they say of a file.
"""

import json
import time
from functools import cache
from pathlib import Path

from k2d.atomic import atomic
from k2d.work.identity import digest_of, file_digest

SECONDS = 60.0  # between two writes
PACKAGE = Path(__file__).parents[1]
READERS = (".", "audio", "check", "corpus", "text", "transcribers", "whisper", "whisper/formats")  # that learn facts


@cache
def program(package: Path = PACKAGE) -> str:
    """Digest of the code that reads recordings and models, and says what is wrong with them."""
    return digest_of([file_digest(file) for folder in READERS for file in sorted((package / folder).glob("*.py"))])


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
                handle.write(json.dumps(["program", program()]) + "\n")
                for key, value in facts.items():
                    handle.write(json.dumps([key, value], ensure_ascii=False) + "\n")
        self._changed, self._saved = False, time.monotonic()


def _read(path: Path) -> dict[str, dict]:
    try:
        with path.open(encoding="utf-8") as lines:
            facts = dict(json.loads(line) for line in lines)
            return facts if facts.pop("program", None) == program() else {}
    except (OSError, ValueError, TypeError):  # not ours, or damaged: all is read again
        return {}
