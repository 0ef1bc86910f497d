"""Names of tensors in Hugging Face's Whisper, and those of openai-whisper, which are ours."""

import re

_HF_PARTS = [
    (r"^model\.", ""),
    (r"\blayers\.", "blocks."),
    (r"self_attn_layer_norm\.", "attn_ln."),
    (r"encoder_attn_layer_norm\.", "cross_attn_ln."),
    (r"final_layer_norm\.", "mlp_ln."),
    (r"self_attn\.", "attn."),
    (r"encoder_attn\.", "cross_attn."),
    (r"\.q_proj\.", ".query."),
    (r"\.k_proj\.", ".key."),
    (r"\.v_proj\.", ".value."),
    (r"\.out_proj\.", ".out."),
    (r"\.fc1\.", ".mlp.0."),
    (r"\.fc2\.", ".mlp.2."),
    (r"^encoder\.layer_norm\.", "encoder.ln_post."),
    (r"^decoder\.layer_norm\.", "decoder.ln."),
    (r"embed_tokens\.", "token_embedding."),
    (r"embed_positions\.weight", "positional_embedding"),
]


def hf_to_openai_name(name: str) -> str:
    """`model.decoder.layers.3.fc1.weight` → `decoder.blocks.3.mlp.0.weight`."""
    for pattern, replacement in _HF_PARTS:
        name = re.sub(pattern, replacement, name)
    return name


def openai_to_hf_name(name: str) -> str:
    """The inverse of `hf_to_openai_name`."""
    side, rest = name.split(".", 1)
    rest = rest.replace("token_embedding.", "embed_tokens.")
    if rest == "positional_embedding":
        return f"model.{side}.embed_positions.weight"
    rest = re.sub(r"^(ln_post|ln)\.", "layer_norm.", rest)
    rest = re.sub(r"^blocks\.", "layers.", rest)
    for ours, theirs in [
        (".cross_attn_ln.", ".encoder_attn_layer_norm."),
        (".attn_ln.", ".self_attn_layer_norm."),
        (".mlp_ln.", ".final_layer_norm."),
        (".cross_attn.", ".encoder_attn."),
        (".attn.", ".self_attn."),
        (".query.", ".q_proj."),
        (".key.", ".k_proj."),
        (".value.", ".v_proj."),
        (".out.", ".out_proj."),
        (".mlp.0.", ".fc1."),
        (".mlp.2.", ".fc2."),
    ]:
        rest = rest.replace(ours, theirs)
    return f"model.{side}.{rest}"
