"""Labels leave in the forms of other programs, and come back from each of them as they were."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile

from k2d.bin import export_labels, import_labels
from k2d.corpus.manifests import import_entries, read_entries
from k2d.datadir import DataDir
from k2d.errors import DataError
from k2d.tables import write_numbers, write_table
from k2d.transcribers import open_transcriber

TEXTS = {
    "lec-0000000-0000300": "<|0.00|>大家好<|1.50|><|1.50|> this is important<|3.00|>",
    "lec-0004000-0004200": "<|0.00|>謝謝<|2.00|>",
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("labels")
    rng = np.random.default_rng(0)
    sources = {}
    for name in TEXTS:
        seconds = 3 if name.startswith("lec-0000000") else 2
        soundfile.write(root / f"{name}.wav", 0.1 * rng.standard_normal(seconds * 16000), 16000)
        sources[name] = str(root / f"{name}.wav")
    sources["lost"] = str(root / "lost.wav")
    data = root / "data"
    write_table(data / "wav.scp", sources)
    write_table(data / "text", {**TEXTS, "lost": "不見了"})
    write_table(data / "utt2spk", dict.fromkeys(sources, "lec"))
    write_numbers(data / "utt2comp", {"lec-0000000-0000300": 0.25, "lec-0004000-0004200": 0.5, "lost": 0.0})
    assert export_labels.main(["--data", str(data), "--output_dir", str(root / "out")]) == 0
    return root / "out"


FORMS = ["cuts.jsonl", "nemo.jsonl", "parquet"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_comes_back_as_a_data_directory(exported, form, tmp_path):
    assert import_labels.main(["--labels", str(exported / form), "--output_dir", str(tmp_path / "back")]) == 0
    back = DataDir(tmp_path / "back")
    assert back.validate() == []
    assert back.text == TEXTS, "to a letter, with the space that Whisper writes before a Latin word"
    assert set(back.utt2spk.values()) == {"lec"}
    audio, rate = soundfile.read(back.wav["lec-0000000-0000300"])
    assert (len(audio), rate) == (3 * 16000, 16000)


@pytest.mark.parametrize("form", [*FORMS, "packed"])
def test_every_form_gives_labels_for_recordings(exported, form, tmp_path):
    place = exported / form
    if form == "packed":
        place = tmp_path / "cuts.jsonl.gz"
        place.write_bytes(gzip.compress((exported / "cuts.jsonl").read_bytes()))
    transcriber = open_transcriber(f"text:{place}")
    found = transcriber.segments("lec-0000000-0000300", 3.0, timed=True)
    assert [(s.start, s.end, s.text) for s in found] == [(0.0, 1.5, "大家好"), (1.5, 3.0, " this is important")]
    whole = transcriber.segments("lec", 45.0, timed=True)
    assert [(s.start, s.end, s.text) for s in whole][-1] == (40.0, 42.0, "謝謝")


def test_what_others_look_for_is_there(exported):
    nemo = [json.loads(line) for line in (exported / "nemo.jsonl").read_text().splitlines()]
    assert nemo[0]["text"] == "大家好 this is important" and nemo[0]["duration"] == 3.0 and nemo[0]["comp"] == 0.25
    assert (exported / nemo[0]["audio_filepath"]).is_file() and len(nemo) == 2  # one has no audio
    cut = json.loads((exported / "cuts.jsonl").read_text().splitlines()[0])
    assert cut["type"] == "MonoCut" and cut["custom"] == {"comp": 0.25} and len(cut["supervisions"]) == 2
    assert DataDir(exported / "kaldi").validate() == []
    assert (exported / "kaldi/utt2comp").read_text().startswith("lec-0000000-0000300 0.25\n")
    assert [p.name for p in (exported / "parquet").iterdir()] == ["train-00000-of-00001.parquet"]


def test_an_export_into_a_relative_folder_is_read_from_anywhere_and_can_be_moved(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert export_labels.main(["--data", str(exported.parent / "data"), "--output_dir", "out"]) == 0
    monkeypatch.chdir("/")
    place = tmp_path / "out"

    def named(folder):
        cuts = [json.loads(line) for line in (folder / "cuts.jsonl").read_text().splitlines()]
        return [*DataDir(folder / "kaldi").wav.values(), *(c["recording"]["sources"][0]["source"] for c in cuts)]

    assert len(named(place)) == 4 and all(Path(path).is_file() for path in named(place))
    moved = place.rename(tmp_path / "moved")
    for name in ("cuts.jsonl", "kaldi/wav.scp"):  # as docs/publishing.md says
        (moved / name).write_text((moved / name).read_text().replace(f"{place}/", f"{moved}/"))
    assert all(Path(path).is_file() for path in named(moved))
    nemo = json.loads((moved / "nemo.jsonl").read_text().splitlines()[0])
    assert (moved / nemo["audio_filepath"]).is_file()


def test_manifests_of_others(tmp_path):
    """NeMo's with offsets and no ids, Lhotse's supervisions; and what cannot be read is named by its line."""
    (tmp_path / "my talk.wav").write_bytes(b"")
    row = {"audio_filepath": "my talk.wav", "offset": 10.0, "duration": 2.5, "text": "大家好 hello"}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(row) + "\n")
    (found,) = open_transcriber(f"text:{path}").segments("my_talk", 30.0, timed=True)
    assert (found.start, found.end, found.text) == (10.0, 12.5, "大家好 hello")
    path.write_text(json.dumps({"id": "a", "recording_id": "r", "start": 1, "duration": 2, "text": "好"}) + "\n")
    (found,) = open_transcriber(f"text:{path}").segments("r", 30.0, timed=True)
    assert (found.start, found.end) == (1.0, 3.0)
    path.write_text(json.dumps(row) + "\n" + '{"audio_filepath": "b.wav"}\n')
    with pytest.raises(DataError, match=r"manifest.json:2: not understood \(KeyError: 'text'\); expected NeMo's"):
        open_transcriber(f"text:{path}")
    path.write_text(json.dumps({"id": "a", "type": "MixedCut", "supervisions": []}) + "\n")
    with pytest.raises(DataError, match="a MixedCut, not a MonoCut"):
        open_transcriber(f"text:{path}")


LHOTSE = {"id": "c", "start": 0, "duration": 1, "channel": 1,
          "supervisions": [{"id": "s", "recording_id": "r", "start": 0, "duration": 1, "text": "好"}]}  # fmt: skip
STEREO = {"type": "file", "channels": [0, 1], "source": "a.wav"}
OF_LHOTSE = {"id": "r", "sources": [{"type": "file", "channels": [0], "source": "a.wav"}], "duration": 1.0}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**LHOTSE, "recording": {**OF_LHOTSE, "sources": [STEREO]}}, "channel 1 of a recording with 2; save its"),
        ({**LHOTSE, "recording": {**OF_LHOTSE, "transforms": [{"name": "Speed"}]}}, "when Lhotse reads it .Speed.;"),
        ({"id": "m", "type": "MixedCut", "tracks": []}, "a MixedCut, not a MonoCut"),
        (OF_LHOTSE, "a recording without its words; give the cuts"),
        ({"audio_filepath": ["a.wav", "b.wav"], "duration": 1, "text": "好"}, "audio_filepath is not a path"),
    ],
)
def test_what_would_be_heard_otherwise_than_its_manifest_means_is_refused(tmp_path, row, said):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=rf"a.jsonl:1: not understood .*{said}"):
        list(read_entries(path))


def test_a_recording_in_place_of_a_manifest_is_no_manifest(tmp_path):
    soundfile.write(tmp_path / "a.flac", [0.1, -0.1] * 8000, 16000)
    with pytest.raises(DataError, match=r"a.flac: is no text in UTF-8; expected NeMo's manifest"):
        list(read_entries(tmp_path / "a.flac"))


def test_audio_that_lies_in_no_file_is_told(tmp_path):
    source = {"type": "command", "channels": [0], "source": "sox a.wav -t wav - |"}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({**LHOTSE, "recording": {**OF_LHOTSE, "sources": [source]}}) + "\n")
    with pytest.raises(DataError, match="c: names no file of its audio"):
        import_entries(path, tmp_path / "data")


def test_an_offset_without_a_duration_is_a_part_to_the_end(tmp_path):
    soundfile.write(tmp_path / "a.wav", [0.1, -0.1] * 8000, 16000)
    path = tmp_path / "a.jsonl"
    path.write_text('{"audio_filepath": "a.wav", "offset": 0.5, "duration": null, "text": "x"}\n')
    import_entries(path, tmp_path / "data")
    assert (tmp_path / "data/segments").read_text() == "a a 0.50 -1\n"


def test_utterances_that_their_audio_does_not_have_are_left_out_and_named(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", [0.1, -0.1] * 16000, 16000)
    row = {"audio_filepath": "a.wav", "text": "x"}
    cut = {**LHOTSE, "duration": 5, "recording": {**OF_LHOTSE, "duration": 9}}
    rows = [
        {**row, "offset": 0.5, "duration": 1, "id": "inside"},
        {**row, "offset": 1, "duration": 1.4, "id": "rounded"},
        {**row, "offset": 1, "duration": 100, "id": "beyond"},
        {**row, "offset": 2, "duration": None, "id": "behind"},
        {**row, "audio_filepath": "none.wav", "id": "none"},
    ]
    (tmp_path / "nemo.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "cuts.jsonl").write_text(json.dumps(cut) + "\n")
    data = tmp_path / "data"
    assert import_labels.main(["--labels", str(tmp_path / "nemo.jsonl"), "--output_dir", str(data)]) == 0
    said = capsys.readouterr()
    assert "2 utterances, 3 left out" in said.out and sorted(DataDir(data).text) == ["inside", "rounded"]
    audio = f"{tmp_path}/a.wav, which has 2.00 s; correct the manifest"
    assert f"left out: beyond: outside; 1 to 101 s of {audio}" in said.err
    assert f"left out: behind: outside; from 2 s on of {audio}" in said.err
    assert "left out: none.wav: missing" in said.err and list(DataDir(data).wav) == ["a"]
    shutil.copy(tmp_path / "a.wav", tmp_path / "none.wav")
    assert import_labels.main(["--labels", str(tmp_path / "nemo.jsonl"), "--output_dir", str(data)]) == 0
    assert "3 utterances, 2 left out" in capsys.readouterr().out, "it is there now"
    with pytest.raises(DataError, match=r"no utterance can be used: c: outside; 0 to 5 s of .*a.wav, which has 2.00 s"):
        import_entries(tmp_path / "cuts.jsonl", tmp_path / "other")


@pytest.mark.parametrize(
    "entry",
    ['"offset": 0, "duration": NaN', '"offset": 0, "duration": 1e999', '"offset": -3, "duration": 2',
     '"offset": 0, "duration": 0', f'"offset": 1{"0" * 400}, "duration": 2',
     '"segments": [{"start": 5, "end": 1, "text": "x"}]', f'"segments": {"[" * 100_000}'],
    ids=lambda entry: entry[:30],
)  # fmt: skip
def test_times_of_a_manifest_that_are_none_are_named_by_their_line(tmp_path, entry):
    path = tmp_path / "manifest.jsonl"
    path.write_text(f'{{"audio_filepath": "a.wav", "text": "x", {entry}}}\n')
    with pytest.raises(DataError, match=r"manifest.jsonl:1: not understood"):
        open_transcriber(f"text:{path}")


def test_a_manifest_without_a_text_has_an_empty_one(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"audio_filepath": "a.wav", "text": null}\n{"audio_filepath": "b.wav", "text": "x\\ud800"}\n')
    assert [entry.text for entry in read_entries(path)] == ["", "x"]


def test_parquet_with_paths_in_place_of_audio_and_with_texts_that_are_none(tmp_path):
    soundfile.write(tmp_path / "a.wav", [0.1, -0.1] * 8000, 16000)
    pyarrow.parquet.write_table(pyarrow.table({"text": ["x"], "audio": ["a.wav"]}), tmp_path / "paths.parquet")
    count, bad, _ = import_entries(tmp_path / "paths.parquet", tmp_path / "data")
    assert (count, bad) == (1, []) and DataDir(tmp_path / "data").validate() == []
    pyarrow.parquet.write_table(pyarrow.table({"text": [["x"]], "audio": ["a.wav"]}), tmp_path / "lists.parquet")
    with pytest.raises(DataError, match=r"lists.parquet, row 0: not understood \(TypeError: its text is a list\)"):
        list(read_entries(tmp_path / "lists.parquet"))


def test_files_of_one_stem_in_several_folders_are_several_recordings(tmp_path):
    files = ["a/one/1.wav", "a/two/1.wav", "a/two/2.wav"]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / file, [0.1, -0.1] * 8000, 16000)
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"audio_filepath": file, "text": file}) + "\n" for file in files))
    assert [entry.recording for entry in read_entries(path)] == ["one_1", "two_1", "2"]
    import_entries(path, tmp_path / "data")
    assert (tmp_path / "data/text").read_text() == "2 a/two/2.wav\none_1 a/one/1.wav\ntwo_1 a/two/1.wav\n"
    (found,) = open_transcriber(f"text:{path}").segments("two_1", 10.0, timed=True)
    assert found.text.strip() == "a/two/1.wav"


def test_rows_of_parquet_that_share_an_id_or_a_name_are_several_utterances(tmp_path):
    soundfile.write(tmp_path / "a.wav", [0.1, -0.1] * 8000, 16000)
    audio = [{"bytes": (tmp_path / "a.wav").read_bytes(), "path": "audio.wav"}] * 2
    for name in ("train", "test"):
        table = pyarrow.table({"text": [f"{name} 1", f"{name} 2"], "audio": audio, "id": [1, 2]})
        for folder, columns in (("names", ["text", "audio"]), ("ids", ["text", "audio", "id"])):
            (tmp_path / folder).mkdir(exist_ok=True)
            pyarrow.parquet.write_table(table.select(columns), tmp_path / folder / f"{name}.parquet")
    assert import_entries(tmp_path / "names", tmp_path / "data/names") == (4, [], [])
    assert (tmp_path / "data/names/text").read_text().startswith("audio-test-000000 test 1\naudio-test-000001 test 2\n")
    assert import_entries(tmp_path / "ids", tmp_path / "data/ids") == (4, [], [])
    assert (tmp_path / "data/ids/text").read_text().endswith("2-test-000001 test 2\n2-train-000001 train 2\n")


def test_an_id_that_no_table_can_hold_is_refused_before_audio_is_decoded(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"audio_filepath": "a.wav", "text": "x", "id": "a b"}\n')
    with pytest.raises(DataError, match=r"a.jsonl: id 'a b' holds U\+0020, SPACE"):
        import_entries(tmp_path / "a.jsonl", tmp_path / "data")
    assert not (tmp_path / "data").exists()
