"""k2d.audio: every form of source gives 16 kHz mono, every bad recording says what is wrong with it."""

import pickle

import av
import kaldiio
import numpy as np
import pytest
import soundfile

from k2d import archives
from k2d.audio import header, read_audio, recording_duration
from k2d.audio.utterances import open_utterances
from k2d.constants import SAMPLE_RATE
from k2d.datadir import DataDir
from k2d.errors import BadAudio, DataError
from k2d.tables import read_table, write_numbers, write_table
from k2d.whisper.features import log_mel

SECONDS = 3.0


def tone(rate=SAMPLE_RATE, seconds=SECONDS, frequency=440.0):
    """A tone that grows louder, so that a shift in time changes the samples."""
    t = np.arange(round(rate * seconds)) / rate
    return (np.linspace(0.1, 0.8, len(t)) * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


def cut(path, share=0.5):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def write_m4a(path, seconds=SECONDS):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(44100, seconds)[None], format="fltp", layout="mono")
        frame.sample_rate = 44100
        frame.pts = 0
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=44100, frame_size=1024)
        for part in resampler.resample(frame) + resampler.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    "name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.w64", "a.caf", "a.au", "a.rf64"]
)
def test_formats_of_libsndfile(tmp_path, name):
    soundfile.write(tmp_path / name, tone(), SAMPLE_RATE)
    audio = read_audio(tmp_path / name)
    assert audio.dtype == np.float32
    assert len(audio) == SECONDS * SAMPLE_RATE
    assert np.abs(audio - tone()).max() < (0.1 if name.endswith(("ogg", "mp3")) else 1e-4)


def test_m4a_is_read_and_a_part_of_it_equals_that_part_of_the_whole(tmp_path):
    path = write_m4a(tmp_path / "a.m4a")
    whole = read_audio(path)
    assert abs(len(whole) / SAMPLE_RATE - SECONDS) < 0.1
    assert np.abs(read_audio(path, 1.2, 2.0) - whole[round(1.2 * 16000) : 32000]).max() < 1e-3
    assert abs(recording_duration(path) - SECONDS) < 0.1


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_other_rates_are_resampled(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(rate), rate)
    audio = read_audio(tmp_path / "a.wav")
    assert abs(len(audio) - SECONDS * SAMPLE_RATE) <= 1
    middle = slice(1000, 46000)
    assert np.abs(audio[middle] - tone()[middle]).max() < 5e-3
    assert np.abs(read_audio(tmp_path / "a.wav", 1.0, 1.5) - audio[16000:24000]).max() < 5e-3


def test_stereo_is_averaged(tmp_path):
    both = np.stack([tone(), np.zeros_like(tone())], axis=1)
    soundfile.write(tmp_path / "a.wav", both, SAMPLE_RATE)
    assert np.abs(read_audio(tmp_path / "a.wav") - tone() / 2).max() < 1e-4
    assert header(tmp_path / "a.wav").channels == 2


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
def test_a_part_equals_that_part_of_the_whole(tmp_path, name):
    soundfile.write(tmp_path / name, tone(), SAMPLE_RATE)
    whole = read_audio(tmp_path / name)
    assert np.abs(read_audio(tmp_path / name, 0.5, 1.25) - whole[8000:20000]).max() < 1e-5
    assert len(read_audio(tmp_path / name, 2.0)) == SAMPLE_RATE


def test_a_part_is_read_without_the_rest(tmp_path):
    """The middle of a FLAC is damaged; a part before it must not notice."""
    path = tmp_path / "a.flac"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 20 * SAMPLE_RATE)
    soundfile.write(path, noise, SAMPLE_RATE)
    cut(path, 0.6)
    assert len(read_audio(path, 0.0, 1.0)) == SAMPLE_RATE
    with pytest.raises(BadAudio, match="truncated"):
        read_audio(path, damaged="skip")


def test_a_rounded_end_may_lie_a_little_beyond_the_recording(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE)
    assert len(read_audio(tmp_path / "a.wav", 2.0, 3.2)) == SAMPLE_RATE
    with pytest.raises(BadAudio) as error:
        read_audio(tmp_path / "a.wav", 2.0, 9.0)
    assert error.value.reason == "outside"


@pytest.mark.parametrize(
    "options", [{}, {"write_function": "soundfile"}, {"write_function": "soundfile", "flac": True}]
)
def test_archives_written_by_kaldiio(tmp_path, options):
    form = {"write_kwargs": {"format": "flac", "subtype": "PCM_16"}} if options.pop("flac", False) else {}
    ark, scp = str(tmp_path / "a.ark"), str(tmp_path / "a.scp")
    if options:
        items = {"x": (tone(), SAMPLE_RATE), "y": (tone(frequency=700), SAMPLE_RATE)}
    else:
        items = {
            key: (SAMPLE_RATE, (tone(frequency=hertz) * 32767).astype(np.int16))
            for key, hertz in (("x", 440), ("y", 700))
        }
    kaldiio.save_ark(ark, items, scp=scp, **options, **form)
    sources = read_table(scp)
    assert np.abs(read_audio(sources["x"]) - tone()).max() < 1e-4
    assert np.abs(read_audio(sources["y"], 1.0, 2.0) - tone(frequency=700)[16000:32000]).max() < 1e-4
    cut(tmp_path / "a.ark", 0.8)
    assert len(read_audio(sources["x"])) == len(tone())
    with pytest.raises(BadAudio) as error:
        read_audio(sources["y"])
    assert error.value.reason == "truncated"


def test_a_wave_matrix_of_kaldi_is_audio_at_16_khz(tmp_path):
    both = np.stack([tone(), tone(frequency=700)]) * 32768  # (channels, samples), in the range of 16-bit integers
    items = {"two": both.astype(np.float32), "one": both[:1].astype(np.float64)}
    kaldiio.save_ark(str(tmp_path / "a.ark"), items, scp=str(tmp_path / "a.scp"))
    sources = dict(line.split() for line in (tmp_path / "a.scp").read_text().splitlines())
    assert np.abs(read_audio(sources["one"]) - tone()).max() < 1e-6
    assert np.abs(read_audio(sources["two"]) - both.mean(0) / 32768).max() < 1e-6
    cut(tmp_path / "a.ark", 0.9)
    with pytest.raises(BadAudio) as error:
        read_audio(sources["one"])
    assert error.value.reason == "truncated"


@pytest.mark.parametrize("rows", ["[0:10]", "[0:10,0:5]", "[,0:5]", "[:]"])
def test_a_range_of_rows_is_not_called_a_missing_file(tmp_path, rows):
    kaldiio.save_ark(str(tmp_path / "a.ark"), {"r": (SAMPLE_RATE, (tone() * 32767).astype(np.int16))})
    for name in ("a.ark:2", "a.ark"):
        with pytest.raises(BadAudio, match="a range of rows and columns is for matrices") as error:
            read_audio(f"{tmp_path / name}{rows}")
        assert error.value.reason == "not audio"
    soundfile.write(tmp_path / f"take{rows}.wav", tone(), SAMPLE_RATE)
    assert len(read_audio(tmp_path / f"take{rows}.wav")) == len(tone())


def test_an_entry_of_an_archive_is_decoded_once_for_all_its_segments(tmp_path, monkeypatch):
    kaldiio.save_ark(str(tmp_path / "a.ark"), {"r": (SAMPLE_RATE, (tone() * 32767).astype(np.int16))})
    write_table(tmp_path / "wav.scp", {"r": f"{tmp_path}/a.ark:2"})
    write_table(tmp_path / "segments", {"r-1": "r 0.00 1.00", "r-2": "r 1.00 2.00"})
    utterances, entries = open_utterances(tmp_path), []
    read = archives.read_entry
    monkeypatch.setattr(archives, "read_entry", lambda *where: entries.append(where) or read(*where))
    parts = np.concatenate([utterances["r-1"], utterances["r-2"]])
    assert np.abs(parts - tone()[:32000]).max() < 1e-4 and len(entries) == 1


def test_raw_flac_inside_an_archive(tmp_path):
    soundfile.write(tmp_path / "a.flac", tone(), SAMPLE_RATE)
    flac = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.ark").write_bytes(b"x " + flac + b"y " + flac)
    for offset in (2, len(flac) + 4):
        assert len(read_audio(f"{tmp_path}/a.ark:{offset}")) == len(tone())


@pytest.mark.parametrize("form", ["wav", "flac", "AUDIO", "matrix"])
def test_an_entry_of_an_archive_that_memory_has_no_room_for_is_named(tmp_path, form, monkeypatch):
    ark, scp = str(tmp_path / "a.ark"), str(tmp_path / "a.scp")
    pcm = (tone() * 32767).astype(np.int16)
    if form == "flac":
        soundfile.write(tmp_path / "a.flac", pcm, SAMPLE_RATE)
        (tmp_path / "a.ark").write_bytes(b"x " + (tmp_path / "a.flac").read_bytes())
        (tmp_path / "a.scp").write_text(f"x {ark}:2\n")
    elif form == "matrix":
        kaldiio.save_ark(ark, {"x": tone()[None] * 32768}, scp=scp)
    else:
        kaldiio.save_ark(ark, {"x": (SAMPLE_RATE, pcm)} if form == "wav" else {"x": (pcm, SAMPLE_RATE)}, scp=scp,
                         **({} if form == "wav" else {"write_function": "soundfile"}))  # fmt: skip
    source = read_table(scp)["x"]
    assert len(read_audio(source)) == len(tone())
    monkeypatch.setattr(archives, "LARGEST", len(tone()) * 4 - 1 if form in ("flac", "AUDIO") else len(tone()))
    with pytest.raises(BadAudio) as error:
        read_audio(source)
    assert error.value.reason == "too long" and ark in str(error.value)


@pytest.mark.filterwarnings("error")
def test_no_memory_is_taken_for_a_size_that_an_archive_cannot_hold(tmp_path):
    rows, columns = (b"\4" + (2**31 - 1).to_bytes(4, "little") for _ in range(2))
    (tmp_path / "a.ark").write_bytes(b"x \0BFM " + rows + columns + b"x" * 100)
    with pytest.raises(archives.Truncated, match=r"a\.ark: the archive ends inside an entry"):
        archives.read_entry(tmp_path / "a.ark", 2)


def test_a_pickle_in_an_archive_is_not_loaded(tmp_path):
    (tmp_path / "a.ark").write_bytes(b"x PKL" + pickle.dumps(tone()))
    with pytest.raises(BadAudio) as error:
        read_audio(f"{tmp_path}/a.ark:2")
    assert error.value.reason == "not audio"


BAD = {
    "missing": ("missing", lambda p: None),
    "folder": ("not audio", lambda p: p.mkdir()),
    "empty": ("empty", lambda p: p.touch()),
    "text": ("not audio", lambda p: p.write_text("this is no sound\n" * 99)),
    "bytes": ("not audio", lambda p: p.write_bytes(np.random.default_rng(1).bytes(20000))),
    "playlist": ("not audio", lambda p: p.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nb.ts\n")),
    "cut.ogg": ("truncated", lambda p: (soundfile.write(p, tone(), 16000), cut(p))),
    "cut.m4a": ("truncated", lambda p: cut(write_m4a(p))),
    "header.wav": ("truncated", lambda p: (soundfile.write(p, tone(), 16000), cut(p, 20 / 96044))),
    "zero.wav": ("silence", lambda p: soundfile.write(p, np.zeros(16000), 16000)),
    "nan.wav": ("NaN", lambda p: soundfile.write(p, np.full(16000, np.nan), 16000, subtype="FLOAT")),
    "inf.wav": ("NaN", lambda p: soundfile.write(p, np.append(tone(), np.inf), 16000, subtype="FLOAT")),
    "short.wav": ("too short", lambda p: soundfile.write(p, tone(seconds=0.05), 16000)),
    "none.wav": ("too short", lambda p: soundfile.write(p, np.zeros(0), 16000)),
}


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.aiff", "a.caf", "a.rf64", "a.au"])
def test_what_is_left_of_a_cut_file_is_read_with_a_warning(tmp_path, name, caplog):
    soundfile.write(tmp_path / name, tone(), SAMPLE_RATE)
    cut(tmp_path / name)
    seconds = len(read_audio(tmp_path / name)) / SAMPLE_RATE
    assert abs(seconds - SECONDS / 2) < 0.25  # bytes of compressed sound are not spread evenly
    assert abs(recording_duration(tmp_path / name) - seconds) < 0.15
    assert "s are missing" in caplog.text
    with pytest.raises(BadAudio, match="truncated"):
        read_audio(tmp_path / name, damaged="skip")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BAD)
def test_bad_recordings_say_what_is_wrong(tmp_path, name):
    reason, make = BAD[name]
    make(tmp_path / name)
    with pytest.raises(BadAudio) as error:
        read_audio(tmp_path / name)
    assert error.value.reason == reason
    assert str(tmp_path / name) in str(error.value)
    assert ";" in str(error.value)  # what is wrong; what to do
    again = pickle.loads(pickle.dumps(error.value))  # as a worker process hands it over
    assert (again.reason, str(again)) == (error.value.reason, str(error.value))


@pytest.mark.parametrize(
    ("begin", "told"),
    [
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x1f\x8b\x08", "gunzip"),
        (b"\x1fC\xb6u\x01\xff\xff\xff", "later part"),  # a cluster of a browser's recorder
        (b"\0\0\0\x18stypmsdh", "later part"),
        (b"\0\0\0\x68moof\0\0\0\x10mfhd", "later part"),
    ],
)
def test_what_lies_under_a_recordings_name_is_told(tmp_path, begin, told):
    (tmp_path / "a.webm").write_bytes(begin + bytes(range(1, 200)) * 9)
    with pytest.raises(BadAudio, match=told):
        read_audio(tmp_path / "a.webm")


def test_a_header_without_length_is_not_taken_for_truncated(tmp_path):
    """Programs that write wav into a pipe leave the largest number in place of the length."""
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(data)
    assert len(read_audio(tmp_path / "a.wav")) == len(tone())


def test_commands_run_only_when_allowed(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE)
    command = f"touch {tmp_path}/ran; cat {tmp_path}/a.wav |"
    with pytest.raises(BadAudio) as error:
        read_audio(command)
    assert error.value.reason == "command"
    assert not (tmp_path / "ran").exists()
    assert np.abs(read_audio(command, allow_pipes=True) - tone()).max() < 1e-4
    with pytest.raises(BadAudio, match="status 3"):
        read_audio("echo no >&2; exit 3 |", allow_pipes=True)
    with pytest.raises(BadAudio, match="empty"):
        read_audio("true |", allow_pipes=True)


def test_part_that_ends_before_it_starts_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="expected 0 <= start < end"):
        read_audio(tmp_path / "a.wav", 2.0, 1.0)


def data_dir(path, source, segments=None):
    write_table(path / "wav.scp", {"r": str(source)})
    if segments:
        write_table(path / "segments", segments)
    return DataDir(path)


def test_utterances_of_segments(tmp_path):
    audio = np.concatenate([tone(seconds=2.0), np.zeros(2 * SAMPLE_RATE, np.float32)])
    soundfile.write(tmp_path / "a.wav", audio, SAMPLE_RATE)
    segments = {"u1": "r 0.50 1.00", "u2": "r 1.00 -1", "u3": "r 2.50 3.50", "u4": "r 5.00 6.00"}
    utterances = open_utterances(data_dir(tmp_path, tmp_path / "a.wav", segments))
    assert list(utterances) == ["u1", "u2", "u3", "u4"]
    assert np.abs(utterances["u1"] - audio[8000:16000]).max() < 1e-4
    assert (utterances.duration("u1"), utterances.duration("u2")) == (0.5, 3.0)
    assert not read_audio(tmp_path / "a.wav", 2.5, 3.5).any()  # a pause within a recording is fine
    with pytest.raises(BadAudio, match=r"silence.*u3"):
        utterances["u3"]  # an utterance of nothing is not
    with pytest.raises(BadAudio, match="outside"):
        utterances["u4"]
    with pytest.raises(DataError, match="no utterance 'u9'"):
        utterances["u9"]


def test_utterances_without_segments_and_durations_from_utt2dur(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE)
    utterances = open_utterances(data_dir(tmp_path, tmp_path / "a.wav"))
    assert len(utterances["r"]) == len(tone())
    assert utterances.duration("r") == SECONDS
    write_numbers(tmp_path / "utt2dur", {"r": 2.75})
    assert open_utterances(tmp_path).duration("r") == 2.75


def test_a_command_with_segments_runs_once(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE)
    command = f"echo >> {tmp_path}/runs; cat {tmp_path}/a.wav |"
    data = data_dir(tmp_path, command, {"u1": "r 0.50 1.00", "u2": "r 1.00 2.00"})
    utterances = open_utterances(data, allow_pipes=True)
    assert np.abs(utterances["u1"] - tone()[8000:16000]).max() < 1e-4
    assert np.abs(utterances["u2"] - tone()[16000:32000]).max() < 1e-4
    assert (tmp_path / "runs").read_text() == "\n"


def test_log_mel_is_whispers():
    from whisper.audio import log_mel_spectrogram

    mel = log_mel(tone(), n_mels=80)
    assert mel.shape == (80, 300)
    assert (mel == log_mel_spectrogram(tone(), 80)).all()
    assert log_mel(tone(), n_mels=128).shape == (128, 300)


def test_a_broken_mp3_is_named_and_libraries_write_no_notes_of_their_own(tmp_path, capfd):
    (tmp_path / "zero.mp3").write_bytes(b"\xff\xfb\x90\0" + bytes(3000))
    with pytest.raises(BadAudio, match="not audio"):
        read_audio(tmp_path / "zero.mp3")
    assert capfd.readouterr().err == ""
