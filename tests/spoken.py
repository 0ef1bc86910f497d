"""Speech of espeak-ng for tests, each list of sentences by a process of its own.

The library carries state from one sentence to the next: in one process, a sentence would last some milliseconds more or
less for what another test file had let it say before.
"""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

MINI_CS = Path(__file__).resolve().parents[1] / "egs/mini_cs/k2d1/local"


def spoken(sentences: Sequence[tuple[Sequence[tuple[str, str]], dict]]) -> list[np.ndarray]:
    """Sentences as (language, words) pieces, each with the fields of its espeak.Voice: (samples,) float32 at 16 kHz."""
    said = subprocess.run([sys.executable, __file__], input=json.dumps(sentences).encode(), stdout=subprocess.PIPE)
    assert said.returncode == 0, "espeak-ng does not speak"
    return list(np.load(io.BytesIO(said.stdout)).values())


if __name__ == "__main__":
    sys.path.insert(0, str(MINI_CS))
    import espeak

    engine = espeak.Synthesizer()
    speech = [engine.speak(espeak.markup(pieces), espeak.Voice(**voice)) for pieces, voice in json.load(sys.stdin)]
    np.savez(sys.stdout.buffer, *speech)
