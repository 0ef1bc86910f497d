"""Tables in a terminal."""

from types import SimpleNamespace

from k2d.text.columns import aligned, width

HEADER = ("model", "parameters", "errors", "loops")
ROWS = [("學生 A", "13.5 M", "19.03 [15.31, 23.79]", "0"), ("teacher", "27.7 M", "18.35 [13.70, 23.58]", "12")]


def test_what_does_not_fit_stands_below_behind_the_first_column():
    assert len(aligned(HEADER, ROWS)) == 4
    for most in (47, 38, 30):
        lines = aligned(HEADER, ROWS, most=most)
        assert max(map(width, lines)) <= most
        assert [line.split()[0] for line in lines if line].count("teacher") == lines.count("") + 1 > 1
        words = " ".join(lines)
        assert all(cell in words for row in ROWS for cell in row)
    assert aligned(HEADER, ROWS, most=48) == aligned(HEADER, ROWS)


def test_a_table_in_a_file_is_whole_whatever_the_environment_says_of_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    rows = [["a", "b" * 30, "c" * 30]]
    assert len(aligned(["", "one", "two"], rows)) == 3
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True))
    assert len(aligned(["", "one", "two"], rows)) > 3
