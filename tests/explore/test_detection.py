"""Precision, recall, ROC and AUC of a distance as a finder of bad labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2d.explore.detection import AuditedChunks, analyse, auc, markdown, precision_recall, roc

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=25)


def arrays(rows):
    bad, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    return bad.astype(bool), weight.astype(float), score / 5


@given(ROWS)
def test_auc_is_the_chance_of_the_right_order(rows):
    bad, weight, score = arrays(rows)
    total = right = 0.0
    for i in np.flatnonzero(bad):
        for j in np.flatnonzero(~bad):
            total += weight[i] * weight[j]
            right += weight[i] * weight[j] * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0)
    found = auc(bad, weight, score)
    assert np.isnan(found) if not total else found == pytest.approx(right / total)


@given(ROWS)
def test_roc_runs_from_nothing_to_everything_and_its_area_is_the_auc(rows):
    bad, weight, score = arrays(rows)
    if bad.all() or not bad.any():
        return
    points = roc(bad, weight, score)
    assert points[0] == (0, 0) and points[-1] == (1, 1)
    xs, ys = np.array(points).T
    assert (np.diff(xs) >= 0).all() and (np.diff(ys) >= 0).all()
    assert np.trapezoid(ys, xs) == pytest.approx(auc(bad, weight, score), abs=1e-3)


def test_precision_and_recall_by_hand():
    bad = np.array([True, True, False, False])
    score, weight = np.array([0.9, 0.3, 0.6, 0.1]), np.array([1.0, 3.0, 1.0, 1.0])
    assert precision_recall(bad, weight, score, 0.4) == (0.5, 0.25)
    assert precision_recall(bad, weight, score, 0.2) == (0.8, 1.0)


def test_intervals_hold_the_value_and_a_seed_repeats_them():
    draw = np.random.default_rng(0)
    bad = draw.random(150) < 0.4
    audit = AuditedChunks(bad, np.arange(150) // 3, {"mer": draw.random(150) + 0.5 * bad, "noise": draw.random(150)})
    result = analyse(audit, seed=3)
    assert result == analyse(audit, seed=3)
    value, low, high = result["metrics"]["mer"]["auc"]
    assert low < value < high and value > 0.7
    assert result["metrics"]["noise"]["auc"][1] < 0.5 < result["metrics"]["noise"]["auc"][2]
    recalls = [triple[0] for triple in result["metrics"]["mer"]["recall"]]
    assert result["metrics"]["mer"]["mean_recall"][0] == pytest.approx(np.mean(recalls), abs=1e-3)
    assert "| mer |" in markdown(result)


def test_chunks_of_one_recording_are_drawn_together():
    """Ten chunks that are all alike tell as much as one, and one recording tells nothing of others."""
    draw = np.random.default_rng(1)
    bad, score = draw.random(20) < 0.5, draw.random(20)

    def interval(bad, recording, score):
        return analyse(AuditedChunks(bad, recording, {"mer": score}))["metrics"]["mer"]["auc"]

    once = interval(bad, np.arange(20), score)
    assert interval(np.repeat(bad, 10), np.repeat(np.arange(20), 10), np.repeat(score, 10)) == once
    assert once[1] < once[0] < once[2]
    assert interval(bad, np.zeros(20), score) == [once[0], None, None]


def test_an_audit_without_bad_labels_has_no_numbers_to_give():
    result = analyse(AuditedChunks(np.zeros(3, bool), np.arange(3), {"mer": np.array([0.1, 0.2, 0.9])}))
    assert result["metrics"]["mer"]["auc"] == [None, None, None]
    assert "–" in markdown(result)
