"""Subtitles as people write them, and what comes out."""

import json
import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2d.corpus.subtitles import Cue, cues_of_text, fault_of_lengths, fault_of_times, read_all, read_cues, spoken
from k2d.corpus.transcripts import read_transcript
from k2d.errors import DataError

WORDS = st.text(string.ascii_letters + "深度學習模型 ", min_size=1, max_size=12).filter(lambda s: s.strip())


def cues_of(tmp_path, text: str, encoding: str = "utf-8") -> list[Cue]:
    path = tmp_path / "x.srt"
    path.write_bytes(text.encode(encoding))
    return read_cues(path)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".ass", "[Script Info]\nTitle: 1:02\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, "
         "MarginR, MarginV, Effect, Text\n"
         "Dialogue: 1,0:00:01.00,0:00:02.50,D,,0,0,0,,{\\an7\\pos(0,0)\\p1}m 0 0 l 9 9{\\p0}\n"
         "Dialogue: 0,0:00:01.00,0:00:02.50,D,Lee,0,0,0,,{\\p2}m 0 0 b 1 1{\\r\\p0}"
         "{\\i1\\pos(1,2)}你好\\N{\\i0}a, b{c} 0:00:05\n"
         "Comment: 0,0:00:02.00,0:00:02.50,Default,,0,0,0,,no\nDialogue: 0,0:01:00.00,0:01:01.00,D,,0,0,0,,12\n"),
        (".SSA", "Dialogue: Marked=0,0:00:01.00,0:00:02.50,D,,0,0,0,,你好 a, b 0:00:05\r\n"
         "Dialogue: Marked=0,0:01:00.00,0:01:01.00,D,,0,0,0,,12\r\n"),
        (".ass", "Dialogue: 0,0:00:01.00,0:00:02.50,D,,0,0,0,,你{\\k20}好\\Na, {\\i1}b{\\i0} 0:{\\b1}00:05\n"
         "Dialogue: 0,0:01:00.00,0:01:01.00,D,,0,0,0,,12\n"),
        (".sbv", "0:00:01.000,0:00:02.500\n你好\na, b 0:00:05\n\n0:01:00.000,0:01:01.000\n12\n"),
        (".tsv", "start\tend\ttext\n1000\t2500\t你好 a, b 0:00:05\n60000\t61000\t12\n"),
    ],
)  # fmt: skip
def test_other_forms_of_two_cues(tmp_path, suffix, text):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(text.encode())
    assert read_cues(path) == [Cue(1.0, 2.5, "你好 a, b 0:00:05"), Cue(60.0, 61.0, "12")]


def test_a_table_that_is_no_transcript_is_named_with_its_line(tmp_path):
    (tmp_path / "x.tsv").write_text("start\tend\ttext\n0.5\t1.2\thello\n")
    with pytest.raises(DataError, match=r"x\.tsv:2: .* is not start, end \(milliseconds\) and text .*; correct"):
        read_cues(tmp_path / "x.tsv")


@pytest.mark.parametrize(
    "text",
    [
        "1\n00:00:01,000 --> 00:00:02,500\n你好 model\n",
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\n你好 model\r\n",
        "WEBVTT\n\nSTYLE\n::cue { color: red }\n\nNOTE 00:09 is no cue\n\n"
        "00:01.000 --> 00:02.500 align:start\n你好\nmodel\n",
        "1\n00:00:01.0 --> 00:00:02.5\n<i>你好</i> {\\an8}<v Lee>model&nbsp;\n",
        "1\n0:00:01,000-->0:00:02,500\n你好 model",
        "WEBVTT\r\r\n\r\r\n00:01.000 --> 00:02.500\r\r\n你好\r\r\nmodel\r\r\n",  # line ends converted twice
        "1\r00:00:01,000 --> 00:00:02,500\r你好<br>model\r",
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n \n你好<00:00:01.500><c> model</c>\n",  # an empty upper line
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n\n你好<00:00:01.500><c.colorCCCCCC> model</c>\n",
        "Detected language: Chinese\n[00:01.000 --> 00:02.500]  你好 model\n",  # Whisper's words to a terminal
        "[00:00:01.000 --> 00:00:02.500]   你好\nmodel\n\n[00:00:03.000 --> 00:00:04.000]\n",
    ],
)
def test_forms_of_one_cue(tmp_path, text):
    assert cues_of(tmp_path, text) == [Cue(1.0, 2.5, "你好 model")]


@pytest.mark.parametrize(
    "text",
    [
        "1\n00:00:01 --> 00:00:02\n你好\n\n2\n00:00:02 --> 00:00:04\n7\n",
        "WEBVTT\n\n0:01 --> 0:02\n你好\n\n0:02 --> 0:04\n7\n",
        # no blank lines between
        "1\n00:00:01,000 --> 00:00:02,000\n你好\n2\n00:00:02,000 --> 00:00:04,000\n7",
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,000\r\n你好\r\n \r\n9\r\n00:00:02,000 --> 00:00:04,000\r\n7\r\n",
        "WEBVTT\n00:01.000 --> 00:02.000\n你好\n00:02.000 --> 00:04.000\n7\n",
        # an empty cue, its number and its name
        "1\n00:00:00,000 --> 00:00:01,000\n2\n00:00:01,000 --> 00:00:02,000\n你好\n3\n00:00:02,000 --> 00:00:04,000\n7",
        "WEBVTT\n\na\n00:00.000 --> 00:01.000\n\nb\n00:01.000 --> 00:02.000\n你好\n\nc\n00:02.000 --> 00:04.000\n7",
        "WEBVTT\n\n00:00.000 --> 00:01.000\n\nNOTE none\n\n00:01.000 --> 00:02.000\n你好\n\n00:02.000 --> 00:04.000\n7",
    ],
)
def test_cues_are_told_apart(tmp_path, text):
    assert cues_of(tmp_path, text) == [Cue(1.0, 2.0, "你好"), Cue(2.0, 4.0, "7")]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("如果 a < b 而 c > d", "如果 a < b 而 c > d"),
        ("x<y, y>z", "x<y, y>z"),
        ("for i<c and c>0, k<v in d.items() if v>2", "for i<c and c>0, k<v in d.items() if v>2"),
        ("vector&lt;int&gt; v", "vector<int> v"),
        ("<b>粗</b> <font color=\"#fff\">色</font> <v Ann>hi</v> <c.a.b>c</c>", "粗 色 hi c"),
    ],
)
def test_mark_up_goes_and_other_angles_stay(tmp_path, written, said):
    assert cues_of(tmp_path, f"00:01.000 --> 00:02.000\n{written}\n") == [Cue(1.0, 2.0, said)]


@pytest.mark.parametrize("times", ["00:00:03,000 -> 00:00:04,000", "\u200f00：00：03，000 → 00：00：04，000"])
def test_times_with_another_arrow_are_named_and_marks_of_direction_pass(tmp_path, times, caplog):
    text = "1\n\u200e00:00:01,000 --> 00:00:02,000\n你好 3 -> 4\n"
    assert cues_of(tmp_path, text) == [Cue(1.0, 2.0, "你好 3 -> 4")]
    assert cues_of(tmp_path, f"{text}\n{times}\nworld\n") == [Cue(1.0, 2.0, "你好 3 -> 4")]
    assert "x.srt:5: left out: " in caplog.text and "is not as '00:00:01,000" in caplog.text


def test_utf_16_with_its_mark_is_read(tmp_path):
    assert cues_of(tmp_path, "1\n00:00:01,000 --> 00:00:02,500\n你好\n", "utf-16") == [Cue(1.0, 2.5, "你好")]


def test_rolling_captions_say_a_line_once(tmp_path):
    text = "00:01.000 --> 00:02.000\na b\n\n00:02.000 --> 00:04.000\na b\n\n00:04.000 --> 00:05.000\nc\n"
    assert cues_of(tmp_path, text) == [Cue(1.0, 4.0, "a b"), Cue(4.0, 5.0, "c")]


def code(milliseconds: int, decimal: str = ".") -> str:
    return f"00:{milliseconds // 60000:02d}:{milliseconds // 1000 % 60:02d}{decimal}{milliseconds % 1000:03d}"


def rolling_vtt(lines: list[tuple[int, int, str]]) -> str:
    """As YouTube writes captions that nobody made: every line spoken word by word, alone for 10 ms, above the next."""
    text, above = "WEBVTT\nKind: captions\nLanguage: zh-TW\n\n", " "
    for start, end, line in lines:
        first, *words = line.split()
        timed = first + "".join(f"<{code(start + 10 * n)}><c> {word}</c>" for n, word in enumerate(words, 1))
        text += f"{code(start)} --> {code(end)} align:start position:0%\n{above}\n{timed}\n\n"
        text += f"{code(end)} --> {code(end + 10)} align:start position:0%\n{line}\n \n\n"
        above = line
    return text


def rolling_srt(lines: list[tuple[int, int, str]], between: str) -> str:
    """The same as SubRip. between: what parts the two lines; a blank where a program has made them one."""
    text, above = "", ""
    for number, (start, end, line) in enumerate(lines):
        text += f"{2 * number + 1}\n{code(start, ',')} --> {code(end, ',')}\n{above}{line}\n\n"
        text += f"{2 * number + 2}\n{code(end, ',')} --> {code(end + 10, ',')}\n{line}\n\n"
        above = line + between
    return text


LECTURE = [
    (0, 2350, "hello everyone and welcome"),
    (2360, 4500, "今天 我們 要 講 machine learning"),
    (4510, 6000, "對"),
    (6010, 7000, "對"),
    (9000, 9800, "the first thing"),
]


@pytest.mark.parametrize("write", [rolling_vtt, lambda x: rolling_srt(x, "\n"), lambda x: rolling_srt(x, " ")])
def test_every_line_of_youtubes_captions_comes_once_with_its_times(tmp_path, write):
    found = cues_of(tmp_path, write(LECTURE))
    assert [cue.text for cue in found] == [line for *_, line in LECTURE]
    for cue, (start, end, _) in zip(found, LECTURE, strict=True):
        assert cue.start == start / 1000 and end / 1000 <= cue.end <= end / 1000 + 0.0101


@given(
    st.lists(st.tuples(st.integers(500, 4000), st.sampled_from([0, 0, 3000]), WORDS), min_size=2, max_size=12),
    st.sampled_from([rolling_vtt, lambda x: rolling_srt(x, "\n"), lambda x: rolling_srt(x, " ")]),
)
def test_rolling_captions_of_any_words_lose_and_repeat_none(tmp_path_factory, entries, write):
    lines, start = [], 0
    for length, pause, words in entries:
        lines.append((start, start + length, " ".join(words.split())))
        start += length + 10 + pause
    found = cues_of(tmp_path_factory.mktemp("cues"), write(lines))
    assert [cue.text for cue in found] == [line for *_, line in lines]


def test_three_rows_that_roll_and_rows_that_grow(tmp_path):
    rows = ["one row", "two rows", "三排", "four", "five"]
    three = "\n\n".join(
        f"{code(1000 * n)} --> {code(1000 * n + 1000)}\n" + "\n".join(rows[max(0, n - 2) : n + 1]) for n in range(5)
    )
    assert [cue.text for cue in cues_of(tmp_path, three)] == rows
    words = "今天 我們 講 deep learning".split()
    growing = "\n\n".join(
        f"{code(1000 * n)} --> {code(1000 * n + 1000)}\n{' '.join(words[: n + 1])}" for n in range(5)
    )
    assert [cue.text for cue in cues_of(tmp_path, growing)] == words


def test_rolling_captions_of_a_short_recording(tmp_path):
    lines = ["hello everyone", "hello everyone\nwelcome to class", "welcome to class\nlet us begin"]
    text = "\n\n".join(f"{code(2000 * n)} --> {code(2000 * n + 2000)}\n{line}" for n, line in enumerate(lines))
    assert [cue.text for cue in cues_of(tmp_path, text)] == ["hello everyone", "welcome to class", "let us begin"]


def test_times_without_fractions_and_cues_without_a_length_keep_their_words(tmp_path):
    (tmp_path / "x.sbv").write_text("0:00:01,0:00:02\nhello\n\n0:00:03,0:00:04\nbye\n")
    assert read_cues(tmp_path / "x.sbv") == [Cue(1.0, 2.0, "hello"), Cue(3.0, 4.0, "bye")]
    text = f"{code(1000)} --> {code(1000)}\nhello\n\n{code(3000)} --> {code(4000)}\nbye\n"
    assert cues_of(tmp_path, text) == [Cue(1.0, 2.5, "hello"), Cue(3.0, 4.0, "bye")]


def test_people_who_repeat_themselves_keep_their_words(tmp_path):
    lines = ["好", "好 我們開始", "我們開始 第一章", "謝謝", "然後", "看這裡", "這裡", "再看", "一次", "結束"]
    text = "\n\n".join(f"{code(2000 * n)} --> {code(2000 * n + 1500)}\n{line}" for n, line in enumerate(lines))
    assert [cue.text for cue in cues_of(tmp_path, text)] == lines


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("大家好\n10:30 we begin\nhello\n", None),
        ("10:30 we begin", None),
        ("1\n00:00:01,000 --> 00:00:02,000\n你好\n", [Cue(1.0, 2.0, "你好")]),
        ("[00:01.000 --> 00:02.000]  你好\n", [Cue(1.0, 2.0, "你好")]),
        ("", None),  # nothing is said
        ("[00:00.000 --> 00:02.000]\n", []),  # nor here
        ("0:00\n你好\n0:07\nhello\n", "begin with times"),  # as copied from a page of YouTube
        ("00:00:01 Lee: 你好\n00:00:07 Lee: hello\n", "begin with times"),
        ("00：01 你好\n00：07 hello\n", "begin with times"),
        ("[0.00s -> 2.50s] 你好\n[2.50s -> 4.00s] hello\n", "begin with times"),
        ("0.000000\t2.500000\t你好\n2.500000\t4.000000\thello\n", "begin with times"),  # labels of Audacity
        ("王小明 00:03\n大家好\n\n李四 (1:00:09)\n你好\n", "end with times"),
        ("talk 1 spk 0.00 2.50 <o,f0,male> hello\ntalk 1 spk 2.50 6.00 hi\n", "STM, CTM or RTTM"),
        ("talk 1 0.10 0.30 hello\ntalk 1 0.40 0.20 there\n", "STM, CTM or RTTM"),
        ("SPEAKER talk 1 0.0 2.5 <NA> <NA> A <NA> <NA>\nSPEAKER talk 1 2.5 1.0 <NA> <NA> B <NA> <NA>\n", "RTTM"),
        ("<!DOCTYPE html>\n<html><body>hi</body></html>\n", "a web page or XML"),
        ('<?xml version="1.0"?><tt><p begin="1.0s">hi</p></tt>', "a web page or XML"),
        ('{"text": "hi", "segments": []}', "it is JSON"),
        ("{\\rtf1\\ansi hello\\par}", "it is RTF"),
        ("WEBVTT\n\n", "no cue"),
        ("<noise> the class ends\nat 10:30\nor so\n", None),
        ("[laughs] errors of\n0.91 0.93 0.5\n{that}\n", None),
        ("a < b and <b>c</b>", None),
        ("SPEAKER 1: Hello and welcome.\nSPEAKER 2: Thank you.", None),
        ("John 3:16\nFor God so loved\nJohn 3:17\nFor God did not", None),
        ("Good morning it is 07:00\nand so on\nGood evening it is 19:30\n", None),
        ("WEBVTT is a format\nwe use it", None),
        ("[1]", None),
    ],
)
def test_times_in_a_text_file_become_no_words(tmp_path, text, said):
    (tmp_path / "x.txt").write_text(text, encoding="utf-8")
    if not isinstance(said, str):
        assert cues_of_text(tmp_path / "x.txt") == said
    else:
        with pytest.raises(DataError, match=said):
            cues_of_text(tmp_path / "x.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing here\n", r"x.srt: no cue .* in it; correct or remove the file"),
        ("1\n00:00:05,000 --> 00:00:02,000\nx\n", "x.srt:2: the cue ends at 2.000 s, before it starts"),
    ],
)
def test_what_is_no_subtitle_is_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        cues_of(tmp_path, text)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 900), WORDS), min_size=1, max_size=12))
def test_cues_come_in_order_without_overlap_and_lose_no_words(tmp_path_factory, entries):
    text = "\n\n".join(f"{code(10 * a)} --> {code(10 * (a + d))}\n{words}" for a, d, words in entries)
    path = tmp_path_factory.mktemp("cues") / "x.vtt"
    path.write_text(f"WEBVTT\n\n{text}\n", encoding="utf-8")
    cues = read_cues(path)
    for before, after in pairwise(cues):
        assert before.end <= after.start + 1e-9
    assert all(cue.end > cue.start for cue in cues)
    said = " ".join(cue.text for cue in cues)
    assert all(" ".join(words.split()) in said for _, _, words in entries)


def test_cues_of_another_recording_are_not_usable():
    cues = [Cue(10.0 * n, 10.0 * n + 5, "x") for n in range(10)]
    assert fault_of_times(cues, 96.0) == ""
    assert fault_of_times(cues, 40.0) == "6 of 10 cues end after 40 s, where the recording ends"
    assert fault_of_times(cues[:1], 2.0) == "1 of 1 cue ends after 2 s, where the recording ends"
    assert fault_of_times(cues[1:], 10.0) == "no cue lies inside the recording"


def test_a_cut_leaves_the_whole_lines_of_substation_alpha(tmp_path):
    whole = "Dialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,hello\n"
    (tmp_path / "x.ass").write_text(f"[Events]\n{whole}Dialogue: 0,0:00:03.00,0:0")
    assert read_cues(tmp_path / "x.ass") == [Cue(1.0, 2.0, "hello")]
    short = "Dialogue: 0,0:00:03.00,0:00:04.00,hello\n"
    (tmp_path / "x.ass").write_text(f"[Events]\n{short}")
    with pytest.raises(DataError, match=r"x.ass:2: .* has not the ten fields of SubStation Alpha"):
        read_cues(tmp_path / "x.ass")


ONE, TWO = "00:00:01,000 --> 00:00:02,000", "00:00:05,000 --> 00:00:06,000"


@pytest.mark.parametrize(
    "times",
    ["00:00:04,000 --> 00:00:03,000", "00:00:0x,000 --> 00:00:04,000", "00:00:03,000 -->", "00:00:03,000 00:00:04,000",
     "00:00:03,000 -> 00:00:04,000", "0:0:0:03,000 --> 00:00:04,000", "ab --> cd", "1 --> 2", "--> 00:00:04,000",
     "00:00:01:000 --> 00:00:02:000", "00：00：01,000 --> 00：00：02,000", "00:00:03,000 --> 00:00:04,000s",
     *(f"00:00:03,000 {arrow} 00:00:04,000" for arrow in ("---", "–", "--＞", "==>", ">>", "--&gt;", "-> ->"))],
)  # fmt: skip
def test_a_cue_whose_times_are_wrong_is_left_out_and_named(tmp_path, caplog, times):
    for between in ("\n", ""):
        caplog.clear()
        if not between and "ab" in times:
            continue  # without a blank line above it may be said
        path = tmp_path / f"{between!r}.srt"
        path.write_text(f"1\n{ONE}\none\n{between}2\n{times}\nlost\n{between}3\n{TWO}\ntwo\n")
        assert read_cues(path) == [Cue(1.0, 2.0, "one"), Cue(5.0, 6.0, "two")]
        line = 6 if between else 5
        assert f".srt:{line}: left out: " in caplog.text and "; correct the times" in caplog.text
    with pytest.raises(DataError, match=r"x\.srt:2: .*; correct the times"):
        cues_of(tmp_path, f"1\n{times}\nlost\n")


@pytest.mark.parametrize(
    ("suffix", "good", "bad"),
    [
        (".ass", "Dialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,one", "Dialogue: 0,0:00:03.00,0:00:04.00,lost"),
        (".ass", "Dialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,one", "Dialogue: 0,0:00:0x.00,0:00:04.00,D,,0,0,0,,lost"),
        (".tsv", "1000\t2000\tone", "3.5\t4\tlost"),
        (".tsv", "1000\t2000\tone", "4000\t3000\tlost"),
        (".sbv", "0:00:01.000,0:00:02.000\none\n", "0:00:0x.000,0:00:04.000\nlost\n"),
        (".srt", "[00:01.000 --> 00:02.000] one", "[00:0x.000 --> 00:04.000] lost"),
        (".vtt", "00:01.000 --> 00:02.000\none\n", "00:0x.000 --> 00:04.000\nlost\n"),
    ],
)
def test_a_line_that_is_wrong_is_left_out_in_every_form(tmp_path, caplog, suffix, good, bad):
    (tmp_path / f"x{suffix}").write_text(f"{good}\n{bad}\n{good.replace('one', 'two')}\n")
    assert read_cues(tmp_path / f"x{suffix}") == [Cue(1.0, 2.0, "one two")]
    assert f"x{suffix}:{1 + good.count(chr(10)) + 1}: left out: " in caplog.text


def test_of_many_wrong_cues_some_are_named_once_and_the_others_are_counted(tmp_path, caplog):
    for _ in range(2):
        cues_of(tmp_path, f"1\n{ONE}\none\n\n" + "".join(f"{n}\n00:00:0x,0 --> y\nlost\n\n" for n in range(2, 10)))
    assert caplog.text.count("left out") == 6 and "x.srt: left out: 3 more cues" in caplog.text


def test_an_arrow_that_is_said_stays(tmp_path):
    for said in ("p --> q", "if x: 3 --> 4.5", "3\np --> q", "open 10:30 - 11:00 daily", "10:20:00 - 12:10:00"):
        assert cues_of(tmp_path, f"1\n{ONE}\nhello\n{said}\n")[0].text == f"hello {said}".replace("\n", " ")


def test_a_cue_that_begins_after_the_end_is_left_out_and_named(tmp_path, caplog):
    stray = "".join(f"{n}\n00:00:0{n},000 --> 00:00:0{n},500\nx\n\n" for n in range(1, 5))
    (tmp_path / "x.srt").write_text(f"{stray}5\n99:59:58,000 --> 99:59:59,000\nsubtitles by me\n")
    found, rejects = read_all({"a": tmp_path / "x.srt"}, {"a": 10.0})
    assert len(found["a"]) == 4 and not rejects
    assert "left out: 1 cue that begins after 10 s, where the recording ends, such as 'subtitles by me'" in caplog.text


def test_cues_that_no_chunk_holds_are_named(tmp_path):
    text = "1\n00:00:05,000 --> 00:00:37,000\nlong\n\n2\n00:00:38,000 --> 00:00:40,000\nshort\n"
    (tmp_path / "x.srt").write_text(text)
    assert fault_of_lengths(read_cues(tmp_path / "x.srt"), 40.0) == (
        "1 of 2 cues lasts longer than 30 s, which no chunk does, and what is said there is left out, such as 'long' "
        "from 5.0 to 37.0 s; cut it in two"
    )
    assert fault_of_lengths([Cue(2.02, 32.02, "x"), Cue(95.0, 130.0, "cut at the end")], 100.0) == ""
    found, rejects = read_all({"a": tmp_path / "x.srt"}, {"a": 40.0})
    assert found == {"a": [Cue(38.0, 40.0, "short")]} and [reject.reason for reject in rejects] == ["cues too long"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[SPEAKER_00]: hello", "hello"),
        ("SPEAKER_01: 大家好", "大家好"),
        (">> next question", "next question"),
        ("- 你好", "你好"),
        ("–Hello - again", "Hello - again"),
        ("-5 degrees", "-5 degrees"),
        ("−.5 and -$5", "−.5 and -$5"),
        ("-$5", "-$5"),
        ("- 5 points", "5 points"),
        ("- [music] hello", "hello"),
        ("[Music] - hello", "hello"),
        ('-"Hi" - he said', '"Hi" - he said'),
        ("—「好」", "「好」"),
        ("- >> hello", "hello"),
        (">> [SPEAKER_01]: - hello", "hello"),
        ("− [CLS] is a token", "[CLS] is a token"),
        ("-", ""),
        ("Speaker 1 is my supervisor", "Speaker 1 is my supervisor"),
        ("Speaker 1: hello", "hello"),
        ("[CLS] 這個 [MASK] 的 output [Yang et al]", "[CLS] 這個 [MASK] 的 output [Yang et al]"),
        ("（音樂）你好 (Applause)", "你好"),
        ("[BLANK_AUDIO]", ""),
        ("[Music]", ""),
        ("♪ ♪", ""),
        ("thanks ［掌聲］ 謝謝", "thanks 謝謝"),
        ("<|zh|><|NEUTRAL|><|Speech|>你好", "你好"),
        ("<|0.00|>你好<|1.00|>", "你好"),
        ("<|0.00|>evil<|endoftext|>", "evil"),
        ("the interval [0, 1] and a[index]", "the interval [0, 1] and a[index]"),
        ("problem: solved", "problem: solved"),
    ],
)
def test_what_is_not_said_is_no_label(text, said):
    assert spoken(text) == said


def test_a_dash_before_mark_up_is_not_said(tmp_path):
    assert cues_of(tmp_path, "1\n00:00:01,000 --> 00:00:02,000\n- <i>hello</i>\n<i>- bye</i>\n")[0].text == "hello bye"


def test_tokens_of_whisper_are_times_in_a_plain_text_alone(tmp_path):
    said = "<|0.00|>evil<|endoftext|><|1.00|>"
    cues = "1\n00:00:00,000 --> 00:00:05,000\n"
    (tmp_path / "a.srt").write_text(cues + said)
    (tmp_path / "b.srt").write_text(cues + said.replace("<", "&lt;").replace(">", "&gt;"))
    (tmp_path / "c.json").write_text(json.dumps([{"start": 0, "end": 5, "text": said}]))
    (tmp_path / "d.txt").write_text(said)
    found = {name: read_transcript(tmp_path / name)[0] for name in ("a.srt", "b.srt", "c.json", "d.txt")}
    assert {segment.text for segment in found.values()} == {" evil"}
    assert [segment.end for segment in found.values()] == [5, 5, 5, 1]


def test_names_of_who_speaks_are_no_words_where_nearly_all_cues_have_one(tmp_path):
    lines = ["Wang Xiaoming: 大家好", "李老師：今天講 gradient", "Wang Xiaoming: 好的", "so: we go on"]
    lines += ["李老師：再見", "李老師：謝謝"]
    text = "\n\n".join(f"00:00:0{n}.000 --> 00:00:0{n}.900\n{line}" for n, line in enumerate(lines))
    said = ["大家好", "今天講 gradient", "好的", "so: we go on", "再見", "謝謝"]
    assert [cue.text for cue in cues_of(tmp_path, f"WEBVTT\n\n{text}\n")] == said
    text = text.replace("李老師：", "李老師")
    assert cues_of(tmp_path, f"WEBVTT\n\n{text}\n")[0].text == lines[0]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_wide_characters_are_read_without_a_mark_too(tmp_path, encoding):
    assert cues_of(tmp_path, "1\n00:00:01,000 --> 00:00:02,500\n你好\n", encoding) == [Cue(1.0, 2.5, "你好")]


def test_blank_lines_within_a_numbered_cue_cost_no_words(tmp_path):
    first, second = "1\n00:00:01,000 --> 00:00:02,000\n", "2\n00:00:03,000 --> 00:00:04,000\n"
    cues = cues_of(tmp_path, f"{first}你好\n\nhello\n\n{second}42\n")
    assert cues == [Cue(1.0, 2.0, "你好 hello"), Cue(3.0, 4.0, "42")]


def test_what_is_invisible_gets_into_no_label(tmp_path):
    cues = cues_of(tmp_path, "1\n00:00:01,000 --> 00:00:02,000\n\u200bhel\0lo\u200e\\Nthere\n")
    assert cues == [Cue(1.0, 2.0, "hello there")]


def test_subtitles_that_were_shifted_before_the_beginning_begin_there(tmp_path):
    assert cues_of(tmp_path, "1\n-00:00:01,000 --> 00:00:02,000\nhello\n") == [Cue(0.0, 2.0, "hello")]


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "x.srt").symlink_to("nowhere.srt")
    with pytest.raises(DataError, match="cannot be read"):
        read_cues(tmp_path / "x.srt")


def test_marks_of_direction_around_the_times_do_not_hide_a_cue(tmp_path):
    path = tmp_path / "x.srt"
    path.write_text("1\n\u200e00:00:01,000 --> 00:00:04,000\u200e\nhello\n", encoding="utf-8")
    assert read_cues(path) == [Cue(1.0, 4.0, "hello")]


def test_a_file_that_ends_inside_a_character_is_cut_not_of_another_encoding(tmp_path):
    path = tmp_path / "x.srt"
    path.write_bytes("1\n00:00:01,000 --> 00:00:04,000\n機器學習".encode()[:-1])
    with pytest.raises(DataError, match="cut short"):
        read_cues(path)


@pytest.mark.parametrize("head", ["", "WEBVTT\n\n"])
def test_wherever_a_file_is_cut_no_number_and_no_time_becomes_a_word(tmp_path, head):
    cues = [f"{n}\n00:01:{n:02d},000 --> 00:01:{n:02d},900\nword by word\n" for n in range(9, 12)]
    whole, said = head + "\n".join(cues), " ".join(["word by word"] * 3)
    for length in range(len(head) + len(cues[0]), len(whole)):
        path = tmp_path / "a.srt"
        path.write_text(whole[:length])
        assert said.startswith(" ".join(cue.text for cue in read_cues(path))), whole[:length][-40:]
