"""Our tokenizers in the `tokenizer.json` form of the tokenizers library, which transformers and
faster-whisper read. Written as plain JSON; the library itself is not needed.
"""

from __future__ import annotations

import itertools

from sentencepiece import SentencePieceProcessor

from k2d.text.tokenizer import _CJK, SentencePieceTokenizer, Tokenizer, WhisperTokenizer

Merge = tuple[str, str]


def tokenizer_json(tokenizer: Tokenizer) -> dict:
    """The whole vocabulary: merges of the text tokens and all special and timestamp tokens."""
    if isinstance(tokenizer, WhisperTokenizer):
        model, normalizer, pre_tokenizer, decoder = _byte_level(tokenizer)
    elif isinstance(tokenizer, SentencePieceTokenizer):
        model, normalizer, pre_tokenizer, decoder = _sentencepiece(tokenizer)
    else:
        raise TypeError(f"{type(tokenizer).__name__} has no tokenizer.json form")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens(tokenizer),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }


def added_tokens(tokenizer: Tokenizer) -> list[dict]:
    """Every token that is no merge: added words, control tokens, timestamps. Whisper's own timestamps are not
    `special`, as in the published folders, whose readers know them; the generic reader of another vocabulary has to
    skip them."""
    of_whisper = isinstance(tokenizer, WhisperTokenizer)
    first = tokenizer.n_merged if of_whisper else tokenizer.eot
    return [
        {
            "id": i,
            "content": content,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": i >= tokenizer.eot and (i < tokenizer.timestamp_begin or not of_whisper),
        }
        for i, content in enumerate(tokenizer.tokens())
        if i >= first
    ]


def _byte_level(tokenizer: WhisperTokenizer) -> tuple[dict, None, dict, dict]:
    vocabulary = {token: i for i, token in enumerate(tokenizer.text_tokens()[: tokenizer.n_merged])}
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": [list(merge) for merge in byte_level_merges(vocabulary)],
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return model, None, byte_level, byte_level


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


def _sentencepiece(tokenizer: SentencePieceTokenizer) -> tuple[dict, dict, None, dict]:
    processor = SentencePieceProcessor(model_proto=tokenizer.model_proto)
    scores = [processor.get_score(i) for i in range(processor.get_piece_size())]
    if all(score == int(score) for score in scores):
        # sentencepiece's BPE numbers its merges; log probabilities are never all whole.
        raise ValueError("the vocabulary is a BPE model of sentencepiece; only unigram models are exported")
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
    return (
        model,
        {"type": "Sequence", "normalizers": spacing},
        None,
        {"type": "Sequence", "decoders": decoder},
    )


def _regex(characters: str) -> str:
    """Python's \\u escapes as the characters themselves, which every regex engine reads."""
    return characters.encode().decode("unicode_escape")
