"""Names in a published folder of the forms that a student has."""

OPENAI, OWN, HUGGINGFACE, CTRANSLATE2, GGML = "openai.pt", "k2d", "huggingface", "ctranslate2", "ggml-model.bin"
