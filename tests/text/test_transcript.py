"""What a transcript's text looks like."""

import pytest

from k2d.text.transcript import as_whisper_writes


@pytest.mark.parametrize(
    ("text", "written"),
    [("hello  world", " hello world"), ("你好 hello\n", "你好 hello"), ("", ""), (" \n", ""), ("\ud800", "")],
)
def test_texts_are_written_as_whisper_writes_them(text, written):
    assert as_whisper_writes(text) == written
