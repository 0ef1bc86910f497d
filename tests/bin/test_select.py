"""Selection: the subset, its reasons, its reports, the explorer."""

import json
import re

import kaldiio
import numpy as np
import pytest
from chunk_material import CHUNKS, chunk_id, corpus  # noqa: F401

from k2d.bin import audit, explore, select
from k2d.datadir import DataDir
from k2d.errors import UserError
from k2d.explore.audit import USABLE, Answer, Audit
from k2d.tables import read_numbers, read_table, write_numbers, write_table

IDS = [chunk_id(c) for c in CHUNKS]


def run(corpus, out, *options) -> int:  # noqa: F811
    data, aux = corpus
    argv = ["--data", str(data), "--scores", str(aux), "--output_dir", str(out)]
    return select.main([*argv, *options])


def rows(out) -> dict[str, dict[str, str]]:
    head, *lines = (out / "dropped.tsv").read_text("utf-8").splitlines()
    table = [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]
    return {row["id"]: row for row in table}


def test_selections_keep_what_the_paper_says(corpus, tmp_path):  # noqa: F811
    kept = {}
    for name in ("full", "ngram", "mer", "per", "comp", "comp@0.05"):
        assert run(corpus, tmp_path / name, "--selection", name) == 0
        kept[name] = [IDS.index(key) for key in read_table(tmp_path / name / "text")]
    assert kept["full"] == [0, 1, 2, 3, 4, 5]
    assert kept["ngram"] == [0, 1, 3, 4, 5]  # the looping teacher goes
    assert kept["mer"] == kept["per"] == [0, 1]
    assert kept["comp"] == [0, 1, 3]  # a looping validator alone drops nothing; a blank one does
    assert kept["comp@0.05"] == [0, 1, 3]
    assert run(corpus, tmp_path / "tight", "--selection", "mer@0.1") == 0
    assert list(read_table(tmp_path / "tight/text")) == IDS[:1]


def test_the_kept_chunks_are_a_whole_data_directory(corpus, tmp_path):  # noqa: F811
    out = tmp_path / "comp"
    assert run(corpus, out, "--selection", "comp") == 0
    kept = DataDir(out)
    assert kept.validate() == []
    data = corpus[0]
    for name in ("text", "text.prev", "utt2dur", "utt2avg_logprob", "utt2spk", "segments"):
        whole, part = read_table(data / name), read_table(out / name)
        assert part == {key: whole[key] for key in part} and len(part) == 3
    assert read_table(out / "spk2utt") == {"lec1": " ".join(IDS[:2]), "lec2": IDS[3]}


@pytest.mark.parametrize("value", ["", "lec1", "lec1 nan 4", "lec1 4 0", "lec1 0 4 5"])
def test_a_segment_that_is_none_is_named(corpus, tmp_path, capsys, value):  # noqa: F811
    segments = corpus[0] / "segments"
    first, *others = segments.read_text("utf-8").splitlines(keepends=True)
    segments.write_text("".join([f"{first.split()[0]} {value}".strip() + "\n", *others]), encoding="utf-8")
    assert run(corpus, tmp_path / "out", "--selection", "full") == 1
    assert f"segments:1: {IDS[0]!r} has {value!r}, expected '<recording> <start> <end>'" in capsys.readouterr().err


def test_segments_are_chosen_one_by_one(corpus, tmp_path):  # noqa: F811
    data, aux = corpus
    text = read_table(data / "text")
    text[IDS[0]] = "<|0.00|>我們用 machine learning 模型<|2.00|><|2.20|>謝謝大家收看<|4.00|>"
    (data / "text").write_text("".join(f"{key} {value}\n" for key, value in text.items()), encoding="utf-8")
    out = tmp_path / "out"
    assert run(corpus, out, "--selection", "segment") == 0
    # The first chunk keeps what the validator hears too, a chunk without such a segment goes, and so does a loop.
    assert read_table(out / "text.trusted") == {IDS[0]: "1 0", IDS[1]: "1"}
    assert list(read_table(out / "text")) == IDS[:2] and DataDir(out).validate() == []
    assert rows(out)[IDS[2]]["reason"] == "loop_teacher == 0"
    assert rows(out)[IDS[5]]["reason"] == "no segment within 0.4"
    report = json.loads((out / "report.json").read_text())
    assert report["segments"] == {
        "alpha": 0.4, "segments": 7, "trusted": 2, "hours": round(30.8 / 3600, 4),
        "trusted_hours": round(7 / 3600, 4),
    }  # fmt: skip
    # A selection of this selection carries the table along, and one by chunks leaves none behind.
    again = tmp_path / "again"
    assert run((out, aux), again, "--selection", "full") == 0
    assert read_table(again / "text.trusted") == read_table(out / "text.trusted")
    assert run((out, aux), again, "--rule", "1 == 1", "--segment_alpha", "9") == 0
    assert read_table(again / "text.trusted") == {IDS[0]: "1 1", IDS[1]: "1"}
    assert run(corpus, out, "--selection", "comp") == 0
    assert not (out / "text.trusted").exists()


def test_a_chunk_counts_as_much_as_its_label_is_trusted(corpus, tmp_path):  # noqa: F811
    mer = read_numbers(corpus[1] / "utt2mer")
    out, again = tmp_path / "out", tmp_path / "again"
    # At most 1, and a chunk of weight 0 is dropped, for that reason.
    assert run(corpus, out, "--rule", "loop_teacher == 0 or mer < 99", "--weight", "1.2 - 2 * mer") == 0
    want = {key: f"{min(1, 1.2 - 2 * value):.4f}" for key, value in mer.items() if value < 0.6}
    assert read_table(out / "utt2weight") == want and set(read_table(out / "text")) == set(want) and len(want) > 1
    assert DataDir(out).validate() == []
    gone = set(mer) - set(want)
    assert gone and {rows(out)[key]["reason"] for key in gone} == {"1.2 - 2 * mer > 0"}
    lasting = read_numbers(out / "utt2dur")
    mean = sum(lasting[key] * float(value) for key, value in want.items()) / sum(lasting.values())
    assert json.loads((out / "report.json").read_text())["mean_weight"] == pytest.approx(mean, abs=1e-3)
    # A file says the same, and α may stand in it.
    (tmp_path / "mine.rule").write_text("loop_teacher == 0 or mer < 99\nweight: alpha - 2 * mer\n")
    assert run(corpus, again, "--selection", f"{tmp_path}/mine.rule", "--alpha", "1.2") == 0
    assert read_table(again / "utt2weight") == want
    # The share that is to be kept is of what has a weight.
    assert run(corpus, again, "--selection", f"{tmp_path}/mine.rule", "--keep", "0.5") == 0
    assert 0 < len(read_table(again / "utt2weight")) < len(mer)
    assert run(corpus, again, "--selection", "full") == 0
    assert not (again / "utt2weight").exists()


def test_segments_need_the_validators_text(corpus, tmp_path, capsys):  # noqa: F811
    (corpus[1] / "text").unlink()
    assert run(corpus, tmp_path / "out", "--selection", "segment") == 1
    assert "segments are compared by text" in capsys.readouterr().err


def test_dropped_chunks_say_why(corpus, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    assert run(corpus, out, "--rule", "comp <= 0.4 and loop_teacher == 0 and avg_logprob > -0.15") == 0
    dropped = rows(out)
    assert list(read_table(out / "text")) == IDS[:1]
    assert dropped[IDS[1]]["reason"] == "avg_logprob > -0.15"
    assert dropped[IDS[2]]["reason"] == "comp <= 0.4"  # the first clause it fails
    assert dropped[IDS[2]]["teacher"] == "謝謝大家" * 8 and dropped[IDS[2]]["validator"] == "安靜"
    assert (dropped[IDS[2]]["start"], dropped[IDS[2]]["end"]) == ("9.00", "15.00")
    report = json.loads((out / "report.json").read_text())
    assert report["kept"] == {"chunks": 1, "hours": round(4 / 3600, 4)}
    assert sum(r["chunks"] for r in report["reasons"].values()) == report["dropped"]["chunks"] == 5
    assert report["reasons"]["loop_teacher == 0"] == {"chunks": 0, "hours": 0.0, "fail_at_all": 1}


def test_the_retention_report_counts_english_and_sources(corpus, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    assert run(corpus, out, "--selection", "mer") == 0
    report = json.loads((out / "report.json").read_text())
    before, after = report["whole"]["before"], report["whole"]["after"]
    assert before["chunks"] == 6 and after["chunks"] == 2
    assert before["switched_share"] == pytest.approx(2 / 6, abs=1e-3) and after["switched_share"] == 0.5
    assert {name.rsplit("/", 1)[1] for name in report["sources"]} == {"one", "two"}
    assert report["recordings"]["lec2"]["loss"] == 1.0
    # Histograms, before and after, of everything, of each recording and of each source.
    for part in ("recordings", "sources"):
        for kind in ("durations", "rates"):
            for when in ("before", "after"):
                columns = [found[when][kind] for found in report[part].values()]
                assert list(map(sum, zip(*columns, strict=True))) == report["whole"][when][kind]
                assert len(columns[0]) == len(report["bins"][kind])
    assert sum(before["durations"]) == 6 and sum(after["rates"]) == 2
    text = (out / "report.md").read_text("utf-8")
    for heading in ("English units", "code-switched chunks", "Chunk durations", "Speaking rate", "Reasons"):
        assert heading in text


def test_several_validators(corpus, tmp_path):  # noqa: F811
    data, aux = corpus
    other = tmp_path / "other"
    other.mkdir()
    for name in ("mer", "per", "comp", "loop_teacher", "loop_aux", "blank_aux"):
        lines = read_table(aux / f"utt2{name}")
        values = {key: "0.0" if name == "comp" else value for key, value in lines.items()}
        (other / f"utt2{name}").write_text("".join(f"{k} {v}\n" for k, v in values.items()))
    argv = ["--data", str(data), "--scores", str(aux), "--scores", f"small={other}"]
    rules = {
        "comp_base <= 0.4": 4,
        "comp_small <= 0.4": 6,
        "comp_max <= 0.4": 4,
        "min(comp_base, comp_small) <= 0": 6,
    }
    for rule, count in rules.items():
        assert select.main([*argv, "--output_dir", str(tmp_path / "out"), "--rule", rule]) == 0
        assert len(read_table(tmp_path / "out/text")) == count, rule
    assert select.main([*argv, "--output_dir", str(tmp_path / "out"), "--selection", "comp"]) == 0


def test_missing_scores_stop_the_selection_unless_they_may(corpus, tmp_path, capsys):  # noqa: F811
    scores = (corpus[1] / "utt2comp").read_text().splitlines()
    (corpus[1] / "utt2comp").write_text("\n".join(scores[2:]) + "\n")
    assert run(corpus, tmp_path / "out", "--rule", "comp <= 0.4") == 1
    said = capsys.readouterr().err
    assert f"utt2comp: no number for 2 of 6 chunks, {IDS[0]} the first" in said and "--allow_missing" in said
    assert not (tmp_path / "out/wav.scp").exists()
    assert run(corpus, tmp_path / "out", "--rule", "comp <= 0.4", "--allow_missing") == 0
    assert f"no number for 2 chunks ({IDS[0]} …); dropped" in capsys.readouterr().err
    dropped = rows(tmp_path / "out")
    assert dropped[IDS[0]]["reason"] == dropped[IDS[1]]["reason"] == "no number in comp"


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "-0.1", "0.1 0.2", "１"])
def test_what_is_no_distance_is_named_whatever_may_be_missing(corpus, tmp_path, capsys, value):  # noqa: F811
    first, *others = (corpus[1] / "utt2comp").read_text().splitlines(keepends=True)
    (corpus[1] / "utt2comp").write_text(f"{first.split()[0]} {value}\n{''.join(others)}")
    assert run(corpus, tmp_path / "out", "--rule", "comp <= 0.4", "--allow_missing") == 1
    assert f"utt2comp:1: {IDS[0]!r} has {value!r}, expected" in capsys.readouterr().err
    assert not (tmp_path / "out/wav.scp").exists()


def test_a_table_of_scores_that_was_cut_short_is_named(corpus, tmp_path, capsys):  # noqa: F811
    whole = (corpus[1] / "utt2comp").read_bytes()
    (corpus[1] / "utt2comp").write_bytes(whole[:-3])  # in the middle of the last number
    assert run(corpus, tmp_path / "out", "--selection", "comp", "--allow_missing") == 1
    assert "utt2comp: cut short" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["scp", "ark"])
def test_scores_in_archives_are_read(corpus, tmp_path, form):  # noqa: F811
    assert run(corpus, tmp_path / "table", "--selection", "comp") == 0
    table = corpus[1] / "utt2comp"
    vectors = {key: np.array([float(value)], np.float32) for key, value in read_table(table).items()}
    table.unlink()
    scp = {"scp": str(table) + ".scp"} if form == "scp" else {}
    kaldiio.save_ark(str(tmp_path / "x.ark" if scp else table) + ("" if scp else ".ark"), vectors, **scp)
    assert run(corpus, tmp_path / "archive", "--selection", "comp") == 0
    assert read_table(tmp_path / "archive/text") == read_table(tmp_path / "table/text")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("utt2comp", "b 0.1\na 0.1\n", "utt2comp:2: id 'a' follows 'b'"),
        ("utt2comp", "a x\n", "expected one number"),
        ("utt2comp", "a 0.1\na 0.1\n", "utt2comp:2: id 'a' appears twice"),
    ],
)
def test_bad_score_files_are_named(corpus, tmp_path, capsys, name, content, message):  # noqa: F811
    content = content.replace("a ", IDS[0] + " ").replace("b ", IDS[1] + " ")
    message = message.replace("'a'", repr(IDS[0])).replace("'b'", repr(IDS[1]))
    (corpus[1] / name).write_text(content)
    assert run(corpus, tmp_path / "out", "--rule", "comp <= 0.4") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out/wav.scp").exists()


def test_wrong_calls_are_sentences(corpus, tmp_path, capsys):  # noqa: F811
    assert run(corpus, tmp_path / "out") == 1
    assert run(corpus, tmp_path / "out", "--rule", "cmop <= 1") == 1
    assert run(corpus, corpus[0], "--selection", "full") == 1
    said = capsys.readouterr().err
    assert "one of --selection and --rule" in said and "no score 'cmop'" in said and "choose another" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--selection", "foo"], "selection 'foo': expected a file, or one of both_languages, comp,"),
        (["--selection", "comp", "--alpha", "40"], "alpha 40: expected a distance from 0 to 10, .*40 % is 0.4"),
        (["--selection", "comp@-0.1"], "alpha -0.1"),
        (["--selection", "comp@nan"], "alpha nan"),
        (["--selection", "comp@much"], "number behind the @"),
        (["--selection", "full@0.2"], "full has no alpha"),
        (["--rule", "comp <="], "allowed are"),
        (["--rule", "comp <= 1 and lopp_teacher == 0"], "no score 'lopp_teacher'"),
        (["--rule", "1 == 1", "--segment_alpha", "99"], "alpha 99"),
        (["--rule", "1 == 1", "--selection", "full"], "give one of"),
    ],
)
def test_what_options_alone_tell_is_refused_before_anything_is_read(options, message):
    args = select.parser().parse_args(["--data", "no/a", "--scores", "no/b", "--output_dir", "no/c", *options])
    with pytest.raises(UserError, match=message):
        select.check(args)


def test_a_selection_of_the_recipes_own_stands_before_the_shared_one(corpus, tmp_path, monkeypatch):  # noqa: F811
    (tmp_path / "conf/selections").mkdir(parents=True)
    (tmp_path / "conf/selections/comp.rule").write_text("# ours\nmer <= alpha\n  and loop_teacher == 0\n")
    monkeypatch.chdir(tmp_path)
    assert run(corpus, tmp_path / "own", "--selection", "comp", "--alpha", "0.2") == 0
    report = json.loads((tmp_path / "own/report.json").read_text())
    assert report["rule"] == "mer <= 0.2 and loop_teacher == 0 and blank_aux == 0"
    assert run(corpus, tmp_path / "path", "--selection", "./conf/selections/comp.rule@0.2") == 0
    assert read_table(tmp_path / "path/text") == read_table(tmp_path / "own/text")


def test_a_second_run_does_nothing_and_another_alpha_leaves_the_first_aside(corpus, tmp_path, capsys):  # noqa: F811
    out = tmp_path / "out"
    assert run(corpus, out, "--selection", "comp") == 0
    first = (out / "text").stat().st_mtime_ns
    assert run(corpus, out, "--selection", "comp@0.4") == 0  # the same rule
    assert (out / "text").stat().st_mtime_ns == first and "nothing to do" in capsys.readouterr().out
    assert run(corpus, out, "--selection", "mer@0.1") == 0
    assert list(read_table(out / "text")) == IDS[:1]
    assert run(corpus, out, "--selection", "comp") == 0
    assert (out / "text").stat().st_mtime_ns == first


def test_the_explorer_is_one_file_that_asks_for_nothing(corpus, tmp_path):  # noqa: F811
    data, aux = corpus
    argv = ["--data", str(data), "--scores", str(aux), "--output_dir", str(tmp_path / "page")]
    assert explore.main([*argv, "--title", "</script><b>&"]) == 0
    page = (tmp_path / "page/explorer.html").read_text("utf-8")
    known = r"www\.w3\.org/2000/svg|github\.com/leeoniya/uPlot"  # a name space, and the charting library's credit
    assert not re.search(rf"""(src|href)=["'](?!data:)|https?://(?!{known})|@import|url\(""", page)
    assert page.count("<script") == page.count("</script>")  # the data cannot end its script
    payload = json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert payload["counts"]["total"] == 6 and len(payload["sample"]) == 6
    assert set(payload["with_sound"]) == set(IDS)
    comp = payload["counts"]["chunks"]["comp"]
    assert sum(comp[0][:41]) + sum(comp[1][:41]) == 4  # δ_comp <= 0.4, a blank validator counted
    assert comp[1][100] == 1  # the looping teacher, at 1


def test_references_and_audits_measure_the_distance(corpus, tmp_path):  # noqa: F811
    data, aux = corpus
    truth = [c[3] for c in CHUNKS]
    truth[2], truth[5] = "安靜", "這裡沒有人說話"
    (tmp_path / "truth").write_text("".join(f"{k} {t}\n" for k, t in zip(IDS, truth, strict=True)))
    argv = ["--data", str(data), "--scores", str(aux), "--output_dir", str(tmp_path / "page"), "--audio_mb", "0"]
    assert explore.main([*argv, "--reference", str(tmp_path / "truth")]) == 0
    found = json.loads((tmp_path / "page/detection.json").read_text())
    assert found["chunks"] == 6 and found["bad"] == 2
    assert found["metrics"]["comp"]["recall"][3][0] == 1.0

    drawn = ["--data", str(data), "--output_dir", str(tmp_path / "heard"), "--page", str(tmp_path / "heard.html"),
             "--count", "6"]  # fmt: skip
    assert audit.main(drawn) == 0
    assert explore.main([*argv, "--audit", str(tmp_path / "heard")]) == 1, "nothing is answered"
    by_ear = Audit(tmp_path / "heard")
    by_ear.take({key: Answer(USABLE, text) for key, text in zip(IDS, truth, strict=True)})
    assert explore.main([*argv, "--audit", str(tmp_path / "heard")]) == 0
    again = json.loads((tmp_path / "page/detection.json").read_text())
    assert again["metrics"] == found["metrics"]


def test_a_reference_of_recordings_is_cut_to_chunks(corpus, tmp_path):  # noqa: F811
    data, aux = corpus
    reference = tmp_path / "reference"
    reference.mkdir()
    segments = [(f"r{i}", c[0], c[1] / 100 + 0.1, c[2] / 100 - 0.1, c[3]) for i, c in enumerate(CHUNKS)]
    (reference / "segments").write_text("".join(f"{k} {r} {a:.2f} {b:.2f}\n" for k, r, a, b, _ in segments))
    (reference / "text").write_text("".join(f"{k} {t}\n" for k, *_, t in segments), encoding="utf-8")
    argv = ["--data", str(data), "--scores", str(aux), "--output_dir", str(tmp_path / "page"), "--audio_mb", "0"]
    assert explore.main([*argv, "--reference", str(reference)]) == 0
    found = json.loads((tmp_path / "page/detection.json").read_text())
    assert found["chunks"] == 6 and found["bad"] == 0


def speech(out) -> float:
    return sum(read_numbers(out / "utt2dur").values())


def test_a_share_of_the_speech_stands_for_alpha(corpus, tmp_path, capsys):  # noqa: F811
    total = speech(corpus[0])
    for name, keep in (("mer", 0.3), ("comp", 0.5), ("comp", 0.9)):
        out = tmp_path / f"{name}{keep}"
        assert run(corpus, out, "--selection", name, "--keep", str(keep)) == 0
        report = json.loads((out / "report.json").read_text())
        assert report["keep"] == keep and f"{name} <= {report['alpha']:g}" in report["rule"]
        # The smallest alpha that keeps so much: with one step less it is less.
        below = tmp_path / f"{name}{keep}below"
        assert run(corpus, below, "--selection", f"{name}@{max(report['alpha'] - 0.0001, 0):g}") == 0
        assert speech(out) >= keep * total - 0.01
        assert report["alpha"] == 0 or speech(below) < speech(out)
    # The same behind an @, and a second run finds it done.
    capsys.readouterr()
    assert run(corpus, tmp_path / "mer0.3", "--selection", "mer@keep0.3") == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_share_is_kept_where_the_last_chunk_has_to_be_below_alpha(corpus, tmp_path):  # noqa: F811
    total = speech(corpus[0])
    for keep in (0.1, 0.3, 0.5):  # of the first nothing but chunks of distance 0
        out = tmp_path / f"{keep}"
        assert run(corpus, out, "--rule", "loop_teacher == 0", "--weight", "1 - mer / alpha", "--keep", str(keep)) == 0
        assert speech(out) >= keep * total - 0.01
        alpha = json.loads((out / "report.json").read_text())["alpha"]
        below = tmp_path / f"{keep}below"
        assert run(corpus, below, "--rule", f"loop_teacher == 0 and mer < {alpha - 0.0001:g}") == 0
        assert speech(below) < speech(out)


def test_a_share_of_the_segments_stands_for_alpha(corpus, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    assert run(corpus, out, "--selection", "segment@keep0.25") == 0
    report = json.loads((out / "report.json").read_text())
    trusted = report["segments"]
    assert trusted["trusted_hours"] >= 0.25 * trusted["hours"] and trusted["alpha"] == report["alpha"] < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--selection", "comp", "--keep", "75"), "expected a share of the speech above 0 and at most 1; 75 % is 0.75"),
        (("--selection", "full", "--keep", "0.5"), "has no alpha to choose"),
        (("--selection", "full@keep0.5"), "full has no alpha; leave out what follows the @"),
        (("--selection", "comp@keepmost"), "expected a share behind @keep, such as comp@keep0.75"),
        (("--rule", "mer <= alpha and loop_teacher == 2", "--keep", "0.5"), "keeps at most 0.0% of the speech"),
    ],
)
def test_shares_that_cannot_be_kept_are_refused(corpus, tmp_path, capsys, options, message):  # noqa: F811
    assert run(corpus, tmp_path / "out", *options) == 1
    assert message in capsys.readouterr().err


def write_distances(corpus, *values):  # noqa: F811
    """δ_MER of the chunks, each of which lasts 5 s."""
    data, aux = corpus
    ids = list(read_numbers(aux / "utt2mer"))
    write_numbers(aux / "utt2mer", dict(zip(ids, values, strict=True)))
    write_numbers(data / "utt2dur", dict.fromkeys(ids, 5.0))


def test_a_selection_that_keeps_nothing_says_which_alpha_would(corpus, tmp_path, capsys):  # noqa: F811
    write_distances(corpus, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56)
    out = tmp_path / "out"
    assert run(corpus, out, "--rule", "mer <= alpha") == 0
    said = (out / "too_few.txt").read_text()
    assert said.startswith("none of 6 chunks kept at alpha 0.4") and said.strip() in capsys.readouterr().err
    assert "alpha 0.53 would keep half and alpha 0.55 would keep three quarters of the speech" in said
    for alpha, share in ((0.53, 3), (0.55, 5)):
        assert run(corpus, out, "--rule", "mer <= alpha", "--alpha", str(alpha)) == 0
        assert len(read_table(out / "text")) == share and not (out / "too_few.txt").exists()
    assert "5 of 6 chunks (25.0 s of 30.0 s) kept at alpha 0.55" in (out / "few.txt").read_text()
    assert "so few; give more recordings" in (out / "few.txt").read_text()
    assert run(corpus, out, "--rule", "mer < 0") == 0
    assert "report.md says which condition drops how much" in (out / "too_few.txt").read_text()


def test_a_selection_that_keeps_next_to_nothing_can_be_trained_on_and_says_which_alpha_keeps_more(corpus, tmp_path):  # noqa: F811
    write_distances(corpus, 0.1, 0.2, 0.53, 0.54, 0.55, 0.56)
    out = tmp_path / "out"
    assert run(corpus, out, "--rule", "mer <= alpha") == 0
    said = (out / "few.txt").read_text()
    assert said.startswith("2 of 6 chunks (10.0 s of 30.0 s) kept at alpha 0.4: a student learns next to nothing from")
    assert "alpha 0.53 would keep half and alpha 0.55 would keep three quarters of the speech" in said
    assert not (out / "too_few.txt").exists()
    assert run(corpus, out, "--rule", "mer <= alpha", "--alpha", "0") == 0
    assert not (out / "few.txt").exists() and (out / "too_few.txt").exists()


def test_what_shares_sound_with_a_held_out_chunk_is_held_out_however_it_was_cut(corpus, tmp_path):  # noqa: F811
    (tmp_path / "held").mkdir()
    (tmp_path / "held/text").write_text("lec1-0000340-0000910 今天\nlec3-0000000-0009999 今天\nx 今天\n")
    out = tmp_path / "out"
    assert run(corpus, out, "--selection", "full", "--leave_out", str(tmp_path / "held")) == 0
    assert list(read_table(out / "text")) == IDS[2:], "the third chunk has only a tenth of a second of it"


def test_what_is_held_out_is_neither_kept_nor_dropped(corpus, tmp_path, capsys):  # noqa: F811
    held = DataDir(corpus[0]).subset(IDS[:1], tmp_path / "held")
    out = tmp_path / "out"
    assert run(corpus, out, "--selection", "full", "--leave_out", str(held.path)) == 0
    assert list(read_table(out / "text")) == IDS[1:] and not rows(out)
    assert run(corpus, out, "--selection", "full", "--leave_out", str(corpus[0])) == 1
    assert "held out, all of it" in capsys.readouterr().err


def test_hours_are_nested_parts_of_the_recordings(corpus, tmp_path, capsys):  # noqa: F811
    recordings, kept = tmp_path / "recordings", {}
    write_table(recordings / "wav.scp", {"lec1": "1.flac", "lec2": "2.flac"})
    write_numbers(recordings / "utt2dur", {"lec1": 1800.0, "lec2": 1800.0})
    for hours in ("0.4", "0.5", "0.6", "9"):
        out = tmp_path / hours
        assert run(corpus, out, "--selection", "full", "--hours", hours, "--recordings", str(recordings)) == 0
        kept[hours] = set(read_table(out / "text"))
        report = json.loads((out / "report.json").read_text())
        assert report["recordings_hours"] == (0.5 if hours in ("0.4", "0.5") else 1.0)
        assert report["kept"]["chunks"] + report["dropped"]["chunks"] == len(kept[hours])
    assert len({key.split("-")[0] for key in kept["0.4"]}) == 1 and kept["0.4"] == kept["0.5"]
    assert kept["0.5"] < kept["0.6"] == kept["9"] == {chunk_id(chunk) for chunk in CHUNKS}
    assert run(corpus, tmp_path / "out", "--selection", "full", "--hours", "1") == 1
    assert "--hours and --recordings belong together" in capsys.readouterr().err
    (recordings / "utt2dur").unlink()
    assert run(corpus, tmp_path / "out", "--selection", "full", "--hours", "1", "--recordings", str(recordings)) == 1
    assert "no utt2dur" in capsys.readouterr().err
