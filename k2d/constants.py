"""Whisper's numbers and the forms of ids, once.
"""

import hashlib
import re

SAMPLE_RATE = 16000
SHORTEST = 0.1  # seconds; less holds no word, and Whisper invents one

LONGEST_FILE_NAME = 200  # bytes; file systems take 255, suffixes included
_UNSAFE = re.compile(r"[^\w.,+=@-]|^\.")


def file_name(key: str) -> str:
    """A name for a file after an id: it stays in its folder, fits any file system, and no two ids share it.

    What is not a letter, a digit or one of `_.,+=@-` becomes %XX, and so does a dot at the start; a long id is cut and
    ends with a digest.
    """
    name = _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), key)
    if len(name.encode()) <= LONGEST_FILE_NAME:
        return name
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return f"{name.encode()[: LONGEST_FILE_NAME - 17].decode(errors='ignore')}%{digest}"
