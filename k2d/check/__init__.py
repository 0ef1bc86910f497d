"""What a later stage would need, looked at before the first one begins.

In: data directories and what they are for, names of models, a plan of hours. Out: findings: what, found, what to do.

    findings.py    a finding, its grade, and the table that people read
    tables.py      tables and ids of every set
    recordings.py  headers of recordings; development and test utterances, read whole
    models.py      teacher, validators and where the student starts from
    space.py       disk, memory and GPUs against the estimate

Only what a later stage would fail at fails here; what it would leave out is named as left out.
"""
