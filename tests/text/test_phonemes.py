"""Phonemes: pypinyin's answer exactly, words of the lexicon, and no word that vanishes."""

import random

import pypinyin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypinyin.constants import PHRASES_DICT

from k2d.text import pronunciation
from k2d.text.normalise import normalise, variants
from k2d.text.phonemes import TONES, Phonemizer, phonemes

PHRASES = [phrase for phrase in PHRASES_DICT if len(phrase) > 1]
CHARACTERS = "".join(sorted({c for phrase in PHRASES[::50] for c in phrase}))


def by_pypinyin(text: str, tones: bool = False) -> str:
    symbols = "".join(pypinyin.lazy_pinyin(text, style=pypinyin.Style.BOPOMOFO, errors="ignore"))
    return symbols if tones else "".join(symbol for symbol in symbols if symbol not in TONES)


@pytest.mark.parametrize("tones", [False, True])
def test_random_chains_of_phrases_and_characters_are_read_as_pypinyin_reads_them(tones):
    draw = random.Random(3)
    mine = Phonemizer(tones=tones, fallback=False)
    for _ in range(400):
        parts = []
        for _ in range(draw.randint(1, 20)):
            phrase = draw.choice(PHRASES)
            parts.append(
                draw.choice([phrase, phrase[: draw.randint(1, len(phrase))], draw.choice(CHARACTERS)])
            )
        text = "".join(parts)
        if any(phrase in text for phrase in variants("sound")):
            continue  # read as our table says
        assert "".join(mine.characters(text)) == by_pypinyin(text, tones), text


@pytest.mark.parametrize(
    "sentence",
    [
        "我们今天来讨论一下这个问题然后你会发现说这个模型其实是怎么样去解决的",
        "银行行长重新长大了还是要还钱得到的好处得去处理",
        "他说一举两得不如一个一个来都什么时候了",
        "音乐会上乐队很快乐地演奏了曲子大夫背着包",
    ],
)
def test_sentences_with_polyphones_are_read_as_pypinyin_reads_them(sentence):
    assert "".join(phonemes(sentence)) == by_pypinyin(sentence)


@settings(max_examples=100)
@given(st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=30))
def test_any_ideographs_are_read_as_pypinyin_reads_them(text):
    assert "".join(Phonemizer(fallback=False).characters(text)) == by_pypinyin(text)


def test_homophones_are_alike_and_traditional_is_simplified():
    assert phonemes("機器學習") == phonemes("机器学习") == phonemes("机器学席")
    assert phonemes("西") == ["ㄒ", "ㄧ"] and phonemes("心") == ["ㄒ", "ㄧ", "ㄣ"]
    assert phonemes("媽", tones=True) == ["ㄇ", "ㄚ"] and phonemes("馬", tones=True) == ["ㄇ", "ㄚ", "ˇ"]


@pytest.mark.parametrize(
    ("sentence", "place", "sound"),
    [
        (word, word.index("著"), sound)
        for sound, words in {
            "ㄓㄨ": "著名 著作 著者 著述 著稱 顯著 名著 原著 土著 專著 巨著 論著 編著 拙著 著作權 臭名昭著 著書立說",
            "ㄓㄜ": "接著 看著 跟著 隨著 寫著 討論著 寫著名字 起著作用 看著名單",
            "ㄓㄠ": "睡著 著急 著火 找著",
            "ㄓㄨㄛ": "執著 著手 著重 著陸 沉著",
        }.items()
        for word in words.split()
    ],
)
def test_zhu_and_zhe_share_a_character_and_keep_their_sounds(sentence, place, sound):
    simplified = normalise(sentence)
    assert "著" not in simplified
    readings = Phonemizer().characters(simplified)
    assert readings[place] == sound
    for other in (sentence, sentence.replace("著", "着")):
        assert phonemes(f"我們{other}的") == phonemes("我们") + [s for r in readings for s in r] + phonemes("的")


def test_every_reading_of_the_table_has_one_syllable_a_character():
    for phrase, pinyin in variants("sound").items():
        assert len(phrase) == len(pinyin.split()) == len(Phonemizer().characters(phrase))
        assert normalise(phrase) == phrase


def test_characters_on_both_sides_of_punctuation_are_read_together():
    assert phonemes("什，么") == phonemes("什么")


def test_words_come_from_the_lexicon_without_stress():
    assert phonemes("machine") == "M AH SH IY N".split()


@pytest.mark.parametrize(
    "word", ["kubernetes", "lstm", "pytorch's", "naïve-bayes", "3d", "qwfp", "привет", "łódź"]
)
def test_an_unknown_word_leaves_phonemes_behind_unless_the_paper_is_followed(word):
    assert phonemes(word)
    if word not in pronunciation.lexicon() and "-" not in word:
        assert phonemes(word, fallback=False) == []


def test_unknown_words_are_taken_apart():
    assert pronunciation.pronounce("overfitting") == (
        *pronunciation.known("over"),
        *pronunciation.known("fitting"),
    )
    assert pronunciation.pronounce("rnn") == ("AA", "R", "EH", "N", "EH", "N")
    assert pronunciation.pronounce("tensorflows") == (*pronunciation.pronounce("tensorflow"), "Z")


def test_spelling_rules_come_near_the_lexicon():
    """Not the lexicon's answer, but a third of the phones at most wrong, over a spread of words."""
    from rapidfuzz.distance import Levenshtein

    words = [word for word in pronunciation.lexicon() if word.isalpha()][::97]
    wrong = total = 0
    for word in words:
        expected = pronunciation.known(word)
        wrong += Levenshtein.distance(pronunciation.letters_to_sounds(word), expected)
        total += len(expected)
    assert wrong / total < 0.25


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12))
def test_every_word_of_letters_is_read_in_known_phones(word):
    phones = pronunciation.pronounce(word)
    assert phones and set(phones) <= set(pronunciation.PHONES)
