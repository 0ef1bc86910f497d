"""The published figures that ours stand beside: Tseng et al., "Leave No Knowledge Behind During
Knowledge Distillation", SLT 2024, Tables 2 to 5. Error rates in percent.
"""

from collections.abc import Iterable, Mapping

from k2d.work.models import ModelRecord

ALPHA = 0.4  # of the paper's selections

# Rows are (role, selection).
Row = tuple[str, str | None]

SETS = ("COOLTEST", "NTUML2021", "CV16", "ASCEND")

# Table 2: parameters, speed against the teacher, data kept (%), MER on each of SETS.
MAIN = {
    ("teacher", None): ("1550 M", 1.0, None, (13.96, 7.35, 9.07, 25.69)),
    ("student", "full"): ("756 M", 5.0, 100, (12.98, 6.29, 7.80, 22.07)),
    ("student", "ngram"): ("756 M", 4.9, 97, (12.56, 6.28, 8.05, 19.78)),
    ("student", "mer"): ("756 M", 5.1, 55, (11.96, 6.24, 7.54, 19.40)),
    ("student", "per"): ("756 M", 5.0, 61, (11.54, 6.17, 7.33, 18.82)),
    ("student", "comp"): ("756 M", 5.1, 74, (11.44, 6.09, 7.62, 17.86)),
}

# Table 3: COOLTEST, zh CER and en WER.
LANGUAGES = {
    ("teacher", None): (13.23, 20.64),
    ("student", "full"): (11.93, 22.41),
    ("student", "mer"): (11.31, 17.93),
    ("student", "per"): (10.77, 18.57),
    ("student", "comp"): (10.61, 18.89),
}

# Table 4: COOLTEST, number of repetitions.
REPETITIONS = {
    ("teacher", None): 110,
    ("student", "full"): 101,
    ("student", "ngram"): 47,
    ("student", "mer"): 40,
    ("student", "per"): 45,
    ("student", "comp"): 22,
}

# Table 5: recall of the labels with a true MER > 0.4, mean over alpha = 0.1 ... 0.9, by (MER, PER).
RECALL = {"base": (0.69, 0.66), "small": (0.60, 0.54), "medium": (0.63, 0.62)}


# AUC for labels with a WER above 80 %, by signal: Waheed et al., "uDistil-Whisper: Label-Free Data Filtering for
# Knowledge Distillation in Low-Data Regimes", 2024.
SPOTTING = {
    "transcript of a proxy model": 0.82,
    "similarity of sentence embeddings": 0.77,
    "the teacher's own confidence": 0.68,
}


def row_of(record: ModelRecord) -> Row | None:
    """The paper's row that a model of ours is to be seen beside; None for a selection at another alpha."""
    if record.role == "student" and record.alpha not in (None, ALPHA):
        return None
    return record.role, record.selection


def rows_of(records: Iterable[ModelRecord], table: Mapping[Row, object]) -> dict[Row, str]:
    """The rows of one of the paper's tables that models of ours have, each once, with its name there."""
    rows = dict.fromkeys(row_of(record) for record in records)
    return {row: row[0] if row[1] is None else f"{row[0]}_{row[1]}" for row in rows if row in table}
