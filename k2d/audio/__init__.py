"""Recordings in, 16 kHz mono float32 out."""
