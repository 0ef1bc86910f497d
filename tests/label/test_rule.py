"""Rules: a small safe language, exact in what it keeps and helpful in what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2d.errors import RuleError
from k2d.label.rule import known_selections, read_rule, read_selection
from k2d.label.scores import possible_names

NAMES = {"comp", "mer", "loop_teacher", "comp_base", "comp_small"}
SCORES = {
    "comp": np.array([0.1, 0.4, 0.41, np.nan]),
    "mer": np.array([0.5, 0.2, 0.3, 0.1]),
    "loop_teacher": np.array([0.0, 1.0, 0.0, 0.0]),
    "comp_base": np.array([0.2, 0.9, 0.5, 0.1]),
    "comp_small": np.array([0.6, 0.1, 0.5, 0.1]),
}


def kept(text: str) -> list[bool]:
    rule = read_rule(text, NAMES)
    result = np.ones(4, bool)
    for clause in rule.clauses:
        result &= clause.keeps(SCORES, 4)
    return result.tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("comp <= 0.4", [True, True, False, False]),
        ("comp <= 0.4 and loop_teacher == 0", [True, False, False, False]),
        ("not loop_teacher", [True, False, True, True]),
        ("0.2 <= mer < 0.5", [False, True, True, False]),
        ("min(comp_base, comp_small) <= 0.2", [True, True, False, True]),
        ("max(comp_base, comp_small) <= 0.5", [False, False, True, True]),
        ("mean(comp_base, comp_small) <= 0.45", [True, False, False, True]),
        ("abs(comp_base - comp_small) > 0.3 or mer < 0.15", [True, True, False, True]),
        ("not comp > 0.4", [True, True, False, False]),  # NaN is neither above nor not above
        ("1 == 1", [True, True, True, True]),
        ("mer / loop_teacher < 1", [False, True, False, False]),
        ("-mer + 1 >= 0.8 and (comp_base != 0.9)", [False, False, False, True]),
    ],
)
def test_rules_keep(text, expected):
    assert kept(text) == expected


def test_clauses_of_the_outermost_and_are_kept_apart():
    rule = read_rule("comp <= 0.4 and (mer < 1 or loop_teacher == 0)", NAMES)
    assert [clause.text for clause in rule.clauses] == ["comp <= 0.4", "mer < 1 or loop_teacher == 0"]
    assert rule.names == {"comp", "mer", "loop_teacher"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("comp <= ", "allowed are"),
        ("", "allowed are"),
        ("cpmp <= 0.4", "no score 'cpmp' (did you mean comp?); there are comp, comp_base"),
        ("__import__('os').system('true')", "is not a function of rules"),
        ("comp.real <= 1", "not part of a rule"),
        ("[comp][0] <= 1", "not part of a rule"),
        ("(lambda: comp)() <= 1", "not a function of rules"),
        ("comp ** 9 ** 9 < 1", "not part of a rule"),
        ("comp <= '0.4'", "not a number"),
        ("comp in (1, 2)", "not part of a rule"),
        ("comp if mer else comp", "not part of a rule"),
        ("min(comp, key=mer) < 1", "with these arguments"),
        ("(comp := 1) < 2", "not part of a rule"),
        ("-" * 100 + "comp < 1", "levels deep"),
        ("comp <= 0.4 # or so", "# begins a comment"),
        ("1+" * 6000 + "1 < 2", "at most 10000"),
    ],
)
def test_everything_else_is_refused_with_a_reason(text, message):
    with pytest.raises(RuleError) as error:
        read_rule(text, NAMES)
    assert message in str(error.value)


@given(st.text(max_size=40))
def test_no_text_does_anything_but_parse_or_be_refused(text):
    try:
        rule = read_rule(text, NAMES)
    except RuleError:
        return
    for clause in rule.clauses:
        assert clause.keeps(SCORES, 4).shape == (4,)


def test_the_selections_that_come_along_are_the_rows_of_the_papers_table_and_segments():
    rows = {"full": "1 == 1", "ngram": "loop_teacher == 0", "mer": "mer <= 0.4", "per": "per <= 0.4",
            "comp": "comp <= 0.4", "segment": "loop_teacher == 0"}  # fmt: skip
    assert {name: read_selection(name).at(0.4).text for name in rows} == rows
    assert {name for name in rows if read_selection(name).uses_alpha} == {"mer", "per", "comp", "segment"}
    assert read_selection("segment").at(0.3).segment_alpha == "0.3"
    assert read_selection("comp").segment_alpha is None


@pytest.mark.parametrize("name", known_selections())
def test_every_selection_that_comes_along_asks_for_scores_that_exist(name, tmp_path):
    assert read_rule(read_selection(name).at(0.4).text, possible_names(tmp_path, {})).clauses


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "allowed are"),
        ("comp <= alpha\nmer <= alpha\n", "allowed are"),
        ("segment_alpha: half\n1 == 1\n", "'half', expected alpha or a number"),
        ("segment_alpha: 40\n1 == 1\n", "40"),
        ("weight: 1 +\n", "invalid syntax"),
        ("comp <=\nweight: 1 - mer\n", "invalid syntax"),
        ("weight: print(1)\nmer < 1\n", "'print' is not a function"),
        ("comp <= alpha # \xe9\n", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_selection_is_named(tmp_path, text, message):
    (tmp_path / "mine.rule").write_bytes(text.encode("latin-1"))
    with pytest.raises(RuleError, match=f"mine.rule: .*{message}"):
        read_selection(str(tmp_path / "mine.rule"))


def test_a_rule_may_come_from_any_editor(tmp_path):
    (tmp_path / "我的 rule.rule").write_bytes("\ufeff# 我的\r\ncomp <= alpha # α\r\nand mer <= 1\r\n".encode())
    assert read_selection(str(tmp_path / "我的 rule.rule")).at(0.4).text == "comp <= 0.4 and mer <= 1"
