"""Where a thing came from: the revision of the code, and values as a record can hold them."""

import datetime
import subprocess
from collections.abc import Mapping
from pathlib import Path

from k2d.work import machine

WRITTEN = "Written by the scoring stage; a change by hand is lost at its next run."  # below the title of its tables


def facts() -> dict[str, str]:
    """What stands above tables of results: how, from what, where and when they were made."""
    return {
        "command": f"`{machine.command()}`",
        "revision": code_revision(),
        "machine": machine.describe(),
        "date": datetime.date.today().isoformat(),
    }


def of_labels(record: Mapping) -> dict:
    """What made labels, from the record of their directory. The record of labels that were joined or cut names it
    under `labels`; that of a corpus has nothing of the kind, which gives {}.
    """
    inputs = record.get("inputs", {})
    if "data" not in inputs:
        return record.get("labels", {})
    return {
        **{key: record.get(key) for key in ("step", "options", "revision")},
        "inputs": {name: entry["digest"] for name, entry in inputs.items() if name != "data"},
    }


def code_revision() -> str:
    """Git revision of this package's checkout, with "-dirty" when tracked files differ; or "unknown".

    RESULTS.md of a recipe may differ: the run that asks has perhaps just written it.
    """
    here = Path(__file__).resolve().parent
    git = ["git", "-C", str(here)]
    try:
        # An installed copy may lie inside somebody else's repository, whose revision says nothing.
        tracked = subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        if tracked.returncode or head.returncode:
            return "unknown"
        tracked_files = ["status", "--porcelain", "--untracked-files=no", "--", ":/"]
        changed = subprocess.run(
            [*git, *tracked_files, ":(top,exclude,glob)egs/**/RESULTS.md"], capture_output=True, text=True
        )
    except OSError:  # no git here
        return "unknown"
    return head.stdout.strip() + ("-dirty" if changed.stdout.strip() else "")


def plain(value):
    """`value` in JSON's own types."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    return str(value)
