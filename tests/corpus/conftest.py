from other_models import tones  # noqa: F401
