"""Labels that are replaced by what other models write, where the others contradict them less."""

import math

import pytest

from k2d.bin.revise import main
from k2d.datadir import DataDir
from k2d.errors import DataError
from k2d.label.revise import LabelCandidate, least_risk, write_revised
from k2d.tables import read_numbers, read_table, write_numbers, write_table

LOGPROB = "utt2avg_logprob"


def timed(text: str) -> str:
    return f"<|0.00|>{text}<|4.00|>" if text else ""


def write(folder, texts: dict[str, str], logprobs: dict[str, float], **more):
    folder.mkdir(parents=True)
    write_table(folder / "text", {key: timed(text) for key, text in texts.items()})
    write_numbers(folder / LOGPROB, logprobs)
    for name, numbers in more.items():
        write_numbers(folder / name, numbers)
    return folder


CHUNKS = [f"lec{n}-{start:07}-{start + 400:07}" for n in (1, 2) for start in (0, 400, 800)]
A, B, C, D, E, F = CHUNKS
LABELS = {
    A: "我們用 machine learning",
    B: "謝謝大家" * 9,
    C: "謝謝觀看",
    D: "這個很重要",
    E: "今天天氣很好",
    F: "我們開始上課",
}
STUDENT = {**LABELS, B: "今天講 gradient descent 的方法", C: "", D: "這個 report 很重要", F: "我們開始上客"}
AGAIN = {**LABELS, B: "今天講 gradient descent 方法", C: "", D: "這個 report 很重要"}


@pytest.fixture
def material(tmp_path):
    """(chunks, directories of transcripts)"""
    chunks = write(tmp_path / "chunks", LABELS, dict.fromkeys(CHUNKS, -0.5), utt2confidence=dict.fromkeys(CHUNKS, 0.9))
    write_table(chunks / "wav.scp", {key: f"audio/{key}.flac" for key in CHUNKS})
    write_table(chunks / "utt2spk", {key: key[:4] for key in CHUNKS})
    write_table(chunks / "text.prev", dict.fromkeys(CHUNKS, "before"))
    write_numbers(chunks / "utt2dur", dict.fromkeys(CHUNKS, 4.0))
    write_numbers(chunks / "utt2temperature", dict.fromkeys(CHUNKS, 0.0))
    sure = {"utt2confidence": dict.fromkeys(CHUNKS, 0.8)}
    student = write(tmp_path / "decode_student", STUDENT, dict.fromkeys(CHUNKS, -0.25), **sure)
    again = write(tmp_path / "decode_again", AGAIN, dict.fromkeys(CHUNKS, -0.75), **sure)
    return chunks, [student, again]


def test_a_label_that_the_others_contradict_is_replaced(material, tmp_path):
    chunks, transcripts = material
    write_table(chunks / "text.trusted", dict.fromkeys(CHUNKS, "1"))
    write_numbers(chunks / "utt2weight", dict.fromkeys(CHUNKS, 0.5))
    counts = write_revised(tmp_path / "out", DataDir(chunks), transcripts)
    new = DataDir(tmp_path / "out")
    assert new.validate() == []
    left = {path.name for path in new.path.iterdir()}
    assert not {"text.trusted", "utt2weight"} & left, "a selection's, of old labels"
    assert new.text == {key: timed(STUDENT[key] if key in (B, D) else LABELS[key]) for key in (A, B, D, E, F)}
    assert counts == {"label": 3, "decode_student": 2, "": 1}
    sources = dict(line.split("\t") for line in (tmp_path / "out/sources.tsv").read_text().splitlines())
    assert sources == {A: "label", B: "decode_student", D: "decode_student", E: "label", F: "label"}
    facts = read_numbers(new.path / LOGPROB)
    assert facts == {A: -0.5, B: -0.25, D: -0.25, E: -0.5, F: -0.5}, "of the transcript that was chosen"
    assert read_numbers(new.path / "utt2confidence") == {A: 0.9, B: 0.8, D: 0.8, E: 0.9, F: 0.9}
    assert not (new.path / "utt2temperature").exists(), "the others do not tell it"
    previous = read_table(new.path / "text.prev")
    assert previous == {A: "", B: new.text[A], D: "", E: new.text[D], F: new.text[E]}


def test_of_two_the_more_probable_is_chosen_and_of_three_what_two_say():
    def best(*rows: tuple[str, float]) -> int:
        return least_risk([[LabelCandidate(n, text, logprob, {}) for n, (text, logprob) in enumerate(rows)]])[0]

    assert best(("今天很好", -1.0), ("今天不好", -0.5)) == 1
    assert best(("今天很好", -0.5), ("今天不好", -1.0)) == 0
    assert best(("今天很好", -0.1), ("今天不好", -0.6), ("今天不好", -0.6)) == 1
    assert best(("今天很好", -0.1), ("今天不好", -2.0), ("今天不好", -2.0)) == 0, "two that doubt what they say"
    assert best(("今天很好", -0.5), ("今天很好", -0.5)) == 0, "the label, where it makes no difference"
    assert best(("今天很好", math.nan), ("今天不好", math.nan), ("今天不好", math.nan)) == 1
    assert best(("今天很好", -0.5)) == 0


def test_by_hand():
    """p(z) edits(y, z), summed over the others: 1·e⁻¹ + 2·e⁻² for the first, and so on."""
    rows = [
        [
            LabelCandidate(0, "一二三四", -3.0, {}),
            LabelCandidate(1, "一二三五", -1.0, {}),
            LabelCandidate(2, "一二六七", -2.0, {}),
        ]
    ]
    risks = [math.exp(-1) + 2 * math.exp(-2), math.exp(-3) + 2 * math.exp(-2), 2 * math.exp(-3) + 2 * math.exp(-1)]
    assert least_risk(rows) == [risks.index(min(risks))] == [1]


def test_a_model_without_a_transcript_of_a_chunk_has_no_say(material, tmp_path):
    chunks, transcripts = material
    write_table(transcripts[0] / "text", {A: timed("完全不同")})
    write_numbers(transcripts[0] / LOGPROB, {A: -0.01})
    counts = write_revised(tmp_path / "out", DataDir(chunks), transcripts[:1])
    assert counts == {"label": 5, "decode_student": 1}


def test_transcripts_without_timestamps_are_refused(material, tmp_path):
    chunks, transcripts = material
    write_table(transcripts[1] / "text", AGAIN)
    for label in (timed(LABELS[A]), ""):
        write_table(chunks / "text", {A: label})
        with pytest.raises(DataError, match=rf"decode_again/text: '{A}' has no timestamps.*--timestamps true"):
            write_revised(tmp_path / "out", DataDir(chunks), transcripts)
        assert not (tmp_path / "out/text").exists()


def test_labels_without_timestamps_may_have_transcripts_without(material, tmp_path):
    chunks, transcripts = material
    for folder, texts in zip((chunks, *transcripts), (LABELS, STUDENT, AGAIN), strict=True):
        write_table(folder / "text", texts)
    write_revised(tmp_path / "out", DataDir(chunks), transcripts)
    assert DataDir(tmp_path / "out").text[B] == STUDENT[B]


def test_transcripts_of_other_chunks_and_scores_that_are_no_numbers_are_refused(material, tmp_path):
    chunks, transcripts = material
    (transcripts[0] / LOGPROB).write_text(f"{A} nan\n")
    with pytest.raises(DataError, match=rf"decode_student/{LOGPROB}:1: '{A}' has 'nan'"):
        write_revised(tmp_path / "out", DataDir(chunks), transcripts)
    write_table(transcripts[1] / "text", {"other-0000000-0000400": timed("你好")})
    with pytest.raises(DataError, match="decode_again/text: has none of the chunks"):
        write_revised(tmp_path / "out", DataDir(chunks), transcripts[1:])


def test_nothing_left_is_an_error(material, tmp_path):
    chunks, transcripts = material
    for folder in transcripts:
        write_table(folder / "text", dict.fromkeys(CHUNKS, ""))
    with pytest.raises(DataError, match="no label is left"):
        write_revised(tmp_path / "out", DataDir(chunks), transcripts)


def test_the_command_says_where_labels_are_from(material, tmp_path, capsys):
    chunks, transcripts = material
    command = ["--data", str(chunks), "--transcripts", *map(str, transcripts), "--output_dir", str(tmp_path / "out")]
    assert main(command) == 0
    assert "labels from label 3, decode_student 2; 1 chunk left out" in capsys.readouterr().out
    assert main(command) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert main([*command[:3], str(transcripts[0]), *command[3:]]) != 0
    assert "two directories are called decode_student" in capsys.readouterr().err
    for name in ("data", "label", ".."):
        assert main([*command[:3], str(tmp_path / name), *command[-2:]]) != 0, "a name of the step's own"
        assert f"--transcripts {tmp_path / name}: " in capsys.readouterr().err
