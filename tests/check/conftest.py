from decoding_material import small_model  # noqa: F401
