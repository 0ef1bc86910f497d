"""Held-out recordings and development sets of corpora that nobody has transcribed."""

import pytest
import soundfile

from k2d.bin import hold_out, select, training_tables
from k2d.constants import chunk_id
from k2d.datadir import DataDir
from k2d.errors import DataError
from k2d.label.hold_out import hold_out_for_epochs, hold_out_recordings
from k2d.label.scores import find_scores
from k2d.tables import read_table, write_numbers, write_table


def corpus(folder, recordings: dict[str, int], seconds: float = 20.0):
    """Chunks of `seconds`, so many of each recording, and scores by which later chunks are doubtful."""
    ids = [
        chunk_id(name, round(100 * seconds * n), round(100 * seconds * (n + 1)))
        for name, count in recordings.items()
        for n in range(count)
    ]
    write_table(folder / "wav.scp", {key: f"{key}.wav" for key in ids})
    write_table(folder / "text", {key: f"<|0.00|>今天 model {key[:2]}<|5.00|>" for key in ids})
    write_table(folder / "text.prev", dict.fromkeys(ids, "before"))
    write_numbers(folder / "utt2dur", dict.fromkeys(ids, seconds))
    write_table(folder / "scores/text", dict.fromkeys(ids, "<|0.00|>今天 modal<|5.00|>"))
    write_numbers(folder / "scores/utt2comp", {key: n / len(ids) for n, key in enumerate(ids)})
    for name in ("loop_teacher", "loop_aux", "blank_aux"):
        write_numbers(folder / f"scores/utt2{name}", dict.fromkeys(ids, 0))
    return DataDir(folder), ids


def recordings_of(ids) -> set[str]:
    return {key.rsplit("-", 2)[0] for key in ids}


def test_short_recordings_are_held_out_whole_and_always_the_same(tmp_path):
    data, _ = corpus(tmp_path / "a", {f"r{n:03d}": 5 for n in range(100)})
    held = hold_out_recordings(data)
    assert len(held) == 25 and held == sorted(held), "a twentieth"
    assert all(sum(key.startswith(f"{name}-") for key in held) == 5 for name in recordings_of(held))
    assert hold_out_recordings(data) == held
    more, _ = corpus(tmp_path / "b", {f"r{n:03d}": 5 for n in range(105)})
    assert len(recordings_of(hold_out_recordings(more)) & recordings_of(held)) >= 4, "a larger corpus moves few"


def test_of_one_long_recording_a_part_is_held_out(tmp_path):
    data, ids = corpus(tmp_path, {"only": 100})
    assert hold_out_recordings(data) == ids[:5]


def test_other_scores_hold_out_the_same_recordings(tmp_path, capsys):
    """As of revised labels, so that students of both can be compared."""
    data, ids = corpus(tmp_path / "data", {f"r{n}": 5 for n in range(8)})
    words = f"--data {data.path} --scores {data.path}/scores --output_dir {tmp_path}/held_out".split()
    assert hold_out.main(words) == 0
    write_numbers(data.path / "scores/utt2comp", dict.fromkeys(ids, 0.5))
    assert hold_out.main(words) == 0 and "nothing to do" in capsys.readouterr().out
    write_table(data.path / "scores/text", dict.fromkeys(ids, "明天"))
    assert hold_out.main(words) == 0
    assert set(read_table(tmp_path / "held_out/text.validator").values()) == {"明天"}


def test_never_more_than_an_hour_is_held_out(tmp_path):
    data, _ = corpus(tmp_path, {f"r{n:04d}": 3 for n in range(2000)})
    assert len(hold_out_recordings(data)) == pytest.approx(180, abs=3)


def test_of_too_few_chunks_none_is_held_out_and_all_can_be_selected(tmp_path, capsys):
    data, ids = corpus(tmp_path, {"r": 3})
    out = tmp_path / "held_out"
    assert hold_out.main(f"--data {data.path} --scores {data.path}/scores --output_dir {out}".split()) == 0
    assert "3 chunks, too few to hold some out" in capsys.readouterr().err
    words = f"--data {data.path} --scores {data.path}/scores --output_dir {tmp_path}/full --selection full"
    assert select.main([*words.split(), "--leave_out", str(out)]) == 0
    assert list(read_table(tmp_path / "full/text")) == ids


def test_the_development_set_is_what_all_selections_keep_and_models_agree_on(tmp_path):
    data, ids = corpus(tmp_path / "all", {f"r{n}": 100 for n in range(10)})
    scores = find_scores(data, {"v": data.path / "scores"})
    one, two = data.subset(ids[5:], tmp_path / "one"), data.subset(ids[:900], tmp_path / "two")
    dev = hold_out_for_epochs(data, scores, [one.path, two.path])
    assert dev == ids[5:23], "a fiftieth of 895, by distance"
    # One selection more that keeps these moves none of them.
    assert hold_out_for_epochs(data, scores, [one.path, two.path, data.path]) == dev


def test_a_label_that_nothing_could_contradict_is_no_witness(tmp_path):
    data, ids = corpus(tmp_path, {"r": 60})
    write_numbers(tmp_path / "scores/utt2loop_aux", {key: float(n < 3) for n, key in enumerate(ids)})
    text = read_table(tmp_path / "text")
    write_table(tmp_path / "text", {**text, ids[3]: "<|0.00|>…<|5.00|>"})
    dev = hold_out_for_epochs(data, find_scores(data, {"v": tmp_path / "scores"}), [tmp_path])
    assert dev == ids[4:14], "ten at least"


def test_selections_without_a_common_chunk_have_an_epoch_chosen_by_all_chunks(tmp_path, capsys):
    data, ids = corpus(tmp_path / "all", {"r": 10})
    one, two = data.subset(ids[:5], tmp_path / "one"), data.subset(ids[5:], tmp_path / "two")
    scores = find_scores(data, {"v": data.path / "scores"})
    assert hold_out_for_epochs(data, scores, [one.path, two.path]) == ids[:2], "the nearest of a quarter of ten"
    assert "of 0 chunks in all of one, two, none can choose the epoch, so others do" in capsys.readouterr().err
    write_numbers(data.path / "scores/utt2loop_aux", dict.fromkeys(ids, 1.0))
    with pytest.raises(DataError, match=r"of 10 chunks, none can be held out .* loops or is empty"):
        hold_out_for_epochs(data, find_scores(data, {"v": data.path / "scores"}), [one.path, two.path])


def test_what_is_held_out_is_written_and_not_learnt(tmp_path, capsys):
    data, ids = corpus(tmp_path / "all", {"r": 40})
    soundfile.write(tmp_path / "audio.wav", [0.1, -0.1] * 160_000, 16000)
    write_table(data.path / "wav.scp", dict.fromkeys(ids, str(tmp_path / "audio.wav")))
    words = ["--data", str(data.path), "--scores", str(data.path / "scores")]
    dev, held = tmp_path / "all_dev", tmp_path / "all_held_out"
    assert hold_out.main([*words, "--output_dir", str(dev), "--kept", str(data.path)]) == 0
    assert hold_out.main([*words, "--output_dir", str(held)]) == 0
    for folder in (dev, held):
        assert DataDir(folder).validate() == []
        assert set(read_table(folder / "text").values()) == {"今天 model r-"}, "without timestamps"
        assert set(read_table(folder / "text.validator").values()) == {"今天 modal"}
        assert not (folder / "text.prev").exists()
    words = ["--data", str(data.path), "--valid_data", str(dev), "--leave_out", str(dev)]
    assert training_tables.main([*words, "--output_dir", str(tmp_path / "tables")]) == 0
    learnt, chosen = read_table(tmp_path / "tables/text"), read_table(tmp_path / "tables/valid/text")
    assert set(learnt) | set(chosen) == set(ids) and not set(learnt) & set(chosen)
    capsys.readouterr()
    assert hold_out.main([*words[:2], "--scores", str(data.path / "scores"), "--output_dir", str(held)]) == 0
    assert "nothing to do" in capsys.readouterr().out
