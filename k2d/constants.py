"""Whisper's numbers and the forms of ids, once.

A window is 30 s of audio at 16 kHz: 480,000 samples, 3,000 frames of the mel spectrogram, 1,500 of the encoder's
output, 1,501 timestamp tokens.
"""

import hashlib
import re
from typing import NamedTuple

SAMPLE_RATE = 16000
WINDOW = 30.0  # seconds that the encoder takes in; no chunk and no utterance is longer
ROUNDING = 1e-6  # seconds by which sums of decimal fractions may be off
LONGEST = WINDOW + 0.1  # seconds: the ends of segments are rounded
HOP_LENGTH = 160  # samples between two frames of the mel spectrogram
N_FFT = 400  # samples under a frame's window
MEL_FRAMES_PER_SECOND = SAMPLE_RATE // HOP_LENGTH  # 100
ENCODER_FRAMES_PER_SECOND = MEL_FRAMES_PER_SECOND // 2  # 50
N_SAMPLES = round(WINDOW * SAMPLE_RATE)  # 480,000
N_FRAMES = round(WINDOW * MEL_FRAMES_PER_SECOND)  # 3,000
N_AUDIO_CTX = round(WINDOW * ENCODER_FRAMES_PER_SECOND)  # 1,500
TIMESTAMP_STEP = 0.02  # seconds between two timestamp tokens, one frame of the encoder's output
N_TIMESTAMPS = N_AUDIO_CTX + 1  # <|0.00|> … <|30.00|>
N_TEXT_CTX = 448  # positions of the decoder: tokens of prompt and text
ENGLISH_VOCABULARY = 51864  # tokens of the English-only models
# Mel bands of the published models by the tokens of their vocabulary: English only; multilingual, v1 and v2; large-v3.
MEL_BANDS = {ENGLISH_VOCABULARY: 80, 51865: 80, 51866: 128}
SHORTEST = 0.1  # seconds; less holds no word, and Whisper invents one
NO_CHARACTER = "\ufffd"  # what decoders write for bytes that are none, such as half of a character
CONTINUED = "<|continued|>"  # at the end of a label: a segment has begun and runs on behind the chunk

_CHUNK_ID = re.compile(r"(.+)-(\d{7,})-(\d{7,})")


class ChunkId(NamedTuple):
    """What a chunk's id says: the recording, and the chunk's place in it in centiseconds."""

    recording: str
    start: int
    end: int

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 100


def chunk_id(recording: str, start: int, end: int) -> str:
    """<recording>-<start>-<end> in centiseconds, seven digits: sorting by id is sorting by time."""
    return f"{recording}-{start:07d}-{end:07d}"


def read_chunk_id(key: str) -> ChunkId | None:
    """What `chunk_id` wrote; None for an id of another form."""
    found = _CHUNK_ID.fullmatch(key)
    return ChunkId(found[1], int(found[2]), int(found[3])) if found and int(found[2]) < int(found[3]) else None


def recording_in(key: str) -> str:
    """The recording of what `chunk_id` wrote, unchecked: quick, for looking at millions."""
    return key.rsplit("-", 2)[0]


def digest_of_id(key: str) -> str:
    """What ids are sorted by for an order that seems random, the same on every machine, and in which more ids move no
    others."""
    return hashlib.sha256(key.encode()).hexdigest()


LONGEST_FILE_NAME = 200  # bytes; file systems take 255, suffixes included
_UNSAFE = re.compile(r"[^\w.,+=@-]|^\.")


def file_name(key: str) -> str:
    """A name for a file after an id: it stays in its folder, fits any file system, and no two ids share it.

    What is not a letter, a digit or one of `_.,+=@-` becomes %XX, and so does a dot at the start; a long id is cut and
    ends with a digest.
    """
    name = _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), key)
    if len(name.encode()) <= LONGEST_FILE_NAME:
        return name
    return f"{name.encode()[: LONGEST_FILE_NAME - 17].decode(errors='ignore')}%{digest_of_id(key)[:16]}"


def fits_a_chunk(start: float, end: float) -> bool:
    """Whether a segment, in seconds of its recording, is no longer than the model's window."""
    return end - start <= WINDOW + ROUNDING
