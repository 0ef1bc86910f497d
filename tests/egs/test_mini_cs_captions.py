"""Captions of pretrain1: the faults that were asked for, in their shares, by the habits of their captioner."""

import importlib.util
import sys
from pathlib import Path

import pytest

LOCAL = Path(__file__).resolve().parents[2] / "egs" / "mini_cs" / "pretrain1" / "local"
NONE = dict(invented=0.0, elsewhere=0.0, cut=0.0, repeated=0.0, translated=0.0, transliterated=0.0)


@pytest.fixture(scope="module")
def captions():
    path = list(sys.path)
    spec = importlib.util.spec_from_file_location("captions", LOCAL / "captions.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["captions"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = path
    for name in ("captions", "grammar", "lexicon"):
        sys.modules.pop(name, None)


def facts(snr=20.0, utterances=400):
    texts = ["我们看 report 的结果", "这个 model 比较复杂", "you can train the model again"]
    spoken = [[i * 300, i * 300 + 250, texts[i % len(texts)]] for i in range(utterances)]
    stretches = [[i * 300 + 250, i * 300 + 300, "music"] for i in range(utterances)]
    return {"recording": "rec", "snr": snr, "utterances": spoken, "interruptions": stretches}


def captioner(captions, name="a", **shares):
    return captions.Captioner(name, captions.Shares(**{**NONE, **shares}), captions.read_glossary())


def spoken(captions, made):
    return [text for start, _, text in made if start % 300 == 0]


def test_without_faults_captions_are_what_was_said(captions):
    made = list(captioner(captions).captions(facts()))
    assert [list(one) for one in made] == facts()["utterances"]


def test_a_stretch_without_speech_gets_a_phrase_in_its_share(captions):
    made = list(captioner(captions, invented=0.6).captions(facts()))
    over_music = [text for start, _, text in made if start % 300]
    assert 0.5 < len(over_music) / 400 < 0.7
    assert set(over_music) <= set(captions.STOCK) and len(set(over_music)) == len(captions.STOCK) // 2


@pytest.mark.parametrize("snr, low, high", [(20.0, 0.14, 0.26), (8.0, 0.32, 0.48)])
def test_a_noisy_recording_is_captioned_with_less_care(captions, snr, low, high):
    texts = {text for _, _, text in facts()["utterances"]}
    made = spoken(captions, captioner(captions, cut=0.2).captions(facts(snr)))
    shorter = [text for text in made if text not in texts]
    assert low < len(shorter) / len(made) < high
    assert all(any(whole.startswith(text) for whole in texts) for text in shorter)


def test_repeated_words_are_a_loop(captions):
    from k2d.text.loops import has_loop

    texts = {text for _, _, text in facts()["utterances"]}
    made = spoken(captions, captioner(captions, repeated=1.0).captions(facts()))
    assert not set(made) & texts
    assert sum(map(has_loop, made)) > len(made) / 2


def test_a_captioner_always_translates_the_same_terms(captions):
    everything = captioner(captions, translated=1.0)
    assert everything.in_chinese("我们看 report 的结果") == "我们看日报的结果"
    assert captioner(captions, transliterated=1.0).in_chinese("我们看 report 的结果") == "我们看瑞波特的结果"
    glossary = captions.read_glossary()
    terms = [term for term, written in glossary.items() if written[0] != captions.NONE]

    def translated(name):
        one = captioner(captions, name, translated=0.3)
        return {term for term in terms if one.in_chinese(term) != term}

    a, b = translated("a"), translated("b")
    assert 0.2 < len(a) / len(terms) < 0.4 and a == translated("a")
    assert len(a & b) < 0.6 * len(a)


def test_the_longest_term_is_taken_and_a_caption_is_never_empty(captions):
    everything = captioner(captions, translated=1.0)
    assert everything.in_chinese("the loss function") == "损失函数"
    assert everything.in_chinese("the") == "the"


def test_every_english_term_of_the_seed_speech_is_in_the_glossary(captions):
    topics = [captions.grammar.TOPICS[topic] for topic in captions.grammar.SEED_TOPICS + captions.grammar.OUT_TOPICS]
    terms = {term for topic in topics for slot in ("en", "v") for term in topic.get(slot, [])}
    assert not terms - set(captions.read_glossary())
