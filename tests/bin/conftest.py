"""Fixtures of the tests of decoding."""

from decoding_material import (  # noqa: F401
    lectures,
    noise_recordings,
    real,
    small_model,
    speech,
)
