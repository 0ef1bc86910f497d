"""A student in every form, read back by every program that is installed, and its model card."""

import json
import math
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from huggingface_hub import ModelCard

from k2d.bin.publish import main
from k2d.constants import N_SAMPLES
from k2d.errors import CheckpointError
from k2d.publish import parity
from k2d.publish.card import Facts, base_model, card, labels_made, spoken, training_data
from k2d.publish.export import export_all
from k2d.publish.ggml import read_ggml, save_ggml
from k2d.publish.huggingface import save_huggingface
from k2d.publish.tokenizer_json import tokenizer_json
from k2d.tables import write_numbers, write_table
from k2d.text.tokenizer import WhisperTokenizer, train_sentencepiece
from k2d.whisper import checkpoint
from k2d.whisper.features import utterance_log_mel
from k2d.whisper.model import ModelDimensions, Whisper
from k2d.work.models import ModelRecord, write_record

RECORD = ModelRecord(
    "student_comp", "student", "exp/student_comp/average", "comp", 0.4, "teacher", "validator", 0, "labels"
)
SENTENCES = ["今天我们讲 attention 和 model", "the weather is good", "don't worry 这个 training 很快"] * 5
TEXTS = [
    "今天我们讲 attention 和 model, don't worry",
    " Hello World!  你好嗎？hello2你",
    "é ñ 😀 a 中 b c中d",
    "",
]


@pytest.fixture(scope="module")
def vocabulary():
    return train_sentencepiece(SENTENCES, 400)


def build(folder: Path, tokenizer, decoder_layers: int) -> checkpoint.Checkpoint:
    """A small model of random weights, with a context of 48 tokens so that its babble ends soon."""
    torch.manual_seed(1)
    dims = ModelDimensions(80, 1500, 32, 2, 1, tokenizer.vocab_size, 48, 32, 2, decoder_layers)
    model = Whisper(dims)
    with torch.no_grad():
        model.decoder.token_embedding.weight.mul_(0.3)
    checkpoint.save(folder, model, tokenizer, {"trim_padding": True})
    return checkpoint.load(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, vocabulary) -> Path:
    root = tmp_path_factory.mktemp("publish")
    build(root / "teacher", vocabulary, 3)
    build(root / "exp/student_comp/average", vocabulary, 1)
    generator = np.random.default_rng(0)
    table = {}
    for i in (1, 2):
        time = np.arange(16000 * i)
        noise = generator.normal(0, 0.1, len(time)) * np.sin(time / 500 / i)
        soundfile.write(root / f"u{i}.wav", noise, 16000)
        table[f"u{i}"] = str(root / f"u{i}.wav")
    table["u0"] = str(root / "missing.wav")
    write_table(root / "data/wav.scp", table)
    chunks = {
        "c-0000000-0001800": "<|0.00|>今天讲 attention<|18.00|>",
        "c-0001800-0003600": "<|0.00|>打 0912345678",
    }
    write_table(root / "labels/wav.scp", dict.fromkeys(chunks, "x.ark:1"))
    write_table(root / "labels/text", chunks)
    write_numbers(root / "labels/utt2dur", dict.fromkeys(chunks, 18.0))
    rate = {"rate": 0.125}
    result = {"mer": rate, "languages": {"zh": rate, "en": rate}, "switch_points": rate}
    result |= {"utterances": 1200, "confidence_interval": {"low": 0.1, "high": 0.15}}
    for name, tested in (("exp/student_comp", ["test_in", "test_out"]), ("exp/teacher", ["test_in"])):
        for test_set in tested:
            (root / name / f"decode_{test_set}/score").mkdir(parents=True)
            (root / name / f"decode_{test_set}/score/result.json").write_text(json.dumps(result))
    write_record(root / "exp/teacher", ModelRecord("teacher", "teacher", "teacher"))
    write_record(root / "exp/student_comp", RECORD)
    return root


def publish(folder: Path, *more: str) -> int:
    arguments = ["--record", "exp/student_comp", "--data", "data", "--utterances", "2"]
    return main([*arguments, "--output_dir", "exp/student_comp/publish", *more])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_every_form_is_written_checked_and_described(folder, monkeypatch, capsys, dtype):
    monkeypatch.chdir(folder)
    assert publish(folder, "--dtype", dtype, "--licence", "cc-by-4.0") == 0
    out = folder / "exp/student_comp/publish"
    checks = json.loads((out / "parity.json").read_text())
    read = {(c["form"], c["reader"]) for c in checks}
    assert read >= {
        ("openai", "openai-whisper"),
        ("safetensors", "k2d"),
        ("huggingface", "k2d"),
        ("ctranslate2", "k2d"),
        ("ctranslate2", "ctranslate2"),
    }
    assert all(c["ok"] for c in checks)
    if dtype == "float32":  # not one bit is lost by the forms that only rename
        assert all(c["logits"] == 0 for c in checks if c["reader"] == "k2d" and c["form"] != "ctranslate2")
    assert json.loads((out / "k2d/config.json").read_text())["alignment_heads"] == [[0, 0], [0, 1]]
    card = (out / "huggingface/README.md").read_text()
    data = ModelCard(card).data
    assert (data.language, data.license) == (["zh", "en"], "cc-by-4.0") and data.model_name == "student_comp"
    index = {(r.dataset_name, r.metric_type, r.metric_name): r.metric_value for r in data.eval_results}
    assert index["test_out", "cer", "Mandarin character error rate"] == 12.5 and len(index) == 6
    assert "0.01 hours in 2 chunks" in card and "(`comp`, α 0.4)" in card and "confirms" not in card
    assert "| test_in | 1,200 | 12.50 [10.00, 15.00] | 12.50 | 12.50 | 12.50 | 12.50 [10.00, 15.00] |" in card
    assert "| test_out | 1,200 | 12.50 [10.00, 15.00] | 12.50 | 12.50 | 12.50 | – |" in card
    assert "Found: 1 × telephone number" in card and "0912345678" not in card
    assert str(folder) not in card
    assert "**Not with** openai-whisper and its `whisper` command, faster-whisper, or whisper.cpp" in card
    assert not (out / "ggml-model.bin").exists() and "openai.pt" not in card
    listed = (out / "private/labels.tsv").read_text()
    assert (out / "private/.gitignore").read_text() == "*\n"
    assert listed == "id\tkind\ttext\nc-0001800-0003600\ttelephone number\t0912345678\n"
    assert "u0 is left out" in capsys.readouterr().err


def test_a_release_is_refused_by_gates_and_what_would_go_is_shown(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert publish(folder, "--name", "for release") == 0
    capsys.readouterr()
    again = ["--output_dir", "exp/student_comp/publish", "--push_to_hub", "me/student"]
    assert main([*again, "--yes", "--dry_run"]) == 0  # by its folder alone
    said = capsys.readouterr().out
    shown = said[said.index("  README.md\n") :]
    assert "is done; nothing to do" in said and "nothing was uploaded" in shown and "to me/student, private" in shown
    assert "private/" not in shown and "step.json" not in shown
    assert main([*again, "--release", "--yes"]) == 1
    why, refused = capsys.readouterr()
    assert "is not released: 5 of 5 gates not passed (monolingual zh, monolingual en, loops, privacy, lic" in refused
    assert "gate monolingual zh: cannot tell: no test set has utterances" in why
    assert "private/labels.tsv has 1 finding; read it" in why
    assert "licences: not passed: state --licence, --teacher_licence, --data_licence" in why
    found = json.loads(Path("exp/student_comp/publish/gates.json").read_text())
    assert [verdict["passed"] for verdict in found] == [None] * 3 + [False] * 2
    assert main([*again[:2], "--reviewed_by", "Ann"]) == 0
    assert "gate privacy: passed: 1 finding, reviewed by Ann" in capsys.readouterr().out
    assert main(["--output_dir", "data", "--push_to_hub", "me/student"]) == 1
    assert "no student was published there" in capsys.readouterr().err


def test_an_export_stands_on_its_own(folder, monkeypatch):
    """Each folder loads where nothing else is, with its own vocabulary and the same weights."""
    monkeypatch.chdir(folder)
    shutil.copytree("labels", "trusted")
    write_table(folder / "trusted/text.trusted", {"c-0000000-0001800": "1", "c-0001800-0003600": "0"})
    write_table(folder / "trusted/utt2weight", {"c-0000000-0001800": "0.5", "c-0001800-0003600": "0.25"})
    write_record(folder / "exp/student_comp", replace(RECORD, data="trusted"))
    try:
        assert publish(folder, "--dtype", "float32") == 0
    finally:
        write_record(folder / "exp/student_comp", RECORD)
    original = checkpoint.load("exp/student_comp/average")
    for name in ("k2d", "huggingface", "ctranslate2"):
        moved = folder / "elsewhere" / name
        moved.parent.mkdir(exist_ok=True)
        (folder / "exp/student_comp/publish" / name).rename(moved)
        export = checkpoint.load(moved)
        assert export.tokenizer.encode("今天 model") == original.tokenizer.encode("今天 model")
        for key, tensor in original.model.state_dict().items():
            assert torch.equal(export.model.state_dict()[key], tensor), key
    card = (folder / "elsewhere/huggingface/README.md").read_text()
    assert "restricted to the segments that the validator confirms, 0.01 hours" in card
    assert "in the loss a label counts as much as it is trusted, 0.38 on average." in card


def test_a_student_that_computes_no_numbers_is_not_published(folder, monkeypatch, capsys, vocabulary):
    monkeypatch.chdir(folder)
    broken = build(folder / "broken", vocabulary, 1)
    with torch.no_grad():
        broken.model.decoder.ln.weight[0] = float("nan")
    checkpoint.save("broken", broken.model, broken.tokenizer)
    write_record(folder / "exp/broken", ModelRecord("broken", "student", "broken", teacher="teacher"))
    arguments = ["--record", "exp/broken", "--data", "data", "--output_dir", "broken_out"]
    assert main([*arguments, "--utterances", "1"]) == 1
    assert "decoder.ln.weight holds 1 values of 32 that are NaN" in capsys.readouterr().err
    assert not (folder / "broken_out/huggingface/README.md").exists()
    assert not (folder / "broken_out/step.json").exists()


def test_a_finished_export_outlives_one_that_fails_and_comes_back(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    out = folder / "exp/student_comp/publish"
    shutil.rmtree(out, ignore_errors=True)
    assert publish(folder) == 0
    card, weights = (out / "huggingface/README.md").read_bytes(), (out / "openai.pt").stat().st_mtime_ns
    monkeypatch.setattr(parity, "TOLERANCE", dict.fromkeys(parity.TOLERANCE, -1.0))
    assert publish(folder, "--dtype", "float32") == 1
    (out / "k2d/.model.safetensors.7.tmp").write_bytes(b"half of a model, of a run that was killed")
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert publish(folder) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert (out / "huggingface/README.md").read_bytes() == card and (out / "openai.pt").stat().st_mtime_ns == weights
    assert publish(folder, "--dtype", "float32") == 0
    assert not list(out.rglob(".*.tmp"))


def test_a_teacher_is_no_student_to_publish(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert publish(folder, "--record", "exp/teacher") == 1
    assert "exp/teacher: is the record of a teacher, not of a student" in capsys.readouterr().err


def test_a_card_without_labels_a_teacher_of_another_kind_or_results_says_so():
    facts = Facts("mine", "labels.txt", ["en"], 1000, 2, 1, False, True, "mit", parities=["all of it: ok"])
    text = card(facts)
    assert "have **not** been searched" in text and "It has 2 encoder layers and 1 decoder layer." in text
    assert "- Parameters: 1,000.\n" in text and "Language token" not in text and "## Results" not in text
    assert "speech in English, like the training" in text
    assert "- Training data: pseudo-labels of the teacher on unlabelled recordings.\n" in text
    assert "\n\n\n" not in text


def test_a_card_counts_what_was_learnt_and_not_what_was_held_out(tmp_path):
    labels = {"r-0000000-0001800": "<|0.00|>一<|9.00|><|9.00|>二", "r-0001800-0003600": "<|0.00|>三<|18.00|>"}
    write_table(tmp_path / "kept/wav.scp", dict.fromkeys(labels, "x.ark:1"))
    write_table(tmp_path / "kept/text", labels)
    write_numbers(tmp_path / "kept/utt2dur", dict.fromkeys(labels, 18.0))
    write_table(tmp_path / "kept/text.trusted", dict(zip(labels, ["0 1", "1"], strict=True)))
    write_numbers(tmp_path / "kept/utt2weight", dict(zip(labels, [0.5, 0.1], strict=True)))
    whole = {"hours": 0.01, "chunks": 2, "trusted_hours": 0.0075, "mean_weight": 0.3}
    assert training_data(tmp_path / "kept", tmp_path / "data") == pytest.approx(whole)
    first = next(iter(labels))
    write_table(tmp_path / "data/text", dict.fromkeys([first, f"{first}+1"], "noisy, too"))
    learnt = {"hours": 0.005, "chunks": 1, "trusted_hours": 0.0025, "mean_weight": 0.5}
    assert training_data(tmp_path / "kept", tmp_path / "data") == pytest.approx(learnt)


def test_a_card_says_who_wrote_the_labels_and_which_errors_they_keep(tmp_path):
    """By the records of the steps: a selection of revised labels, and of labels that were there."""

    def record(folder, step, data="", **said):
        (tmp_path / folder).mkdir()
        inputs = {"data": {"path": str(tmp_path / data), "digest": ""}}
        (tmp_path / folder / "step.json").write_text(json.dumps({"step": step, "inputs": inputs, **said}))

    record("labels", "label", arguments={"model": "text:subtitles"})
    record("revised", "revise", "labels")
    record("full", "select", "revised", options={"rule": "1 == 1"})
    record("by_teacher", "label", arguments={"model": "large-v2"})
    record("comp", "select", "by_teacher", options={"rule": "comp <= 0.4"})
    of_revised, of_teacher = labels_made(tmp_path / "full"), labels_made(tmp_path / "comp")
    assert of_revised == {"ready_labels": True, "revised_by": "other models", "rule": "1 == 1"}
    assert of_teacher == {"ready_labels": False, "rule": "comp <= 0.4"}

    def said(**facts):
        return card(Facts("mine", "large-v2", ["zh"], 9, 2, 1, False, True, "mit", **facts))

    revised = said(**of_revised | {"revised_by": "student_comp and base"}, selection="full")
    assert (
        "\n\nThe labels are existing transcripts, by other programs or people, cut into chunks of at most 30 s. "
        "Then student_comp and base transcribed the chunks, too, and the transcript of a chunk that the others "
        "contradict least became its label.\nNo chunk was filtered out.\n"
    ) in revised
    assert "- Training data: existing transcripts of the recordings" in revised and "No person" not in revised
    assert "labels contain all errors of those who wrote them: none was filtered out.\n" in revised
    filtered = said(**of_teacher, selection="comp", alpha=0.4, validator="base")
    assert "at most 30 s. No person has corrected the labels.\nbase also transcribed every chunk." in filtered
    assert "labels contain the errors that the selection does not find.\n" in filtered and "Then " not in filtered


def test_a_card_speaks_the_language_of_its_labels(tmp_path):
    labels = tmp_path / "text"
    write_table(labels, {"a": "<|0.00|>今天我们讲 attention<|2.00|>", "b": "今天"})
    assert spoken("zh", labels) == spoken("auto", labels) == ["zh", "en"] and spoken("en", labels) == ["en", "zh"]
    assert spoken("ja", labels) == spoken("ja", None) == ["ja"] and spoken("auto", None) == []
    write_table(labels, {"a": "今天 我们 讲 到 这里 为止 明天 再 见 同学们 好 好 休息"})
    assert spoken("zh", labels) == ["zh"]

    def said(languages, language):
        return card(Facts("mine", "large-v2", languages, 9, 2, 1, False, True, "mit", language=language))

    japanese, any_of_them = said(["ja"], "ja"), said([], None)
    assert japanese.count('language="ja"') == 2 and "--language ja" in japanese and "-l ja" in japanese
    assert "speech in Japanese, like" in japanese and "Mandarin" not in japanese and "zh" not in japanese
    assert "language=" not in any_of_them and "--language" not in any_of_them and "-l auto" in any_of_them
    assert "speech in Mandarin that switches to English, like" in said(["zh", "en"], "zh")


def test_another_models_files_fail_the_check(folder, vocabulary):
    original = checkpoint.load(folder / "exp/student_comp/average")
    audio, _ = soundfile.read(folder / "u1.wav", dtype="float32")
    samples = parity.samples(original, {"u1": utterance_log_mel(audio, 80, N_SAMPLES)}, "zh")
    good = parity.check("safetensors", "float32", samples, "zh", folder / "exp/student_comp/average")
    assert good.ok and good.logits == 0 and str(good).endswith(": ok")
    other = parity.check("safetensors", "float16", samples, "zh", folder / "teacher")
    assert not other.ok and str(other).endswith("FAILED") and other.logits > other.tolerance


def test_a_transcript_that_parts_is_a_failure_unless_it_is_a_tie():
    logits = torch.tensor([[1.0, 0.0, 0.99], [0.0, 5.0, 0.0], [0.0, 0.0, 9.0]])
    sample = parity.Sample("u", torch.zeros(80, 3000), [7], [0, 1], logits, eot=2)

    def compare(tokens):
        return parity.compare_transcripts([sample], [tokens], allowed=0.05)

    assert compare([0, 1]) == {"equal_transcripts": 1, "ties": 0, "parted": ()}
    assert compare([])["ties"] == 1  # to begin (1.0) and to stop (0.99) differ by less than the tolerance
    assert compare([1, 1])["parted"] == ("u",)
    assert compare([0])["parted"] == ("u",)  # stopped where the original was sure to go on
    assert compare([0, 1, 1])["parted"] == ("u",)  # went on where the original was sure to stop


@pytest.mark.parametrize("size", [51864, 51865, 51866, "sentencepiece"])
def test_the_tokenizers_library_reads_our_vocabularies(size, vocabulary):
    tokenizers = pytest.importorskip("tokenizers")
    ours = vocabulary if size == "sentencepiece" else WhisperTokenizer(size)
    theirs = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json(ours)))
    assert theirs.get_vocab_size() == ours.vocab_size
    for text in TEXTS:
        ids = ours.encode(text)
        assert theirs.encode(text).ids == ids
        assert theirs.decode(ids) == ours.decode(ids)
    assert theirs.token_to_id("<|1.00|>") == ours.timestamp_begin + 50
    assert theirs.token_to_id("<|zh|>") == ours.language_token("zh")


def test_a_published_vocabulary_is_exported_for_every_program(tmp_path):
    student = build(tmp_path / "student", WhisperTokenizer(51865), 1)
    audio = np.random.default_rng(3).normal(0, 0.1, 16000).astype(np.float32)
    samples = parity.samples(student, {"u": utterance_log_mel(audio, 80, N_SAMPLES)}, "zh")
    found = {(p.form, p.reader): p for p in export_all(student, samples, tmp_path, "float32", "float32", "zh")}
    assert all(p.ok for p in found.values()), found
    assert found["openai", "openai-whisper"].equal_transcripts == 1
    assert ("ggml", "k2d") in found and found["huggingface", "transformers"].equal_transcripts == 1
    settings = json.loads((tmp_path / "huggingface/generation_config.json").read_text())
    assert (settings["language"], settings["task"]) == ("zh", "transcribe")
    facts = Facts("mine", "large-v2", ["zh", "en"], 1000, 2, 1, False, True, "mit", base_model=base_model("large-v2"))
    text = card(facts)
    for program in ("pipeline(", "k2d transcribe", "WhisperModel(", "whisper.load_model(", "whisper-cli"):
        assert program in text
    assert ModelCard(text).data.base_model == "openai/whisper-large-v2" and "**Not with**" not in text


def test_the_pipeline_of_transformers_reads_a_vocabulary_of_its_own(tmp_path, vocabulary):
    transformers = pytest.importorskip("transformers")
    student = build(tmp_path / "student", vocabulary, 1)
    save_huggingface(tmp_path / "huggingface", student.model, vocabulary)
    transcribe = transformers.pipeline("automatic-speech-recognition", str(tmp_path / "huggingface"))
    audio = np.random.default_rng(3).normal(0, 0.1, 16000).astype(np.float32)
    assert isinstance(transcribe(audio.copy())["text"], str)
    assert "chunks" in transcribe(audio.copy(), return_timestamps=True)
    theirs = transcribe.tokenizer
    for text in (*SENTENCES[:3], "é 😀"):
        ids = vocabulary.encode(text)
        assert theirs.decode(ids) == vocabulary.decode(ids)
        # A prompt may be cut otherwise, but says the same.
        assert theirs.decode(theirs.encode(text, add_special_tokens=False)).split() == text.split()
    assert theirs.convert_tokens_to_ids("<|1.00|>") == vocabulary.timestamp_begin + 50


@pytest.mark.parametrize("size", [51864, 51866])
def test_whisper_cpps_file_reads_back(tmp_path, size):
    student = build(tmp_path / "student", WhisperTokenizer(size), 1)
    path = tmp_path / "ggml-model.bin"
    save_ggml(path, student.model, student.tokenizer)
    dims, tokens, state = read_ggml(path)
    assert dims == student.dims and len(tokens) == student.tokenizer.n_merged
    hello = student.tokenizer.encode(" hello")
    assert b"".join(tokens[i] for i in hello) == b" hello"
    for name, tensor in student.model.state_dict().items():
        kept = tensor.half() if state[name].dtype == torch.float16 else tensor
        assert torch.equal(state[name], kept), name
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CheckpointError, match="it is cut short"):
        read_ggml(path)


@pytest.mark.parametrize("size", [51864, 51865])
def test_whisper_cpps_file_is_what_its_loader_asks_for(tmp_path, size):
    """Byte by byte, by what `whisper_model_load` of whisper.cpp 1.8 reads and creates: sizes, types and places."""
    student = build(tmp_path / "student", WhisperTokenizer(size), 2)
    dims, path = student.dims, tmp_path / "ggml-model.bin"
    save_ggml(path, student.model, student.tokenizer)
    with open(path, "rb") as stream:

        def numbers(count: int) -> tuple[int, ...]:
            return struct.unpack(f"<{count}i", stream.read(4 * count))

        assert stream.read(4) == b"lmgg"
        audio = (dims.n_audio_ctx, dims.n_audio_state, dims.n_audio_head, dims.n_audio_layer)
        text = (dims.n_text_ctx, dims.n_text_state, dims.n_text_head, dims.n_text_layer)
        assert numbers(11) == (size, *audio, *text, 80, 1)
        assert numbers(2) == (80, 201)
        filters = np.frombuffer(stream.read(4 * 80 * 201), "<f4")
        assert filters.min() >= 0 and 0.02 < filters.max() < 0.03
        # Behind the last of these it counts on: end of text, start, languages …, by the size of the vocabulary.
        count = numbers(1)[0]
        assert count == student.tokenizer.eot == (50256 if size == 51864 else 50257)
        tokens = [stream.read(numbers(1)[0]) for _ in range(count)]
        assert tokens[:3] == [b"!", b'"', b"#"] and len(set(tokens)) == count
        found = {}
        while head := stream.read(12):
            axes, length, kind = struct.unpack("<3i", head)
            sizes, name = numbers(axes), stream.read(length).decode()
            found[name] = (kind, sizes)
            values = np.frombuffer(stream.read((4, 2)[kind] * math.prod(sizes)), ("<f4", "<f2")[kind])
            expected = student.model.state_dict()[name].flatten().numpy()
            assert np.array_equal(values, expected.astype(values.dtype)), name
    width, wide = dims.n_audio_state, 4 * dims.n_audio_state
    asked = {
        "encoder.positional_embedding": (0, (width, 1500)), "encoder.conv1.weight": (1, (3, 80, width)),
        "encoder.conv1.bias": (0, (1, width)), "encoder.conv2.weight": (1, (3, width, width)),
        "encoder.conv2.bias": (0, (1, width)), "decoder.positional_embedding": (0, (width, dims.n_text_ctx)),
        "decoder.token_embedding.weight": (1, (width, size)),
    }  # fmt: skip
    norms = ["encoder.ln_post", "decoder.ln"]
    for side, layers, attentions in (("encoder", dims.n_audio_layer, ["attn"]),
                                     ("decoder", dims.n_text_layer, ["attn", "cross_attn"])):  # fmt: skip
        for block in (f"{side}.blocks.{i}" for i in range(layers)):
            norms += [f"{block}.mlp_ln", *(f"{block}.{attention}_ln" for attention in attentions)]
            asked[f"{block}.mlp.0.weight"], asked[f"{block}.mlp.0.bias"] = (1, (width, wide)), (0, (wide,))
            asked[f"{block}.mlp.2.weight"], asked[f"{block}.mlp.2.bias"] = (1, (wide, width)), (0, (width,))
            for linear in (f"{block}.{a}.{part}" for a in attentions for part in ("query", "key", "value", "out")):
                asked[f"{linear}.weight"] = (1, (width, width))
                if not linear.endswith("key"):
                    asked[f"{linear}.bias"] = (0, (width,))
    asked |= {f"{norm}.{part}": (0, (width,)) for norm in norms for part in ("weight", "bias")}
    assert found == asked
