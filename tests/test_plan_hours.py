"""Estimates before a run: what they rest on, and that they scale as the work does."""

import pytest

from k2d.plan import H100, SIZES, Plan, duration, estimate, seconds_a_window, size_of, space

CONFIG = {"max_epoch": 120, "num_iters_per_epoch": 4000, "batch_size": 64, "accum_grad": 4, "keep_nbest_models": 5}


def costs(**changes):
    plan = dict(
        train_hours=60000.0, dev_hours=5.0, test_hours=20.0, teacher="large-v2", validators=["base"],
        selections=["comp"], config=CONFIG, ngpu=4, joined=False,
    )  # fmt: skip
    return {cost.stage: cost for cost in estimate(Plan(**{**plan, **changes}))}


def test_training_is_the_papers_figure():
    # 120k updates of 256 chunks: 42 h on four H100.
    assert costs()[5].device_hours == pytest.approx(4 * 42)
    assert costs(selections=["full", "comp"])[5].device_hours == pytest.approx(2 * 4 * 42)


def test_training_costs_what_is_neither_stored_nor_cached():
    small = {"train_hours": 10.0, "teacher": "small", "ngpu": 0}
    whole, stored, both = (
        costs(**small, **more)[5].device_hours for more in ({}, {"encoder_out": 1}, {"encoder_out": 1, "topk": 32})
    )
    assert both < 0.75 * stored < 0.3 * whole, "most of a step is the encoder, then the teacher's decoder"
    noisy = costs(**small, encoder_out=3, topk=32)[5]
    assert noisy.device_hours > both, "every version is computed"
    assert noisy.gigabytes > costs(**small)[5].gigabytes + 3 * 10 * 3600 / 27 * 1500 * 768 * 2e-9


def test_work_grows_with_hours_and_models():
    small, large = costs(train_hours=100.0), costs(train_hours=1000.0)
    assert large[2].device_hours == pytest.approx(10 * small[2].device_hours)
    assert large[2].gigabytes == pytest.approx(10 * small[2].gigabytes)
    assert costs(teacher="small")[2].device_hours < costs()[2].device_hours / 2
    assert costs(ngpu=0)[2].device_hours > 50 * costs()[2].device_hours


@pytest.mark.parametrize(
    ("layers", "width", "measured"),
    [
        (32, 1280, {1: 3.56, 8: 5.00, 16: 6.05, 32: 8.48, 64: 13.02}),
        (2, 1280, {1: 0.61, 16: 0.82, 64: 1.51}),
        (6, 512, {16: 1.02, 64: 1.73}),
    ],
)
def test_steps_on_a_gpu_are_near_the_measured_ones(layers, width, measured):
    for windows, milliseconds in measured.items():
        assert 1000 * H100.step.seconds(layers, width, windows) == pytest.approx(milliseconds, rel=0.3)


def test_a_window_on_a_gpu_takes_what_was_measured():
    for windows, seconds in {8: 0.0076 + 0.0938, 64: 0.0073 + 0.0305}.items():
        assert seconds_a_window(SIZES["large"], H100, windows) == pytest.approx(seconds, rel=0.1)


def test_measured_speeds_replace_assumptions():
    assert costs(speeds={"teacher": 100.0})[2].device_hours == pytest.approx(600)
    assert costs(ready_labels=True)[2].device_hours == 0


def test_recordings_that_stay_where_they_are_take_no_disk_in_stage_one():
    assert costs()[1].gigabytes < 5
    assert costs(joined=True)[1].gigabytes > 3000


def test_an_epoch_without_a_number_is_a_pass_over_the_chunks():
    config = {"max_epoch": 10, "batch_size": 32}
    # 27 h are 3,600 chunks: 113 batches a pass.
    assert "1,130 updates of 32 chunks" in costs(train_hours=27.0, config=config)[5].summary


def test_batches_by_length_hold_as_many_chunks_as_fit():
    # 8,000 frames are 160 s, six chunks.
    config = {"max_epoch": 4, "num_iters_per_epoch": 50, "batch_type": "numel", "batch_bins": 8000}
    assert "200 updates of 6 chunks" in costs(config=config)[5].summary


@pytest.mark.parametrize(
    ("model", "layers"), [("large-v2", 32), ("base", 6), ("tiny.en", 4), ("/models/medium.pt", 24), ("../mine", 4)]
)
def test_models_are_known_by_name(model, layers):
    assert size_of(model).encoder_layers == layers


def test_units_suit_the_amount():
    assert [duration(h) for h in (0.001, 0.5, 4.24, 480)] == ["under 1 min", "30 min", "4.2 h", "20.0 days"]
    assert [space(g) for g in (0.01, 12.34, 3800)] == ["under 0.1 GB", "12.3 GB", "3.8 TB"]
