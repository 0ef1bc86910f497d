"""How to tell cheaply that an audio file is still the same. Imports nothing heavy."""

import os
import re

from k2d.errors import BadAudio

_ENTRY = re.compile(r"(.+):(\d+)", re.DOTALL)


def is_command(source: str) -> bool:
    """Whether a source of wav.scp is a command, "… |", and no file that is called so."""
    return source.rstrip().endswith("|") and not os.path.exists(source)


def check_may_run(source: str, allow_pipes: bool) -> None:
    """Raise BadAudio for a command, unless commands may run."""
    if is_command(source) and not allow_pipes:
        raise BadAudio(source, "command", "commands run only with --allow_pipes; read it, then allow it")


def archive_entry(source: str) -> tuple[str, int] | None:
    """(archive, offset) of "file.ark:123"; None of any other source, and of a file that is called so."""
    match = None if os.path.exists(source) else _ENTRY.fullmatch(source)
    return (match[1], int(match[2])) if match else None


def within_reach(source: str) -> bool:
    """Whether it is worth trying to read a source of wav.scp: its file is there, and may be read."""
    if is_command(source):
        return True
    entry = archive_entry(source)
    return os.access(entry[0] if entry else source, os.R_OK)


class FileStamps:
    """Size and modification time of the file behind a source of wav.scp, asked once a file: archives hold thousands.

    A command's stamp is the command, that of a part of an archive has its offset.
    """

    def __init__(self):
        self._known: dict[str, str] = {}

    def __call__(self, source: str) -> str:
        if is_command(source):
            return source
        offset = ""
        match = _ENTRY.fullmatch(source)
        # Whether "archive:17" is a file of that name need not be asked for every chunk of an archive.
        if match and (match[1] in self._known or not os.path.exists(source)):
            source, offset = match.groups()
        if source not in self._known:
            try:
                status = os.stat(source)
                self._known[source] = f"{status.st_size} {status.st_mtime_ns}"
            except (OSError, ValueError):  # ValueError: a NUL byte in the path
                self._known[source] = "missing"
        return f"{self._known[source]} {offset}".strip()
