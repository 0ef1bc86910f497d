"""Both vocabularies share Whisper's layout; text survives; timestamps lie on the 0.02 s grid."""

import re

import pytest
import whisper.tokenizer
from hypothesis import given
from hypothesis import strategies as st

from k2d.errors import DataError
from k2d.text import timestamps
from k2d.text.tokenizer import SentencePieceTokenizer, WhisperTokenizer, train_sentencepiece

CORPUS = ["我们用 model 来训练 neural network", "今天的 lecture 讲 gradient descent", "it's state-of-the-art"]
small = train_sentencepiece(CORPUS * 5, 340)
big = WhisperTokenizer(51865)


@pytest.mark.parametrize("n_vocab", [51864, 51865, 51866])
def test_special_tokens_lie_where_openai_whisper_has_them(n_vocab):
    ours = WhisperTokenizer(n_vocab)
    theirs = whisper.tokenizer.get_tokenizer(n_vocab > 51864, num_languages=len(ours.languages))
    for name in ("eot", "sot", "transcribe", "translate", "sot_lm", "sot_prev", "no_speech", "no_timestamps"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.timestamp_begin == theirs.timestamp_begin
    assert len(set(ours.tokens())) == n_vocab


def test_sot_sequence():
    assert big.sot_sequence("zh") == [50258, 50260, 50359]
    assert big.sot_sequence("en", "translate", timestamps=False) == [50258, 50259, 50358, 50363]
    assert WhisperTokenizer(51864).sot_sequence("zh") == [50257]  # English-only: no language, no task
    with pytest.raises(ValueError, match="'xx' is not in this vocabulary; it has: en, zh"):
        small.sot_sequence("xx")


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
def test_any_text_survives_whispers_vocabulary(text):
    assert big.decode(big.encode(text)) == text


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Z")), max_size=40))
def test_any_word_survives_the_small_vocabulary(text):
    # The byte fallback spells what the corpus never had; U+2581 is sentencepiece's own mark for a space.
    text = text.replace("▁", "")
    assert small.decode(small.encode(text)).replace(" ", "") == text


def test_chinese_characters_are_single_tokens_and_spacing_is_canonical():
    assert len(small.encode("我们训练")) == 4
    assert small.encode("用model来") == small.encode("用 model 来") == small.encode(" 用  model来 ")
    assert small.decode(small.encode("我们用model来训练")) == "我们用 model来训练"


@given(st.lists(st.integers(0, 1500), min_size=1, max_size=6), st.sampled_from(["zh", "en"]))
def test_timestamps_round_trip(steps, language):
    words = {"zh": "我们", "en": " model"}[language]
    text = "".join(f"<|{step * 0.02:.2f}|>{words}" for step in steps)
    for tokenizer in (small, big):
        ids = tokenizer.encode_with_timestamps(text)
        assert [i - tokenizer.timestamp_begin for i in ids if i >= tokenizer.timestamp_begin] == steps
        assert tokenizer.decode_with_timestamps(ids).replace(" ", "") == text.replace(" ", "")
        assert "<|" not in tokenizer.decode(ids)


def test_the_mark_of_a_text_that_runs_on_is_no_text():
    text = "<|0.00|>我们<|5.20|><|27.00|>"
    assert small.encode_with_timestamps(text + "<|continued|>") == small.encode_with_timestamps(text)


@pytest.mark.parametrize("cut", [1, 2])
def test_a_character_that_is_cut_in_two_is_left_out(cut):
    """A window's limit of tokens falls anywhere, also inside a character of several tokens."""
    small = train_sentencepiece(["你好 world"] * 3, 300)
    for tokenizer in (WhisperTokenizer(51865), small):
        whole = tokenizer.encode("好龘")
        assert len(whole) >= 3
        for tokens in (whole[:-cut], [*whole[:-cut], tokenizer.timestamp_begin + 5]):
            assert tokenizer.decode(tokens) == "好"
            assert tokenizer.decode_with_timestamps(tokens).startswith("好")
            assert "\ufffd" not in tokenizer.decode_with_timestamps(tokens)


def test_text_that_looks_like_a_special_token_is_text():
    ids = big.encode("<|endoftext|>")
    assert big.eot not in ids
    assert big.decode(ids) == "<|endoftext|>"


def test_a_model_file_gives_the_same_tokenizer(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(small.model_proto)
    again = SentencePieceTokenizer(tmp_path / "tokenizer.model")
    assert again.tokens() == small.tokens()
    assert len(set(again.tokens())) == again.vocab_size


def test_a_strange_vocabulary_size_is_refused():
    with pytest.raises(ValueError, match=r"needs its files beside its weights: tokenizer\.model"):
        WhisperTokenizer(1234)


def test_times_behind_the_end_of_an_utterance_are_moved_there():
    assert timestamps.within("<|0.00|>a<|5.30|><|5.30|>b<|29.98|>", 5.31) == "<|0.00|>a<|5.30|><|5.30|>b<|5.30|>"
    assert timestamps.within("<|0.00|>a<|2.00|>", 2.0) == "<|0.00|>a<|2.00|>"
    assert timestamps.within("a", 2.0) == "a"


def test_a_vocabulary_that_cannot_hold_the_characters_is_refused():
    with pytest.raises(DataError, match=r"a vocabulary of 280 tokens is too small .* need \d+ or more") as error:
        train_sentencepiece(CORPUS, 280)
    least = int(re.search(r"need (\d+)", str(error.value))[1])
    with pytest.raises(DataError):
        train_sentencepiece(CORPUS, least - 1)
    train_sentencepiece(CORPUS, least)
    with pytest.raises(DataError, match="texts without a word"):
        train_sentencepiece(["", " "], 1000)
