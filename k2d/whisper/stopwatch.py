"""Where an engine's time goes."""

from __future__ import annotations

import dataclasses
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass
class Stopwatch:
    """Seconds in the encoder and in the decoder, tokens sampled (those of retries too)."""

    encode_seconds: float = 0.0
    decode_seconds: float = 0.0
    tokens: int = 0

    @contextmanager
    def running(self, what: str, device: torch.device):
        start = time.perf_counter()
        yield
        if device.type == "cuda":
            import torch

            torch.cuda.synchronize(device)
        setattr(self, what, getattr(self, what) + time.perf_counter() - start)

    def lap(self) -> dict[str, float]:
        """What was counted since the last lap; counting starts anew."""
        counted = dataclasses.asdict(self)
        self.encode_seconds = self.decode_seconds = 0.0
        self.tokens = 0
        return counted
