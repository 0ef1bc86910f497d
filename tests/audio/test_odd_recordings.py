"""Recordings as people have them are read whole, at the film's times, or named; a part is the same in the whole."""

import contextlib
import errno
import io
import os
import re
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from odd_kinds import (
    ALL,
    KINDS,
    LONG,
    LONG_ONE,
    LONG_TWO,
    ONE,
    RATE,
    TWO,
    W64,
    Track,
    can_make,
    encode,
    ffmpeg,
    make,
    voice,
)
from odd_recordings import fault, likeness, read

from k2d.audio import commands, files, sources, time_line
from k2d.audio import read as read_module
from k2d.audio.bursts import without_bursts
from k2d.audio.containers import ContainerReader
from k2d.audio.cut import end_of_frames
from k2d.audio.decoding_pass import DecodingPass
from k2d.audio.joined import recordings_of
from k2d.audio.read import audio_blocks, is_silent, mix, pcm16, read_audio, recording_duration
from k2d.audio.utterances import open_utterances
from k2d.constants import SAMPLE_RATE
from k2d.datadir import DataDir
from k2d.errors import BadAudio
from k2d.tables import write_table

PARTS = ((0.0, 1.0), (4.2, 6.1), (13.0, 19.0))  # seconds


def make_or_skip(name: str, folder: Path) -> str:
    kind = next(kind for kind in KINDS if kind.file == name)
    if not can_make(kind):
        pytest.skip(f"{name}: {kind.needs} is not installed: THIS KIND OF RECORDING IS NOT TESTED")
    return make(kind, folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.filterwarnings("error::RuntimeWarning")  # of numpy, which people would read
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.file)
def test_every_kind_is_read_as_recorded_or_named_and_a_part_is_as_in_the_whole(tmp_path, kind):
    source = make_or_skip(kind.file, tmp_path)
    outcome = read(source)
    assert fault(kind, source, outcome) == ""
    whole = outcome.audio
    for start, end in PARTS if whole is not None else ():
        if end < len(whole) / SAMPLE_RATE:
            part = read_audio(source, start, end)
            here = whole[round(start * SAMPLE_RATE) : round(start * SAMPLE_RATE) + len(part)]
            assert len(part) == round((end - start) * SAMPLE_RATE)
            assert np.abs(part - here).max() < 1e-5, (start, end)


@pytest.mark.parametrize(
    "name, codec, options, begin, count",
    [
        ("tail.mp4", "libmp3lame", {"movflags": "faststart"}, 0.6, 0.4),
        ("fragments.mp4", "aac", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "2000000"}, 0.5, 0.02),
        ("tail.flac", "flac", {}, 0.985, 0.01),
    ],
)
def test_the_duration_of_a_damaged_recording_is_what_is_read_and_the_rest_is_told(
    tmp_path, caplog, name, codec, options, begin, count
):
    path = tmp_path / name
    encode(path, Track(LONG, codec), **options)
    content = bytearray(path.read_bytes())
    first, number = round(begin * len(content)), round(count * len(content))
    content[first : first + number] = bytes([0x55]) * min(number, len(content) - first)
    path.write_bytes(content)
    seconds = len(read_audio(path)) / SAMPLE_RATE
    assert recording_duration(path) == pytest.approx(seconds, abs=0.05)
    (said,) = re.findall(r"([\d.]+) s are missing", caplog.text)
    assert float(said) > 20 - seconds - 0.1


def test_a_cut_voc_tells_how_much_its_block_lacks(tmp_path, caplog):
    """One block, as SoX writes it, with 8 bytes behind it."""
    samples = pcm16(voice(6, 1, 8000)).tobytes()
    whole = b"Creative Voice File\x1a\x1a\0\x14\1\x1f\x11\x09" + (len(samples) + 4).to_bytes(3, "little")
    whole += (8000).to_bytes(4, "little") + bytes([16, 1, 4, 0]) + bytes(4) + samples + b"\0"
    (tmp_path / "whole.voc").write_bytes(whole)
    assert len(read_audio(tmp_path / "whole.voc")) == pytest.approx(6 * SAMPLE_RATE, abs=20)
    assert not caplog.records
    (tmp_path / "cut.voc").write_bytes(whole[: len(whole) // 2])
    assert len(read_audio(tmp_path / "cut.voc")) == pytest.approx(3 * SAMPLE_RATE, abs=100)
    assert "cut.voc: damaged or cut short: 3.00 s are missing" in caplog.text


def test_a_silent_track_beside_others_is_told(tmp_path):
    """Programs that record a screen write the microphone behind the computer's own sound."""
    still, spoken = (Track(level * LONG_ONE[:RATE], "flac", default=level == 0) for level in (0.0, 1.0))
    encode(tmp_path / "two.mka", still, spoken)
    with pytest.raises(BadAudio, match=r"silence; .* one of 2; extract another, as in 'ffmpeg .* -map 0:a:1"):
        read_audio(tmp_path / "two.mka")
    encode(tmp_path / "one.mka", still)
    with pytest.raises(BadAudio, match="silence; every sample is the same; check the microphone"):
        read_audio(tmp_path / "one.mka")
    with av.open(str(tmp_path / "empty.mka"), "w") as container:
        empty, stream = (container.add_stream("flac", rate=RATE, layout="mono") for _ in range(2))
        empty.disposition = av.stream.Disposition.default
        stream.disposition = av.stream.Disposition(0)
        container.start_encoding()
        frame = av.AudioFrame.from_ndarray(np.ones((1, 4096), np.int16), "s16", "mono")
        frame.rate = RATE
        container.mux(stream.encode(frame) + stream.encode(None))
    for read_it in (read_audio, recording_duration):
        with pytest.raises(BadAudio, match=r"too short; 0.000 s in the track .* one of 2, .*; extract another"):
            read_it(tmp_path / "empty.mka")


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "libopus", "ac3"])
def test_parts_late_in_a_recording_are_counted_to(tmp_path, codec):
    """Beyond the first section, where decoders that draw noise begin anew."""
    audio = voice(70, 3, RATE)
    encode(tmp_path / "a.mkv", Track(audio, codec))
    whole = read_audio(tmp_path / "a.mkv")
    for start, end in ((29.0, 31.0), (30.0, 33.3), (61.7, 69.0)):
        part = read_audio(tmp_path / "a.mkv", start, end)
        assert np.abs(part - whole[round(start * 16000) : round(start * 16000) + len(part)]).max() < 1e-5


@pytest.mark.parametrize(
    "name", ["cut.wav", "cut.flac", "cut.mp3", "cut.ogg", "cut.mp4", "damaged.m4a", "damaged.opus"]
)
def test_damage_is_told_or_refused(tmp_path, name, caplog):
    source = make_or_skip(name, tmp_path)
    assert len(read_audio(source)) > 9 * SAMPLE_RATE
    assert len(read_audio(source, 0.0, 1.0)) == SAMPLE_RATE
    assert [record.message.startswith(f"{source}: damaged or cut short: ") for record in caplog.records] == [True]
    with pytest.raises(BadAudio) as error:
        read_audio(source, damaged="skip")
    assert error.value.reason == "truncated"


@pytest.mark.parametrize(
    "name, codec, behind, live",
    [
        ("x.mkv", "pcm_s16le", b"", "1"),
        ("x.mkv", "aac", b"\xec\x01" + (30000).to_bytes(7, "big") + bytes(30000), "1"),
        ("x.mkv", "aac", bytes(30000), "0"),
    ],
)
def test_zeros_that_are_silence_or_room_are_no_cut(tmp_path, name, codec, behind, live, caplog):
    """Digital silence of samples, a void that a tool left, and what lies behind a file that is complete."""
    path, still = tmp_path / name, np.zeros(RATE, np.float32)
    encode(path, Track(np.append(LONG, still), codec), live=live)
    path.write_bytes(path.read_bytes() + behind)
    assert len(read_audio(path, damaged="skip")) == pytest.approx(21 * SAMPLE_RATE, abs=1600)
    assert not caplog.records


def test_a_part_behind_a_cut_is_truncated(tmp_path):
    source = make_or_skip("cut.wav", tmp_path)
    with pytest.raises(BadAudio) as error:
        read_audio(source, 13.0, 14.0)
    assert error.value.reason == "truncated"


def test_pauses_are_silence(tmp_path):
    audio = read_audio(make_or_skip("hole.webm", tmp_path))
    assert is_silent(audio[round(5.1 * SAMPLE_RATE) : round(8.9 * SAMPLE_RATE)])


def test_what_cancels_is_heard_and_a_quiet_channel_does_no_harm(tmp_path):
    for name, level in (("opposite.wav", 1.0), ("near_silent.wav", 0.5)):
        audio = read_audio(make_or_skip(name, tmp_path))
        assert np.abs(audio - level * ALL).max() < 1e-3


def test_an_offset_is_no_sound_and_hides_none(tmp_path):
    """Of one channel, through codecs and resampling; of channels with offsets of their own."""
    offset = np.full(6 * SAMPLE_RATE, 0.3, np.float32)
    both = {"a.mp3": offset, "a.wav": np.stack([offset, offset / 3], axis=1)}
    for name, audio in both.items():
        soundfile.write(tmp_path / name, audio, SAMPLE_RATE)
        with pytest.raises(BadAudio, match="silence"):
            read_audio(tmp_path / name)
    assert not is_silent(np.append(offset[:2000], 0.0)) and is_silent(offset[:2000])
    quiet = voice(6, 1) * 0.003
    soundfile.write(tmp_path / "quiet.wav", np.stack([offset, quiet], axis=1), SAMPLE_RATE, subtype="FLOAT")
    heard = read_audio(tmp_path / "quiet.wav")
    assert np.abs(heard - (offset + quiet) / 2).max() < 1e-6


def test_a_longer_recording_than_memory_is_made_for_is_named(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", ALL, SAMPLE_RATE)
    source = make_or_skip("raw.aac", tmp_path)
    monkeypatch.setattr("k2d.audio.read.LONGEST_RECORDING", 12.0)
    for path in (tmp_path / "a.wav", source):
        with pytest.raises(BadAudio) as error:
            read_audio(path)
        assert error.value.reason == "too long"
        assert len(read_audio(path, 14.0, 15.0)) == SAMPLE_RATE


def test_a_command_without_end_is_stopped(monkeypatch):
    monkeypatch.setattr(commands, "_PIPE_BYTES", 2**22)
    with pytest.raises(BadAudio, match="was stopped"):
        read_audio("yes |", allow_pipes=True)
    monkeypatch.setattr(commands, "_PIPE_WAIT", 0.2)
    with pytest.raises(BadAudio, match=r"nothing for .* was stopped"):
        read_audio("sleep 60 |", allow_pipes=True)


def test_a_broken_clock_does_not_fill_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(time_line, "_LONGEST_HOLE", 3.0)
    source = make_or_skip("hole.webm", tmp_path)
    assert abs(len(read_audio(source)) / SAMPLE_RATE - 20) < 0.1


def test_whatever_is_raised_is_bad_audio(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", ALL, SAMPLE_RATE)
    write_table(tmp_path / "wav.scp", {"r": str(tmp_path / "a.wav")})

    def fail(*_):
        raise RuntimeError("a library is wrong")

    monkeypatch.setattr("k2d.audio.read.open_source", fail)
    for read_it in (read_audio, recording_duration):
        with pytest.raises(BadAudio, match="unreadable; RuntimeError: a library is wrong"):
            read_it(tmp_path / "a.wav")
    source = sources.recordings(DataDir(tmp_path))
    assert source.seconds("r") == 0.0
    with pytest.raises(BadAudio):
        source.read("no such id")


def test_an_utterance_of_a_recording_that_wav_scp_lacks_is_bad_audio(tmp_path):
    write_table(tmp_path / "wav.scp", {"r": "a.wav"})
    write_table(tmp_path / "segments", {"u": "other 0.00 1.00"})
    with pytest.raises(BadAudio, match="which segments names") as error:
        sources.utterances(DataDir(tmp_path)).read("u")
    assert "DataError" not in str(error.value)  # a class of ours tells nobody anything


def test_messages_are_one_line(tmp_path):
    with pytest.raises(BadAudio) as error:
        read_audio(f"{tmp_path}/a\0b\nc.wav")
    expected = f"{tmp_path}/a\\x00b\\nc.wav: missing; no such file; correct the path"
    assert str(error.value) == expected


@pytest.mark.parametrize("name", ["chained.ogg", "rates.aac"])
def test_what_is_read_whole_is_decoded_once_for_its_segments(tmp_path, monkeypatch, name):
    source = make_or_skip(name, tmp_path)
    write_table(tmp_path / "wav.scp", {"r": source})
    write_table(tmp_path / "segments", {f"r-{n}": f"r {n}.00 {n + 2}.00" for n in range(6, 16)})
    opened, utterances = [], open_utterances(tmp_path)
    whole = read_audio(source)
    monkeypatch.setattr("k2d.audio.read.mix", lambda block: opened.append(len(block)) or mix(block))
    for name in utterances:
        start = int(name[2:]) * SAMPLE_RATE
        assert np.abs(utterances[name] - whole[start : start + 2 * SAMPLE_RATE]).max() < 1e-6
    assert sum(opened) < 2.2 * 20 * 48000


@pytest.mark.parametrize(
    ("form", "codec", "rate"),
    [("wav", "adpcm_yamaha", 44100), ("wav", "g726", 8000), ("asf", "wmav1", 44100), ("wav", "g722", 16000)],
)
def test_a_part_of_what_depends_on_all_before_it_is_that_of_the_whole(tmp_path, form, codec, rate):
    path, sound = tmp_path / f"a.{form}", voice(20, 1, RATE)
    bits = {"g726": 32000, "wmav1": 64000}.get(codec)
    encode(path, Track(sound, codec, rate=rate, bit_rate=bits), form=form)
    whole = read_audio(path)
    for start, end in PARTS:
        part = read_audio(path, start, end)
        assert np.abs(part - whole[round(start * 16000) :][: len(part)]).max() < 1e-5


def test_parts_behind_the_padding_of_a_joined_recording(tmp_path):
    """WebM as browsers record it, joined with cat: the first one's last packet holds less than the others."""
    encode(tmp_path / "a.webm", Track(voice(7, 1, 48000), "libopus"))
    (tmp_path / "b.webm").write_bytes((tmp_path / "a.webm").read_bytes() * 2)
    whole = read_audio(tmp_path / "b.webm")
    part = read_audio(tmp_path / "b.webm", 11.0, 13.0)
    assert 13.9 < len(whole) / SAMPLE_RATE < 14.1
    assert np.abs(part - whole[11 * SAMPLE_RATE : 13 * SAMPLE_RATE]).max() < 1e-5


def test_sound_whose_clock_begins_late_is_not_called_damaged(tmp_path, caplog):
    late = Track(voice(5, 1, 48000), "libopus")
    encode(tmp_path / "a.mkv", late, output_ts_offset="3600", avoid_negative_ts="disabled")
    assert len(read_audio(tmp_path / "a.mkv", damaged="skip")) == pytest.approx(5 * SAMPLE_RATE, abs=1600)
    assert not caplog.records


def test_a_long_stretch_of_lost_pages_is_silence_and_told(tmp_path, caplog):
    encode(tmp_path / "a.opus", Track(voice(40, 1, 48000), "libopus"))
    content = (tmp_path / "a.opus").read_bytes()
    (tmp_path / "a.opus").write_bytes(content[: len(content) // 4] + content[len(content) * 3 // 4 :])
    assert len(read_audio(tmp_path / "a.opus")) == pytest.approx(40 * SAMPLE_RATE, abs=1600)
    (said,) = caplog.messages
    assert 18 < float(said.split(" s are missing")[0].split()[-1]) < 22


def cut_before_a_whole_one(path: Path, codec: str, share: float, **options: object) -> Path:
    """Two recordings behind each other, of which the first is cut and claims bytes of the one behind it."""
    data = []
    for part in (LONG_TWO, LONG_ONE):
        encode(path, Track(part, codec), **options)
        data.append(path.read_bytes())
    path.write_bytes(data[0][: int(share * len(data[0]))] + data[1])
    return path


@pytest.mark.parametrize(
    "name, codec, options",
    [
        ("x.ogg", "flac", {}),
        ("x.opus", "libopus", {}),
        ("x.mp4", "aac", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "1000000"}),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_what_lies_behind_a_recording_that_is_cut_is_read_and_the_cut_is_told(
    tmp_path, name, codec, options, share, caplog
):
    path = cut_before_a_whole_one(tmp_path / name, codec, share, **options)
    audio = read_audio(path)
    assert likeness(audio[: 6 * SAMPLE_RATE], TWO) > 0.8 and likeness(audio[-len(ONE) :], ONE) > 0.8
    assert "its end" in caplog.text and abs(recording_duration(path) - len(audio) / SAMPLE_RATE) < 0.1


@pytest.mark.parametrize(
    ("name", "codec", "film"),
    [
        ("x.mkv", "aac", "mpeg4"),
        ("x.webm", "libopus", ""),
        ("x.avi", "libmp3lame", "mpeg4"),
        ("x.avi", "ac3", ""),
        ("x.flv", "aac", ""),
    ],
)
def test_seconds_that_a_recording_lacks_are_told_whatever_follows_it(tmp_path, name, codec, film, caplog):
    path, data = tmp_path / name, []
    for part in (LONG_TWO, LONG_ONE):
        encode(path, Track(part, codec), film=film)
        data.append(path.read_bytes())
    path.write_bytes(data[0][: int(0.6 * len(data[0]))] + data[1])
    audio = read_audio(path)
    assert likeness(audio[: 8 * SAMPLE_RATE], TWO) > 0.8 and likeness(audio[-len(ONE) :], ONE) > 0.8
    missing = float(caplog.messages[0].split(" s are missing")[0].split()[-1])
    assert missing == pytest.approx(20 - len(audio) / SAMPLE_RATE, abs=0.1)


def test_joined_recordings_without_a_sample_are_too_short(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0, "int16"), SAMPLE_RATE)
    (tmp_path / "two.wav").write_bytes((tmp_path / "none.wav").read_bytes() * 2)
    for measure in (read_audio, recording_duration):
        with pytest.raises(BadAudio, match=r"too short; 0.000 s"):
            measure(tmp_path / "two.wav")


def test_a_recording_that_cannot_be_read_takes_none_with_it_that_it_is_joined_with(tmp_path, caplog):
    """An mp4 that lost its index, behind a whole one and before one."""
    path = tmp_path / "x.m4a"
    encode(path, Track(LONG_ONE, "aac"))
    data = path.read_bytes()
    for joined in (data + data[:3000], data[:28] + data):
        path.write_bytes(joined)
        assert likeness(read_audio(path), ONE) > 0.8
    assert caplog.messages == [f"{path}: damaged or cut short: its end is missing; the intact part is read"]


def tag_of_flv(data: bytes) -> int:
    """Where one begins behind the middle."""
    at = 13
    while at < 0.6 * len(data):
        at += 15 + int.from_bytes(data[at + 1 : at + 4], "big")
    return at


@pytest.mark.parametrize("behind", [0, 5, 10, 11, 40])
def test_an_flv_that_is_cut_anywhere_tells_the_seconds_that_are_missing(tmp_path, behind, caplog):
    """Within a tag, in its head, or between two: the notes at its begin tell how long it was."""
    path = tmp_path / "x.flv"
    encode(path, Track(LONG, "aac", rate=44100))
    data = path.read_bytes()
    path.write_bytes(data[: tag_of_flv(data) + behind])
    audio = read_audio(path)
    missing = float(caplog.messages[0].split(" s are missing")[0].split()[-1])
    assert missing == pytest.approx(20 - len(audio) / SAMPLE_RATE, abs=0.1)


@pytest.mark.parametrize("behind", [1, 3, 7, 30])
@pytest.mark.parametrize(
    ("name", "codec", "begin", "options"),
    [("x.webm", "libopus", b"\x1f\x43\xb6\x75", {"live": "1"}), ("x.ts", "aac", b"", {}), ("x.ts", "ac3", b"", {}),
     ("x.mp4", "aac", b"moof", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "1000000"}),
     ("x.aac", "aac", b"\xff\xf1", {}), ("x.ac3", "ac3", b"\x0b\x77", {}), ("x.mp2", "mp2", b"\xff\xfd", {}),
     ("x.mpg", "mp2", b"", {"form": "mpeg"})],
)  # fmt: skip
def test_an_end_within_the_head_of_what_holds_sound_or_in_a_frame_is_told(
    tmp_path, name, codec, begin, options, behind, caplog
):
    """Where no header tells the length."""
    path = tmp_path / name
    encode(path, Track(LONG, codec), **options)
    data = path.read_bytes()
    at = data.index(begin, len(data) // 2) if begin else len(data) // 376 * 188
    if begin == b"moof":
        at -= 1  # three bytes behind the begin of the box
    elif path.suffix in (".aac", ".ac3", ".mp2"):
        at += 7  # libraries make no packet of less
    path.write_bytes(data[: at + behind])
    assert likeness(read_audio(path)[: 8 * SAMPLE_RATE], ALL) > 0.8
    assert caplog.messages == [f"{path}: damaged or cut short: its end is missing; the intact part is read"]
    caplog.clear()
    path.write_bytes(data)
    read_module._warned.clear()
    read_audio(path)
    assert not caplog.messages


def beginning_of(data: bytes) -> bytes:
    """Of an mp4 with its index first, or of an FLV: what opens, and has no packet that can be decoded."""
    return data[: data.index(b"mdat") + 60] if b"mdat" in data else data[:300]


@pytest.mark.parametrize("name, options", [("x.m4a", {"movflags": "faststart"}), ("x.flv", {})])
def test_a_recording_that_opens_and_cannot_be_decoded_takes_none_with_it_either(tmp_path, name, options, caplog):
    path = tmp_path / name
    encode(path, Track(LONG_ONE, "aac"), **options)
    data = path.read_bytes()
    begin = beginning_of(data)
    for joined in (data + begin, begin + data, data + begin + data):
        path.write_bytes(joined)
        audio = read_audio(path)
        assert likeness(audio[: len(ONE)], ONE) > 0.8 and likeness(audio[-len(ONE) :], ONE) > 0.8
        assert recording_duration(path) == pytest.approx(len(audio) / SAMPLE_RATE, abs=0.05)
    assert caplog.messages == [f"{path}: damaged or cut short: its end is missing; the intact part is read"]
    path.write_bytes(begin + begin)
    for read_it in (read_audio, recording_duration):
        with pytest.raises(BadAudio, match="truncated; nothing in it can be decoded"):
            read_it(path)


def test_a_recording_with_a_wrong_rate_takes_none_with_it(tmp_path, caplog):
    path, data = tmp_path / "x.wav", {}
    for rate in (1, SAMPLE_RATE):
        soundfile.write(path, ONE, rate)
        data[rate] = path.read_bytes()
    for joined in (data[1] + data[SAMPLE_RATE], data[SAMPLE_RATE] + data[1]):
        path.write_bytes(joined)
        assert len(read_audio(path)) == len(ONE)
    assert caplog.messages == [f"{path}: damaged or cut short: its end is missing; the intact part is read"]


@pytest.mark.parametrize("share", [0.6, 0.95])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("x.wav", "pcm_s16le", {}), ("x.aiff", "pcm_s16be", {}), ("x.w64", "pcm_s16le", {}),
     ("x.m4a", "aac", {"movflags": "faststart"}), ("x.mxf", "pcm_s16le", {"film": "mpeg2video"})],
)  # fmt: skip
def test_what_a_cut_recording_claims_of_the_next_is_the_next_ones(tmp_path, name, codec, options, share, caplog):
    path = cut_before_a_whole_one(tmp_path / name, codec, share, **options)
    audio = read_audio(path)
    assert likeness(audio[: 8 * SAMPLE_RATE], TWO) > 0.8 and likeness(audio[-len(ONE) :], ONE) > 0.8
    missing = float(caplog.messages[0].split(" s are missing")[0].split()[-1])
    assert missing == pytest.approx(20 - len(audio) / SAMPLE_RATE, abs=0.1)


def test_what_is_attached_to_a_matroska_is_no_part_of_it(tmp_path):
    """Another Matroska, whatever follows the file or is missing of it."""
    encode(tmp_path / "one.mkv", Track(LONG_ONE, "aac"))
    encode(tmp_path / "two.mkv", Track(LONG_TWO, "aac"))
    inner, outer = (tmp_path / "one.mkv").read_bytes(), (tmp_path / "two.mkv").read_bytes()
    held = b"\x46\x6e\x81x\x46\x60\x81x\x46\xae\x81\x01\x46\x5c\x08" + len(inner).to_bytes(4, "big") + inner
    held = b"\x61\xa7\x08" + len(held).to_bytes(4, "big") + held
    held = b"\x19\x41\xa4\x69\x08" + len(held).to_bytes(4, "big") + held
    at, begin = outer.index(b"\x18\x53\x80\x67\x01") + 5, outer.index(b"\x1f\x43\xb6\x75")
    length = int.from_bytes(outer[at : at + 7], "big") + len(held)
    whole = outer[:at] + length.to_bytes(7, "big") + outer[at + 7 : begin] + held + outer[begin:]
    path, cut = tmp_path / "x.mkv", whole[: -len(outer) // 3]
    behind = whole + b"TAG" + bytes(125)
    for data, parts in ((behind, 1), (cut, 1), (whole + inner + b"U" * 500, 2), (cut + inner, 2)):
        path.write_bytes(data)
        with open(path, "rb") as file:
            assert len(recordings_of(file, data[:64])) == parts
        audio = read_audio(path)
        assert likeness(audio[: 9 * SAMPLE_RATE], TWO) > 0.8
        assert parts == 1 or likeness(audio[-len(ONE) :], ONE) > 0.8


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("x.mkv", "aac", {}), ("x.webm", "libopus", {}), ("x.flv", "aac", {}), ("x.tta", "tta", {}),
     ("x.mxf", "pcm_s16le", {"film": "mpeg2video"}), ("x.wma", "wmav2", {}), ("x.rm", "ac3", {}),
     ("x.wv", "wavpack", {}), ("x.wav", "pcm_s16le", {}), ("x.mp4", "aac", {"movflags": "faststart"})],
)  # fmt: skip
def test_a_recording_cut_within_its_header_is_truncated(tmp_path, name, codec, options):
    """And no format that nobody knows, no fault of the drive, and none that is too short."""
    path = tmp_path / name
    encode(path, Track(LONG_ONE, codec, bit_rate=96000 if codec == "wmav2" else None), **options)
    data = path.read_bytes()
    for length in (12, 30, 60, 100, 300, 400, 600, 1000):
        path.write_bytes(data[:length])
        for read_it in (read_audio, recording_duration):
            with pytest.raises(BadAudio) as error:
                read_it(path)
            assert error.value.reason == "truncated" and "copy it again" in str(error.value), (length, error.value)


@pytest.mark.parametrize("behind", [3000, 100_000])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("x.mp3", "libmp3lame", {}), ("x.mp3", "libmp3lame", {"write_xing": "0", "id3v2_version": "0"}),
     ("x.aac", "aac", {}), ("x.ac3", "ac3", {}), ("x.mp2", "mp2", {}), ("x.wv", "wavpack", {}),
     ("x.opus", "libopus", {})],
)  # fmt: skip
def test_zeros_behind_the_end_are_no_sound_and_no_loss_of_so_many_seconds(
    tmp_path, name, codec, options, behind, caplog
):
    """Room that a recorder made. Where nothing tells the end, much of it may as well be a download that stopped."""
    path = tmp_path / name
    encode(path, Track(LONG, codec), **options)
    whole = read_audio(path)
    path.write_bytes(path.read_bytes() + bytes(behind))
    audio = read_audio(path)
    assert len(audio) == len(whole) and np.abs(audio - whole).max() < 1e-5
    assert recording_duration(path) == pytest.approx(len(audio) / SAMPLE_RATE, abs=0.05)
    told = "damaged or cut short: its end is missing; the intact part is read"
    known = name in ("x.wv", "x.opus") or (name == "x.mp3" and not options)
    assert caplog.messages == ([] if behind < 2**14 or known else [f"{path}: {told}"])


@pytest.mark.parametrize(("name", "codec"), [("x.mp3", "libmp3lame"), ("x.ac3", "ac3"), ("x.aac", "aac")])
def test_the_last_frame_is_the_one_that_others_lead_to(tmp_path, name, codec):
    """And no bytes of a frame that look like the head of one."""
    path = tmp_path / name
    for part in (LONG, LONG_ONE, LONG_TWO):
        encode(path, Track(part, codec))
        data = path.read_bytes()
        assert end_of_frames(io.BytesIO(data + bytes(3000)), Path(name).suffix[1:]) == len(data)


def last_tags() -> dict[str, bytes]:
    """Tags that stand behind sound: APE with a head, as long as it says, and Lyrics3 stand before ID3 1."""
    first = b"TAG" + b"title".ljust(125, b"\0")
    item = b"\x05\0\0\0" + bytes(4) + b"Title\0hello"
    ape = b"APETAGEX\xd0\x07\0\0" + (len(item) + 32).to_bytes(4, "little") + b"\x01\0\0\0"
    ape = ape + b"\0\0\0\xa0" + bytes(8) + item + ape + b"\0\0\0\x80" + bytes(8)
    lyrics = b"LYRICSBEGININD0000200LYR00011Hello world"
    frame = b"TIT2\0\0\0\x06\0\0\x03hello"
    head = b"\4\0\x10\0\0\0" + bytes([len(frame)])
    return {
        "ID3 1": first,
        "APE": ape + first,
        "Lyrics3": lyrics + b"%06dLYRICS200" % len(lyrics) + first,
        "ID3 2.4": b"ID3" + head + frame + b"3DI" + head,
    }


@pytest.mark.parametrize("tag", last_tags())
@pytest.mark.parametrize(
    ("name", "codec", "zeros"),
    [("x.mp3", "libmp3lame", 100_000), ("x.aac", "aac", 3000), ("x.ac3", "ac3", 3000), ("x.wav", "pcm_s16le", 100_000),
     ("x.aiff", "pcm_s16be", 100_000), ("x.au", "pcm_s16be", 100_000), ("x.w64", "pcm_s16le", 100_000),
     ("x.tta", "tta", 100_000), ("x.wma", "wmav2", 3000), ("x.caf", "alac", 100_000)],
)  # fmt: skip
def test_tags_at_the_end_are_neither_sound_nor_a_loss_also_behind_zeros(tmp_path, name, codec, zeros, tag, caplog):
    path = tmp_path / name
    encode(path, Track(LONG_ONE, codec, bit_rate=96000 if codec == "wmav2" else None))
    data, whole, tag = path.read_bytes(), read_audio(path), last_tags()[tag]
    for behind in (tag, bytes(zeros) + tag):
        path.write_bytes(data + behind)
        audio = read_audio(path)
        assert len(audio) == len(whole) and np.abs(audio - whole).max() < 1e-5
        assert recording_duration(path) == pytest.approx(len(whole) / SAMPLE_RATE, abs=0.05)
    path.write_bytes(data + tag + data + tag)
    assert len(read_audio(path)) == pytest.approx(2 * len(whole), abs=1600)
    assert not caplog.records


def test_chunks_behind_the_sound_of_a_w64_are_no_sound(tmp_path):
    soundfile.write(tmp_path / "a.w64", ONE, SAMPLE_RATE, subtype="PCM_16")
    note = np.random.default_rng(0).bytes(100_000)
    chunk = b"junk" + W64 + (24 + len(note)).to_bytes(8, "little") + note
    for behind in (chunk, bytes(100_000)):
        (tmp_path / "b.w64").write_bytes((tmp_path / "a.w64").read_bytes() + behind)
        assert np.array_equal(read_audio(tmp_path / "b.w64"), read_audio(tmp_path / "a.w64"))


@pytest.mark.parametrize(
    ("first", "second", "rate"),
    [(0.6, 1.0, RATE), (0.9, 1.0, RATE), (1.0, 0.5, RATE), (0.6, 0.5, RATE), (0.6, 1.0, 22050)],
)
def test_seconds_that_joined_mp3_lack_are_told(tmp_path, first, second, rate, caplog):
    """Each of them says how many frames it has."""
    path, data = tmp_path / "x.mp3", b""
    for part, share, hertz in ((LONG_TWO, first, rate), (LONG_ONE, second, RATE)):
        encode(path, Track(part, "libmp3lame", rate=hertz))
        content = path.read_bytes()
        data += content[: int(share * len(content))]
    path.write_bytes(data)
    audio = read_audio(path)
    missing = float(caplog.messages[0].split(" s are missing")[0].split()[-1])
    assert missing == pytest.approx(20 - len(audio) / SAMPLE_RATE, abs=0.5)


@pytest.mark.parametrize(
    ("name", "codec", "film", "options"),
    [("x.mkv", "libopus", "mpeg4", {}), ("x.mkv", "aac", "mpeg4", {"live": "1"}), ("x.flv", "libmp3lame", "flv", {}),
     ("x.mxf", "pcm_s16le", "mpeg2video", {}), ("x.wmv", "wmav2", "wmv2", {}), ("x.rm", "ac3", "rv10", {})],
)  # fmt: skip
def test_a_stretch_of_a_film_that_is_zeros_is_missing_and_no_pause(tmp_path, name, codec, film, options, caplog):
    path = tmp_path / name
    more = {"rate": 44100} if name == "x.flv" else {"bit_rate": 96000} if name == "x.wmv" else {}
    encode(path, Track(LONG, codec, **more), film=film, **options)
    data = path.read_bytes()
    first, last = len(data) // 2, int(0.65 * len(data))
    path.write_bytes(data[:first] + bytes(last - first) + data[last:])
    assert len(read_audio(path)) == pytest.approx(len(ALL), abs=1600)
    (said,) = caplog.messages
    assert 2 < float(said.split(" s are missing")[0].split()[-1]) < 4


def test_damage_that_libraries_take_for_the_end_is_told(tmp_path, caplog):
    for name, codec, end in (("x.avi", "libmp3lame", 1.0), ("x.voc", "pcm_s16le", 0.6)):
        path = tmp_path / name
        encode(path, Track(LONG, codec))
        data = path.read_bytes()
        first, last = int(0.4 * len(data)), int(end * len(data))
        path.write_bytes(data[:first] + np.random.default_rng(0).bytes(last - first) + data[last:])
        audio = read_audio(path)
        assert len(audio) < 0.5 * len(ALL)
        missing = float(caplog.messages[-1].split(" s are missing")[0].split()[-1])
        assert missing == pytest.approx(20 - len(audio) / SAMPLE_RATE, abs=0.5)


@pytest.mark.parametrize("name, codec", [("x.m4a", "aac"), ("x.mkv", "aac"), ("x.ogg", "libopus"), ("x.flac", "flac"),
                                         ("x.wma", "wmav2"), ("x.caf", "pcm_s16be"), ("x.wv", "wavpack")])  # fmt: skip
def test_an_id3_tag_in_front_is_no_part_of_any_recording(tmp_path, name, codec, caplog):
    path = tmp_path / name
    encode(path, Track(LONG_ONE, codec, bit_rate=96000 if codec == "wmav2" else None))
    data, whole = path.read_bytes(), read_audio(path)
    picture = b"APIC" + (400_000).to_bytes(4, "big") + b"\0\0" + np.random.default_rng(0).bytes(400_000)
    tag = b"ID3\3\0\0" + bytes(len(picture) >> shift & 127 for shift in (21, 14, 7, 0)) + picture
    path.write_bytes(tag + data)
    audio = read_audio(path)
    assert len(audio) == len(whole) and np.abs(audio - whole).max() < 1e-5
    assert recording_duration(path) == pytest.approx(len(whole) / SAMPLE_RATE, abs=0.05)
    assert not caplog.records


@pytest.mark.parametrize("name", ["damaged.thd", "damaged.wma"])
def test_noise_is_missing_where_a_decoder_finds_nothing_wrong(tmp_path, name, caplog):
    """In formats whose libraries look for the next sound place, and say nothing of what they left out."""
    audio = read_audio(make_or_skip(name, tmp_path))
    (said,) = caplog.messages
    assert 0.8 < float(said.split(" s are missing")[0].split()[-1]) < 1.6
    known = name == "damaged.wma"  # of others only the bytes are, of which a second has now more, now less
    assert len(audio) == pytest.approx(len(ALL), abs=1600 if known else SAMPLE_RATE // 2)
    assert likeness(audio[: 9 * SAMPLE_RATE], ALL) > 0.8 and not audio[11 * SAMPLE_RATE : 11 * SAMPLE_RATE + 50].any()


@pytest.mark.parametrize(
    ("name", "codec", "options", "reader"),
    [("x.caf", "libopus", {}, "ffmpeg"), ("opus.ts", "libopus", {}, ""),
     ("x.wav", "adpcm_ima_wav", {}, ""), ("x.vob", "mp2", {}, ""),
     ("x.ts", "aac", {}, ""), ("x.flac", "flac", {}, "")],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.01, 0.05])
def test_noise_is_a_loss_and_what_follows_is_in_its_place_in_parts_too(
    tmp_path, name, codec, options, reader, share, caplog
):
    """Whether a decoder makes more samples of a damaged packet, or fewer, or another rate."""
    path = tmp_path / name
    if reader and not shutil.which(reader):
        pytest.skip(f"{name}: {reader} is not installed: THIS KIND OF RECORDING IS NOT TESTED")
    if reader:
        soundfile.write(tmp_path / "source.wav", LONG, RATE)
        ffmpeg("-i", tmp_path / "source.wav", "-c:a", codec, path)
    else:
        encode(path, Track(LONG, codec), form="vob" if name == "x.vob" else None, **options)
    data = path.read_bytes()
    first, count = len(data) // 2, int(share * len(data))
    for seed in range(3):
        path.write_bytes(data[:first] + np.random.default_rng(seed).bytes(count) + data[first + count :])
        read_module._warned.clear()
        audio = read_audio(path)
        assert len(audio) == pytest.approx(len(ALL), abs=1600)
        assert recording_duration(path) == pytest.approx(len(audio) / SAMPLE_RATE, abs=0.01)
        for start in (0.5, 13.2, 17.187):
            part = read_audio(path, start, start + 1.5)
            assert np.abs(part - audio[round(start * SAMPLE_RATE) :][: len(part)]).max() < 1e-5
        assert " s are missing" in caplog.messages[-1] and "holes" not in caplog.text


@pytest.mark.parametrize(
    ("name", "codec", "film"), [("x.ts", "ac3", ""), ("x.ts", "aac", "mpeg2video"), ("x.flv", "libmp3lame", "flv")]
)
def test_bytes_that_are_missing_are_a_loss_and_a_pause_is_none(tmp_path, name, codec, film, caplog):
    """What lies between packets of a stream tells: they begin at equal distances, or one says where the other ends."""
    path, rate = tmp_path / name, 44100 if name == "x.flv" else RATE
    encode(path, Track(LONG, codec, rate=rate, hole=(5.0, 4.0)), film=film)
    assert len(read_audio(path, damaged="skip")) == pytest.approx(len(ALL) + 4 * SAMPLE_RATE, abs=1600)
    assert "holes: 4.0" in caplog.messages.pop()
    encode(path, Track(LONG, codec, rate=rate), film=film)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + len(data) // 20 :])
    read_module._warned.clear()
    assert len(read_audio(path)) == pytest.approx(len(ALL), abs=1600)
    assert 0.8 < float(caplog.messages[-1].split(" s are missing")[0].split()[-1]) < 1.3


def test_a_twentieth_of_an_avi_whose_index_counts_bytes_is_silence(tmp_path, caplog):
    path = tmp_path / "x.avi"
    encode(path, Track(LONG, "adpcm_ms"))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) // 20) + data[len(data) // 2 + len(data) // 20 :])
    audio = read_audio(path)
    assert len(audio) == pytest.approx(len(ALL), abs=1600) and "1.0" in caplog.text
    assert likeness(audio[12 * SAMPLE_RATE :], ALL[12 * SAMPLE_RATE :]) > 0.8


@pytest.mark.parametrize("codec", ["aac", "libopus"])
def test_a_pause_of_the_sound_of_a_film_is_no_damage(tmp_path, codec, caplog):
    """Though pictures lie there."""
    path = tmp_path / "x.mkv"
    encode(path, Track(LONG, codec, hole=(5.0, 4.0)), film="mpeg4")
    assert len(read_audio(path, damaged="skip")) == pytest.approx(len(ALL) + 4 * SAMPLE_RATE, abs=1600)
    assert caplog.messages == [f"{path}: its time line has holes: 4.00 s are silence"]


def test_what_lies_behind_a_whole_wma_or_flv_is_no_loss(tmp_path, caplog):
    for name, codec, bit_rate in (("x.wma", "wmav2", 96000), ("x.flv", "aac", None)):
        path = tmp_path / name
        encode(path, Track(LONG_ONE, codec, bit_rate=bit_rate))
        data, whole = path.read_bytes(), len(read_audio(path))
        for behind in (b"<html>not found</html>\r\n" * 40, np.random.default_rng(3).bytes(9000), b"ID3\4" + bytes(99)):
            path.write_bytes(data + behind)
            assert len(read_audio(path)) == whole
    assert not caplog.records


@pytest.mark.parametrize(("film", "live"), [("", "0"), ("mpeg4", "0"), ("", "1")])
def test_a_matroska_that_lacks_bytes_in_its_middle_has_its_end(tmp_path, film, live, caplog):
    path = tmp_path / "x.mkv"
    encode(path, Track(LONG, "aac"), film=film, live=live)
    data, at = path.read_bytes(), int(0.4 * path.stat().st_size)
    path.write_bytes(data[:at] + data[at + 20_000 :])
    audio = read_audio(path)
    assert len(audio) == pytest.approx(len(ALL), abs=1600)
    (said,) = caplog.messages
    assert "end" not in said and 2 < float(said.split(" s are missing")[0].split()[-1]) < 8
    path.write_bytes(data[: 2 * at])
    assert len(read_audio(path)) < 0.9 * len(ALL)


@pytest.mark.parametrize("edit", [lambda data, at: data[: at + 2000] + data[at + 9000 :], lambda data, at:
                                  data[:at] + bytes(9000) + data[at + 9000 :], lambda data, at:
                                  data[:at] + b"U" * 9000 + data[at:]], ids=["missing", "zeros", "more"])  # fmt: skip
@pytest.mark.parametrize(
    "name, codec, options",
    [
        ("x.wv", "wavpack", {}),
        ("x.mp4", "aac", {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "1000000"}),
        ("x.mp4", "aac", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "1000000"}),  # places in the file
    ],
)
def test_damage_in_two_places_leaves_the_rest_where_it_was(tmp_path, name, codec, options, edit, caplog):
    path = tmp_path / name
    encode(path, Track(LONG, codec), **options)
    data = path.read_bytes()
    for place in (0.75, 0.35):
        data = edit(data, int(place * len(data)))
    path.write_bytes(data)
    audio = read_audio(path)
    assert len(audio) == pytest.approx(len(ALL), abs=1600) and " s are missing" in caplog.text
    for part in (slice(0, 5 * SAMPLE_RATE), slice(int(10.5 * SAMPLE_RATE), int(13 * SAMPLE_RATE))):
        assert likeness(audio[part], ALL[part]) > 0.8
    assert recording_duration(path) == pytest.approx(len(audio) / SAMPLE_RATE, abs=0.1)
    assert np.abs(read_audio(path, 17.0, 18.0) - audio[17 * SAMPLE_RATE : 18 * SAMPLE_RATE]).max() < 1e-5


@pytest.mark.parametrize("pid", ["256", "300"])
def test_a_transport_stream_whose_sound_moves_or_has_another_codec_is_read_on(tmp_path, pid, caplog):
    path, data = tmp_path / "x.ts", b""
    kinds = (LONG_ONE, "aac", "256"), (LONG_TWO, "mp2", pid), (LONG_ONE, "aac", "256"), (LONG_TWO, "aac", "256")
    for part, codec, start in kinds:
        encode(path, Track(part, codec), film="mpeg2video", mpegts_start_pid=start)
        data += path.read_bytes()
    path.write_bytes(data)
    audio = read_audio(path)
    assert not caplog.records and len(audio) == pytest.approx(40 * SAMPLE_RATE, abs=3200)
    assert likeness(audio, np.concatenate([ALL, ALL])) > 0.8
    assert recording_duration(path) == pytest.approx(len(audio) / SAMPLE_RATE, abs=0.1)
    assert np.abs(read_audio(path, 24.0, 26.0) - audio[24 * SAMPLE_RATE : 26 * SAMPLE_RATE]).max() < 1e-5


def test_a_stretch_that_an_mxf_lacks_is_told(tmp_path, caplog):
    path = tmp_path / "x.mxf"
    encode(path, Track(LONG, "pcm_s16le"), film="mpeg2video")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 5] + data[len(data) * 3 // 5 :])
    assert len(read_audio(path)) == pytest.approx(16 * SAMPLE_RATE, abs=SAMPLE_RATE)
    assert 3 < float(caplog.messages[0].split(" s are missing")[0].split()[-1]) < 5


@pytest.mark.parametrize("name, codec, film", [("x.m4a", "aac", ""), ("x.ts", "aac", "mpeg4"), ("x.mpg", "mp2", "")])
def test_what_follows_long_damage_stays_in_its_place(tmp_path, name, codec, film, caplog):
    """Of hundreds of packets in a row nothing is left, and the clock of a broadcast jumps no further than they last."""
    path = tmp_path / name
    encode(path, Track(LONG, codec), form="mpeg" if name == "x.mpg" else None, film=film)
    data = path.read_bytes()
    first, count = int(0.3 * len(data)), int(0.5 * len(data))
    path.write_bytes(data[:first] + np.random.default_rng(3).bytes(count) + data[first + count :])
    audio = read_audio(str(path))
    assert abs(len(audio) - len(ALL)) < 0.1 * SAMPLE_RATE and "missing" in caplog.text
    for part in (slice(0, 5 * SAMPLE_RATE), slice(int(16.8 * SAMPLE_RATE), int(19.7 * SAMPLE_RATE))):
        assert likeness(audio[part], ALL[part]) > 0.8
    whole = audio[18 * SAMPLE_RATE : 19 * SAMPLE_RATE]
    assert np.allclose(read_audio(str(path), 18.0, 19.0), whole, atol=1e-5), "a part is as in the whole"


@pytest.mark.parametrize(("name", "place"), [("a.opus", 0.1), ("a.opus", 0.5), ("a.ogg", 0.5), ("a.ogg", 0.99)])
def test_one_wrong_byte_of_an_ogg_file_costs_a_page_and_is_told(tmp_path, name, place, caplog):
    """Libraries drop the page, without a word, as its checksum is wrong: a second or two."""
    encode(tmp_path / name, Track(voice(20, 1, RATE), "libopus"))
    if name == "a.ogg":
        soundfile.write(tmp_path / name, voice(20, 1), SAMPLE_RATE)
    assert len(read_audio(tmp_path / name, damaged="skip")) == pytest.approx(20 * SAMPLE_RATE, abs=1600)
    assert not caplog.records
    content = bytearray((tmp_path / name).read_bytes())
    content[int(len(content) * place)] ^= 1
    (tmp_path / name).write_bytes(content)
    heard = read_audio(tmp_path / name)
    assert len(caplog.records) == 1
    assert len(heard) / SAMPLE_RATE == pytest.approx(recording_duration(tmp_path / name), abs=0.1)


def test_a_broken_header_brings_no_notes_of_a_library(tmp_path, capfd):
    """ffmpeg's libraries seek to where it says, before the file's beginning, too."""
    soundfile.write(tmp_path / "a.w64", ONE, SAMPLE_RATE, subtype="PCM_16")
    content = bytearray((tmp_path / "a.w64").read_bytes())
    content[54:62] = b"\xff" * 8
    (tmp_path / "a.w64").write_bytes(content)
    assert len(read_audio(tmp_path / "a.w64")) == len(ONE)  # libsndfile's work
    with open(tmp_path / "a.w64", "rb") as file, pytest.raises(EOFError):
        ContainerReader("a.w64", file)
    assert capfd.readouterr().err == ""


def test_pauses_in_which_a_phone_sends_nothing_are_silence_and_no_damage(tmp_path, caplog):
    """AMR by hand: frames of noise at 5.9 kbit/s, and between them comfort noise and frames without data."""
    draw = np.random.default_rng(0)
    speech, comfort, nothing = (lambda: b"\x14" + draw.bytes(15)), (lambda: b"\x44" + draw.bytes(5)), (lambda: b"\x7c")
    frames = [comfort, *[nothing] * 99, *[speech] * 100, comfort, *[nothing] * 149, *[speech] * 100, *[nothing] * 50]
    (tmp_path / "a.amr").write_bytes(b"#!AMR\n" + b"".join(frame() for frame in frames))
    audio = read_audio(tmp_path / "a.amr", damaged="skip")
    assert len(audio) == 10 * SAMPLE_RATE == round(recording_duration(tmp_path / "a.amr") * SAMPLE_RATE)
    loud = np.abs(audio).reshape(100, -1).max(axis=1) > 0.005  # tenths of a second
    assert not loud[:19].any() and loud[21:39].all() and not loud[41:69].any() and loud[71:89].all()
    part = read_audio(tmp_path / "a.amr", 7.5, 8.5)
    assert np.abs(part - audio[round(7.5 * SAMPLE_RATE) :][: len(part)]).max() < 1e-5
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "share", "library"),
    [("plain.mp3", 0.5, files), ("tracks.mkv", 0.5, files), ("plain.wav", 0.0, files), ("cut.wav", 0.5, read_module)],
)
def test_a_drive_that_fails_is_no_damage_of_the_recording(tmp_path, monkeypatch, name, share, library):
    """What is there is not taken for all of it: the drive may be back tomorrow."""
    kind = next(kind for kind in KINDS if kind.file == name)
    path = tmp_path / name
    if name == "plain.mp3":  # longer than what libraries read ahead
        encode(path, Track(voice(60, 1, 48000), "libmp3lame"))
    else:
        kind.make(path)
    limit = share * path.stat().st_size

    class Failing(io.FileIO):
        def readinto(self, buffer):
            if self.tell() + len(buffer) > limit:
                raise OSError(errno.EIO, os.strerror(errno.EIO), self.name)
            return super().readinto(buffer)

        def read(self, size=-1):
            buffer = bytearray(2**20 if size < 0 else size)
            return bytes(buffer[: self.readinto(buffer)])

    def failing(path, *_, buffering=-1):
        return Failing(path) if buffering == 0 else io.BufferedReader(Failing(path))

    # libsndfile takes for a file's end what it cannot read; then the whole file is read once more.
    monkeypatch.setattr(library, "open", failing, raising=False)
    with pytest.raises(BadAudio, match="the disk or network drive fails"):
        read_audio(path)


def test_a_recording_that_grows_while_it_is_read_is_told(tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", ALL, SAMPLE_RATE)
    blocks = audio_blocks(tmp_path / "a.wav")
    next(blocks)
    with open(tmp_path / "a.wav", "ab") as file:
        file.write(bytes(1000))
    assert sum(map(len, blocks)) == len(ALL) - 5 * SAMPLE_RATE
    assert caplog.messages == [
        f"{tmp_path / 'a.wav'}: it changed while it was read; run this again when it is complete"
    ]


def test_what_is_no_sound_is_not_read_behind_it(tmp_path, caplog):
    """Chunks, known or not, tags, and room that was made for more."""
    make_or_skip("plain.wav", tmp_path)
    sound, note = (tmp_path / "plain.wav").read_bytes(), np.random.default_rng(0).bytes(200_000)
    chunk = len(note).to_bytes(4, "little") + note
    known, endless = b"LIST" + chunk, b"LIST\xff\xff\xff\x7f" + note
    for behind in (known, b"XyZ " + chunk, b"ID3\4\0" + note, bytes(200_000), known + note, endless):
        (tmp_path / "a.wav").write_bytes(sound + behind)
        assert len(read_audio(tmp_path / "a.wav")) == len(ALL)
    make_or_skip("chunks.wav", tmp_path)
    (tmp_path / "a.wav").write_bytes((tmp_path / "chunks.wav").read_bytes()[: -2 * SAMPLE_RATE])
    assert len(read_audio(tmp_path / "a.wav")) == len(ALL) - SAMPLE_RATE
    what = "damaged or cut short: 1.00 s are missing; the intact part is read"
    assert caplog.messages == [f"{tmp_path / 'a.wav'}: {what}"]


def test_a_wav_past_4_gb_is_read_to_its_end(tmp_path):
    """Its header has 32 bits for the bytes of sound."""
    path, seconds = tmp_path / "long.wav", 2**32 // 192000 + 30
    soundfile.write(path, np.zeros((1, 2)), 48000, subtype="PCM_16")
    header = bytearray(path.read_bytes()[:44])
    header[40:44] = (seconds * 192000 % 2**32).to_bytes(4, "little")
    sound = (np.stack([LONG_ONE] * 2, 1) * 32767).astype("<i2")
    with open(path, "wb") as file:  # silence takes no place on the disk
        file.write(header)
        file.seek(44 + (seconds - 5) * 192000)
        file.write(sound.tobytes())
    assert recording_duration(path) == seconds
    assert np.abs(read_audio(path, seconds - 5, seconds) - ONE).max() < 0.02


def pages_of(data: bytes) -> list[int]:
    """Where the pages of an Ogg file begin, and where the last one ends."""
    places = [0]
    while places[-1] < len(data):
        head = data[places[-1] :]
        places.append(places[-1] + 27 + head[26] + sum(head[27 : 27 + head[26]]))
    return places


@pytest.mark.parametrize("begin", [2.2, 4.3, 7.7])
def test_vorbis_that_begins_before_the_time_0_has_the_same_samples_in_parts(tmp_path, begin):
    """As `ffmpeg -ss … -c copy` cuts it: the first page lacks samples at its begin that its packets hold."""
    soundfile.write(tmp_path / "whole.ogg", ALL, SAMPLE_RATE)
    with av.open(str(tmp_path / "whole.ogg")) as source, av.open(str(tmp_path / "x.ogg"), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size and packet.pts is not None:
                packet.stream, moved = stream, round(begin / packet.time_base)
                packet.pts, packet.dts = packet.pts - moved, packet.dts - moved
                if packet.pts * packet.time_base > -0.9:
                    target.mux(packet)
    audio = read_audio(tmp_path / "x.ogg")
    assert likeness(audio[-6 * SAMPLE_RATE :], ALL[-6 * SAMPLE_RATE :]) > 0.8
    for start in (0.5, 5.0, 9.7):
        part = read_audio(tmp_path / "x.ogg", start, start + 1)
        assert np.abs(part - audio[round(start * SAMPLE_RATE) :][: len(part)]).max() < 1e-5


def test_a_damaged_first_page_is_a_hole_and_no_late_begin(tmp_path, caplog):
    path = tmp_path / "x.ogg"
    encode(path, Track(LONG, "libopus"), page_duration="1000000")
    data = bytearray(path.read_bytes())
    first = pages_of(data)[2]
    data[first + 300] ^= 16
    path.write_bytes(data)
    audio = read_audio(path)
    assert "1.0" in caplog.text and "s are missing" in caplog.text
    assert abs(len(audio) - len(ALL)) < 1600 and abs(recording_duration(path) - len(audio) / SAMPLE_RATE) < 0.1
    assert not audio[1600:12800].any() and likeness(audio[2 * SAMPLE_RATE :], ALL[2 * SAMPLE_RATE :]) > 0.8


@pytest.mark.parametrize("missing", [False, True])
def test_the_page_before_the_last_one_is_missed(tmp_path, missing, caplog):
    """The last one's sound goes on where that of the page before ends: nothing is a hole."""
    path = tmp_path / "x.opus"
    encode(path, Track(LONG, "libopus"), page_duration="1000000")
    data, places = path.read_bytes(), pages_of(path.read_bytes())
    first, last = places[-3], places[-2]
    path.write_bytes(data[:first] + (b"" if missing else data[first : last - 99] + bytes(99)) + data[last:])
    assert len(read_audio(path)) == pytest.approx(19 * SAMPLE_RATE, abs=1600)
    assert float(caplog.messages[0].split(" s are missing")[0].split()[-1]) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("page", [0, 1, 2])
def test_where_no_page_of_sound_is_left_of_an_ogg_file_it_is_called_damaged(tmp_path, page):
    path = tmp_path / "x.ogg"
    soundfile.write(path, ONE[: 5 * SAMPLE_RATE], SAMPLE_RATE)
    data = bytearray(path.read_bytes())
    for place in pages_of(data)[page : page + 1 if page < 2 else -1]:
        data[place + 30] ^= 255
    path.write_bytes(data)
    with pytest.raises(BadAudio, match="damaged; its first pages are not as they were written; copy it again") as error:
        read_audio(path)
    assert error.value.reason == "damaged"


def loudest(path: Path) -> float:
    """Of what ffmpeg's libraries decode."""
    peak = 0.0
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0):
            with contextlib.suppress(av.error.FFmpegError):
                peak = max([peak, *(float(np.abs(frame.to_ndarray()).max()) for frame in packet.decode())])
    return peak


def test_a_damaged_packet_that_is_decoded_as_a_bang_is_lost_and_its_recording_is_not(tmp_path):
    """AAC has no checksum: a wrong bit of a gain makes a frame of a thousand times full scale."""
    path = tmp_path / "x.aac"
    encode(path, Track(LONG_ONE, "aac"), form="adts")
    data = path.read_bytes()
    for seed in range(400):
        bent, rng = bytearray(data), np.random.default_rng(seed)
        for at in rng.integers(len(data) // 5, len(data), 4):
            bent[at] ^= 1 << rng.integers(8)
        path.write_bytes(bent)
        if loudest(path) > 100:
            break
    else:
        pytest.fail("no damage made a bang")
    audio = read_audio(path)
    assert abs(len(audio) - len(ONE)) < 8000 and np.abs(audio).max() <= 4


def bangs(*peaks: float, before: int = 0) -> tuple[list[bool], float]:
    """Which of frames of 1,000 samples with such peaks are silenced, where so many samples lie before a part; seconds
    that were silenced."""
    pieces = ((1000, np.full((1000, 1), peak, np.float32), max(0, before - 1000 * n)) for n, peak in enumerate(peaks))
    lost = []
    silenced = [not audio.any() for _, audio, _ in without_bursts(pieces, lost.append)]
    return silenced, sum(lost)


def test_a_bang_is_told_by_what_lies_beside_it_and_by_nothing_before():
    """So that a part, which begins later, is silenced where the whole is."""
    assert bangs(1, 900, 1, 1) == ([False, True, False, False], 1)
    assert bangs(900, 900, 1) == ([True, True, False], 2)
    assert bangs(1, np.nan) == ([False, True], 1)
    assert bangs(1, *[50] * 11, 1) == ([False] * 13, 0)  # so loud is no packet alone
    assert bangs(1, 3, 5, 3) == ([False] * 4, 0)
    assert bangs(900, 900, 1, before=1500) == ([True, True, False], 0.5)


@pytest.mark.parametrize("place", [0.02, 0.27, 0.5])
def test_a_bang_is_silenced_in_a_part_as_in_the_whole(tmp_path, monkeypatch, place):
    path = tmp_path / "x.aac"
    encode(path, Track(LONG, "aac"), form="adts")
    samples = DecodingPass._samples

    def decoded(self, frame):
        """As of a damaged packet: its sound is known, so the frame is told by it, wherever reading begins."""
        audio = samples(self, frame)
        return audio * 1e6 if np.abs(audio).max(initial=0) == peak else audio

    with av.open(str(path)) as container:
        frames = [float(np.abs(frame.to_ndarray()).max()) for frame in container.decode(audio=0)]
    peak = np.float32(frames[round(place * len(frames))])
    monkeypatch.setattr(DecodingPass, "_samples", decoded)
    whole, first = read_audio(path), place * 20
    assert np.abs(whole).max() < 4
    for start in (max(0.0, first - 1), first, max(0.0, first - 0.01)):
        part = read_audio(path, start, start + 1.5)
        assert np.abs(part - whole[round(start * SAMPLE_RATE) :][: len(part)]).max() < 1e-5


def test_a_heavily_damaged_flac_keeps_its_length_and_lacks_no_more_than_it_had(tmp_path, caplog):
    """Damage looks like the beginning of frames, which are none."""
    path, draw = tmp_path / "x.flac", np.random.default_rng(1)
    encode(path, Track(LONG, "flac"))
    data = bytearray(path.read_bytes())
    for place in draw.integers(len(data) // 20, len(data) - 20000, 3000):
        data[place] ^= 1 << draw.integers(8)
    path.write_bytes(data)
    assert len(read_audio(path)) == pytest.approx(len(ALL), abs=1600)
    assert 5 < float(caplog.messages[0].split(" s are missing")[0].split()[-1]) < 20


@pytest.mark.parametrize(("seed", "count"), [(0, 1), (1, 3), (3, 100)])
def test_wrong_bits_of_a_flac_cost_their_frames_and_move_nothing(tmp_path, seed, count, caplog):
    """Libraries drop a frame of 0.096 s, which is no hole to be seen by the clocks of other formats."""
    path, draw = tmp_path / "x.flac", np.random.default_rng(seed)
    encode(path, Track(LONG, "flac"))
    sound, data = read_audio(path), bytearray(path.read_bytes())
    for place in draw.integers(len(data) // 2, len(data) // 2 + 3000, count):
        data[place] ^= 1 << draw.integers(8)
    path.write_bytes(data)
    audio = read_audio(path)
    assert len(audio) == len(sound) == round(recording_duration(path) * SAMPLE_RATE)
    lost = float(caplog.messages[0].split(" s are missing")[0].split()[-1])
    differs = np.abs(audio - sound).reshape(-1, 16).max(axis=1) > 1e-3  # ms
    assert 0.09 < lost < 0.4 and differs.sum() / 1000 == pytest.approx(lost, abs=0.01)
    for start in (0.0, 9.0, 10.2, 17.1):
        part = read_audio(path, start, start + 2)
        assert np.abs(part - audio[round(start * SAMPLE_RATE) :][: len(part)]).max() < 1e-5
    assert len(caplog.messages) == 1


def test_what_no_decoder_can_read_is_not_called_cut(tmp_path):
    """As 5.1 channels of TrueHD by some programs."""
    draw = np.random.default_rng(0)
    with av.open(str(tmp_path / "x.mka"), "w") as container:
        stream = container.add_stream("ac3", rate=RATE, layout="stereo")
        for number in range(200):
            packet = av.Packet(draw.bytes(600))
            packet.stream, packet.pts, packet.dts, packet.duration = stream, number * 1536, number * 1536, 1536
            packet.time_base = stream.time_base = Fraction(1, RATE)
            container.mux(packet)
    with pytest.raises(BadAudio, match="none of its packets can be decoded as ac3") as error:
        read_audio(tmp_path / "x.mka")
    assert error.value.reason == "unreadable"


def test_what_is_too_loud_all_along_is_named_so_whatever_its_codec(tmp_path):
    path = tmp_path / "x.ogg"
    soundfile.write(path, ALL * 40, SAMPLE_RATE)
    with pytest.raises(BadAudio) as error:
        read_audio(path)
    assert error.value.reason == "too loud"
