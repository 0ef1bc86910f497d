"""Our tokenizers in the `tokenizer.json` form of the tokenizers library, which transformers and
faster-whisper read. Written as plain JSON; the library itself is not needed.

A sentencepiece vocabulary has two forms. `tokenizer_json` gives it as it is, a Unigram model. transformers' Whisper
pipeline takes byte-level BPE alone: for it `byte_level_json` spells the pieces in GPT-2's alphabet of bytes.
"""

import itertools
import re

from sentencepiece import SentencePieceProcessor

from k2d.errors import CheckpointError
from k2d.text.tokenizer import _CJK, SentencePieceTokenizer, Tokenizer, WhisperTokenizer, _printable_bytes

Merge = tuple[str, str]


def tokenizer_json(tokenizer: Tokenizer) -> dict:
    """The whole vocabulary: merges of the text tokens and all special and timestamp tokens."""
    if isinstance(tokenizer, WhisperTokenizer):
        vocabulary = {token: i for i, token in enumerate(tokenizer.text_tokens()[: tokenizer.n_merged])}
        model = _bpe(vocabulary, [list(merge) for merge in byte_level_merges(vocabulary)])
        return _file(added_tokens(tokenizer, True), model, _BYTE_LEVEL, pre_tokenizer=_BYTE_LEVEL)
    if isinstance(tokenizer, SentencePieceTokenizer):
        model, normalizer, decoder = _sentencepiece(tokenizer)
        return _file(added_tokens(tokenizer, False), model, decoder, normalizer=normalizer)
    raise TypeError(f"{type(tokenizer).__name__} has no tokenizer.json form")


_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def _file(
    added: list[dict], model: dict, decoder: dict, normalizer: dict | None = None, pre_tokenizer: dict | None = None
) -> dict:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }


def added_tokens(tokenizer: Tokenizer, whisper_reader: bool) -> list[dict]:
    """Every token that is no merge: added words, control tokens, timestamps. A reader made for Whisper knows what a
    timestamp is, and the published folders do not call them `special`; a generic reader has to skip them."""
    first = tokenizer.n_merged if isinstance(tokenizer, WhisperTokenizer) else tokenizer.eot
    return [
        _added(i, content, i >= tokenizer.eot and (i < tokenizer.timestamp_begin or not whisper_reader))
        for i, content in enumerate(tokenizer.tokens())
        if i >= first
    ]


def _added(number: int, content: str, special: bool) -> dict:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": number, "content": content, **plain, "special": special}


def byte_level_json(tokenizer: SentencePieceTokenizer) -> dict:
    """A sentencepiece vocabulary for readers of Whisper's byte-level BPE: the same ids, and of ids the same text.

    Chinese characters are added tokens, so that a text is cut into them first. English pieces get the merges that
    their own vocabulary allows, the likeliest first, so that a prompt may be cut into other pieces than in training.
    """
    alphabet, pieces = _printable_bytes(), tokenizer.text_tokens()
    processor = SentencePieceProcessor(model_proto=tokenizer.model_proto)
    vocabulary, scores, characters, unnamed = {}, {}, [], []
    for i, piece in enumerate(pieces):
        if _BYTE.fullmatch(piece):
            unnamed.append((i, alphabet[int(piece[3:5], 16)]))
        elif re.fullmatch(f"[{_CJK}]", piece):
            vocabulary[piece] = i
            characters.append(_added(i, piece, False))
        else:
            spelt = "".join(alphabet[byte] for byte in piece.replace("▁", " ").encode())
            vocabulary.setdefault(spelt, i)
            scores[spelt] = processor.get_score(i)
    for i, byte in unnamed:  # the byte of a letter that is a piece is never written, and keeps its own name
        vocabulary[byte if byte not in vocabulary else pieces[i]] = i
    merges = []
    for piece in sorted(scores, key=lambda piece: (-scores[piece], piece)):
        cuts = [(piece[:n], piece[n:]) for n in range(1, len(piece))]
        known = [cut for cut in cuts if cut[0] in scores and cut[1] in scores]
        merges += [list(max(known, key=lambda cut: scores[cut[0]] + scores[cut[1]]))] if known else []
    added = [*characters, *added_tokens(tokenizer, whisper_reader=True)]
    return _file(added, _bpe(vocabulary, merges), _BYTE_LEVEL, pre_tokenizer=_BYTE_LEVEL)


_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def _bpe(vocabulary: dict[str, int], merges: list[list[str]]) -> dict:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": merges,
    }


def byte_level_merges(vocabulary: dict[str, int]) -> list[Merge]:
    """The merges behind a rank file. Each token of two or more bytes was made by one merge: of the two
    parts that the merges before it leave of the token."""
    merges = []
    for token, rank in sorted(vocabulary.items(), key=lambda item: item[1]):
        parts = list(token)
        while len(parts) > 2:
            ranks = [vocabulary.get(a + b, rank) for a, b in itertools.pairwise(parts)]
            best = min(ranks)
            if best >= rank:
                break
            at = ranks.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        if len(parts) == 2:
            merges.append((parts[0], parts[1]))
        elif len(parts) > 2:
            raise ValueError(f"token {token!r} is not the merge of two earlier tokens; not a BPE vocabulary")
    return merges


def _sentencepiece(tokenizer: SentencePieceTokenizer) -> tuple[dict, dict, dict]:
    """(model, normalizer, decoder)."""
    processor = SentencePieceProcessor(model_proto=tokenizer.model_proto)
    scores = [processor.get_score(i) for i in range(processor.get_piece_size())]
    if all(score == int(score) for score in scores):
        # sentencepiece's BPE numbers its merges; log probabilities are never all whole.
        raise CheckpointError("the vocabulary is a BPE model of sentencepiece; only unigram models are exported")
    model = {
        "type": "Unigram",
        "unk_id": 0,
        "byte_fallback": True,
        "vocab": [list(item) for item in zip(tokenizer.text_tokens(), scores, strict=True)],
    }
    # The same canonical spacing as SentencePieceTokenizer.encode.
    spacing = [
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "Replace", "pattern": {"Regex": f" (?=[{_regex(_CJK)}])"}, "content": ""},
        {"type": "Replace", "pattern": {"Regex": f"(?<=[{_regex(_CJK)}])(?=[A-Za-z0-9])"}, "content": " "},
        {"type": "Replace", "pattern": {"Regex": "^(?=[A-Za-z0-9])"}, "content": " "},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]
    decoder = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    return model, {"type": "Sequence", "normalizers": spacing}, {"type": "Sequence", "decoders": decoder}


def _regex(characters: str) -> str:
    """Python's \\u escapes as the characters themselves, which every regex engine reads."""
    return characters.encode().decode("unicode_escape")
