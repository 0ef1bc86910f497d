"""A row of a parquet file may name its audio, in the folder of that file and nowhere else."""

from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
import pytest

from k2d.corpus.clips import Clip, ParquetCell, read_clips
from k2d.errors import BadAudio


@pytest.mark.parametrize("name", ["../secret.wav", "/etc/passwd", "a/../../secret.wav", "a\0b"])
def test_a_name_that_leads_out_of_the_folder_is_not_opened(tmp_path, tones, name):
    file = tmp_path / "data/train.parquet"
    file.parent.mkdir()
    for place in (tmp_path / "secret.wav", file.parent / "own.wav"):
        place.write_bytes(Path(tones["low"]).read_bytes())
    rows = [{"audio": {"bytes": None, "path": path}} for path in (name, "own.wav")]
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    clips = [Clip(f"u{row}", f"u{row}", "s", "", ParquetCell(str(file), 0, row)) for row in (0, 1)]
    (_, outside), (_, own) = read_clips(clips)
    assert isinstance(outside, BadAudio) and outside.reason == "missing"
    assert len(own) == 16000
