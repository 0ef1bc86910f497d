"""Whisper's numbers and the forms of ids, once.
"""


SAMPLE_RATE = 16000
SHORTEST = 0.1  # seconds; less holds no word, and Whisper invents one
