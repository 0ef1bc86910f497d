"""Which token each row of a checkpoint's embedding is: from the files beside the weights, by size where there are none.

In: a stored checkpoint. Out: its tokenizer, and the rows of the embedding in the order of the tokenizer's ids.

Read are tokenizer.model (sentencepiece), tokenizer.json, vocab.json, added_tokens.json and tokenizer_config.json
(Hugging Face), vocabulary.json and vocabulary.txt (CTranslate2, and our folders). All that are there have to agree.
A fine-tuned model may have added tokens, whose ids follow the timestamps. Here every vocabulary has one layout, so
those rows move: words to the end of the text tokens, languages behind the languages, control tokens behind those.
Rows that pad the embedding to a multiple of up to 128 and have no token are left out.

By size alone one token too many reads as another vocabulary, and every timestamp and language is off by one: 51,866
is large-v3, or large-v2 with an added token. Without files, size and number of mel bands must be those of a
published model; and an English-only one with a token added, which has the size of the multilingual ones, is known by
its languages: it has never learnt them, so that their rows are still as they were drawn, all in one direction.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import torch

from k2d.constants import HOP_LENGTH, MEL_BANDS, N_FFT, N_TIMESTAMPS, SAMPLE_RATE
from k2d.errors import CheckpointError
from k2d.text import timestamps
from k2d.text.tokenizer import (
    Layout,
    SentencePieceTokenizer,
    Tokenizer,
    WhisperTokenizer,
    merged_tokens,
)
from k2d.whisper.files import check_file, read_json, read_json_value
from k2d.whisper.formats.state import EMBEDDING
from k2d.whisper.formats.stored import Stored, read_tensor
from k2d.wording import counted

PADDING = 128  # rows that an embedding may have beyond its tokens
_MULTIPLE = 8  # of which paddings make the number of rows
_BEGIN, _END = "<|startoftranscript|>", "<|endoftext|>"
_CONTROL = ("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>")
_OLDER = {"<|nocaptions|>": "<|nospeech|>", "<|iw|>": "<|he|>"}  # in files of 2022
_TIME_NAMES = frozenset(timestamps.TIMES)
_LANGUAGE = re.compile(r"<\|([a-z]{2,3}(?:[-_][A-Za-z]+)*)\|>")
_NO_LANGUAGE = ("pad", "sep", "cls", "unk", "bos", "eos", "sos", "sot", "eot")
_MARK = re.compile(r"<\|.*\|>|\[[A-Z_ ]+\]|</?[a-z]+>")  # how control tokens look, where no file says what is one
_NO_TOKEN = re.compile(r"madeupword\d+")
_FEATURES = {"sampling_rate": SAMPLE_RATE, "hop_length": HOP_LENGTH, "n_fft": N_FFT}


@dataclass
class _Found:
    """Tokens by id, each with the file that said so; ids of those said to be control tokens, or to be words."""

    tokens: dict[int, str] = field(default_factory=dict)
    said_by: dict[int, Path] = field(default_factory=dict)
    control: set[int] = field(default_factory=set)
    words: set[int] = field(default_factory=set)

    def add(self, number: object, token: object, file: Path, special: bool | None = None) -> None:
        if isinstance(number, str) and number.isdecimal():
            number = int(number)
        if isinstance(number, bool) or not isinstance(number, int) or number < 0 or not isinstance(token, str):
            raise CheckpointError(f"{file}: {token!r} has the id {number!r}; expected a token and a number")
        token = _OLDER.get(token, token)
        known = self.tokens.setdefault(number, token)
        if known != token:
            raise CheckpointError(
                f"{file}: token {number} is {token!r}, in {self.said_by[number]} it is {known!r}; the files are of two "
                "models: keep those that the weights were trained with, and remove the others"
            )
        self.said_by.setdefault(number, file)
        if special is not None:
            (self.control if special else self.words).add(number)


def tokenizer_of(stored: Stored) -> tuple[Tokenizer, list[int] | None, list[str], list[tuple[str, str]]]:
    """(tokenizer, rows, findings, doubts): row rows[i] of the embedding is the tokenizer's token i; None: each its own.

    findings: sentences on what was left out or had to be taken on trust. doubts: what is probably wrong, and what to
    do. Raises CheckpointError for files that do not fit each other or the embedding.
    """
    folder, n_vocab = stored.place, stored.dims.n_vocab
    pieces = folder / "tokenizer.model"
    if folder.is_dir() and pieces.is_file():
        return _of_sentencepiece(pieces, n_vocab), None, [], []
    found = _read(folder) if folder.is_dir() else _Found()
    if not found.tokens:
        tokenizer = WhisperTokenizer(_by_size(stored))
        if folder.is_dir():
            _agree_with_generation(folder, {token: number for number, token in enumerate(tokenizer.tokens())})
        trusted = "no file beside it names its tokens: its vocabulary is taken from their number"
        return tokenizer, None, [] if stored.form == "k2d" else [trusted], []
    layout, rows = _arrange(found, stored)
    tokenizer = WhisperTokenizer(layout)
    findings, doubts = [], []
    if added := [*layout.words, *layout.control]:
        findings.append(f"{counted(len(added), 'added token')}: {' '.join(added[:5])}{' …' if len(added) > 5 else ''}")
    if unused := n_vocab - len(rows):
        left_out = f"left out: {counted(unused, 'row')} of the embedding without a token"
        if n_vocab % _MULTIPLE:
            what = f"{left_out}, and {n_vocab} in all are no padding: a token was added that no file names"
            todo = "put the tokenizer.json, or added_tokens.json, that the model was trained with into its folder"
            doubts.append((what, todo))
        else:
            findings.append(left_out)
    return tokenizer, (None if rows == list(range(n_vocab)) else rows), findings, doubts


def _of_sentencepiece(path: Path, n_vocab: int) -> SentencePieceTokenizer:
    check_file(path, "a sentencepiece model")
    try:
        tokenizer = SentencePieceTokenizer(path)
    except (RuntimeError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: no sentencepiece model, cut short or damaged ({str(error)[:120]}); copy it again"
        ) from None
    if tokenizer.vocab_size != n_vocab:
        raise CheckpointError(
            f"{path}: the vocabulary has {tokenizer.vocab_size} tokens, the model {n_vocab}; "
            "put the tokenizer.model that the model was trained with beside it"
        )
    return tokenizer


def _by_size(stored: Stored) -> int:
    size, mels = stored.dims.n_vocab, stored.dims.n_mels
    where = f"{stored.place}: its embedding has {size} rows, and no file beside it says which tokens they are"
    remedy = "put the tokenizer.json that it was trained with into its folder (of a .pt, give the Hugging Face folder)"
    if size not in MEL_BANDS:
        known = ", ".join(map(str, MEL_BANDS))
        raise CheckpointError(f"{where}; Whisper's own vocabularies have {known}. Were tokens added? Then {remedy}")
    if stored.form != "k2d" and MEL_BANDS[size] != mels:  # our folders say which tokens were added
        raise CheckpointError(
            f"{where}; the published models of {size} tokens take {MEL_BANDS[size]} mel bands, this one {mels}: "
            f"tokens were added. Therefore {remedy}"
        )
    if stored.form != "k2d" and size == 51865 and _has_learnt_no_language(stored):
        raise CheckpointError(
            f"{where}; the rows of its languages are all alike, as in English-only models, which have 51864: a token "
            f"was added. Therefore {remedy}"
        )
    return size


def _has_learnt_no_language(stored: Stored) -> bool:
    """Whether the rows where a multilingual model has its languages are one and the same, but for their length."""
    rows = read_tensor(EMBEDDING, stored.tensors[EMBEDDING])[50270:50350].float()
    similarity = torch.nn.functional.cosine_similarity(rows[:-1], rows[1:])
    return bool(similarity.median() > 0.999)


def _read(folder: Path) -> _Found:
    """Everything that the files of a folder say."""
    found = _Found()
    what = "a tokenizer of Whisper"
    file = folder / "tokenizer.json"
    if file.is_file():
        content = read_json(file, what)
        model = content.get("model")
        vocabulary = model.get("vocab") if isinstance(model, dict) else None
        if not isinstance(vocabulary, dict):
            kind = model.get("type") if isinstance(model, dict) else None
            raise CheckpointError(
                f"{file}: a tokenizer of type {kind}; expected Whisper's, BPE, or a tokenizer.model beside the weights"
            )
        for token, number in vocabulary.items():
            found.add(number, token, file)
        for entry in _list(content.get("added_tokens") or [], file):
            if not isinstance(entry, dict):
                raise CheckpointError(f"{file}: an added token is {entry!r}; expected its id and content")
            found.add(entry.get("id"), entry.get("content"), file, bool(entry.get("special")))
    for name in ("vocab.json", "added_tokens.json"):
        if (folder / name).is_file():
            for token, number in read_json(folder / name, what).items():
                found.add(number, token, folder / name)
    file = folder / "tokenizer_config.json"
    if file.is_file():
        entries = read_json(file, what).get("added_tokens_decoder") or {}
        for number, entry in entries.items() if isinstance(entries, dict) else ():
            if isinstance(entry, dict):
                found.add(number, entry.get("content"), file, bool(entry.get("special")))
    for file in (folder / "vocabulary.json", folder / "vocabulary.txt"):
        if file.is_file():
            seen: set[str] = set()
            for number, token in enumerate(_lines(file)):
                # CTranslate2's converter names rows without a token so, or by timestamps that were there before.
                if not _NO_TOKEN.fullmatch(token) and not (token in seen and token in _TIME_NAMES):
                    found.add(number, token, file)
                seen.add(token)
    return found


def _list(value, file: Path) -> list:
    if not isinstance(value, list):
        raise CheckpointError(f"{file}: expected a list of tokens, found a {type(value).__name__}; download it again")
    return value


def _lines(file: Path) -> list[str]:
    """The tokens of CTranslate2's vocabulary."""
    if file.suffix == ".json":
        tokens = _list(read_json_value(file, "a list of tokens"), file)
        if wrong := [token for token in tokens if not isinstance(token, str)]:
            raise CheckpointError(f"{file}: {wrong[0]!r} is not a token; expected a list of strings")
        return tokens
    check_file(file, "a token a line")
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{file}: not UTF-8 ({error}); download it again") from None
    return text.removesuffix("\n").replace("\r\n", "\n").split("\n")


def _arrange(found: _Found, stored: Stored) -> tuple[Layout, list[int]]:
    """The layout, and ids of the files in the layout's order."""
    tokens, n_vocab = found.tokens, stored.dims.n_vocab
    some = ", ".join(sorted({path.name for path in found.said_by.values()}))

    def refuse(what: str) -> CheckpointError:
        return CheckpointError(
            f"{stored.place}: the vocabulary of {some} {what}; take these files and the weights from one model"
        )

    english = tokens.get(len(merged_tokens(True))) == _END
    merged = merged_tokens(english)
    for number, token in enumerate(merged):
        if tokens.setdefault(number, token) != token:
            raise refuse(f"is none of Whisper's: token {number} is {tokens[number]!r} instead of {token!r}")
    ids = {token: number for number, token in tokens.items()}
    if twice := next((token for number, token in tokens.items() if ids[token] != number), None):
        raise refuse(f"has {twice!r} twice")
    if lacking := [name for name in (_END, _BEGIN, *_CONTROL) if name not in ids]:
        raise refuse(f"has no {lacking[0]}")
    if not any(time in ids for time in timestamps.TIMES):  # older files leave them out: they follow what is named
        first = ids["<|notimestamps|>"] + 1
        if taken := [tokens[i] for i in range(first, first + N_TIMESTAMPS) if i in tokens]:
            raise refuse(f"has {taken[0]} where <|0.00|> belongs, behind <|notimestamps|>")
        for number, time in enumerate(timestamps.TIMES, first):
            ids[time], tokens[number] = number, time
    if lacking := [time for time in timestamps.TIMES if time not in ids]:
        raise refuse(f"has no {lacking[0]}")
    if (last := max(tokens)) >= n_vocab:
        raise refuse(f"has {len(tokens)} tokens, up to {tokens[last]!r} ({last}), and the embedding {n_vocab} rows")
    _agree_with_generation(stored.place, ids)
    fixed = {*(ids[name] for name in (_END, _BEGIN, *_CONTROL, *timestamps.TIMES)), *range(len(merged))}
    between = range(ids[_BEGIN], ids["<|translate|>"])
    languages, words, control = [], [], []
    for number in sorted(tokens.keys() - fixed):
        token = tokens[number]
        if number < ids[_END]:
            words.append(number)
        elif (match := _LANGUAGE.fullmatch(token)) and match[1] not in _NO_LANGUAGE:
            languages.append(number)
        elif number in between or number in found.control:
            control.append(number)
        else:
            (control if number not in found.words and _MARK.fullmatch(token) else words).append(number)
    rows = [
        *range(len(merged)), *words, ids[_END], ids[_BEGIN], *languages, *control,
        *(ids[name] for name in _CONTROL), *(ids[time] for time in timestamps.TIMES),
    ]  # fmt: skip
    spare = n_vocab - len(rows)
    if spare >= PADDING or set(rows) != set(range(len(rows))):
        lost = next(number for number in range(n_vocab) if number not in set(rows))
        raise refuse(f"has {len(rows)} tokens and the embedding {n_vocab} rows, of which row {lost} has no token")
    codes = tuple(_LANGUAGE.fullmatch(tokens[number])[1] for number in languages)
    texts = (tuple(tokens[number] for number in of) for of in (words, control))
    return Layout(english, _multilingual(stored, english), codes, *texts), rows


def _agree_with_generation(folder: Path, ids: dict[str, int]) -> None:
    """Raise CheckpointError where generation_config.json gives a token another id than the vocabulary."""
    file = folder / "generation_config.json"
    settings = read_json(file, "generation settings") if file.is_file() else {}
    said = {"<|notimestamps|>": settings.get("no_timestamps_token_id")}
    for name in ("lang_to_id", "task_to_id"):
        named = settings.get(name) or {}
        if not isinstance(named, dict):
            what = f"{name} is a {type(named).__name__}; expected tokens with their ids"
            raise CheckpointError(f"{file}: {what}: download it again, or remove it")
        for token, number in named.items():
            said[token if token in ids else f"<|{token}|>"] = number
    for token, number in said.items():
        if number is not None and ids.get(token) != number:
            raise CheckpointError(
                f"{file}: {token} is {number} there and {ids.get(token)} in the vocabulary; the weights would be asked "
                "for another token: take both files from one model"
            )


def _multilingual(stored: Stored, english: bool) -> bool:
    """Whether the model wants tokens of language and task; the files of a folder may say so."""
    file = stored.place / "generation_config.json"
    said = read_json(file, "generation settings").get("is_multilingual") if file.is_file() else None
    return said if isinstance(said, bool) else not english


def check_features(stored: Stored) -> None:
    """Raise CheckpointError where the files beside the weights ask for another number of mel bands, or for features
    that Whisper does not have."""
    if not stored.place.is_dir():
        return
    for name in ("preprocessor_config.json", "processor_config.json"):
        file = stored.place / name
        if not file.is_file():
            continue
        settings = read_json(file, "settings of features")
        settings = settings.get("feature_extractor", settings)
        if not isinstance(settings, dict):
            continue
        for setting, value in _FEATURES.items():
            if settings.get(setting, value) != value:
                raise CheckpointError(
                    f"{file}: {setting} is {settings[setting]!r}; Whisper's is {value}, and no other is computed. Use "
                    f"transformers:{stored.place}"
                )
        mels = settings.get("feature_size")
        if mels is not None and mels != stored.dims.n_mels:
            raise CheckpointError(
                f"{file}: feature_size is {mels}, and the weights take {stored.dims.n_mels} mel bands "
                "(encoder.conv1); take both from one model"
            )
