"""A chunk data directory with scores, small enough to read."""

import numpy as np
import pytest
import soundfile

from k2d import constants
from k2d.bin import distance

# (recording, start and end in centiseconds, teacher, validator)
CHUNKS = [
    ("lec1", 0, 400, "我們用 machine learning 模型", "我们用 machine learning 模型"),
    ("lec1", 400, 900, "這個梯度下降很重要", "這個剃度下降很重要"),
    ("lec1", 900, 1500, "謝謝大家" * 8, "安靜"),
    ("lec2", 0, 500, "今天天氣很好我們開始上課", "謝謝大家" * 8),
    ("lec2", 500, 800, "今天講 overfitting 的問題", ""),
    ("lec2", 800, 1600, "完全不同的一句話在這裡", "please subscribe to my channel"),
]


def chunk_id(chunk) -> str:
    return constants.chunk_id(*chunk[:3])


@pytest.fixture
def corpus(tmp_path):
    """(data directory, directory of scores)"""
    data, scores, audio, decoded = (tmp_path / name for name in ("data", "base", "audio", "decode_base"))
    for folder in (data, decoded, audio / "one", audio / "two"):
        folder.mkdir(parents=True)
    paths = {"lec1": audio / "one/lec1.flac", "lec2": audio / "two/lec2.flac"}
    noise = np.random.default_rng(0)
    for path in paths.values():
        soundfile.write(path, 0.1 * noise.standard_normal(16 * 16000).astype("float32"), 16000)
    tables = {name: [] for name in ("text", "text.prev", "segments", "utt2spk", "utt2dur", "utt2avg_logprob")}
    for number, chunk in enumerate(CHUNKS):
        key, seconds = chunk_id(chunk), (chunk[2] - chunk[1]) / 100
        tables["text"].append(f"{key} <|0.00|>{chunk[3]}<|{seconds:.2f}|>")
        tables["text.prev"].append(key)
        tables["segments"].append(f"{key} {chunk[0]} {chunk[1] / 100:.2f} {chunk[2] / 100:.2f}")
        tables["utt2spk"].append(f"{key} {chunk[0]}")
        tables["utt2dur"].append(f"{key} {seconds}")
        tables["utt2avg_logprob"].append(f"{key} {-0.1 * (number + 1):.2f}")
    for name, lines in tables.items():
        (data / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    (data / "wav.scp").write_text("".join(f"{r} {p}\n" for r, p in paths.items()), encoding="utf-8")
    (decoded / "text").write_text("".join(f"{chunk_id(c)} {c[4]}".rstrip() + "\n" for c in CHUNKS), encoding="utf-8")
    argv = ["--teacher", str(data / "text"), "--validator", str(decoded / "text")]
    argv += ["--output_dir", str(scores), "--paper", "--data", str(data)]
    assert distance.main(argv) == 0
    return data, scores
