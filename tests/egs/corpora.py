"""Small corpora in exactly the published form, with real (synthetic) speech and what goes wrong in real ones.

Speech comes from espeak-ng, sentences from the grammar of mini_cs, so that the mini models understand them.
"""

import csv
import io
import json
import random
import runpy
import subprocess
import sys
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
import soundfile
from spoken import MINI_CS, spoken

from k2d.audio.utterances import open_utterances
from k2d.datadir import DataDir

ROOT = Path(__file__).resolve().parents[2]
RATE = 16000


@cache
def speech(count: int = 36) -> list[tuple[str, np.ndarray]]:
    """(text, (samples,) float32 at 16 kHz): code-switched sentences by two voices."""
    sys.path.insert(0, str(MINI_CS))
    import grammar

    topics, rng = grammar.LECTURE_TOPICS, random.Random(3)
    voices = [{"name": "a", "variant": "f2"}, {"name": "b", "variant": "m3", "pitch": 40}]
    sentences = [grammar.draw(topics[number % len(topics)], rng, tests=False) for number in range(count)]
    audio = spoken([(sentence.pieces, voices[number % 2]) for number, sentence in enumerate(sentences)])
    # espeak-ng may go beyond full scale.
    return [(sentence.text, 0.7 * samples) for sentence, samples in zip(sentences, audio, strict=True)]


def wav_bytes(audio: np.ndarray, rate: int = RATE, form: str = "WAV") -> bytes:
    handle = io.BytesIO()
    handle.name = f"x.{form.lower()}"
    soundfile.write(handle, audio, rate, format=form)
    return handle.getvalue()


def at_rate(audio: np.ndarray, rate: int) -> np.ndarray:
    import soxr

    return soxr.resample(audio, RATE, rate)


# --------------------------------------------------------------------------------------------------- ASCEND

ASCEND_FEATURES = {
    "id": pyarrow.string(),
    "path": pyarrow.string(),
    "audio": pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]),
    "transcription": pyarrow.string(),
    "duration": pyarrow.float32(),
    "language": pyarrow.string(),
    "original_speaker_id": pyarrow.int64(),
    "session_id": pyarrow.int64(),
    "topic": pyarrow.string(),
}


def ascend_rows(split: str) -> list[dict]:
    """Rows of a split; audio under "wave". Order: as published by id, which is not the order spoken."""
    said = speech()
    first = {"train": 0, "validation": 10, "test": 14}[split]
    count = {"train": 10, "validation": 4, "test": 6}[split]
    session = {"train": 1, "validation": 2, "test": 3}[split]
    rows, start = [], 5.0
    for number in range(count):
        text, audio = said[first + number]
        seconds = len(audio) / RATE
        speaker = session * 2 + number % 2
        name = f"ses{session}_spk{speaker}_L{100 + number}_{start:.3f}_{seconds:.3f}.wav"
        rows.append(
            {
                "id": "",
                "name": name,
                "wave": wav_bytes(audio),
                "transcription": text,
                "duration": seconds,
                "language": "mixed" if text.isascii() is False and any(c.isascii() and c.isalpha() for c in text)
                else "zh",
                "original_speaker_id": speaker,
                "session_id": session,
                "topic": ("education", "sports")[number % 2],
            }
        )  # fmt: skip
        start += seconds + 0.5
    rows = rows[1::2] + rows[::2]
    for number, row in enumerate(rows):
        row["id"] = f"{number:05d}"
    if split == "test":
        rows[0]["transcription"] = "[UNK] " + rows[0]["transcription"] + " [UNK]"
        rows[1]["transcription"] = rows[1]["transcription"].translate(
            {c: c + 0xFEE0 for c in range(ord("a"), ord("z") + 1)}
        )
        rows.append({**rows[0], "id": "00006", "transcription": "[UNK]", "name": "ses3_spk6_L900_900.0_1.0.wav"})
    if split == "train":
        rows[0]["wave"] = None  # the clip is missing
        rows[1]["duration"] = 9.0  # the clip is shorter than stated
    return rows


def ascend_parquet(folder: Path) -> Path:
    """The Hugging Face folder: main/<split>-00000-of-00001.parquet."""
    (folder / "main").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: cc-by-sa-4.0\n---\n# ASCEND\n")
    for split in ("train", "validation", "test"):
        write_parquet(folder / f"main/{split}-00000-of-00001.parquet", ascend_table(split), ASCEND_FEATURES)
    return folder


def ascend_table(split: str) -> list[dict]:
    table = []
    for row in ascend_rows(split):
        audio = {"bytes": row["wave"], "path": row["name"]}
        path = f".cache/huggingface/datasets/downloads/extracted/f0b3/waves/{row['name']}"
        table.append({**row, "path": path, "audio": audio})
    return table


def write_parquet(path: Path, rows: list[dict], features: dict, row_group_size: int = 4) -> None:
    described = {
        name: {"sampling_rate": RATE, "_type": "Audio"} if name == "audio" else {"dtype": str(kind), "_type": "Value"}
        for name, kind in features.items()
    }
    metadata = {"huggingface": json.dumps({"info": {"features": described}})}
    table = pyarrow.Table.from_pylist(
        [{name: row[name] for name in features} for row in rows],
        pyarrow.schema(list(features.items()), metadata=metadata),
    )
    parquet.write_table(table, path, row_group_size=row_group_size)


def ascend_original(folder: Path) -> Path:
    """The original form: waves/ and a table for each split."""
    (folder / "waves").mkdir(parents=True)
    columns = [
        "file_name",
        "transcription",
        "duration",
        "language",
        "original_speaker_id",
        "session_id",
        "topic",
    ]
    for split in ("train", "validation", "test"):
        with open(folder / f"{split}_metadata.csv", "w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, columns, extrasaction="ignore")
            writer.writeheader()
            for row in ascend_rows(split):
                writer.writerow({**row, "file_name": f"waves/{row['name']}"})
                if row["wave"]:
                    (folder / "waves" / row["name"]).write_bytes(row["wave"])
    return folder


def zipped(folder: Path, target: Path) -> Path:
    """The folder in a zip file, inside a folder of its own, as archives usually are."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"ASCEND/{path.relative_to(folder)}")
    return target


# ------------------------------------------------------------------------------------------------ NTUML2021

NTUML_FEATURES = {
    "audio": ASCEND_FEATURES["audio"],
    "transcription": pyarrow.string(),
    "translation": pyarrow.string(),
    "file": pyarrow.string(),
}


def ntuml2021(folder: Path, with_file: bool = True) -> Path:
    """The Hugging Face folder: data/<split>-…parquet; train in two shards."""
    (folder / "data").mkdir(parents=True)
    said = speech()
    features = {k: v for k, v in NTUML_FEATURES.items() if with_file or k != "file"}
    for split, first, count in (("train", 0, 12), ("dev", 12, 4), ("test", 16, 8)):
        rows = []
        for number in range(count):
            text, audio = said[first + number]
            name = f"ml2021_{split}_{1 + number // 6:02d}_{number:04d}.wav"
            rows.append(
                {
                    "audio": {"bytes": wav_bytes(audio, form="FLAC"), "path": name if with_file else None},
                    "transcription": text,
                    "translation": "This is the translation.",
                    "file": name,
                }
            )
        if split == "test":
            rows[0]["transcription"] = "  " + rows[0]["transcription"].replace(" ", "　") + "。"  # full width
            rows[1]["transcription"] = "這個" + rows[1]["transcription"].removeprefix("这个")  # Traditional
        if split == "train":
            rows[2]["audio"]["bytes"] = rows[2]["audio"]["bytes"][:200]  # cut off
            for shard in range(2):
                path = folder / f"data/train-{shard:05d}-of-00002-5f1d3bb0b2b2ad1a.parquet"
                write_parquet(path, rows[6 * shard : 6 * shard + 6], features)
        else:
            write_parquet(folder / f"data/{split}-00000-of-00001-31fce8f4a8a0a0ab.parquet", rows, features)
    return folder


# --------------------------------------------------------------------------------------------- Common Voice

CV_COLUMNS = "client_id path sentence up_votes down_votes age gender accents variant locale segment".split()


def common_voice(folder: Path) -> Path:
    """…/cv-corpus-16.0-2023-12-06/zh-TW with mp3 at 32 kHz; returns the zh-TW folder."""
    release = folder / "cv-corpus-16.0-2023-12-06" / "zh-TW"
    (release / "clips").mkdir(parents=True)
    said, lengths, validated = speech(), [], []
    for split, first, count in (("train", 0, 10), ("dev", 10, 4), ("test", 14, 6)):
        rows = []
        for number in range(count):
            text, audio = said[first + number]
            client = f"{split}{number % 2}".encode().hex().ljust(128, "0")
            name = f"common_voice_zh-TW_{17380000 + first + number}.mp3"
            # mp3 of speech at a rate of its own, as released
            soundfile.write(release / "clips" / name, at_rate(audio, 32000), 32000, format="MP3")
            lengths.append((name, round(1000 * len(audio) / RATE)))
            row = dict.fromkeys(CV_COLUMNS, "")
            row.update(client_id=client, path=name, sentence=text, up_votes="2", down_votes="0", locale="zh-TW")
            rows.append(row)
        if split == "train":
            (release / "clips" / rows[3]["path"]).unlink()  # a missing clip
            lengths[4] = (lengths[4][0], 12000)  # one that has lost its end
        if split == "test":
            rows[0]["sentence"] = f'"{rows[0]["sentence"]}'  # an unpaired quotation mark
            rows[1]["sentence"] = rows[1]["sentence"] + "！？"
        write_tsv(release / f"{split}.tsv", CV_COLUMNS, rows)
        validated += rows
    spare = {**validated[0], "client_id": "ab" * 64, "sentence": "另外一位"}
    write_tsv(release / "validated.tsv", CV_COLUMNS, [*validated, spare])
    lines = [dict(zip(("clip", "duration[ms]"), map(str, entry))) for entry in lengths]
    write_tsv(release / "clip_durations.tsv", ("clip", "duration[ms]"), lines)
    return release


def write_tsv(path: Path, columns, rows: list[dict]) -> None:
    lines = ["\t".join(columns), *("\t".join(row[c] for c in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


# ----------------------------------------------------------------------------------------------------- COOL


def lecture(first: int, count: int, gap: float = 0.6) -> tuple[np.ndarray, list[tuple[float, float, str]]]:
    """A recording of sentences, and its cues (seconds)."""
    pieces, cues, at = [], [], 0.0
    for text, audio in speech()[first : first + count]:
        cues.append((at, at + len(audio) / RATE, text))
        pieces += [audio, np.zeros(round(gap * RATE), np.float32)]
        at += len(audio) / RATE + gap
    return np.concatenate(pieces), cues


def write_video(path: Path, audio: np.ndarray) -> None:
    """An mp4 with a picture and AAC sound, as lecture systems export it."""
    import av

    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=1)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), format="rgb24")
            for packet in picture.encode(frame):
                container.mux(packet)
        samples = np.clip(audio * 32767, -32768, 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = RATE
        for stream, last in ((sound, frame), (sound, None), (picture, None)):
            for packet in stream.encode(last):
                container.mux(packet)


def time_code(seconds: float, mark: str) -> str:
    whole, rest = divmod(round(1000 * seconds), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{mark}{rest:03d}"


def write_srt(path: Path, cues) -> None:
    """SubRip with Windows line ends and a byte-order mark, as editors on Windows leave it."""
    blocks = [
        f"{n}\r\n{time_code(a, ',')} --> {time_code(b, ',')}\r\n{text}\r\n" for n, (a, b, text) in enumerate(cues, 1)
    ]
    path.write_bytes("\ufeff".encode() + "\r\n".join(blocks).encode())


def write_vtt(path: Path, cues) -> None:
    blocks = [f"{time_code(a, '.')} --> {time_code(b, '.')} align:start\n<v Teacher>{text}\n" for a, b, text in cues]
    path.write_text("WEBVTT\n\nNOTE made by a teacher model\n\n" + "\n".join(blocks), encoding="utf-8")


def cool(folder: Path) -> dict[str, Path]:
    """Training recordings in course folders (mp4, mp3, m4a, with a few subtitles), dev and test with .srt."""
    said = {}
    courses = folder / "train"
    for name, first, form in (
        ("CSIE 5043/week 1", 0, "mp4"),
        ("CSIE 5043/week 2", 5, "mp3"),
        ("微積分/第一週", 10, "m4a"),
    ):
        path = courses / f"{name}.{form}"
        path.parent.mkdir(parents=True, exist_ok=True)
        audio, cues = lecture(first, 5)
        if form == "mp4":
            write_video(path, audio)
            write_vtt(path.with_suffix(".zh.vtt"), cues)
        elif form == "mp3":
            soundfile.write(path, at_rate(audio, 44100), 44100, format="MP3")
            write_srt(path.with_suffix(".srt"), cues)
        else:
            write_video(path, audio)  # a container of the same kind
        said[name] = cues
    (courses / "微積分/broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"\0" * 200)
    (courses / "微積分/empty.mp3").write_bytes(b"")
    (courses / "微積分/slides.pdf").write_bytes(b"%PDF")
    (courses / "._week 1.mp4").write_bytes(b"resource fork")
    for name, first in (("dev", 15), ("test", 19)):
        (folder / name).mkdir()
        audio, cues = lecture(first, 4)
        soundfile.write(folder / name / f"{name}_01.wav", audio, RATE)
        write_srt(folder / name / f"{name}_01.srt", [*cues, (cues[-1][1] + 0.1, cues[-1][1] + 0.5, "♪")])
    (folder / "test/test_01.flac").write_bytes(b"")  # a copy that failed
    soundfile.write(folder / "test/uncorrected.wav", speech()[0][1], RATE)
    return {"COOL": courses, "COOL_DEV": folder / "dev", "COOL_TEST": folder / "test"}


# ---------------------------------------------------------------------------------------------- preparation


def prepare(corpus: str, source, out: Path, *options: str, counts: str = "any") -> subprocess.CompletedProcess:
    """Run egs/<corpus>/k2d1/local/prepare.py, in this process; what it said and its status."""
    script = str(ROOT / "egs" / corpus / "k2d1/local/prepare.py")
    words = [script, "--corpus", str(source), "--output_dir", str(out), "--counts", counts, *options]
    stdout, stderr, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stderr):
        patch.chdir(out.parent)
        patch.setattr(sys, "argv", words)
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            status = end.code
    return subprocess.CompletedProcess(words, status, stdout.getvalue(), stderr.getvalue())


def whole(data: Path) -> None:
    """Assert that a data directory keeps the contract and that its audio is there, as long as it says."""
    directory = DataDir(data)
    assert directory.validate() == []
    utterances = open_utterances(directory)
    for utterance, seconds in directory.utt2dur.items():
        assert len(utterances[utterance]) / RATE == pytest.approx(seconds, abs=0.02)


def mixed_folder(folder: Path, sentences: int = 2) -> Path:
    """What people have: twelve recordings of all kinds in nested folders, one of them twice, one broken, and junk."""
    parts = iter([lecture(first, sentences) for first in range(0, 12 * sentences, sentences)])
    course, week = folder / "課程 一", folder / "課程 一/week 2"
    week.mkdir(parents=True)
    (folder / ".cache").mkdir()

    def write(path: Path, rate: int = RATE) -> None:
        sound = next(parts)[0]
        soundfile.write(path, sound if rate == RATE else at_rate(sound, rate), rate)

    write(folder / "intro.wav")
    audio, cues = next(parts)
    soundfile.write(course / "第一講 介紹.flac", at_rate(audio, 44100), 44100)
    write_srt(course / "第一講 介紹.srt", cues)
    write(week / "talk one.mp3", 44100)
    write_video(week / "talk two.m4a", next(parts)[0])
    audio, _ = next(parts)
    write_video(week / "talk three.mkv", audio)
    soundfile.write(week / "talk three.wav", audio, RATE)  # the sound of the video beside it
    write(folder / "end.ogg")
    write_video(folder / "screen.mp4", next(parts)[0])
    write_video(week / "intro.mov", next(parts)[0])  # a stem that another folder has
    write(course / "phone.au", 8000)
    write(course / "-2024.01.02 (1).aiff", 48000)
    write(folder / "intro.2.caf")
    soundfile.write(folder / "two ears.w64", np.stack([next(parts)[0]] * 2, 1), RATE)
    (folder / "copy of intro.wav").write_bytes((folder / "intro.wav").read_bytes())
    (folder / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"\0" * 200)
    (folder / ".cache/hidden.wav").write_bytes((folder / "intro.wav").read_bytes())
    (course / "slides.pdf").write_bytes(b"%PDF")
    return folder
