"""Alignment, error rates, speed and the reports written of them."""
