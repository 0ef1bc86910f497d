"""What looks private in a label is listed, what does not is left alone."""

import pytest

from k2d.publish.privacy import Finding, find, find_in


@pytest.mark.parametrize(
    "text, expected",
    [
        ("有問題寄到 someone.x@example.edu.tw 給我", ("e-mail", "someone.x@example.edu.tw")),
        ("寄到 someone at gmail dot com 就好", ("e-mail", "someone at gmail dot com")),
        ("打我手機 0912-345-678", ("telephone number", "0912-345-678")),
        ("手機是零九一二三四五六七八謝謝", ("telephone number", "零九一二三四五六七八")),
        ("辦公室 (02) 3366 1234 分機", ("telephone number", "02) 3366 1234")),
        ("call +886 2 3366 1234", ("telephone number", "+886 2 3366 1234")),
        ("身分證 A123456789", ("identity number", "A123456789")),
        ("身份证 11010519491231002X", ("identity number", "11010519491231002X")),
        ("卡號 4111 1111 1111 1111", ("card number", "4111 1111 1111 1111")),
        ("學號 b08901234 的同學", ("student number", "b08901234")),
        ("<|0.00|>打 0912<|1.00|><|1.00|>345678<|2.00|>", ("telephone number", "0912 345678")),
    ],
)
def test_private_looking_text_is_found_once(text, expected):
    assert list(find_in(text)) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "在 2019 年有 1500 個參數",
        "learning rate 是 0.0001 跑 120000 步",
        "第一二三章",
        "the model has 1550 million parameters at most",
        "look at the dot product",
        "",
    ],
)
def test_ordinary_lectures_are_left_alone(text):
    assert list(find_in(text)) == []


def test_findings_name_the_label():
    assert find([("a", "好"), ("b", "0912345678")]) == [Finding("b", "telephone number", "0912345678")]
