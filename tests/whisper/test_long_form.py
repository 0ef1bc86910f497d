"""Long recordings: openai-whisper's transcript, whatever runs beside it."""

import os
import weakref

import librosa
import numpy as np
import pytest
import soundfile
import torch
import whisper
from decoding_material import random_model

from k2d.audio import sources
from k2d.audio.read import read_audio
from k2d.audio.sources import AudioDigest, audio_digest
from k2d.errors import BadAudio
from k2d.label.archive import ShardWriter
from k2d.label.chunks import PackedChunk
from k2d.text.tokenizer import WhisperTokenizer
from k2d.text.transcript import Transcript
from k2d.whisper.checkpoint import Checkpoint
from k2d.whisper.decoding import DecodingOptions, Hypothesis
from k2d.whisper.engine_torch import TorchEngine
from k2d.whisper.features import (
    RecordingFeatures,
    context_samples,
    log_mel,
    mel_filters,
    padded_window,
)
from k2d.whisper.long_form import RecordingState, cut_at_timestamps, transcribe_all
from k2d.work.journal import Journal

tokenizer = WhisperTokenizer(51864)
TIME = tokenizer.timestamp_begin
ENGLISH = DecodingOptions(language="en")


def at(seconds: float) -> int:
    return TIME + round(seconds / 0.02)


def hypothesis(*tokens: int, logprob=-0.2, no_speech=0.0, temperature=0.0) -> Hypothesis:
    return Hypothesis(list(tokens), logprob, no_speech, temperature, 1.0, [-0.1] * len(tokens))


# ------------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize(
    ("tokens", "pieces", "move"),
    [
        # Two complete segments and an unfinished one: it is decoded again from where it starts.
        ([at(0), 1, at(2), at(2), 2, at(5), at(5), 3], [(0, 200), (200, 500)], 500),
        # A single time at the end: nothing more is spoken in this window.
        ([at(0), 1, at(2), at(3), 2, at(5)], [(0, 200), (300, 500)], 3000),
        # One segment, closed: its own end, but all of the window is used up.
        ([at(0), 1, 2, at(7)], [(0, 700)], 3000),
        # No time at all: the segment fills the window.
        ([1, 2, 3], [(0, 3000)], 3000),
        ([at(0), 1, 2], [(0, 3000)], 3000),
        ([at(0), 1, at(4), at(4)], [(0, 400)], 400),
    ],
)
def test_windows_are_cut_at_pairs_of_timestamps(tokens, pieces, move):
    found, moved = cut_at_timestamps(hypothesis(*tokens), 3000, TIME)
    assert [(first, last) for first, last, *_ in found] == pieces
    assert moved == move


def test_silent_windows_are_passed_over():
    state = RecordingState("r", 5000, tokenizer, ENGLISH, 448)
    state.advance(hypothesis(at(0), 500, at(2), logprob=-1.5, no_speech=0.8))
    assert (state.seek, state.segments, state.done) == (3000, [], False)
    state.advance(hypothesis(at(0), 500, at(2), logprob=-0.5, no_speech=0.8))
    assert state.done
    assert [(s.start, s.end) for s in state.segments] == [(30.0, 32.0)]


def test_segments_without_text_or_length_are_dropped():
    state = RecordingState("r", 3000, tokenizer, ENGLISH, 448)
    blank = tokenizer.encode(" ")
    state.advance(hypothesis(at(0), *blank, at(2), at(2), 500, at(2), at(3), 600, at(4), at(4)))
    assert [(s.start, s.end) for s in state.segments] == [(3.0, 4.0)]
    assert state.previous == [at(3), 600, at(4)]


def test_times_beyond_the_end_of_the_audio_are_its_end():
    """The last window is padded to 30 s: a model may hear something in the silence, and name times there."""
    state = RecordingState("r", 3500, tokenizer, ENGLISH, 448)
    state.advance(hypothesis(at(0), 500, at(30)))
    state.advance(hypothesis(at(0), 501, at(3), at(3), 502, at(29), at(29), 503, at(30)))
    assert [(s.start, s.end) for s in state.segments] == [(0.0, 30.0), (30.0, 33.0), (33.0, 35.0)]
    assert state.done


def test_previous_text_is_the_prompt_until_a_wild_window():
    state = RecordingState("r", 90000, tokenizer, ENGLISH, 448)
    state.advance(hypothesis(at(0), 500, at(2), at(2)))
    assert state.previous == [at(0), 500, at(2)]
    state.advance(hypothesis(at(0), 501, at(2), at(2), temperature=0.4))
    assert state.previous == [at(0), 500, at(2), at(0), 501, at(2)]
    state.advance(hypothesis(at(0), 502, at(2), at(2), temperature=0.6))
    assert state.previous == []
    free = RecordingState("r", 90000, tokenizer, DecodingOptions(condition_on_previous=False), 448)
    free.advance(hypothesis(at(0), 500, at(2), at(2)))
    assert free.previous == []


def test_initial_prompt_stands_before_the_first_window():
    state = RecordingState("r", 9000, tokenizer, DecodingOptions(initial_prompt="K2D"), 448)
    assert tokenizer.decode(state.previous) == " K2D"


# ------------------------------------------------------------------------------------------------ features


def test_features_equal_openai_whispers(lectures):
    audio = np.tile(lectures["one"], 2)  # longer than one block
    expected = whisper.log_mel_spectrogram(audio, 80, padding=whisper.audio.N_SAMPLES)
    found = RecordingFeatures([audio], 80)
    assert 6000 < found.frames == expected.shape[1] - 3000
    for seek in range(0, found.frames, 3000):
        size = min(3000, found.frames - seek)
        window = found.window(seek, size, trim_padding=False)[:, :size]
        torch.testing.assert_close(window, expected[:, seek : seek + size], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_mel_filters_are_whispers_and_librosas(lectures, n_mels):
    computed = librosa.filters.mel(sr=16000, n_fft=400, n_mels=n_mels)
    assert torch.equal(mel_filters(n_mels), torch.from_numpy(computed)), "as for other numbers"
    expected = whisper.log_mel_spectrogram(lectures["two"], n_mels)
    torch.testing.assert_close(log_mel(lectures["two"], n_mels), expected, atol=1e-5, rtol=0)


def test_any_number_of_mels_can_be_had(lectures):
    assert log_mel(lectures["two"], 40).shape == (40, len(lectures["two"]) // 160)
    with pytest.raises(AssertionError):
        whisper.log_mel_spectrogram(lectures["two"], 40)  # why Whisper's own are not enough


def test_windows_are_padded_as_their_model_was_trained():
    mel = torch.rand(80, 1000)
    window, loudest = mel[:, 800:], float(mel.max())
    assert padded_window(window, loudest, trim_padding=False).shape == (80, 3000)
    assert padded_window(window, loudest, trim_padding=False)[:, 200:].abs().sum() == 0
    short = padded_window(window[:, :151], loudest, trim_padding=True)
    assert short.shape == (80, 300)  # 1.51 s and half a second of silence, in whole seconds
    assert float(short[:, 151:].max()) == pytest.approx(float(mel.max()) - 2.0)
    assert context_samples(29 * 16000 + 16000, True) == context_samples(1, False) == 480000


@pytest.mark.parametrize("trim_padding", [False, True])
def test_features_on_disk_are_those_in_memory_to_the_bit(lectures, trim_padding, monkeypatch, caplog):
    audio = np.tile(lectures["one"], 4)[: 7000 * 160 + 77]
    pieces = np.split(audio, [3, 90000, 90000])
    here, there = RecordingFeatures([audio], 80), RecordingFeatures(pieces, 80, seconds=10.0)
    assert here._file is None and there._mel is None and here.frames == there.frames == 7000
    assert os.fstat(there._file.fileno()).st_size == 7000 * 80 * 4
    for seek, size in ((0, 3000), (5, 3000), (4321, 2679), (6999, 1)):
        assert torch.equal(here.window(seek, size, trim_padding), there.window(seek, size, trim_padding))
    monkeypatch.setenv("TMPDIR", "/nowhere")
    full = RecordingFeatures([audio], 80, seconds=10.0)
    assert "stay in memory" in caplog.text
    assert torch.equal(full.window(5, 3000, trim_padding), here.window(5, 3000, trim_padding))


def test_of_a_recording_little_is_held_whatever_its_length(tmp_path):
    held, most = [], [0]

    def blocks(name=""):
        rng = np.random.default_rng(0)
        for _ in range(36):
            block = rng.standard_normal(5 * 16000, np.float32)
            held.append(weakref.ref(block))
            most.append(sum(one() is not None for one in held))
            yield block

    digest, whole = AudioDigest(), np.concatenate(list(blocks()))
    held.clear(), most.clear()
    features = RecordingFeatures(digest.of(blocks()), 80, seconds=60.0)
    assert max(most) <= 3 and features._mel is None
    assert (digest.samples, digest.hexadecimal) == (len(whole), audio_digest(whole))
    held.clear(), most.clear()
    chunks = [PackedChunk("r", start, start + 20.0, []) for start in (0.0, 100.0, 120.0, 90.0)]
    placed = list(ShardWriter(tmp_path, "key").write(chunks, blocks))
    assert max(most) <= 3
    for chunk, place, _ in placed:
        expected = np.clip(whole[round(chunk.start * 16000) :][: 20 * 16000], -1, 1)
        assert np.abs(read_audio(place, 0.0, 20.0) - expected).max() < 1e-4


# ------------------------------------------------------------------------------------------- whole recordings


@pytest.fixture(scope="module")
def files(lectures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lectures")
    for name, audio in lectures.items():
        soundfile.write(folder / f"{name}.wav", audio, 16000, subtype="FLOAT")
    return {name: str(folder / f"{name}.wav") for name in lectures}


def test_transcripts_equal_openai_whispers(real, lectures, files):
    """Same options, real weights: words equal on at least 99 %, times within 0.1 s."""
    engine = TorchEngine(real)
    found = {t.recording: t for t in transcribe_all(engine, files, sources.files(files), ENGLISH)}
    words = same = 0
    for name, audio in lectures.items():
        expected = whisper.transcribe(real.model, audio, language="en", fp16=False)
        theirs = [s for s in expected["segments"] if s["text"].strip()]
        ours = found[name].segments
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            assert abs(a.start - b["start"]) <= 0.1 and abs(a.end - b["end"]) <= 0.1
            words += len(b["text"].split())
            same += sum(x == y for x, y in zip(a.text.split(), b["text"].split()))
    assert words > 80
    assert same >= 0.99 * words


def test_a_recordings_transcript_does_not_depend_on_its_batch(noise_recordings):
    model, small_tokenizer = random_model()
    options = DecodingOptions(temperatures=(0.0, 0.7), max_new_tokens=24)
    source = sources.files({name: str(path) for name, path in noise_recordings.items()})

    def run(batch_size: int, names) -> dict[str, Transcript]:
        engine = TorchEngine(Checkpoint(model, small_tokenizer, "", "", {"trim_padding": True}))
        found = list(transcribe_all(engine, names, source, options, batch_size))
        return {t.recording: t for t in found}

    alone, beside = run(1, "abcdef"), run(4, "fedcba")
    assert set(beside) == set("abcdef")
    for name in alone:
        assert [(s.start, s.end, s.text) for s in alone[name].segments] == [
            (s.start, s.end, s.text) for s in beside[name].segments
        ]
    assert sum(len(t.segments) for t in alone.values()) > 10


def test_bad_recordings_are_yielded_with_their_reason_and_the_rest_goes_on(noise_recordings):
    paths = {**{name: str(path) for name, path in noise_recordings.items()}, "b": "/nowhere.wav"}
    engine = TorchEngine(Checkpoint(*random_model(), "", "", {}))
    options = DecodingOptions(temperatures=(0.0,), max_new_tokens=8)
    results = list(transcribe_all(engine, paths, sources.files(paths), options, batch_size=2))
    bad = [r for r in results if isinstance(r, BadAudio)]
    assert [(b.recording, b.reason) for b in bad] == [("b", "missing")]
    assert sorted(r.recording for r in results) == sorted(paths)


def test_a_recording_that_is_gone_when_a_run_goes_on_is_named(noise_recordings, tmp_path):
    paths = {name: str(noise_recordings[name]) for name in "ab"}
    engine = TorchEngine(Checkpoint(*random_model(), "", "", {}))
    options = DecodingOptions(temperatures=(0.0,), max_new_tokens=8)
    journal = Journal(tmp_path, lambda name: "")
    for name in paths:
        journal.note_opened(name, 16000 * 40, "digest")
    paths["b"] = "/nowhere.wav"
    found = {r.recording: r for r in transcribe_all(engine, paths, sources.files(paths), options, journal=journal)}
    journal.close()
    assert isinstance(found["a"], Transcript) and found["b"].reason == "missing"


def test_records_come_back(real):
    state = RecordingState("r", 3000, tokenizer, ENGLISH, 448)
    state.advance(hypothesis(at(0), 500, at(2), at(2), 600, at(4), at(4)))
    transcript = state.transcript()
    assert Transcript.from_record(transcript.record()) == transcript
    assert transcript.segments[0].confidence == pytest.approx(np.exp(-0.1))
