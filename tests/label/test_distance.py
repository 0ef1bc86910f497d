"""δ is the paper's on every pair: compared with a second implementation, written from the definitions."""

from collections import Counter

import numpy as np
import pypinyin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2d.label.distance import PAPER, Choices, distances, with_options
from k2d.text import pronunciation
from k2d.text.normalise import normalise, to_simplified

WORDS = ["machine", "learning", "overfitting", "gpu", "don't", "3"]
HANZI = "我們用機器學習模型重要長大了銀行樂發頭髮乾"
PIECE = st.one_of(st.sampled_from(WORDS).map(lambda w: f" {w} "), st.text(HANZI, min_size=1, max_size=4))
TEXT = st.one_of(
    st.lists(PIECE, max_size=8).map("".join),
    st.tuples(st.sampled_from(["謝謝大家", "thank you ", "哈"]), st.integers(1, 14)).map(lambda t: t[0] * t[1]),
    st.sampled_from(["", "，。", "😀"]),
)


def slow_edits(a: list, b: list) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def slow_units(text: str) -> list[str]:
    units: list[str] = []
    for word in normalise(text).split():
        run = ""
        for character in word:
            if "\u3400" <= character <= "\u9fff":
                units += [run] if run else []
                units.append(character)
                run = ""
            else:
                run += character
        units += [run] if run else []
    return units


def slow_phonemes(text: str) -> list[str]:
    phonemes: list[str] = []
    run = ""
    for unit in [*slow_units(text), ""]:
        if unit and "\u3400" <= unit <= "\u9fff":
            run += unit
            continue
        for syllable in pypinyin.lazy_pinyin(run, style=pypinyin.Style.BOPOMOFO, errors="ignore") if run else []:
            phonemes += [symbol for symbol in syllable if symbol not in "ˊˇˋ˙"]
        run = ""
        phonemes += pronunciation.lexicon().get(unit, "").split()
    return phonemes


def slow_loop(text: str, n: int = 6, c: int = 5) -> int:
    text = normalise(text)
    counts = Counter(text[i : i + n] for i in range(len(text) - n + 1))
    return int(any(count > c for count in counts.values()))


def slow_paper(teacher: str, validator: str) -> tuple[float, float, float, int, int]:
    """The paper's definitions, one pair at a time."""

    def rate(hypothesis: list, reference: list, empty: float) -> float:
        return slow_edits(hypothesis, reference) / len(reference) if reference else empty

    units, phonemes = [[f(t) for t in (teacher, validator)] for f in (slow_units, slow_phonemes)]
    loops = slow_loop(teacher), slow_loop(validator)
    composite = max(loops[0], min(1 - loops[1], rate(*phonemes, empty=0.0)))
    return rate(*units, empty=1.0), rate(*phonemes, empty=1.0), composite, *loops


@settings(max_examples=60)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_paper_equals_the_definition_on_every_pair(pairs):
    found = distances([t for t, _ in pairs], [v for _, v in pairs], PAPER).columns()
    rows = list(zip(*(found[name].tolist() for name in found), strict=True))
    for pair, row in zip(pairs, rows, strict=True):
        assert row == pytest.approx(slow_paper(*pair), abs=1e-12), pair


@settings(max_examples=60)
@given(
    TEXT,
    TEXT,
    st.sampled_from(["validator", "teacher", "symmetric"]),
    st.sampled_from(["agree", "one", "zero"]),
)
def test_distances_are_never_negative_and_symmetric_ones_at_most_one(teacher, validator, reference, empty):
    found = distances([teacher], [validator], Choices(reference=reference, empty=empty))
    assert found.mer[0] >= 0 and found.per[0] >= 0 and found.comp[0] >= 0
    if reference == "symmetric":
        assert found.mer[0] <= 1 and found.per[0] <= 1


@settings(max_examples=60)
@given(TEXT)
def test_identical_texts_are_at_distance_zero(text):
    found = distances([text], [text], Choices())
    assert found.mer[0] == found.per[0] == 0
    if slow_units(text) and slow_phonemes(text):
        found = distances([text], [text], PAPER)
        assert found.mer[0] == found.per[0] == 0


@settings(max_examples=40)
@given(TEXT, TEXT)
def test_script_makes_no_difference_unless_asked_to(teacher, validator):
    traditional = distances([teacher], [validator], PAPER)
    simplified = distances([to_simplified(teacher)], [to_simplified(validator)], PAPER)
    assert [c.tolist() for c in traditional.columns().values()] == [c.tolist() for c in simplified.columns().values()]


@settings(max_examples=40)
@given(TEXT, TEXT)
def test_loops_decide_the_composite(teacher, validator):
    found = distances([teacher], [validator], PAPER)
    assert 0 <= found.comp[0] <= 1
    if found.loop_teacher[0]:
        assert found.comp[0] == 1
    elif found.loop_aux[0]:
        assert found.comp[0] == 0
    elif slow_phonemes(validator):
        assert found.comp[0] == min(1, found.per[0])
    else:
        assert found.comp[0] == 0 and found.per[0] == 1


def test_the_validator_is_the_reference_so_delta_may_exceed_one():
    found = distances(["一二三四五六"], ["七八"], PAPER)
    assert found.mer[0] == 3.0
    assert distances(["一二三四五六"], ["七八"], Choices(reference="teacher")).mer[0] == 1.0
    assert distances(["一二三四五六"], ["七八"], Choices(reference="symmetric")).mer[0] == 1.0


def test_each_choice_is_an_option_of_its_own():
    assert distances(["媽"], ["馬"], PAPER).per[0] == 0  # tones dropped
    assert distances(["媽"], ["馬"], with_options(True, tones=True)).per[0] > 0
    assert distances(["頭髮"], ["头发"], with_options(True, fold_script=False)).mer[0] == 1.0
    assert distances(["頭髮"], ["头发"], with_options(True, fold_script=False)).per[0] == 0  # phonemes always fold
    assert distances(["妳接著"], ["你接着"], PAPER).mer[0] == 1 / 3
    assert distances(["妳接著"], ["你接着"], with_options(True, fold_usage=True)).mer[0] == 0
    assert distances(["kubernetes"], ["kubernetis"], PAPER).per[0] == 1.0  # unknown words leave nothing: 1
    assert distances(["kubernetes"], ["kubernetis"], PAPER).comp[0] == 0.0  # … and 0 inside the composite
    assert 0 < distances(["kubernetes"], ["kubernetis"], with_options(True, fallback=True)).per[0] < 1
    assert distances(["好好好"], ["好"], with_options(True, n=1, c=2)).loop_teacher[0] == 1
    for empty, expected in (
        ("agree", [0.0, 1.0]),
        ("one", [1.0, 1.0]),
        ("zero", [0.0, 0.0]),
        ("paper", [1.0, 1.0]),
    ):
        assert distances(["", "好"], ["", ""], with_options(False, empty=empty)).mer.tolist() == expected
    assert Choices(6, 5, "validator", True, False, False, "paper", True) == PAPER


def test_a_wrong_choice_is_refused():
    with pytest.raises(ValueError, match="expected validator, teacher or symmetric"):
        Choices(reference="both")
    with pytest.raises(ValueError, match="at least 1"):
        Choices(n=0)


def test_timestamps_on_either_side_make_no_difference():
    found = distances(
        ["<|0.00|>我們<|1.00|><|1.00|>用 ML<|2.00|>", "我們用 ML"], ["我們用ml", "<|0.00|>我们用ML<|3.00|>"], PAPER
    )
    assert found.mer.tolist() == [0, 0] and found.per.tolist() == [0, 0]


def test_a_hundred_thousand_characters_are_compared():
    draw = np.random.default_rng(1)
    long = "".join(chr(c) for c in draw.integers(0x4E00, 0x9000, 100_000))
    found = distances([long], [long[:50_000] + "好" + long[50_000:]], PAPER)
    assert found.mer[0] == pytest.approx(1 / 100_001)
