"""A step: one directory, what decides its content, and a lock. The one idea of "done".

In: the command's name, its output directory, the content of its inputs, the options that decide its bytes. Out: a
directory whose `step.json` says what made it.

    <dir>/step.json              the record; written last, and believed only while the outputs it lists are there
    <dir>/.begun.json            the key and the options of work that has begun
    <dir>/work/                  items of work under keys of their own (journal.py): it stays when the rest is moved
    <parent>/.k2d/<name>.lock    who owns the directory (lock.py)
    <parent>/.k2d/<name>/<key>/  what other options have made, finished or not; it comes back when they do

Nothing is deleted here but the temporaries of killed runs. Every move is one rename, so a kill between any two leaves
nothing half.
"""

import argparse
import errno
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path

from k2d.atomic import atomic
from k2d.audio.stamps import within_reach
from k2d.datadir import COPIES
from k2d.errors import DataError, Locked, UsageError
from k2d.wording import counted
from k2d.work import machine, provenance
from k2d.work.folders import write_json
from k2d.work.identity import BEGUN, RECORD, Identity, digest_of, key_in, record_in
from k2d.work.lock import BESIDE, DirectoryLock, beside

WORK = "work"
CHANGED = "changed."  # of copies of outputs that were changed by hand
_NOT_OUTPUT = ("log", WORK)
NOTHING_TO_DO, SOMETHING_TO_DO = 0, 3
PATIENCE = 30.0  # seconds that a job waits for another one to put the directory in place


_looking: ContextVar[bool] = ContextVar("looking", default=False)


@contextmanager
def only_looking() -> Iterator[None]:
    """Commands run inside see what has changed, and touch and make nothing."""
    before = _looking.set(True)
    try:
        yield
    finally:
        _looking.reset(before)


def looks_only() -> bool:
    """Whether this runs inside `only_looking()`."""
    return _looking.get()


class Step:
    """The work of one command on one directory.

    inputs: name -> Identity. options: what else decides the bytes. arguments: everything on the command line, for
    the record. Use `run_step`, or as a context manager:

        with step:
            if not step.done:
                ...                  # write into step.out
                step.finish()
    """

    def __init__(
        self,
        command: str,
        out: str | Path,
        *,
        inputs: Mapping[str, Identity],
        options: Mapping[str, object],
        arguments: Mapping[str, object] | None = None,
    ):
        self.command, self.out = command, Path(out)
        self.inputs, self.options = dict(inputs), provenance.plain(options)
        self.arguments = {name: value for name, value in provenance.plain(arguments or {}).items() if name != "begin"}
        digests = {name: identity.digest for name, identity in self.inputs.items()}
        self.key = digest_of([command, digests, self.options])[:16]
        self._held = ExitStack()
        self._started, self._since = time.time(), time.monotonic()

    # ------------------------------------------------------------------------------------------ what is there

    @property
    def aside(self) -> Path:
        """Where other work of the directory lies, a folder a key."""
        return beside(self.out)

    @property
    def _parked(self) -> Path:
        """Where work/ lies while the rest is moved."""
        return self.aside.with_name(f"{self.aside.name}.{WORK}")

    @property
    def done(self) -> bool:
        """Whether the directory holds this step's work, complete, or all of it that can be had now."""
        return _wanted_in(self.out) == self.key and not self.missing() and not self._back()

    def _back(self) -> list[str]:
        """Sources that were out of reach when the directory was made, and perhaps are no more."""
        return [source for source in record_in(self.out).get("again", ()) if within_reach(source)]

    def missing(self) -> list[str]:
        """Outputs that the record lists and the directory lacks, or holds with another size."""
        record = record_in(self.out)
        return [
            name
            for name, size in record.get("outputs", {}).items()
            if not (self.out / name).is_file() or (self.out / name).stat().st_size != size
        ]

    def difference(self) -> str:
        """What the directory was made with or from, other than this step would, as far as its record says."""
        if not (record := record_in(self.out)):
            return "with other options or from other data"
        said = []
        if found := _unlike(record.get("options"), self.options):
            said.append(f"with other options ({', '.join(found)})")
        made_of = record.get("inputs", {})
        changed = [
            (made_of[name]["path"], i.path)
            for name, i in self.inputs.items()
            if name in made_of and made_of[name]["digest"] != i.digest
        ]
        if found := {now for before, now in changed if before == now}:
            said.append(f"from another version of {_outermost(sorted(found))}")
        if found := [(before, now) for before, now in changed if before != now]:
            old, new = (_outermost(sorted(set(paths))) for paths in zip(*found))
            said.append(f"from {old} in place of {new}")
        if new := {i.path for name, i in self.inputs.items() if name not in made_of}:
            said.append(f"without {_outermost(sorted(new))}")
        if gone := {made["path"] for name, made in made_of.items() if name not in self.inputs}:
            said.append(f"from {_outermost(sorted(gone))} as well")
        return " and ".join(said) or "from other data"

    def outputs(self) -> dict[str, int]:
        """Files of the directory with their sizes, without hidden ones, copies of editors, logs and work/."""
        return {path: size for path, size in sorted(_files(self.out)) if path != RECORD}

    # ------------------------------------------------------------------------------------- entering and leaving

    def enter(self, shared: bool = False) -> None:
        """Own the directory: other work is moved aside, this step's comes back if it was.

        shared: one of several jobs that fill the directory together; another one, exclusive, finishes it.
        Raises Locked, and UsageError where files lie in the directory that no step has made.
        """
        try:
            self._enter(shared)
        except BaseException:
            self.release()
            raise

    def _enter(self, shared: bool) -> None:
        if self.done:  # whoever reads it meanwhile is no hindrance
            self._held.enter_context(DirectoryLock(self.out, shared=True))
            if self.done:
                return
            self._held.close()
        try:
            lock = self._held.enter_context(DirectoryLock(self.out))
        except Locked:
            if not shared:
                raise
            # The first job owns it alone for a moment, while it puts things in their places.
            lock = self._held.enter_context(DirectoryLock(self.out, shared=True, patience=PATIENCE))
            if key_in(self.out, BEGUN) != self.key and not self.done:
                raise
        self._hold_inputs()
        if not lock.shared:
            self._put_in_place()
            if shared:
                lock.share()

    def _hold_inputs(self) -> None:
        """Share the steps that made the inputs, and see that they are still what the key was made of."""
        for folder, key in sorted({maker for identity in self.inputs.values() for maker in identity.makers}, key=str):
            if folder.resolve() == self.out.resolve():
                raise UsageError(f"{self.out}: is read here and cannot be written as well; give another --output_dir")
            self._held.enter_context(DirectoryLock(folder, shared=True))
            if key is None:
                raise DataError(f"{folder}: not finished (no {RECORD} there); run the stage that makes it")
            if key_in(folder) != key:
                raise Locked(f"{folder}: another run has put other work there while this one read it; run again")

    @property
    def _real(self) -> Path:
        """The directory itself, where `out` is a link to it: to a larger disk, say."""
        return Path(os.path.realpath(self.out))

    def _make(self) -> None:
        self._real.mkdir(parents=True, exist_ok=True)

    def _put_in_place(self) -> None:
        if not (self.out / WORK).exists():  # killed while it was moved
            self._restore_work()
        there = _wanted_in(self.out) or key_in(self.out, BEGUN)
        refuse_work_of_others(self.out, self.command)
        refuse_unexplained(self.out)
        if there != self.key:
            self.exchange(there)
        remove_leftovers(self.out)
        if self.done:
            return
        if back := self._back():
            again = f"trying again {counted(len(back), 'input')} that could not be reached ({back[0]})"
            print(f"{self.command}: {again}", file=sys.stderr)
        if (missing := self.missing()) and _wanted_in(self.out) == self.key:
            print(
                f"{self.command}: {self.out}: gone or changed: {counted(len(missing), 'file')} listed in step.json "
                f"({missing[0]}); made again{self._keep_changed(missing)}",
                file=sys.stderr,
            )
        self._make()
        with atomic(self.out / BEGUN) as handle:
            json.dump({"key": self.key, "step": self.command, "options": self.options}, handle)
        (self.out / RECORD).unlink(missing_ok=True)

    def _keep_changed(self, missing: Sequence[str]) -> str:
        """Copy outputs that somebody has changed to where other work lies; says so."""
        kept = self.aside / f"{CHANGED}{time.time_ns()}"
        there = [name for name in missing if (self.out / name).is_file()]
        for name in there:
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.out / name, kept / name)
        return f"; what was changed is kept in {kept}" if there else ""

    def exchange(self, there: str | None, back: str = "") -> Path | None:
        """Set aside what is in the directory, of the key `there` or none, and bring back this step's, or that of the
        key `back`, if it lies aside. The caller owns the directory. Returns where the other work lies.
        """
        self._look_where_the_link_is()
        place = None if there is None else self._set_aside(there)
        self._bring_back(self.aside / (back or self.key))
        self._make()
        return place

    def _set_aside(self, key: str) -> Path:
        """Move the directory to <parent>/.k2d/<name>/<key>, all but work/; returns that place."""
        place, why = self.aside / key, self.difference()
        number = 1
        while place.exists():
            number += 1
            place = self.aside / f"{key}.{number}"
        place.parent.mkdir(parents=True, exist_ok=True)
        if (self.out / WORK).exists():
            _move(self.out / WORK, self._parked)
        _move(self._real, place)
        self._restore_work()
        print(f"{self.command}: {self.out} was made {why}: moved to {place}", file=sys.stderr)
        return place

    def _bring_back(self, place: Path) -> None:
        """Move work back from where it was set aside, if it was."""
        if not place.exists():
            return
        if (self.out / WORK).exists():
            _move(self.out / WORK, self._parked)
        if self.out.exists():
            try:
                os.rmdir(self._real)
            except OSError:  # a log that a back end has opened before we came, and hidden files
                _move(self._real, self.aside / f"log.{time.time_ns()}")
        _move(place, self._real)
        self._restore_work()
        print(f"{self.command}: {self.out} was moved back from {place}", file=sys.stderr)

    def _look_where_the_link_is(self) -> None:
        """UsageError where this key's work was set aside before the directory went to another disk."""
        left = Path(os.path.abspath(self.out)).parent / BESIDE / self.out.name / self.key
        if left.exists() and not (self.aside / self.key).exists():
            raise UsageError(
                f"{self.out}: what these options have made lies in {left}, from before it became a link; bring it to "
                f"where the link leads, mkdir -p {self.aside} && mv {left} {self.aside}/, and run again; "
                "or remove it, and it is made again"
            )

    def _restore_work(self) -> None:
        if self._parked.exists():
            self._make()
            _move(self._parked, self.out / WORK)

    def finish(self, again: Sequence[str] = (), **facts: object) -> None:
        """Write the record, and with it: done. `facts` stand in it for who reads it.

        again: sources of audio that were out of reach. The directory has another key without them, since what is made
        of it is other than it will be; and it is not done when they are back.
        """
        record = {
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "step": self.command,
            "key": digest_of([self.key, *again])[:16] if again else self.key,
            **({"again": list(again), "wanted": self.key} if again else {}),
            "options": self.options,
            "arguments": self.arguments,
            "inputs": {name: {"path": i.path, "digest": i.digest} for name, i in self.inputs.items()},
            "revision": provenance.code_revision(),
            "machine": machine.describe(),
            "started": _clock(self._started),
            "finished": _clock(time.time()),
            "seconds": round(time.monotonic() - self._since, 1),
            **provenance.plain(facts),
            "outputs": self.outputs(),
        }
        write_json(self.out / RECORD, record)
        (self.out / BEGUN).unlink(missing_ok=True)

    def release(self) -> None:
        self._held.close()

    def __enter__(self) -> "Step":
        self.enter()
        return self

    def __exit__(self, *error) -> None:
        self.release()


def run_step(step: Step, begin: bool, work: Callable[[], object], shared: bool = False) -> int:
    """Own the step's directory and do its work unless it is done; returns the exit status.

    begin: only see what there is to do: status 0 for nothing, 3 for something. Inside `only_looking()` it is printed
    what the present options and inputs would make otherwise, and nothing is touched; the status is 3, since nobody may
    go on with what is there. shared: `work` is one of several jobs and does not finish the step.
    """
    if _looking.get():
        if (step.out / RECORD).is_file() and _wanted_in(step.out) != step.key:
            print(f"{step.out} was made {step.difference()}")
        return SOMETHING_TO_DO
    try:
        step.enter(shared=shared)
        if step.done:
            print(f"{step.command}: {step.out} is done; nothing to do")
            return NOTHING_TO_DO
        if begin:
            return SOMETHING_TO_DO
        facts = work()
        if not shared:
            step.finish(**(facts if isinstance(facts, dict) else {}))
        return 0
    finally:
        step.release()


def add_step_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--begin",
        action="store_true",
        help="only check whether there is work to do (exit status 0: no, 3: yes); results of other options in "
        "--output_dir are moved aside and those of these options moved back, as in a real run",
    )


def remove_leftovers(folder: Path) -> None:
    """Remove half-written files of killed runs; the caller owns the folder."""
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != BESIDE]
        for name in files:
            if name.startswith(".") and name.endswith(".tmp"):
                os.unlink(os.path.join(here, name))


def refuse_unexplained(folder: Path) -> None:
    """UsageError where a directory holds files that no record explains; DataError where the record is damaged."""
    if _wanted_in(folder) or key_in(folder, BEGUN):
        return
    if os.path.lexists(folder / RECORD):
        but, used = (f" but {WORK}/", f": what is in {WORK}/ is used") if (folder / WORK).exists() else ("", "")
        todo = f"move it and all else{but} away, and run this again{used}"
        raise DataError(f"{folder / RECORD}: damaged, so nothing tells what the files here are; {todo}")
    if strange := next(_files(folder), None):
        raise UsageError(
            f"{folder}: holds files that no step.json explains ({strange[0]} …); move them away, or give another "
            "place: they would be mixed with what is made here"
        )


def refuse_work_of_others(folder: Path, command: str) -> None:
    """UsageError where a directory holds what another command has made, or begun."""
    maker = record_in(folder).get("step") or record_in(folder, BEGUN).get("step") or command
    if maker != command:
        raise UsageError(f"{folder}: holds what {maker} made; give another --output_dir, or move it away")


def _move(source: Path, place: Path) -> None:
    """One rename. UsageError where the two are not on one disk, so that no rename can do it."""
    try:
        os.rename(source, place)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EBUSY):
            raise
        raise UsageError(
            f"{source} cannot be moved to {place}, which is on another disk; let both be on one: the directory may be "
            "a link to a folder on a larger disk, but no mount point"
        ) from None


def _outermost(paths: Sequence[str]) -> str:
    """Paths without those below others of them."""
    return ", ".join(path for path in paths if not any(path.startswith(f"{folder}/") for folder in paths))


def _unlike(old: object, new: object, name: str = "") -> list[str]:
    """Names of the options in which two records differ; those of a list of [option, value …] too."""
    if isinstance(old, list) and isinstance(new, list) and all(isinstance(one, list) and one for one in (*old, *new)):
        old, new = ({one[0]: one[1:] for one in words} for words in (old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        return sorted({found for key in {*old, *new} for found in _unlike(old.get(key), new.get(key), key)})
    return [] if old == new else [name]


def _wanted_in(folder: Path) -> str | None:
    """The key of a directory's finished work as it will be when nothing is out of reach."""
    return record_in(folder).get("wanted") or key_in(folder)


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """(path in the folder, size) of what counts as output: no copies of editors, no folders that are steps."""
    for here, folders, files in os.walk(folder):
        inside = Path(here).relative_to(folder)
        if here != str(folder) and (RECORD in files or BEGUN in files):
            folders[:] = []
            continue
        skip = _NOT_OUTPUT if here == str(folder) else ()
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in skip)
        for name in sorted(files):
            passed_over = name.startswith((".", "#")) or name.endswith(COPIES)
            if not passed_over and os.path.isfile(os.path.join(here, name)):
                yield str(inside / name), os.stat(os.path.join(here, name)).st_size


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
