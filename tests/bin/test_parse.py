"""Values that no stage could use are named before any stage runs, and not when hours of work are done."""

import pytest

from k2d.bin import parse

LABEL = ("label", "--output_dir", "labels", "--data", "data", "--model", "text:labels.txt")
DECODE = ("decode", "--output_dir", "texts", "--data", "data", "--model", "tiny")
SPEED = ("speed", "--output_dir", "speed", "--data", "data", "--models", "teacher")
DISTANCE = ("distance", "--output_dir", "scores", "--teacher", "a", "--validator", "b")
EXPLORE = ("explore", "--output_dir", "page", "--data", "data", "--scores", "scores")


@pytest.mark.parametrize(
    ("command", "option", "value", "message"),
    [
        (DECODE, "--temperatures", "0,-1", "temperature -1: expected a number from 0 on"),
        (DECODE, "--temperatures", "nan", "temperature nan: expected a number from 0 on"),
        (DECODE, "--max_new_tokens", "0", "max_new_tokens 0 must be at least 1"),
        (DECODE, "--patience", "nan", "patience nan is not positive"),
        (DECODE, "--logprob_threshold", "nan", "'nan' is neither a number nor none"),
        (LABEL, "--max_skipped", "-1", "'-1': expected a whole number from 0 on"),
        (DISTANCE, "--captions", "nowhere.txt", "nowhere.txt: "),
        (EXPLORE, "--alpha", "40", "alpha 40: expected a distance from 0 to 10, most are below 1; 40 % is 0.4"),
        (SPEED, "--max_seconds", "0", "--max_seconds 0.0: expected a number above 0"),
        (SPEED, "--max_seconds", "nan", "--max_seconds nan: expected a number above 0"),
    ],
)
def test_a_value_that_no_work_could_use_is_named_before_it_begins(command, option, value, message):
    assert message in (parse.problem([*command, option, value]) or "")


def test_values_at_the_edge_are_taken():
    assert parse.problem([*DECODE, "--temperatures", "0,1.5", "--max_new_tokens", "1", "--max_skipped", "0"]) is None
    assert parse.problem([*EXPLORE, "--alpha", "0"]) is None
    assert parse.problem([*SPEED, "--max_seconds", "0.5"]) is None
