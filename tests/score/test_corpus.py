"""Whole test sets: what is summed, what is missing, what loops, and the command."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2d.bin.score import main
from k2d.datadir import Segment, write_segments
from k2d.score.align_text import COLUMNS, corpus_text
from k2d.score.corpus import ScoringError, join_by_recording, score, windows
from k2d.score.rates import Counts
from k2d.tables import read_numbers, read_table, write_table
from k2d.text.units import units
from k2d.work.identity import Identity, file_digest
from k2d.work.skipped import write_skipped
from k2d.work.step import Step, run_step

REFERENCES = {
    "a1": "我们用 machine learning 来做",
    "a2": "今天的 homework 是什么",
    "a3": "好",
}
HYPOTHESES = {
    "a1": "<|0.00|>我們用 machine<|1.20|><|1.20|>burning 來做。<|2.40|>",  # one word misheard
    "a2": "今天的是什麼",  # one word lost
    "a3": "好 thank you",  # two words invented
}

TEXT = st.text(alphabet="我們用的 modelABC<|0.2>，。", max_size=30)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["u1", "u2", "u3", "u4"]), TEXT, min_size=1))
def test_a_text_scored_against_itself_has_no_error(texts):
    result = score(texts, texts).as_dict(samples=10)
    assert result["mer"]["errors"] == 0
    assert result["mer"]["units"] == result["mer"]["hits"]
    assert not result["missing"] and not result["empty"]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["u1", "u2", "u3"]), st.tuples(TEXT, TEXT), min_size=1))
def test_sums_hold(texts):
    references = {i: r for i, (r, _) in texts.items()}
    scored = score(references, {i: h for i, (_, h) in texts.items()})
    parts = [score({i: r}, {i: h}).total for i, (r, h) in texts.items()]
    assert scored.total == sum(parts, Counts())
    assert sum(scored.by_language.values(), Counts()) == scored.total
    assert scored.total.units == sum(len(units(r)) for r in references.values())


def test_script_case_punctuation_and_timestamps_are_no_errors():
    result = score(REFERENCES, HYPOTHESES).as_dict(samples=10)
    assert result["mer"] == {
        "rate": round(4 / 15, 6), "errors": 4, "units": 15, "hits": 13, "substitutions": 1, "insertions": 2,
        "deletions": 1,
    }  # fmt: skip
    assert result["languages"]["zh"]["errors"] == 0
    assert result["languages"]["en"] == {
        "rate": round(4 / 3, 6), "errors": 4, "units": 3, "hits": 1, "substitutions": 1, "insertions": 2,
        "deletions": 1,
    }  # fmt: skip
    assert result["languages"]["other"]["rate"] is None
    # 用|machine, learning|来, 的|homework, homework|是: 7 units at risk, two of them wrong.
    assert (result["switch_points"]["errors"], result["switch_points"]["units"]) == (2, 7)


def test_a_missing_hypothesis_is_deleted_and_named_and_an_empty_one_counted_apart():
    result = score(REFERENCES, {"a1": "", "a3": "好"}).as_dict(samples=10)
    assert result["missing"] == ["a2"] and result["empty"] == ["a1"]
    assert result["mer"]["deletions"] == 14


def test_silence_transcribed_as_nothing_is_right():
    result = score({"a": "", "b": "好"}, {"a": "", "b": "好"}).as_dict(samples=10)
    assert result["mer"]["errors"] == 0 and result["empty"] == []


def test_extra_hypotheses_are_an_error():
    with pytest.raises(ScoringError, match="no reference for 1 of 1 hypothesis, such as zz"):
        score(REFERENCES, {"zz": "好"})
    with pytest.raises(ScoringError, match="empty"):
        score({}, {})


def test_regional_forms_are_one_on_request():
    assert score({"a": "妳接著看"}, {"a": "你接着看"}).total.errors == 1
    assert score({"a": "妳接著看"}, {"a": "你接着看"}, fold_usage=True).total.errors == 0


def test_repetitions_are_counted_by_window_of_thirty_seconds():
    loop = "謝謝大家收看" * 8
    long_form = f"<|0.00|>開始<|20.00|><|25.00|>{loop}<|40.00|><|40.00|>{loop}<|50.00|><|70.00|>結束<|99.00|>"
    assert [len(w) > 40 for w in windows(long_form)] == [False, True, False]
    result = score({"r": "開始"}, {"r": long_form}).as_dict(samples=10)
    assert result["repetitions"] == {"windows": 1, "of_windows": 3, "ids": ["r"]}
    # Six ordinary mentions spread over a long recording are no repetition.
    spread = "".join(f"<|{40 * i}.00|>機器學習模型<|{40 * i + 5}.00|>" for i in range(8))
    assert score({"r": "x"}, {"r": spread}).as_dict(samples=10)["repetitions"]["windows"] == 0


def test_lost_and_invented_sentences_are_named():
    sentence = "今天我们要讲的是注意力机制"
    result = score({"a": sentence, "b": "好", "c": sentence}, {"a": "好", "b": sentence, "c": sentence})
    runs = result.as_dict(samples=10)["long_runs"]
    assert (runs["deletions"], runs["insertions"]) == (["a"], ["b"])


def test_references_of_utterances_join_to_recordings_in_order_of_time():
    segments = {
        "x1": Segment("x1", "rec", 5.0, 6.0),
        "x2": Segment("x2", "rec", 1.0, 2.0),
        "y1": Segment("y1", "other", 0.0, 1.0),
    }
    joined = join_by_recording({"x1": "second", "x2": "first", "y1": "alone"}, segments)
    assert joined == {"rec": "first second", "other": "alone"}
    with pytest.raises(ScoringError, match="z9"):
        join_by_recording({"z9": "?"}, segments)


def test_the_alignment_file_shows_the_worst_first_in_aligned_columns():
    text = corpus_text(score({**REFERENCES, "a4": "对" * 200}, {**HYPOTHESES, "a4": "对" * 200}))
    assert [line.split()[0] for line in text.splitlines() if "MER" in line] == ["a3", "a1", "a2"]
    assert "REF: 我 们 用 machine learning 来 做" in text
    assert "HYP: 我 们 用 machine burning  来 做" in text
    assert "\n                    S\n".replace(" ", "") in text.replace(" ", "")
    long_text = corpus_text(score({"a": "对" * 200}, {"a": "错" * 200}))
    assert max(map(len, long_text.splitlines()[3:])) <= COLUMNS + 5
    assert sum(line.count("错") for line in long_text.splitlines()) == 200


def test_the_command_writes_everything(tmp_path, capsys):
    write_table(tmp_path / "ref", REFERENCES)
    write_table(tmp_path / "hyp", HYPOTHESES)
    write_table(tmp_path / "other" / "text", {"a1": "", "a2": "", "a3": ""})
    arguments = ["--ref", tmp_path / "ref", "--hyp", tmp_path / "hyp", "--output_dir", tmp_path / "out"]
    assert main([*map(str, arguments), "--compare", str(tmp_path / "other")]) == 0
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert result["mer"]["errors"] == 4 and result["comparison"]["difference"] == pytest.approx(4 / 15 - 1)
    assert read_numbers(tmp_path / "out/utt2mer") == {"a1": 0.1429, "a2": 0.1429, "a3": 2.0}
    assert read_numbers(tmp_path / "out/utt2errors") == {"a1": 1, "a2": 1, "a3": 2}
    assert read_numbers(tmp_path / "out/utt2units") == {"a1": 7, "a2": 7, "a3": 1}
    assert (tmp_path / "out/align.txt").read_text().startswith("3 texts, 0 without error")
    assert "MER 26.67 %" in (printed := capsys.readouterr().out) and "paired bootstrap p" in printed
    first = (tmp_path / "out/result.json").read_bytes()
    assert main([*map(str, arguments), "--compare", str(tmp_path / "other")]) == 0
    assert "nothing to do" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "out")
    main([*map(str, arguments), "--compare", str(tmp_path / "other")])
    assert (tmp_path / "out/result.json").read_bytes() == first


def test_another_hypothesis_is_scored_anew_and_the_first_ones_score_comes_back(tmp_path):
    write_table(tmp_path / "ref", REFERENCES)
    arguments = ["--ref", tmp_path / "ref", "--hyp", tmp_path / "hyp", "--output_dir", tmp_path / "out"]
    found = []
    for hypotheses in (HYPOTHESES, REFERENCES, HYPOTHESES):
        write_table(tmp_path / "hyp", hypotheses)
        assert main(list(map(str, arguments))) == 0
        found.append(json.loads((tmp_path / "out/result.json").read_text())["mer"]["errors"])
    assert found == [4, 0, 4]


def test_a_set_that_has_grown_since_it_was_decoded_is_not_scored(tmp_path, capsys):
    """As an audited one does, while its page is open."""
    write_table(tmp_path / "ref", REFERENCES)
    decoded = tmp_path / "decoded"

    def decode(*skipped: str) -> None:
        def work() -> None:
            write_table(decoded / "text", {"a1": HYPOTHESES["a1"]})
            write_skipped(decoded, dict.fromkeys(skipped, "empty: it has no samples"), len(REFERENCES))

        inputs = {"data": Identity(str(tmp_path / "data"), "content")}
        run_step(Step("decode", decoded, inputs=inputs, options={"of": len(skipped)}), False, work)

    arguments = ["--ref", f"{tmp_path}/ref", "--hyp", f"{decoded}/text", "--output_dir", f"{tmp_path}/score"]
    decode("a2")
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "1 text of" in said and "such as a3, came after it was decoded; decode the set again" in said
    (tmp_path / "linked").symlink_to(decoded / "text")
    write_table(tmp_path / "whole/text", HYPOTHESES)
    for wrong in (["--hyp", f"{tmp_path}/linked"], ["--hyp", f"{tmp_path}/whole/text", "--compare", str(decoded)]):
        assert main([*arguments, *wrong]) == 1 and "such as a3, came after" in capsys.readouterr().err
    decode("a2", "a3")
    assert main(arguments) == 0
    assert "no hypothesis for 2 of 3 references, counted as deleted: a2, a3" in capsys.readouterr().err
    result = (tmp_path / "score/result.json").read_bytes()
    write_table(tmp_path / "ref", REFERENCES | {"a4": "好"})
    assert main(arguments) == 1 and (tmp_path / "score/result.json").read_bytes() == result, "what was scored stays"
    write_table(tmp_path / "ref", REFERENCES)
    capsys.readouterr()
    assert main(arguments) == 0 and "nothing to do" in capsys.readouterr().out
    (tmp_path / "score/result.json").unlink()
    assert main(arguments) == 0
    write_table(tmp_path / "ref", {f"{i}x": text for i, text in REFERENCES.items()})
    assert main(arguments) == 1 and "came after it was decoded" not in capsys.readouterr().err, "of another set"
    write_table(tmp_path / "data/wav.scp", {i: f"{i}.wav" for i in REFERENCES})
    write_table(tmp_path / "ref", REFERENCES | {"a4": "好"})
    assert main(arguments) == 1
    assert "such as a4, lacks its audio in" in capsys.readouterr().err


def test_an_audit_that_a_student_has_learnt_from_is_not_scored(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ids = ["talk-0000000-0000500", "talk-0000500-0001000", "talk-0001000-0001500"]
    write_table("data/heard/text", dict.fromkeys(ids, "好"))

    def made(step: str, folder: str, **inputs: str) -> None:
        read = {n: Identity(path, file_digest(path) if path.endswith("/text") else path) for n, path in inputs.items()}
        work = Step(step, Path(folder), inputs=read, options={})
        run_step(work, False, lambda: write_table(f"{folder}/text", dict.fromkeys(ids, "好")))

    def trained_on(*chunks: str) -> None:
        write_table("exp/student/data/text", dict.fromkeys(chunks, "好"))
        made("train", "exp/student/train", **{"train text": "exp/student/data/text"})

    # One chunk is the same, another cut elsewhere; they touch the third.
    trained_on("talk-0000000-0000500", "talk-0000600-0001000", "u")
    made("average", "exp/student/average", exp="exp/student/train")
    made("decode", "exp/student/decode_heard", model="exp/student/average")
    made("decode", "exp/teacher/decode_heard", model="large-v2")
    teacher = ["--ref", "data/heard/text", "--hyp", "exp/teacher/decode_heard/text", "--output_dir", "score"]
    student = [*teacher, "--hyp", "exp/student/decode_heard/text"]
    assert main(student) == 0, "ids of a set that is no audit tell nothing of the recordings"
    shutil.rmtree("score")
    Path("data/heard/audit.json").write_text("{}")
    for arguments in (student, [*teacher, "--compare", "exp/student/decode_heard"]):
        assert main(arguments) == 1
        said = capsys.readouterr().err
        assert "exp/student/average has learnt from 2 chunks of data/heard/text, such as talk-0000000-0000500" in said
        assert "train it again from stage 4 (--stage select)" in said
    assert main(teacher) == 0
    shutil.rmtree("score")  # the same texts
    write_table("exp/student/data/text", {"talk-0001500-0002000": "好"})
    assert main(student) == 1 and "exp/student/average is being trained again; let that end" in capsys.readouterr().err
    trained_on("talk-0001500-0002000")
    assert main(student) == 0
    Path("exp/student/train/step.json").rename("exp/student/train/.begun.json")
    assert main([*student, "--bootstrap", "100"]) == 1 and "is being trained again" in capsys.readouterr().err


def test_texts_of_one_recording_are_drawn_together_where_the_data_directory_tells(tmp_path):
    data, ids = tmp_path / "data", [f"u{i:02d}" for i in range(40)]
    write_table(data / "wav.scp", {"a": "a.wav", "b": "b.wav", "c": "c.wav"})
    write_segments(data / "segments", [Segment(i, "abc"[n % 3], n, n + 1) for n, i in enumerate(ids)])
    write_table(data / "text", dict.fromkeys(ids, "今天 天气 很 好"))
    write_table(tmp_path / "hyp", {i: "今天" if n % 3 else "今天 天气 很 好" for n, i in enumerate(ids)})
    arguments = ["--ref", data / "text", "--hyp", tmp_path / "hyp"]
    results = {}
    for name, options in (("alone", []), ("together", ["--data", data])):
        assert main([*map(str, [*arguments, *options, "--output_dir", tmp_path / name])]) == 0
        results[name] = json.loads((tmp_path / name / "result.json").read_text())
    assert [results[name]["recordings"] for name in results] == [40, 3]
    widths = [r["confidence_interval"]["high"] - r["confidence_interval"]["low"] for r in results.values()]
    assert widths[1] > 2 * widths[0]
    assert read_table(tmp_path / "together/utt2recording") == {i: "abc"[n % 3] for n, i in enumerate(ids)}


def test_the_command_scores_long_form_against_utterances(tmp_path):
    data = tmp_path / "data"
    write_table(data / "wav.scp", {"rec": "rec.wav"})
    write_segments(data / "segments", [Segment(i, "rec", t, t + 1) for t, i in enumerate(REFERENCES)])
    write_table(data / "text", REFERENCES)
    write_table(tmp_path / "hyp", {"rec": " ".join(REFERENCES.values())})
    arguments = ["--ref", data / "text", "--hyp", tmp_path / "hyp", "--output_dir", tmp_path / "out"]
    assert main([*map(str, arguments)]) == 1
    assert main([*map(str, arguments), "--segments_from", str(data)]) == 0
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert (result["utterances"], result["mer"]["errors"]) == (1, 0)


def test_the_command_names_what_is_wrong(tmp_path, capsys):
    write_table(tmp_path / "ref", REFERENCES)
    write_table(tmp_path / "hyp", {"zz": "好"})
    arguments = ["--ref", tmp_path / "ref", "--hyp", tmp_path / "hyp", "--output_dir", tmp_path / "out"]
    assert main(list(map(str, arguments))) == 1
    assert "zz" in capsys.readouterr().err and not (tmp_path / "out/result.json").exists()
