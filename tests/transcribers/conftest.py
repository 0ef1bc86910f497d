from decoding_material import small_model  # noqa: F401
from other_models import ctc_model, espnet_model, speech2text_model, tones  # noqa: F401
