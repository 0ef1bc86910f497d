"""Further signals of a label."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2d.errors import DataError
from k2d.label import speech
from k2d.label.distance import PAPER
from k2d.label.signals import caption_share, read_captions, text_signals, translated
from k2d.text.batch import Lines
from k2d.text.normalise import normalise


def signals(teacher: str, validator: str, seconds: float = 2.0) -> dict[str, float]:
    lines = Lines([teacher, validator])
    found = text_signals([teacher], [validator], lines, np.array([seconds]), PAPER, read_captions())
    return {name: float(column[0]) for name, column in found.items()}


def test_languages_are_measured_apart():
    found = signals("我們用 machine learning 模型", "我們用 machine burning 模式")
    assert found["zh_cer"] == pytest.approx(1 / 5) and found["en_wer"] == pytest.approx(1 / 2)
    assert found["en_share_teacher"] == pytest.approx(2 / 7)
    assert signals("你好", "你好")["en_wer"] == 0  # nobody said English: agreement


def test_rates_of_time_need_a_duration():
    assert signals("你好 ok", "", 2.0)["chars_per_second"] == 2.0
    assert np.isnan(signals("你好 ok", "", float("nan"))["chars_per_second"])


def test_translation_is_seen_at_matching_times():
    english = "<|0.00|>你好<|2.00|><|2.00|>we will use gradient descent<|6.00|>"
    chinese = "<|0.00|>你好<|2.00|><|2.00|>我們會用梯度下降<|6.00|>"
    assert translated(english, chinese) == pytest.approx(4 / 6)
    assert translated(chinese, english) == pytest.approx(4 / 6)
    assert translated(english, english) == 0
    assert translated("we will use gradient descent", "我們會用梯度下降") == 1  # no times: one segment each
    elsewhere = "<|0.00|>我們會用梯度下降<|1.90|><|2.00|>we will use gradient descent<|6.00|>"
    assert translated(english, elsewhere) == 0
    assert translated("", chinese) == 0


@given(st.text(max_size=80), st.text(max_size=80))
def test_translated_is_a_share(first, second):
    assert 0 <= translated(first, second) <= 1


def test_loops_compress_well():
    assert signals("", "")["compression_teacher"] == 0
    loop, sentence = (signals(text, "")["compression_teacher"] for text in ("謝謝大家" * 20, "今天我們來看這個模型"))
    assert loop > 2.4 > sentence


class TestCaptions:
    def test_known_phrases_in_either_script_and_any_punctuation(self):
        captions = read_captions()
        for text in (
            "請不吝點贊，訂閱、轉發、打賞支持明鏡與點點欄目！",
            "Thanks for watching!",
            "字幕由 Amara.org 社群提供",
        ):
            assert caption_share(normalise(text), captions) > 0.9, text
        assert caption_share(normalise("今天我們講梯度下降"), captions) == 0

    def test_share_and_word_borders(self):
        assert caption_share("今天谢谢观看", ("谢谢观看",)) == pytest.approx(4 / 6)
        assert caption_share("resubscribed", ("subscribe",)) == 0
        assert caption_share("", ("x",)) == 0

    def test_the_list_can_be_extended(self, tmp_path):
        (tmp_path / "mine").write_text("# ours\n下課了，同學們再見\n\n", encoding="utf-8")
        assert normalise("下课了同学们再见") in read_captions([tmp_path / "mine"])
        with pytest.raises(DataError, match="one a line"):
            read_captions([tmp_path / "none"])


class TestSpeechWithoutText:
    @staticmethod
    def audio() -> np.ndarray:
        """Two seconds of a voice-like sound, two of near silence, two of the sound."""
        time = np.arange(2 * 16000) / 16000
        voice = 0.3 * np.sign(np.sin(2 * np.pi * 150 * time)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time))
        quiet = 0.0005 * np.random.default_rng(0).standard_normal(2 * 16000)
        return np.concatenate([voice, quiet, voice]).astype(np.float32)

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("<|0.00|>你好<|2.00|><|4.00|>你好<|6.00|>", 0.0),
            ("<|0.00|>你好<|2.00|>", 2.0),
            ("<|0.00|>你好<|2.00|><|4.00|><|continued|>", 0.0),  # its text is in the next chunk
            ("", 4.0),
            ("你好", 0.0),  # no times: the text covers the chunk
        ],
    )
    def test_energy_counts_speech_outside_the_segments(self, text, seconds):
        assert speech.untexted_speech(self.audio(), text, "energy") == pytest.approx(seconds, abs=0.45)

    def test_silence_and_nothing_hold_no_speech(self):
        assert not speech.voice_activity(np.zeros(16000, np.float32), "energy").any()
        assert len(speech.voice_activity(np.zeros(0, np.float32), "energy")) == 0

    def test_an_unknown_detector_is_refused(self):
        with pytest.raises(ValueError, match="auto, silero, energy"):
            speech.voice_activity(np.zeros(10, np.float32), "ear")

    def test_silero_finds_no_speech_in_silence(self):
        pytest.importorskip("silero_vad")
        speech._silero.cache_clear()
        with warnings.catch_warnings(action="error"):
            assert not speech.voice_activity(np.zeros(32000, np.float32), "silero").any()
