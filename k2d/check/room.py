"""What a run's sets and models will need of this machine: disk, memory, time, GPUs.

In: sets, models, and the options that decide it (`Room`). Out: findings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from k2d.check.findings import Finding
from k2d.check.models import Known, Models
from k2d.check.space import KeptOutputs, disk, gigabytes, gpus, memory, nearest_size, time
from k2d.check.tables import DEV, TEST, TEST_LONG, TRAIN, Set
from k2d.distill.config import read_config
from k2d.plan import Plan
from k2d.whisper.engine import default_batch
from k2d.whisper.identity import PUBLISHED
from k2d.work.identity import record_in

TRAIN_STAGE, PUBLISH = 5, 8  # the numbers of their stages


@dataclass(frozen=True)
class Room:
    """config: training YAML; stop_stage: the last that is counted; students: their names; batch_size: 0 for the default
    of the device; no_copy as `KeptOutputs`; encoder_out, side_by_side as `Plan`. elsewhere: memory and GPUs are another
    machine's."""

    config: Sequence[str]
    stop_stage: int
    students: Sequence[str]
    no_copy: bool
    encoder_out: int
    batch_size: int
    ngpu: int
    elsewhere: bool
    side_by_side: int


def look_at_room(room: Room, sets: Sequence[Set], models: Models, known: Mapping[str, Known]) -> list[Finding]:
    train, dev, test = (
        sum(_hours(one) for one in sets if one.part in parts) for parts in ((TRAIN,), (DEV,), (TEST, TEST_LONG))
    )
    plan = Plan(
        train,
        dev,
        test,
        teacher=_size_name(models.teacher, known),
        validators=[_size_name(name, known) for name in models.validators or [None]],
        revise=models.revisers,
        selections=room.students,
        config=read_config(room.config),
        ngpu=room.ngpu,
        batch=room.batch_size or default_batch(room.ngpu > 0),
        ready_labels=(models.labels or models.teacher or "").startswith("text:"),
        jobs=1,
        encoder_out=room.encoder_out,
        side_by_side=room.side_by_side,
    )
    need = gigabytes(plan, KeptOutputs(room.no_copy, room.stop_stage))
    found = disk(need, complete=is_complete(room.students, room.stop_stage))
    if room.elsewhere:
        return found
    return found + memory(plan, room.stop_stage) + time(plan, room.stop_stage) + gpus(room.ngpu)


def is_complete(students: Sequence[str], stop_stage: int, here: Path = Path()) -> bool:
    """Whether all students are there, as far as the stages make them: trained, and published by the last one. Who
    trains no student has to label, of which the options alone do not say where it goes.
    """
    last = "publish" if stop_stage >= PUBLISH else "average"
    records = [record_in(here / "exp" / student / last) for student in students]
    return stop_stage >= TRAIN_STAGE and bool(records) and all("finished" in record for record in records)


def _size_name(name: str | None, known: Mapping[str, Known]) -> str:
    """A published name of about the size of a model."""
    if name in PUBLISHED:
        return name
    model = known.get(name or "")
    return nearest_size(model.parameters) if model and model.dims else "tiny"


def _hours(one: Set) -> float:
    return sum((one.data.utt2dur or {}).values()) / 3600

