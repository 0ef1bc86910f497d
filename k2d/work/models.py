"""What a model in `exp/` is: `model.json` beside it, which tables and cards read; no name is parsed.

    exp/student_comp/model.json   {"name": "student_comp", "role": "student", "path": "exp/student_comp/average", …}
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from k2d.errors import DataError
from k2d.work.folders import write_json

ROLES = ("teacher", "validator", "student", "untrained")
MODEL = "model.json"


@dataclass(frozen=True)
class ModelRecord:
    """One model. `path`: its checkpoint, as the recipe's folder sees it. teacher, validator: names of models. Of a
    student: selection, alpha (and the share of the speech that it was chosen to keep, if it was), validator, seed, data
    (the directory of the labels it learnt), hours (of recordings that these were selected from, where not all), tag (a
    word for how it was trained), revised_by (models whose transcripts replaced labels).
    """

    name: str
    role: str
    path: str
    selection: str | None = None
    alpha: float | None = None
    teacher: str | None = None
    validator: str | None = None
    seed: int | None = None
    data: str | None = None
    tag: str | None = None
    hours: float | None = None
    keep: float | None = None
    revised_by: str | None = None

    @property
    def threshold(self) -> str | None:
        """What was asked of a selection: "75 %" of the speech, or "α 0.4"."""
        if self.keep is not None:
            return f"{100 * self.keep:g} %"
        return None if self.alpha is None else f"α {self.alpha:g}"

    def __post_init__(self):
        if self.role not in ROLES:
            raise DataError(f"model {self.name!r}: role {self.role!r}, expected one of {', '.join(ROLES)}")


def write_record(folder: str | Path, record: ModelRecord) -> None:
    write_json(Path(folder) / MODEL, {k: v for k, v in asdict(record).items() if v is not None})


def read_record(folder: str | Path) -> ModelRecord:
    """Raises DataError where there is no record, or it is none."""
    path = Path(folder) / MODEL
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(ModelRecord)}
        return ModelRecord(**{name: value for name, value in found.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: no record of a model ({error}); run the stage that makes the model") from None
