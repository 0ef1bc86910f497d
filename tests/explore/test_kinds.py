"""What is wrong with a label, told from the label and what was said."""

import pytest

from k2d.explore.kinds import KINDS, kind_of, skeleton, sounds_alike
from k2d.explore.references import spoken_units
from k2d.score.alignment import align


def kind(said: str, label: str) -> str | None:
    return kind_of(label, align(spoken_units(said), spoken_units(label)))


@pytest.mark.parametrize(
    "said, label, expected",
    [
        ("今天讲 attention 和 model", "<|0.00|>今天讲 attention 和 model<|4.00|>", None),
        ("今天天气很好", "<|0.00|>" + "谢谢大家收看" * 8 + "<|9.00|>", "loop"),
        ("", "<|0.00|>请订阅我的频道<|4.00|>", "over silence"),
        ("好", "<|0.00|>好<|1.00|><|5.00|>谢谢大家收看我们下次再见<|9.00|>", "over silence"),
        ("我们要 review 这个 model 的 structure", "我们要复习这个模型的结构", "translated"),
        ("this is important", "这就是重要的", "translated"),
        ("这个非常重要", "this is very important", "translated"),
        ("来一杯 coffee", "来一杯咖啡", "transliterated"),
        ("这个 gradient 跟 attention", "这个格雷迪恩特跟阿滕训", "transliterated"),
        ("我们今天要讲 attention 的定义跟它的应用", "我们今天", "cut"),
        ("一句话", "", "cut"),
        ("这个公式的结果非常准确", "这个攻势的节果飞长准却", "substituted"),
        ("we use attention", "we lose tension", "substituted"),
    ],
)
def test_a_label_is_of_the_kind_that_most_of_its_errors_are_of(said, label, expected):
    assert kind(said, label) == expected


def test_a_loop_comes_before_what_else_is_wrong_and_is_none_where_it_was_said():
    assert kind("一句话", "谢谢大家" * 12) == "loop"
    assert kind("谢谢大家" * 12, "谢谢大家" * 12) is None


def test_an_english_word_in_its_place_is_no_translation():
    # The wrong character beside it is what is wrong.
    assert kind("把 model 训练好", "八 model 熏练号") == "substituted"
    assert kind("一 model 二", "一 module 二") == "substituted"


@pytest.mark.parametrize("english, chinese", [("coffee", "咖啡"), ("data", "达塔"), ("report", "瑞波特")])
def test_what_is_written_by_sound_keeps_its_consonants(english, chinese):
    assert sounds_alike(english, chinese)


@pytest.mark.parametrize("english, chinese", [("data", "数据"), ("gradient", "梯度"), ("a", "啊")])
def test_what_is_written_by_meaning_does_not(english, chinese):
    assert not sounds_alike(english, chinese)


def test_a_skeleton_is_made_of_what_both_languages_have():
    assert (skeleton("report"), skeleton("瑞波特")) == ("lplt", "lpt")
    assert set(KINDS) == {"loop", "over silence", "translated", "transliterated", "cut", "substituted"}
