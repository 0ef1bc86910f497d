"""Text to token ids and back, with Whisper's layout of special and timestamp tokens.

In: text (with or without `<|1.20|>` timestamp tokens). Out: token ids.

Two vocabularies share one layout. Whisper's own byte-level BPE serves the published checkpoints; a small
sentencepiece vocabulary serves the mini models. Behind the text tokens both list

    <|endoftext|> <|startoftranscript|> <|en|> <|zh|> … <|translate|> <|transcribe|> <|startoflm|>
    <|startofprev|> <|nospeech|> <|notimestamps|> <|0.00|> <|0.02|> … <|30.00|>

so that one decoder, one set of timestamp rules and CTranslate2 serve both. What a fine-tuned model has added takes
its place in it: words behind the text tokens, languages behind the languages, control tokens behind those.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sentencepiece

from k2d.constants import CONTINUED, ENGLISH_VOCABULARY, MEL_BANDS, N_TIMESTAMPS, NO_CHARACTER, TIMESTAMP_STEP
from k2d.errors import DataError
from k2d.text import timestamps
from k2d.text.whisper_import import whisper

_CJK = r"\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SPACE_BEFORE_CJK = re.compile(rf"\s+(?=[{_CJK}])")
_WORD_AFTER_CJK = re.compile(rf"(?<=[{_CJK}])(?=[A-Za-z0-9])")


class Tokenizer:
    """What every decoder, trainer and writer of labels needs of a vocabulary.

    Attributes are token ids: `sot`, `eot`, `transcribe`, `translate`, `sot_lm`, `sot_prev`, `no_speech`,
    `no_timestamps`, `timestamp_begin`; `languages` are the codes the vocabulary has tokens for, in order; `control`
    are the strings of control tokens that Whisper does not have, which are never part of a text. `published`: whether
    it is that of a published Whisper, which programs know by its size.
    """

    published = False

    def __init__(self, n_text: int, languages: tuple[str, ...], multilingual: bool, control: tuple[str, ...] = ()):
        self.languages = languages
        self.multilingual = multilingual
        self.control = control
        self.eot = n_text
        self.sot = n_text + 1
        after = self.sot + 1 + len(languages) + len(control)
        (self.translate, self.transcribe, self.sot_lm, self.sot_prev, self.no_speech, self.no_timestamps) = (
            range(after, after + 6)
        )
        self.timestamp_begin = after + 6
        self.vocab_size = self.timestamp_begin + N_TIMESTAMPS

    # -- text ---------------------------------------------------------------------------------------------
    def encode(self, text: str) -> list[int]:
        """Ids of plain text; text that looks like a special token is encoded as ordinary characters."""
        raise TypeError("use WhisperTokenizer or SentencePieceTokenizer")

    def _decode_text(self, ids: list[int]) -> str:
        """Text of text tokens, without bytes that are no character: a window's limit of tokens may cut one in two."""
        raise TypeError("use WhisperTokenizer or SentencePieceTokenizer")

    def text_tokens(self) -> list[str]:
        """The strings of the text tokens, in order of id, unique (CTranslate2's vocabulary)."""
        raise TypeError("use WhisperTokenizer or SentencePieceTokenizer")

    def decode(self, ids) -> str:
        """Text of the ids; special and timestamp tokens are dropped."""
        return self._decode_text([int(i) for i in ids if i < self.eot])

    # -- timestamps ---------------------------------------------------------------------------------------
    def timestamp_token(self, seconds: float) -> int:
        """Id of the timestamp nearest to `seconds` (0.02 s grid, clipped to 0 … 30 s)."""
        return self.timestamp_begin + min(max(round(seconds / TIMESTAMP_STEP), 0), N_TIMESTAMPS - 1)

    def encode_with_timestamps(self, text: str) -> list[int]:
        """Ids of text in which `<|1.20|>` stands for timestamp tokens.

        `<|continued|>` is no token of Whisper's: the start before it, left open, says the same.
        """
        ids = []
        for index, part in enumerate(timestamps.TIME.split(text.replace(CONTINUED, ""))):
            if index % 2:
                ids.append(self.timestamp_token(float(part)))
            elif part:
                ids.extend(self.encode(part))
        return ids

    def decode_with_timestamps(self, ids) -> str:
        """Text of the ids with timestamp tokens written as `<|1.20|>`; other special tokens are dropped."""
        pieces, run = [], []
        for i in ids:
            i = int(i)
            if i < self.eot:
                run.append(i)
            elif i >= self.timestamp_begin:
                pieces += [self._decode_text(run), timestamps.token((i - self.timestamp_begin) * TIMESTAMP_STEP)]
                run = []
        return "".join(pieces) + self._decode_text(run)

    # -- special tokens -----------------------------------------------------------------------------------
    def language_token(self, language: str) -> int:
        if language not in self.languages:
            known = ", ".join(self.languages)
            raise ValueError(f"language {language!r} is not in this vocabulary; it has: {known}")
        return self.sot + 1 + self.languages.index(language)

    def sot_sequence(
        self, language: str | None = "zh", task: str = "transcribe", timestamps: bool = True
    ) -> list[int]:
        """The ids every decoded sequence starts with. English-only models know neither language nor task."""
        ids = [self.sot]
        if self.multilingual:
            ids += [
                self.language_token(language),
                {"transcribe": self.transcribe, "translate": self.translate}[task],
            ]
        return ids if timestamps else [*ids, self.no_timestamps]

    @property
    def non_speech_tokens(self) -> tuple[int, ...]:
        """Ids of brackets, notes and the like, which annotate sound rather than transcribe speech."""
        return ()

    def tokens(self) -> list[str]:
        """The strings of all `vocab_size` tokens in order of id."""
        return [
            *self.text_tokens(),
            "<|endoftext|>",
            "<|startoftranscript|>",
            *(f"<|{code}|>" for code in self.languages),
            *self.control,
            "<|translate|>",
            "<|transcribe|>",
            "<|startoflm|>",
            "<|startofprev|>",
            "<|nospeech|>",
            "<|notimestamps|>",
            *timestamps.TIMES,
        ]


@dataclass(frozen=True)
class Layout:
    """What a byte-level vocabulary holds beside GPT-2's or multilingual Whisper's own text tokens.

    english: GPT-2's 50,256 text tokens, as in the .en models, in place of the multilingual 50,257. multilingual:
    whether the model wants tokens of language and task. words: text tokens that were added; control: see `Tokenizer`.
    """

    english: bool
    multilingual: bool
    languages: tuple[str, ...]
    words: tuple[str, ...] = ()
    control: tuple[str, ...] = ()

    @classmethod
    def published(cls, n_vocab: int) -> "Layout":
        """That of a published size. Raises ValueError for any other number."""
        if n_vocab not in MEL_BANDS:
            raise ValueError(
                f"a vocabulary of {n_vocab} tokens is not one of Whisper's ({', '.join(map(str, MEL_BANDS))}); "
                "a model with its own vocabulary needs its files beside its weights: tokenizer.model (sentencepiece), "
                "or tokenizer.json"
            )
        languages = tuple(whisper.tokenizer.LANGUAGES)[: n_vocab - 51765 - int(n_vocab > ENGLISH_VOCABULARY)]
        return cls(n_vocab == ENGLISH_VOCABULARY, n_vocab > ENGLISH_VOCABULARY, languages)


class WhisperTokenizer(Tokenizer):
    """Whisper's byte-level BPE, from the vocabulary files inside the openai-whisper package.

    layout: a published size, or what a fine-tuned model has made of it. Added words are found in a text before it is
    cut into byte pairs, the longest first, as the tokenizers library does.
    """

    def __init__(self, layout: int | Layout):
        self.layout = Layout.published(layout) if isinstance(layout, int) else layout
        known = len(whisper.tokenizer.LANGUAGES)
        count = min(len(self.layout.languages), known)
        self._inner = whisper.tokenizer.get_tokenizer(not self.layout.english, num_languages=count)
        self.n_merged = self._inner.eot  # text tokens that are merges of bytes; words follow
        words = self.layout.words
        super().__init__(
            self.n_merged + len(words), self.layout.languages, self.layout.multilingual, self.layout.control
        )
        self._word_ids = {word: self.n_merged + i for i, word in enumerate(words)}
        longest_first = sorted(words, key=len, reverse=True)
        self._words = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if words else None

    @property
    def published(self) -> bool:
        return any(self.layout == Layout.published(size) for size in MEL_BANDS)

    def encode(self, text: str) -> list[int]:
        if self._words is None:
            return self._inner.encoding.encode(text, disallowed_special=())
        ids = []
        for index, part in enumerate(self._words.split(text)):
            if index % 2:
                ids.append(self._word_ids[part])
            elif part:
                ids.extend(self._inner.encoding.encode(part, disallowed_special=()))
        return ids

    def _decode_text(self, ids: list[int]) -> str:
        if self._words is None:
            return self._inner.encoding.decode(ids, errors="ignore")
        words, single = self.layout.words, self._inner.encoding.decode_single_token_bytes
        parts = (single(i) if i < self.n_merged else words[i - self.n_merged].encode() for i in ids)
        return b"".join(parts).decode("utf-8", errors="ignore")

    def text_tokens(self) -> list[str]:
        return [*merged_tokens(self.layout.english), *self.layout.words]

    @property
    def non_speech_tokens(self) -> tuple[int, ...]:
        return self._inner.non_speech_tokens


@cache
def merged_tokens(english: bool) -> tuple[str, ...]:
    """The strings of GPT-2's, or multilingual Whisper's, text tokens in order of id, in GPT-2's printable alphabet of
    bytes: unique and without line ends, which CTranslate2 wants, and as vocab.json has them.
    """
    inner, alphabet = whisper.tokenizer.get_tokenizer(not english), _printable_bytes()
    single = inner.encoding.decode_single_token_bytes
    return tuple("".join(alphabet[b] for b in single(i)) for i in range(inner.eot))


class SentencePieceTokenizer(Tokenizer):
    """A sentencepiece model with byte fallback, followed by Whisper's special tokens.

    Spacing is canonical: a Latin word is preceded by one space, a Chinese character by none, so that
    one sentence has one tokenisation.
    """

    def __init__(self, model_file: str | Path | None = None, model_proto: bytes | None = None):
        if model_proto is None:
            model_proto = Path(model_file).read_bytes()
        self.model_proto = model_proto
        self._inner = sentencepiece.SentencePieceProcessor(model_proto=model_proto)
        super().__init__(self._inner.get_piece_size(), ("en", "zh"), True)

    def encode(self, text: str) -> list[int]:
        text = _WORD_AFTER_CJK.sub(" ", _SPACE_BEFORE_CJK.sub("", " ".join(text.split())))
        if text and re.match(r"[A-Za-z0-9]", text):
            text = " " + text
        return self._inner.encode(text)

    def _decode_text(self, ids: list[int]) -> str:
        return self._inner.decode(ids).replace(NO_CHARACTER, "")

    def text_tokens(self) -> list[str]:
        return [self._inner.id_to_piece(i) for i in range(self._inner.get_piece_size())]


_ALWAYS = "abcdefghijklmnopqrstuvwxyz'-0123456789"  # in every vocabulary, whether texts have them or not


def train_sentencepiece(texts, vocab_size: int) -> SentencePieceTokenizer:
    """Learn a vocabulary in which every Chinese character is one token and English words are pieces.

    texts: sentences. vocab_size: text tokens, the 256 bytes of the fallback included; DataError if they are too few.
    """
    import io

    counts: dict[str, int] = {}
    for text in texts:
        for unit in re.findall(rf"[{_CJK}]|[^\s{_CJK}]+", text):
            counts[unit] = counts.get(unit, 0) + 1
    cjk = {unit for unit in counts if re.fullmatch(rf"[{_CJK}]", unit)}
    # Each distinct unit is a line, repeated by its (dampened) frequency: no piece can span two units.
    lines = [" " * (u not in cjk) + u for u, n in sorted(counts.items()) for _ in range(min(n, 50))]
    if not lines:
        raise DataError("no vocabulary can be learnt from texts without a word; give texts with some")
    characters = {*"".join(lines), *_ALWAYS}
    least = 256 + 1 + len(characters)  # bytes, what is unknown, characters
    if vocab_size < least:
        raise DataError(
            f"a vocabulary of {vocab_size} tokens is too small for these texts, which with {len(characters)} different "
            f"characters and the 256 bytes need {least} or more; give a larger size, or fewer texts"
        )
    proto = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=proto,
        vocab_size=vocab_size,
        model_type="unigram",
        character_coverage=1.0,
        byte_fallback=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        required_chars="".join(sorted(cjk)) + _ALWAYS,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    return SentencePieceTokenizer(model_proto=proto.getvalue())


def _printable_bytes() -> dict[int, str]:
    """GPT-2's one-to-one map from bytes to printable characters."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = {b: chr(b) for b in printable}
    for offset, b in enumerate(b for b in range(256) if b not in alphabet):
        alphabet[b] = chr(256 + offset)
    return alphabet
