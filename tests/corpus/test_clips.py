"""References of published corpora, and the account of what a set holds."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2d.corpus import command
from k2d.corpus.clips import Clip, File, reference
from k2d.corpus.joined import join
from k2d.corpus.recordings import Recording, check, convert
from k2d.corpus.release import check_counts
from k2d.corpus.sets import english_share
from k2d.errors import DataError
from k2d.tables import safe_id
from k2d.text.units import has_words


@pytest.mark.parametrize(
    ("published", "text", "tags"),
    [
        ("[UNK] 我們 用 model", "我們 用 model", 1),
        ("好［笑聲］的<noise>", "好 的", 2),
        ("  ｍｏｄｅｌ　的\t大小\n", "ｍｏｄｅｌ 的 大小", 0),
        ("a < b 而且 c", "a < b 而且 c", 0),
    ],
)
def test_tags_leave_a_reference_and_nothing_else_does(published, text, tags):
    assert reference(published) == (text, tags)


@given(st.text(max_size=40))
def test_a_reference_fits_on_a_line_and_stays_as_it_is(text):
    once, _ = reference(text)
    assert "\n" not in once and "\r" not in once and once == once.strip()
    assert reference(once)[0] == once or reference(once)[1] > 0


@pytest.mark.parametrize(("text", "expected"), [("好", True), ("3", True), ("♪ …", False), ("", False)])
def test_words_are_letters_or_digits(text, expected):
    assert has_words(text) is expected


@given(st.text(min_size=1, max_size=30))
def test_an_id_holds_no_space_and_no_slash(name):
    made = safe_id(name)
    assert made and not any(c.isspace() or c == "/" for c in made)


def test_share_of_english_counts_characters_and_words():
    assert english_share(["我們用 machine learning 的模型"]) == pytest.approx(2 / 8)
    assert english_share(["Ｍｏｄｅｌ 2024"]) == pytest.approx(1 / 2), "a number is neither"
    assert english_share([]) is None


def test_counts_of_the_release(capsys):
    assert check_counts("X", {"train": 3, "more": 1}, {"train": 3}, False)
    with pytest.raises(DataError, match=r"test: 0 instead of 1,200.*go on with what is there: COUNTS=any"):
        check_counts("X", {"train": 3}, {"train": 3, "test": 1200}, False)
    assert not check_counts("X", {"train": 2}, {"train": 3}, True)
    assert "WARNING: X: these are not the files" in capsys.readouterr().err


def test_what_is_copied_or_read_whole_follows_the_policy_for_damage(tmp_path, tones, monkeypatch):
    """A copy does not tell what its source lacked, so no later stage could leave it out."""
    cut = tmp_path / "cut.wav"
    cut.write_bytes(Path(tones["low"]).read_bytes()[:-4000])
    clips = [Clip(name, name, "s", "", File(path)) for name, path in (("cut", str(cut)), ("low", tones["low"]))]
    found = [Recording("cut", cut, "."), Recording("low", Path(tones["low"]), ".")]
    for damaged, left_out in (("warn", []), ("skip", ["cut"]), ("warn", [])):
        joined = join(clips, tmp_path / "joined", damaged=damaged)
        assert [reject.id for reject in joined.rejects] == left_out
        assert [reject.id for reject in convert(found, tmp_path / "converted", 1, damaged)[1]] == left_out
        seconds = check(found, tmp_path / "files.json", whole=True, nj=1, damaged=damaged)[0]
        assert ("low" in seconds) and ("cut" not in seconds)  # below a second, which is too short here
    assert command.parser("", "", command.Preparation).parse_args(["--corpus", "c"]).damaged == "warn"
    monkeypatch.setenv("K2D_DAMAGED", "skip")
    assert command.parser("", "", command.Preparation).parse_args(["--corpus", "c"]).damaged == "skip"


def test_a_copy_follows_its_source_even_to_an_older_file(tmp_path, tones):
    source, sound = tmp_path / "a.wav", Path(tones["low"]).read_bytes()
    source.write_bytes(sound)

    def copy() -> tuple[float, int]:
        path, seconds = convert([Recording("a", source, ".")], tmp_path / "copies", 1)[0]["a"]
        return seconds, os.stat(path).st_ino

    first = copy()
    assert copy() == first, "not made again"
    source.write_bytes(sound[: len(sound) // 4 * 2])
    os.utime(source, (0, 0))
    assert copy()[0] < first[0]
