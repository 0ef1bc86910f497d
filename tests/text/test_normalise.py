"""Normalisation folds what is no difference and keeps what is one."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2d.text.normalise import is_cjk, normalise, opencc, to_simplified, variants
from k2d.text.timestamps import continued, format, parse, strip
from k2d.text.units import is_chinese, is_english, units

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("用 ＭＬ 模型。", ["用", "ml", "模", "型"]),
        ("don’t ‘go’ well-known rock 'n' roll", ["don't", "go", "well-known", "rock", "n", "roll"]),
        ("3.5 個GPU, 1,000次", ["3", "5", "个", "gpu", "1", "000", "次"]),
        ("\U00020000學𪜶\uf900々", ["\U00020000", "学", "𪜶", "岂", "々"]),  # extension planes, compatibility
        ("Straße CAFE\u0301 ﬁne", ["strasse", "café", "fine"]),
        ("a\u200bb c\u200dd", ["a", "b", "cd"]),  # zero-width space parts, joiner does not
        ("你好\x00\x07世界\x85", ["你", "好", "世", "界"]),  # control characters
        ("👩‍👩‍👧1️⃣😀ok", ["1", "ok"]),  # emoji
        ("مَرْحَبًا שלום\u200f", ["مَرْحَبًا", "שלום"]),  # right to left
        ("こんにちは 안녕", ["こんにちは", "안녕"]),
        ("——「」…！？ -- ' ", []),
        ("", []),
    ],
)
def test_units_of(text, expected):
    assert units(text) == expected


def test_every_assigned_ideograph_is_one_unit_and_no_other_letter_is_taken_for_one():
    for point in (
        *range(0x3400, 0x4DC0),
        *range(0x4E00, 0xA000),
        *range(0x20000, 0x20100),
        0x2A6DF,
        0x30000,
        0x323AF,
    ):
        assert is_chinese(chr(point))
    for character in "aé1あ아ㄅم。，「":
        assert not is_chinese(character)


@settings(max_examples=100)
@given(TEXT)
def test_normalising_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once
    unfolded = normalise(text, fold_script=False)
    assert normalise(unfolded, fold_script=False) == unfolded


@settings(max_examples=100)
@given(TEXT)
def test_only_letters_digits_and_inner_joiners_remain(text):
    for unit in units(text):
        assert len(unit) == 1 if is_chinese(unit) else not any(is_cjk(c) for c in unit)
        assert not unit.startswith(("'", "-")) and not unit.endswith(("'", "-"))
        for character in unit:
            assert character in "'-" or unicodedata.category(character)[0] in "LNM" or is_cjk(character)


IDEOGRAPHS = st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=40)


# Texts in which the rows of variants.tsv meet each other, phrases of OpenCC and anything else.
VARIANTS = st.lists(
    st.one_of(
        st.sampled_from([*variants("always"), *variants("usage"), *variants("usage").values(), *variants("sound")]),
        st.sampled_from([*"藉著著名甚麼部份量身", "藉著", "甚麼", "瞭解", "乾坤", "看", " ", "ml"]),
        IDEOGRAPHS,
    ),
    max_size=12,
).map("".join)


@settings(max_examples=300)
@given(VARIANTS, st.booleans())
def test_variants_are_folded_to_the_end(text, usage):
    once = normalise(text, fold_usage=usage)
    assert normalise(once, fold_usage=usage) == once
    assert len(units(text, fold_usage=usage)) == len(units(text, fold_script=False))
    assert normalise(to_simplified(text), fold_usage=usage) == once
    assert normalise(opencc()(text), fold_usage=usage) == once  # as somebody else writes Simplified
    assert set(once).isdisjoint(variants("always"))
    if usage:
        assert not any(written in once for written in variants("usage"))


@pytest.mark.parametrize("kind", ["always", "usage"])
def test_the_rows_of_the_table_lead_to_simplified_forms_that_nothing_changes(kind):
    rows = variants(kind)
    assert len(rows) > 20
    for written, folded in rows.items():
        assert len(written) == len(folded) and written != folded
        assert opencc()(folded) == folded and normalise(folded, fold_usage=True) == folded
        assert units(written, fold_usage=True) == units(folded)
        assert opencc()(written) != folded, f"{written}: OpenCC does that by itself"
        if kind == "usage":  # seen after OpenCC
            assert normalise(written) == written


@pytest.mark.parametrize(
    ("traditional", "simplified"),
    [
        ("低沈下沈 昏沈沈 沈穩 老沈在家", "低沉下沉昏沉沉沉稳老沈在家"),
        ("徬徨 罣礙 三英吋 保祐", "彷徨挂碍三英寸保佑"),
        ("接著看著他跟著名師寫著作業", "接着看着他跟着名师写着作业"),
        ("著名的著作有顯著的名著和土著", "著名的著作有显著的名著和土著"),
        ("藉著著手著急", "借着着手着急"),
        ("數値 衞星 化粧 砲彈 銲接 姪子", "数值 卫星 化妆 炮弹 焊接 侄子"),
        ("白晳 咬囓", "白皙 咬啮"),
        ("裡面 裏面 臺灣 台灣", "里面 里面 台湾 台湾"),
    ],
)
def test_both_scripts_of_a_sentence_are_the_same(traditional, simplified):
    assert units(traditional) == units(simplified)
    assert units("著名", fold_script=False) == ["著", "名"]


def test_what_may_be_a_mistake_is_folded_on_request():
    usual, other = "妳看牠在做甚麼部份的連絡", "你看它在做什么部分的联络"
    assert units(usual) != units(other)
    assert units(usual, fold_usage=True) == units(other, fold_usage=True) == list(other)
    assert units("他她", fold_usage=True) == ["他", "她"]


@settings(max_examples=100)
@given(st.one_of(IDEOGRAPHS, TEXT))
def test_a_text_and_its_simplified_form_are_the_same(text):
    assert units(text) == units(to_simplified(text))


@pytest.mark.parametrize("text", ["旋乾轉坤", "徵調", "顛乾倒坤", "幺麼小丑", "薴", "儗不於倫"])
def test_phrases_that_opencc_needs_two_passes_for_are_folded_to_the_end(text):
    assert to_simplified(to_simplified(text)) == to_simplified(text)


def test_folding_follows_phrases_and_can_be_switched_off():
    assert units("頭髮 發現") == list("头发发现")
    assert units("頭髮", fold_script=False) == ["頭", "髮"]
    assert units("瞭解反覆憑藉") == list("了解反复凭借")


def test_is_english_asks_for_a_latin_letter():
    assert [is_english(u) for u in ("ml", "don't", "3d", "café", "2024", "中", "при", "مر")] == [
        True, True, True, True, False, False, False, False,
    ]  # fmt: skip


class TestTimestamps:
    TEXT = "<|0.00|>你好<|2.40|><|2.40|> machine learning<|5.20|><|6.00|>然後<|continued|>"

    def test_parse_gives_times_and_leaves_the_last_segment_open(self):
        assert parse(self.TEXT) == [
            (0.0, 2.4, "你好"),
            (2.4, 5.2, "machine learning"),
            (6.0, None, "然後"),
        ]
        assert parse("no times") == [(0.0, None, "no times")]
        assert parse("") == []

    def test_strip_joins_chinese_and_parts_words(self):
        assert strip("<|0.00|>你<|1.00|><|1.00|>好<|2.00|>") == "你好"
        assert strip("<|0.00|>one<|1.00|><|1.00|>two<|2.00|>") == "one two"
        assert strip(" plain <text> | ") == "plain <text> |"

    def test_a_text_that_runs_on_says_so_and_gives_no_segment_for_it(self):
        text = "<|0.00|>你好<|5.20|><|27.00|><|continued|>"
        assert parse(text) == [(0.0, 5.2, "你好")]
        assert strip(text) == "你好"
        assert continued(text) == 27.0
        assert format(parse(text), continued(text)) == text
        assert continued("<|0.00|>你好<|5.20|>") is None and continued("") is None

    @given(
        st.lists(
            st.tuples(st.integers(0, 1500), st.text(alphabet="ab你好", min_size=1, max_size=5)), max_size=5
        )
    )
    def test_what_is_written_is_read_back(self, rows):
        start, segments = 0, []
        for length, text in rows:
            segments.append((round(start / 50, 2), round((start + length) / 50, 2), text))
            start += length
        assert parse(format(segments)) == segments
