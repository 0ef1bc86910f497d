"""Signals as finders of bad labels: numbers that can be had by hand, and intervals over recordings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2d.datadir import DataDir, Segment, write_segments
from k2d.explore.detection import auc, aucs
from k2d.explore.label_quality import label_quality
from k2d.explore.spotting import FINDERS, spot
from k2d.label.scores import find_scores, read_choices
from k2d.tables import write_numbers, write_table

# label, said, distance, log-probability; each ten seconds of one of three recordings
ROWS = [
    ("今天讲 attention", "今天讲 attention", 0.0, -0.2),
    ("谢谢大家收看" * 8, "今天天气很好", 0.9, -0.1),
    ("来一大杯咖啡", "来一大杯 coffee", 0.3, -0.9),
    ("复习模型", "review model", 1.2, -1.4),
    ("好的", "好的", 0.5, -0.3),
    ("", "一句话没有写", 1.0, -1.2),
]


@pytest.fixture
def corpus(tmp_path):
    ids = [f"rec{i // 2}-{1000 * (i % 2):07d}-{1000 * (i % 2 + 1):07d}" for i in range(len(ROWS))]
    write_table(tmp_path / "chunks/wav.scp", dict.fromkeys(ids, "x.ark:1"))
    write_table(tmp_path / "chunks/text", {i: f"<|0.00|>{row[0]}<|10.00|>" for i, row in zip(ids, ROWS, strict=True)})
    write_numbers(tmp_path / "chunks/utt2dur", dict.fromkeys(ids, 10.0))
    write_numbers(tmp_path / "chunks/utt2avg_logprob", {i: row[3] for i, row in zip(ids, ROWS, strict=True)})
    write_numbers(tmp_path / "scores/utt2comp", {i: row[2] for i, row in zip(ids, ROWS, strict=True)})
    write_numbers(tmp_path / "scores/utt2loop_teacher", {i: int(n == 1) for n, i in enumerate(ids)})
    write_table(tmp_path / "scores/text", {i: row[1] for i, row in zip(ids, ROWS, strict=True)})
    write_table(tmp_path / "reference/text", {f"s{n}": row[1] for n, row in enumerate(ROWS)})
    places = [Segment(f"s{n}", f"rec{n // 2}", 10 * (n % 2) + 1, 10 * (n % 2) + 9) for n in range(len(ROWS))]
    write_segments(tmp_path / "reference/segments", places)
    return tmp_path


def spotted(corpus, alpha=0.4):
    data = DataDir(corpus / "chunks")
    quality = label_quality(data, corpus / "reference", by_segment=True)
    scores = find_scores(data, {"validator": corpus / "scores"})
    found = spot(quality, scores, alpha, read_choices(corpus / "scores"), data.text)
    return quality, {each.signal: each for each in found}


def test_auc_precision_and_recall_by_hand(corpus):
    quality, found = spotted(corpus)
    rates = [counts.text_rate for counts in quality.chunks.values()]
    assert [rate > 0.4 for rate in rates] == [False, True, False, True, False, True]
    comp = found["comp"]
    # Bad ones at 0.9, 1.2 and 1.0 above good ones at 0, 0.3 and 0.5; beyond 0.4 are these three and a good one.
    assert (comp.labels, comp.limit, comp.auc[0.4].value) == (6, 0.4, 1.0)
    assert (comp.precision.value, comp.recall.value) == (0.75, 1.0)
    # Small log-probabilities speak against a label: -0.1, -1.4, -1.2 of bad ones against -0.2, -0.9, -0.3.
    doubt = found["avg_logprob"]
    assert doubt.auc[0.4].value == pytest.approx(6 / 9, abs=1e-4)
    assert (doubt.precision.value, doubt.recall.value) == (1.0, pytest.approx(2 / 3, abs=1e-4))


def test_every_kind_of_bad_label_is_counted_where_a_signal_sees_it(corpus):
    quality, found = spotted(corpus)
    assert sorted(quality.kinds.values()) == ["cut", "loop", "translated"]
    kinds = {"loop": (1, 1), "over silence": (0, 0), "translated": (0, 1), "transliterated": (0, 0), "cut": (0, 1),
             "substituted": (0, 0)}  # fmt: skip
    assert found["loop_teacher"].kinds == kinds
    assert found["avg_logprob"].kinds == kinds | {"loop": (0, 1), "translated": (1, 1), "cut": (1, 1)}


def test_segments_are_labels_of_their_own(corpus):
    _, found = spotted(corpus)
    assert found["segment"].labels == 5, "an empty label has none"
    seen = {kind: counts for kind, counts in found["segment"].kinds.items() if counts[1]}
    assert seen == {"loop": (1, 1), "translated": (1, 1)}, "bad segments, of the kind of their label"
    assert found["segment"].auc[0.4].value == 1.0, "a validator that heard what was said"


def test_a_signal_that_is_chosen_by_a_share_has_the_limit_of_that_share(corpus):
    ids = list(DataDir(corpus / "chunks").text)
    write_numbers(corpus / "scores/utt2fused", dict(zip(ids, (0.1, 2.0, 0.3, 0.2, 0.4, 0.5), strict=True)))
    fused = spotted(corpus)[1]["fused"]
    assert 0.4 < fused.limit < 0.5, "of six labels two are beyond three quarters"
    assert (fused.precision.value, fused.recall.value) == (1.0, pytest.approx(2 / 3, abs=1e-4))


def test_a_signal_that_is_chosen_by_a_share_has_no_limit_where_no_label_has_it(corpus):
    (corpus / "scores/utt2fused").write_text("")
    fused = spotted(corpus)[1]["fused"]
    assert (fused.labels, fused.limit, fused.precision.value, fused.kinds) == (0, None, None, None)


def test_intervals_are_over_recordings(corpus):
    _, found = spotted(corpus)
    interval = found["avg_logprob"].auc[0.4]
    assert interval.low <= interval.value <= interval.high and interval.low < interval.high
    assert spotted(corpus)[1] == found, "the same seed, the same draws"


def test_a_score_that_some_labels_lack_is_judged_on_the_others(corpus):
    numbers = (corpus / "scores/utt2comp").read_text().splitlines()
    (corpus / "scores/utt2comp").write_text("".join(line + "\n" for line in numbers[:-1]))
    assert spotted(corpus)[1]["comp"].labels == 5
    (corpus / "scores/utt2mer").write_text("")
    nothing = spotted(corpus)[1]["mer"]
    assert (nothing.labels, nothing.auc[0.4].value, nothing.recall.value) == (0, None, None)


def test_labels_that_are_all_good_have_no_auc(corpus):
    write_table(corpus / "reference/text", {f"s{n}": row[0] for n, row in enumerate(ROWS)})
    quality, found = spotted(corpus)
    assert not quality.kinds and found["comp"].auc[0.4].value is None and found["comp"].recall.value is None
    assert found["comp"].precision.value == 0.0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_several_weightings_at_once_are_each_of_them_alone(rows):
    bad, score, *weights = (np.array(column) for column in zip(*rows, strict=True))
    together = aucs(bad, np.array(weights, float), score)
    alone = [auc(bad, weight, score) for weight in weights]
    np.testing.assert_allclose(together, alone)


def test_signals_have_each_one_name():
    names = [signal.name for signal in FINDERS]
    assert len(set(names)) == len(names)
