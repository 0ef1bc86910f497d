"""Any of our checkpoints as a CTranslate2 model, converted once and kept by content.

In: a model and its tokenizer. Out: a folder that `ctranslate2.models.Whisper` (and faster-whisper) loads. The
folder's name holds the digest of the weights, so a model that changed is converted anew. Of processes that need the
same model at once one converts it, and the others wait.
"""

import hashlib
from pathlib import Path

import ctranslate2
import numpy as np
from ctranslate2.specs import WhisperSpec

from k2d.errors import CheckpointError
from k2d.text.tokenizer import Tokenizer
from k2d.whisper.decoding import DecodingOptions
from k2d.whisper.heads import heads_of
from k2d.whisper.logit_rules import blank_tokens, suppressed_tokens
from k2d.whisper.model import Whisper
from k2d.work.folders import cache_folder, whole_folder

PATIENCE = 3600.0  # seconds to wait for another process that converts the same model


def converted(model: Whisper, tokenizer: Tokenizer, dtype: str, cache_dir: str | Path | None = None) -> Path:
    """The folder of the converted model, made if it is not there. dtype: int8, float16 or float32."""
    root = Path(cache_dir) if cache_dir else cache_folder()
    folder = root / "ctranslate2" / f"{digest(model, tokenizer)}-{dtype}-{ctranslate2.__version__}"
    if (folder / "model.bin").exists():
        return folder
    with whole_folder(folder, PATIENCE) as unfinished:
        if unfinished:
            convert(model, tokenizer, dtype, unfinished)
        elif not (folder / "model.bin").exists():
            raise CheckpointError(f"{folder}: no model.bin there; remove the folder, and the model is converted again")
    return folder


def digest(model: Whisper, tokenizer: Tokenizer) -> str:
    """Digest of weights and vocabulary as they are in memory, whatever was done to them since they were
    loaded.
    """
    total = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        total.update(name.encode())
        total.update(_array(tensor).tobytes())
    total.update("\n".join(tokenizer.tokens()).encode())
    return total.hexdigest()[:16]


def convert(model: Whisper, tokenizer: Tokenizer, dtype: str, folder: Path) -> None:
    """Write model.bin, config.json and vocabulary.json into an existing folder."""
    dims = model.dims
    spec = WhisperSpec(dims.n_audio_layer, dims.n_audio_head, dims.n_text_layer, dims.n_text_head)
    encoder, decoder = model.encoder, model.decoder

    for name in ("conv1", "conv2"):
        target, source = getattr(spec.encoder, name), getattr(encoder, name)
        target.weight, target.bias = _array(source.weight), _array(source.bias)
    spec.encoder.position_encodings.encodings = _array(encoder.positional_embedding)
    _norm(spec.encoder.layer_norm, encoder.ln_post)
    for target, block in zip(spec.encoder.layer, encoder.blocks):
        _self_attention(target.self_attention, block)
        _mlp(target.ffn, block)

    spec.decoder.embeddings.weight = _array(decoder.token_embedding.weight)
    spec.decoder.projection.weight = _array(decoder.token_embedding.weight)
    spec.decoder.position_encodings.encodings = _array(decoder.positional_embedding)
    _norm(spec.decoder.layer_norm, decoder.ln)
    for target, block in zip(spec.decoder.layer, decoder.blocks):
        _self_attention(target.self_attention, block)
        cross = block.cross_attn
        _norm(target.attention.layer_norm, block.cross_attn_ln)
        _linear(target.attention.linear[0], cross.query)
        _linear(target.attention.linear[1], cross.key, cross.value)
        _linear(target.attention.linear[2], cross.out)
        _mlp(target.ffn, block)

    options = DecodingOptions(language=None)
    spec.config.suppress_ids = suppressed_tokens(tokenizer, options)
    spec.config.suppress_ids_begin = blank_tokens(tokenizer)
    first = tokenizer.sot + 1
    spec.config.lang_ids = list(range(first, first + len(tokenizer.languages)))
    spec.config.alignment_heads = [list(head) for head in heads_of(model)]
    spec.register_vocabulary(tokenizer.tokens())
    spec.validate()
    spec.optimize(quantization=dtype)
    spec.save(str(folder))


def _array(tensor) -> np.ndarray:
    """A copy: CTranslate2 quantises in place, and this is the memory of the model that encodes."""
    return tensor.detach().float().cpu().contiguous().numpy().copy()


def _norm(target, module) -> None:
    target.gamma, target.beta = _array(module.weight), _array(module.bias)


def _linear(target, *modules) -> None:
    """Several projections of one input become one matrix; a projection without bias has a bias of zeros."""
    target.weight = np.concatenate([_array(m.weight) for m in modules])
    target.bias = np.concatenate(
        [np.zeros(len(m.weight), np.float32) if m.bias is None else _array(m.bias) for m in modules]
    )


def _self_attention(target, block) -> None:
    _norm(target.layer_norm, block.attn_ln)
    _linear(target.linear[0], block.attn.query, block.attn.key, block.attn.value)
    _linear(target.linear[1], block.attn.out)


def _mlp(target, block) -> None:
    _norm(target.layer_norm, block.mlp_ln)
    _linear(target.linear_0, block.mlp[0])
    _linear(target.linear_1, block.mlp[2])
