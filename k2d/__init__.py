"""K²D: distil a Whisper student from long, unlabelled, code-switched recordings."""

__version__ = "0.1.0"
