"""What a command of wav.scp writes.

In: a source "command |". Out: its output as a file. A command is stopped when it writes nothing for ten minutes, or
without end.
"""

import os
import select
import subprocess
import tempfile
import time

from k2d.errors import BadAudio

_PIPE_BYTES, _PIPE_WAIT = 2**34, 600.0  # bytes a command may write, seconds it may be silent


def output_of(source: str):
    """A file, in memory if it is small. Raises BadAudio for a command that fails, writes nothing, or does not end."""
    held = tempfile.SpooledTemporaryFile(max_size=2**28)  # noqa: SIM115 - closed with the reader
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(
            ["bash", "-c", source.rstrip()[:-1]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            start_new_session=True,
        ) as run,
    ):
        try:
            _copy(source, run.stdout, held)
        except BaseException:
            os.killpg(run.pid, 9)
            held.close()
            raise
        run.wait()
        messages.seek(0)
        last = messages.read()[-4096:].decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
    if run.returncode:
        raise BadAudio(source, "command failed", f"it ended with status {run.returncode}: {last[0]}")
    if not held.tell():
        raise BadAudio(source, "empty", "the command wrote nothing; try it on the command line")
    held.seek(0)
    return held


def _copy(source: str, pipe, target) -> None:
    """Copy a pipe to its end. BadAudio where none comes."""
    size, began = 0, time.monotonic()
    while select.select([pipe], [], [], _PIPE_WAIT)[0]:
        data = os.read(pipe.fileno(), 2**20)
        if not data:
            return
        size += len(data)
        if size > _PIPE_BYTES:
            what = f"it wrote {size / 2**30:.0f} GiB in {time.monotonic() - began:.0f} s"
            break
        target.write(data)
    else:
        what = f"it wrote nothing for {_PIPE_WAIT:.0f} s"
    raise BadAudio(source, "command failed", f"{what} and was stopped; try it on the command line")
