"""Whisper's numbers agree with openai-whisper's own, and chunk ids say what they were made of."""

import whisper.audio
from hypothesis import given
from hypothesis import strategies as st

from k2d import constants
from k2d.constants import chunk_id, file_name, read_chunk_id
from k2d.whisper import identity


def test_the_numbers_are_whispers():
    for name in ("SAMPLE_RATE", "HOP_LENGTH", "N_SAMPLES", "N_FRAMES"):
        assert getattr(constants, name) == getattr(whisper.audio, name)
    assert whisper.audio.FRAMES_PER_SECOND == constants.MEL_FRAMES_PER_SECOND
    assert whisper.audio.TOKENS_PER_SECOND == constants.ENCODER_FRAMES_PER_SECOND
    assert constants.TIMESTAMP_STEP * (constants.N_TIMESTAMPS - 1) == constants.WINDOW


def test_published_models_have_whispers_file_names(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert set(identity.PUBLISHED) == set(whisper._MODELS)
    (tmp_path / "whisper").mkdir()
    for name, address in whisper._MODELS.items():
        (tmp_path / "whisper" / address.rsplit("/", 1)[1]).touch()
        assert identity.downloaded(name), name


@given(st.text(min_size=1).filter(lambda r: "\n" not in r), st.integers(0, 10**8), st.integers(1, 10**8))
def test_a_chunk_id_tells_recording_and_place(recording, start, length):
    assert read_chunk_id(chunk_id(recording, start, start + length)) == (recording, start, start + length)
    assert read_chunk_id(chunk_id(recording, start + length, start)) is None
    assert read_chunk_id(chunk_id(recording, start, start)) is None


def test_other_ids_are_none():
    for key in ("lecture", "lecture-1-2", "lecture-0000001-000002", "-0000001-0000002", "a-0000001-0000002b"):
        assert read_chunk_id(key) is None


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=2, max_size=4, unique=True))
def test_ids_become_names_of_files_in_one_folder(keys):
    keys += [f"{keys[0]}{'x' * 300}", f"{keys[0]}{'x' * 301}", "..", "a/b", "../a"]
    names = [file_name(key) for key in keys]
    assert len(set(names)) == len(set(keys))
    for name in names:
        assert not {"/", "\0", " ", "\n"} & set(name) and not name.startswith(".")
        assert len(name.encode()) <= 200
    assert file_name("會議_1-0000100-0000200.a") == "會議_1-0000100-0000200.a"
