"""Rows of parquet files and members of zip files: where their audio may lie, and what damage costs."""

import zipfile
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
import pytest

from k2d.corpus.clips import Clip, ParquetCell, ZipMember, read_clips
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


def test_a_damaged_row_group_costs_its_own_rows_only(tmp_path, tones):
    sound, file = Path(tones["low"]).read_bytes(), tmp_path / "train.parquet"
    rows = pyarrow.Table.from_pylist([{"audio": {"bytes": sound, "path": "a.wav"}}] * 2)
    parquet.write_table(rows, file, row_group_size=1, compression="zstd", use_dictionary=False)
    content = bytearray(file.read_bytes())
    column = parquet.ParquetFile(file).metadata.row_group(0).column(0)
    stop = column.data_page_offset + column.total_compressed_size
    content[column.data_page_offset + 60 : stop] = bytes(stop - column.data_page_offset - 60)
    file.write_bytes(content)
    clips = [Clip(f"u{group}", f"u{group}", "s", "", ParquetCell(str(file), group, 0)) for group in (0, 1)]
    (_, first), (_, second) = read_clips(clips)
    assert isinstance(first, BadAudio) and first.reason == "truncated" and str(file) in str(first)
    assert len(second) == 16000


def test_whatever_is_wrong_with_a_zip_costs_one_member(tmp_path, tones):
    file = tmp_path / "audio.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("secret.wav", "damaged.wav", "sound.wav"):
            archive.write(tones["low"], name)
        places = [info.header_offset for info in archive.infolist()]
    content = bytearray(file.read_bytes())
    content[places[1] + 60 : places[1] + 160] = bytes(100)  # zlib.error
    entry = content.find(b"PK\1\2")
    content[entry + 8] |= 1  # says that it is encrypted: RuntimeError
    content[places[0] + 6] |= 1
    file.write_bytes(content)
    clips = [Clip(n, n, "s", "", ZipMember(str(file), f"{n}.wav")) for n in ("secret", "damaged", "sound")]
    (_, secret), (_, damaged), (_, sound) = read_clips(clips)
    assert isinstance(secret, BadAudio) and "encrypted" in str(secret)
    assert isinstance(damaged, BadAudio) and "download it again" in str(damaged)
    assert len(sound) == 16000


def test_a_member_of_a_zip_that_is_too_large_is_not_unpacked(tmp_path, tones, monkeypatch):
    file = tmp_path / "audio.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tones["low"], "a.wav")
    clip = Clip("a", "a", "s", "", ZipMember(str(file), "a.wav"))
    monkeypatch.setattr("k2d.corpus.clips.LARGEST_MEMBER", Path(tones["low"]).stat().st_size - 1)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    ((_, error),) = read_clips([clip])
    assert error.reason == "too long" and "audio.zip:a.wav" in str(error)
