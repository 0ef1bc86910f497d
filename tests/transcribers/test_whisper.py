"""A Whisper checkpoint behind the same protocol as all others."""

import pytest
from decoding_material import noise_recordings  # noqa: F401

from k2d.audio import sources
from k2d.errors import CheckpointError
from k2d.transcribers import kind_of, open_transcriber
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.engine import EngineConfig, load_engine
from k2d.whisper.long_form import transcribe_all

OPTIONS = {"engine": "torch", "dtype": "float32", "temperatures": (0.0,), "max_new_tokens": 12}


def test_recordings_are_transcribed_as_its_long_form_does(small_model, noise_recordings):  # noqa: F811
    source = sources.files({name: str(path) for name, path in noise_recordings.items()})
    transcriber = open_transcriber(str(small_model), **OPTIONS)
    assert transcriber.kind == "whisper"
    found = [one for (one,) in transcriber.transcribe("ab", source, long_form=True)]
    decoding = DecodingOptions(temperatures=(0.0,), max_new_tokens=12)
    engine = load_engine(small_model, EngineConfig(engine="torch", dtype="float32"), decoding)
    assert found == list(transcribe_all(engine, "ab", source, decoding, transcriber.batch_size))


@pytest.mark.parametrize("timestamps", [True, False])
def test_utterances_have_times_where_they_are_asked_for(small_model, noise_recordings, timestamps):  # noqa: F811
    source = sources.files({name: str(path) for name, path in noise_recordings.items()})
    transcriber = open_transcriber(str(small_model), **OPTIONS | {"language": "en"}, timestamps=timestamps)
    found = {one.recording: one for batch in transcriber.transcribe("abcdef", source, False) for one in batch}
    assert set(found) == set("abcdef")
    assert found["a"].duration == 75.0 and found["a"].segments[-1].end > 30.0, "what is long is transcribed as a whole"
    short = [name for name in found if found[name].duration <= 30.0]
    assert any(found[name].segments for name in short)  # of a random model some are no characters
    for name in short:
        for segment in found[name].segments:
            assert segment.avg_logprob < 0 and segment.tokens and 0 <= segment.confidence <= 1
            assert (segment.end is not None) == timestamps


def test_the_form_of_a_name_chooses(tmp_path):
    kinds = ("large-v2", "whisper"), ("tiny.en@x", "whisper"), ("espnet:e", "espnet"), ("text:a:b", "text")
    for name, kind in (*kinds, ("text", "whisper"), ("transformers:t", "transformers"), ("exp/teacher.pt", "whisper")):
        assert kind_of(name) == kind
    with pytest.raises(CheckpointError, match="no such file or folder; give a checkpoint"):
        _ = open_transcriber(str(tmp_path / "none")).identity
