"""The table that people read: aligned, wrapped, the gravest first."""

from hypothesis import given
from hypothesis import strategies as st

from k2d.check.findings import COLUMNS, SHOWN, fails, fine, left_out, note, some, table, wrap
from k2d.text.columns import width


def test_the_gravest_row_comes_first_and_columns_are_aligned():
    rows = [fine("data/dev", "3 recordings"), note("a", "b"), left_out("data/測試集", "一個錄音", "correct it"),
            fails("data/test", "nothing is left", "give it recordings")]  # fmt: skip
    lines = table(rows).splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == ["fails", "left out", "note", "ok"]
    sets = ("data/test", "data/測試集", "a", "data/dev")
    starts = {width(line[: line.index(name, 8)]) for line, name in zip(lines[2:], sets)}
    assert len(starts) == 1
    assert width(lines[3][: lines[3].index("correct it")]) == width(lines[0][: lines[0].index("what to do")])


def test_no_line_is_longer_than_a_terminal_whatever_is_said():
    rows = [fails("data/" + "x" * 300, "no such file: /a/" + "很長的名字/" * 60, "correct " * 90)]
    lines = table(rows).splitlines()
    assert max(map(width, lines)) <= COLUMNS
    assert "".join(table(rows).split()).count("很長的名字") == 60


def test_few_ids_stand_in_a_row_and_the_others_are_counted():
    assert some(["a", "b"]) == "a, b"
    assert some([f"u{n}" for n in range(2000)]) == f"u0, u1, u2, u3 and {2000 - SHOWN:,} more"
    assert len(some(["x" * 5000])) < 100


@given(st.text(max_size=80), st.integers(4, 40))
def test_wrapping_loses_nothing_and_fits(text, size):
    lines = wrap(text, size)
    assert all(width(line) <= size for line in lines)
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
    assert "".join("".join(lines).split()) == "".join(shown.split())
