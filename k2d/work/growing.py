"""Tables that grow at once, block after block, and survive a kill.

In: lines for each table, in order of id. Out: the tables, all of them at once, when the last block is in.

    <output>/.growing/<table>       what is written so far
    <output>/.growing/state.json    up to which id, how long each table was then, and counts

A run that was killed goes on behind the last id of state.json; what the tables hold beyond is cut off. Nobody
who looks for `<output>/<table>` sees a part of it.
"""

import json
import os
import shutil
import time
from collections import Counter
from pathlib import Path

from k2d.atomic import atomic

SECONDS = 20.0  # between two writes of the state


class GrowingTables:
    """`last` is the id up to which the tables are written, "" for none; `counts` and `seconds` are sums."""

    def __init__(self, output: Path):
        """output: the directory of a step, which keeps apart what other options began."""
        self.output, self.folder = output, output / ".growing"
        state = {"last": "", "sizes": {}, "counts": {}, "seconds": 0.0}
        if (self.folder / "state.json").exists():
            found = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
            whole = all((self.folder / name).exists() for name in found["sizes"])
            state = found if whole else state
        self.last, self._seconds = state["last"], state["seconds"]
        self.counts = Counter(state["counts"])
        self._files: dict = {}
        if not self.last:
            self.discard()
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if path.name in state["sizes"]:
                os.truncate(path, state["sizes"][path.name])
                self._files[path.name] = open(path, "ab")  # noqa: SIM115 - held until finish()
            elif path.name != "state.json":
                path.unlink()
        self._saved = time.monotonic()

    def add(self, last: str, lines: dict[str, str], counts: Counter) -> None:
        """Append a block of lines to each table; `last` is the block's last id. No table for no lines."""
        for name, text in lines.items():
            if text:
                if name not in self._files:
                    self._files[name] = open(self.folder / name, "ab")  # noqa: SIM115
                self._files[name].write(text.encode("utf-8"))
        self.last = last
        self.counts.update(counts)
        if time.monotonic() - self._saved >= SECONDS:
            self._save()

    @property
    def seconds(self) -> float:
        """What it has taken until now, in all runs; of one that was killed, until its last state."""
        return self._seconds + time.monotonic() - self._saved

    def _save(self) -> None:
        self._flush()
        self._seconds, self._saved = self.seconds, time.monotonic()
        state = {
            "last": self.last,
            "sizes": {name: file.tell() for name, file in self._files.items()},
            "counts": self.counts,
            "seconds": self._seconds,
        }
        with atomic(self.folder / "state.json") as handle:
            json.dump(state, handle)

    def _flush(self) -> None:
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())

    def finish(self) -> None:
        """Put the tables into the output directory, in the place of older ones."""
        self._save()
        for name in self._files:
            os.replace(self.folder / name, self.output / name)
        self.discard()

    def discard(self) -> None:
        """Remove what is not finished."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
