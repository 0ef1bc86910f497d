"""Heads that tell when a word is said: found where they are planted, kept beside a student, read from every form."""

import json
import shutil
import warnings
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch
from decoding_material import random_model
from hypothesis import given
from hypothesis import strategies as st

from k2d.bin import align_heads, encode
from k2d.tables import write_table
from k2d.text.tokenizer import WhisperTokenizer, train_sentencepiece
from k2d.whisper import checkpoint, head_choice, heads
from k2d.whisper.alignment import median_filter, token_times
from k2d.whisper.head_choice import Alignments, Example, Label, choose, clearly_less, read_label
from k2d.whisper.model import ModelDimensions, Whisper
from k2d.whisper.words import SHORTEST, _Words, in_order

FRAMES = 8  # of a token


def planted(layers: int, where: tuple[int, int], seed: int = 0):
    """A decoder one of whose heads attends, at row r, to frames FRAMES · r on, and examples to see it by."""
    torch.manual_seed(seed)
    tokenizer = train_sentencepiece(["今天 weather 不错", "我们用 model 来训练"] * 5, 320)
    model = Whisper(ModelDimensions(80, 1500, 64, 4, 1, tokenizer.vocab_size, 64, 64, 4, layers)).eval()
    codes = torch.randn(40, 16)
    first = len(tokenizer.sot_sequence("zh", timestamps=False)) - 1
    with torch.no_grad():
        for block in model.decoder.blocks:  # nothing but positions reaches the attention
            for part in (block.attn.out, block.cross_attn.out, block.mlp[2]):
                part.weight.zero_()
                part.bias.zero_()
        model.decoder.token_embedding.weight.mul_(1e-3)
        model.decoder.positional_embedding[first : first + 40, :16] = codes
        cross, rows = model.decoder.blocks[where[0]].cross_attn, slice(16 * where[1], 16 * where[1] + 16)
        for linear in (cross.query, cross.key):
            linear.weight[rows] = 0
            linear.weight[rows, :16] = torch.eye(16)
    examples = []
    for number in range(8):
        encoded = torch.randn(1, 1500, 64)
        for row in range(31):
            encoded[0, FRAMES * row : FRAMES * (row + 1), :16] = codes[row]
        tokens = tokenizer.encode("今天不错 weather model")[:6] * 5
        times = np.arange(30) * FRAMES / 50
        times[number::7] = np.nan
        examples.append(Example(Label(tokens, times), encoded, 31 * FRAMES))
    return model, tokenizer, examples


def chosen(model, tokenizer, examples, rivals):
    alignments = Alignments(model, tokenizer, "zh", rivals)
    for example in examples:
        alignments.add(example)
    return choose(alignments)


@pytest.mark.parametrize("looked_at", [1, 4])
def test_a_planted_head_is_found_and_beats_what_one_would_guess(monkeypatch, looked_at):
    monkeypatch.setattr(head_choice, "LOOKED_AT", looked_at)
    monkeypatch.setattr(head_choice, "CANDIDATES", 3)
    model, tokenizer, examples = planted(2, (0, 2))
    rivals = {"last layer": heads.last_layer(model.dims), "upper half": heads.upper_half(model.dims)}
    choice = chosen(model, tokenizer, examples, rivals)
    assert (choice.chosen, choice.heads[:1]) == ("chosen", ((0, 2),)) and choice.path[0][0] == (0, 2)
    assert max(choice.by_head[0, 2]) < 20 < 100 < min(min(v) for head, v in choice.by_head.items() if head != (0, 2))
    assert choice.errors["chosen"]["mean"] < 20 < choice.errors["last layer"]["mean"]


def test_where_the_guess_is_better_it_is_kept():
    model, tokenizer, examples = planted(1, (0, 0))
    choice = chosen(model, tokenizer, examples, {"known": ((0, 0),), "bad": ((0, 1),)})
    assert choice.errors["known"]["mean"] < choice.errors["bad"]["mean"]
    assert choice.chosen == "known" and choice.path[0][0] == (0, 0)  # as good is not better
    for each in examples[::2]:  # the half that chooses is timed wrongly: nothing it says holds for the other
        each.label.times[:] = 0.02
    assert chosen(model, tokenizer, examples, {"known": ((0, 0),)}).heads == ((0, 0),)


def test_better_by_chance_is_not_clearly_better():
    errors = list(np.random.default_rng(0).uniform(0, 400, (12, 40)))
    assert clearly_less(errors, [each + 50 for each in errors]) and not clearly_less(errors, errors)
    others = [errors[0] + 600, *errors[1:]]  # one chunk says nothing
    assert np.mean(others) > np.mean(errors) and not clearly_less(errors, others)
    with warnings.catch_warnings(action="error"):
        assert not clearly_less(errors[:1], others[:1]), "nor one chunk alone"


@pytest.mark.parametrize(("rows", "frames"), [(1, 1), (1, 6), (6, 3), (4, 9), (20, 15), (12, 60)])
def test_paths_and_medians_are_openai_whispers(rows, frames):
    timing = pytest.importorskip("whisper.timing")
    matrices = torch.from_numpy(np.random.default_rng(rows).standard_normal((2, 3, rows, frames)))
    found = token_times(matrices)
    for place in np.ndindex(2, 3):
        path, columns = timing.dtw_cpu(-matrices[place].numpy())
        assert np.allclose(found[place], columns[np.diff(path, prepend=-1) > 0] / 50)
    for width in (3, 5, 7):
        if frames > width // 2:
            assert torch.equal(median_filter(matrices, width), timing.median_filter(matrices, width))


def test_a_label_says_about_when_a_token_begins():
    tokenizer = WhisperTokenizer(51865)
    text = "<|0.00|> so we<|1.00|><|1.40|>今天 weather<|2.00|><|2.00|> then<|3.00|><|3.20|><|continued|>"
    label = read_label(text, tokenizer)
    assert [tokenizer.decode([token]) for token in label.tokens] == [" so", " we", "今天", " weather", " then"]
    assert np.allclose(label.times, [0.0, 0.5, 1.4, 1.7, 2.0]) and label.timed == 5
    label = read_label(text, tokenizer, [True, False, True])
    assert np.allclose(label.times, [0.0, 0.5, np.nan, np.nan, 2.0], equal_nan=True) and label.timed == 3
    assert read_label("今天 weather", tokenizer).timed == 0


@pytest.fixture
def student(tmp_path, monkeypatch):
    """exp/student with its average, and labels with times of 24 s of noise in four chunks."""
    monkeypatch.chdir(tmp_path)
    checkpoint.save("exp/student/average", *random_model())
    rng = np.random.default_rng(0)
    text = "".join(f"<|{t:.2f}|>今天 weather<|{t + 0.3:.2f}|>" for t in np.arange(0, 5.5, 0.4))
    for number in range(4):
        soundfile.write(tmp_path / f"c{number}.wav", rng.standard_normal(6 * 16000) * 0.05, 16000)
    write_table(tmp_path / "data/wav.scp", {f"c{n}": str(tmp_path / f"c{n}.wav") for n in range(4)})
    write_table(tmp_path / "data/text", {f"c{n}": text for n in range(4)})
    return tmp_path


def test_chosen_heads_lie_beside_the_student_and_are_those_of_its_weights(student, capsys):
    words = ["--model", "exp/student/average", "--data", "data", "--output_dir", "exp/student/heads"]
    assert align_heads.main(words) == 0
    said = capsys.readouterr()
    assert "words are timed by heads" in said.out and "ms off, the median of" in said.out
    assert "align_heads: 100%" in said.err and "4/4" in said.err, "a share of all chunks, not a count without end"
    record = json.loads((student / "exp/student/heads/alignment_heads.json").read_text())
    assert len(record["by_head"]) == 4 and record["tokens"] > 4 * 14 * 2 and set(record["errors"]) > {"chosen"}
    assert align_heads.main(words) == 0 and "nothing to do" in capsys.readouterr().out
    # Whatever way the student is named, it has them.
    chosen = [[1, 0]]
    (student / "exp/student/heads/alignment_heads.json").write_text(json.dumps({**record, "heads": chosen}))
    for name in ("exp/student", "exp/student/average"):
        assert heads.heads_of(checkpoint.load(name).model) == ((1, 0),)
    # Another training has other heads.
    checkpoint.save("exp/student/average", *random_model(1))
    assert heads.heads_of(checkpoint.load("exp/student").model) == heads.upper_half(checkpoint.read_dims("exp/student"))


def test_stored_encoder_output_gives_what_the_audio_gives(student):
    words = ["--model", "exp/student/average", "--data", "data"]
    assert align_heads.main([*words, "--output_dir", "by_audio"]) == 0
    assert encode.main([*words, "--output_dir", "encoder_out"]) == 0
    for number in range(4):
        (student / f"c{number}.wav").unlink()  # none of it is read
    write_table(student / "data/utt2dur", {f"c{n}": "6.0" for n in range(4)})
    assert align_heads.main([*words, "--output_dir", "stored", "--encoder_out", "encoder_out"]) == 0
    records = [json.loads((student / name / "alignment_heads.json").read_text()) for name in ("by_audio", "stored")]
    assert records[0] == records[1] and records[0]["tokens"] > 4 * 14 * 2


def test_labels_without_times_leave_the_heads_as_they_are(student, capsys):
    write_table(student / "data/text", {f"c{n}": "今天 weather" for n in range(4)})
    assert align_heads.main(["--model", "exp/student/average", "--data", "data", "--output_dir", "heads"]) == 0
    assert "only 0 of the tokens of 0 chunks lie in segments with times" in capsys.readouterr().out
    record = json.loads((student / "heads/alignment_heads.json").read_text())
    assert (record["chosen"], record["heads"]) == ("upper half", [[1, 0], [1, 1]])


def test_heads_of_another_model_are_no_reason_not_to_read_a_file():
    dims = ModelDimensions(80, 1500, 32, 2, 1, 320, 448, 32, 2, 2)
    assert heads.stored([[10, 12], [13, 17]], dims) is None  # as distilled models are published, with a teacher's
    for nothing in (None, [], "", "no base85 of gzip", [[1]], [["a", "b"]], 5):
        assert heads.stored(nothing, dims) is None
    assert heads.stored([[1, 1], [0, 1]], dims) == ((0, 1), (1, 1))
    model = Whisper(dims)
    heads.use_heads(model, [(0, 1)])
    assert heads.stored(heads.packed(model), dims) == heads.heads_of(model) == ((0, 1),)


@given(
    st.lists(st.tuples(st.floats(-1, 40), st.floats(-1, 40)), max_size=60), st.floats(0, 10), st.floats(1.5, 30)
)
def test_words_have_lengths_and_follow_each_other_whatever_was_found(times, begin, length):
    found = in_order(times, begin, begin + length)
    edges = [round(begin, 3), *(edge for word in found for edge in word), round(begin + length, 3)]
    assert all(a <= b + 1e-9 for a, b in pairwise(edges))
    least = min(SHORTEST, length / max(1, len(times)))
    assert all(stop - start >= least - 0.0021 and stop > start for start, stop in found)


def test_words_that_are_in_order_stay_as_they_are():
    assert in_order([(0.5, 0.8), (0.8, 1.2), (2.0, 2.5)], 0.0, 3.0) == [(0.5, 0.8), (0.8, 1.2), (2.0, 2.5)]
    assert in_order([(0.5, 0.5), (0.5, 0.5)], 0.0, 3.0) == [(0.5, 0.52), (0.52, 0.54)]
    assert in_order([(2.9, 3.4), (3.3, 3.3)], 0.0, 3.0) == [(2.9, 2.98), (2.98, 3.0)]


def test_punctuation_belongs_to_a_word():
    tokenizer = WhisperTokenizer(51865)
    tokens = tokenizer.encode("他说：「用 model 吧」，don't 看《紅樓夢》。")
    said, _ = _Words(tokenizer, "zh").split_to_word_tokens(tokens)
    assert "「用" in said and "《紅" in said and "don't" in [word.strip() for word in said]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A student with chosen heads, in the forms of other programs, and nothing else there any more."""
    from k2d.publish.export import save_ctranslate2
    from k2d.publish.huggingface import save_huggingface

    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(1)
    tokenizer = WhisperTokenizer(51865)
    model = Whisper(ModelDimensions(80, 1500, 32, 2, 1, 51865, 48, 32, 2, 2)).eval()
    with torch.no_grad():
        model.decoder.token_embedding.weight.mul_(0.3)
    checkpoint.save(folder / "student/average", model, tokenizer)
    chosen = {"model": checkpoint.model_identity(folder / "student").digest, "heads": [[0, 1], [1, 0]]}
    (folder / "student/heads").mkdir()
    (folder / "student/heads/alignment_heads.json").write_text(json.dumps(chosen))
    student = checkpoint.load(folder / "student")
    checkpoint.save_openai(folder / "openai.pt", student.model)
    save_huggingface(folder / "huggingface", student.model, tokenizer)
    save_ctranslate2(folder / "ctranslate2", student, "float32")
    shutil.rmtree(folder / "student")
    return folder


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(3).normal(0, 0.1, 3 * 16000).astype(np.float32)


@pytest.mark.parametrize("form", ["openai.pt", "huggingface", "ctranslate2"])
def test_every_form_states_the_heads(published, form):
    assert heads.heads_of(checkpoint.load(published / form).model) == ((0, 1), (1, 0))


def test_openai_whisper_times_words_by_them(published, noise):
    whisper = pytest.importorskip("whisper")
    program = whisper.load_model(str(published / "openai.pt"), device="cpu")
    program.set_alignment_heads(torch.load(published / "openai.pt", weights_only=True)["alignment_heads"])
    assert heads.heads_of(program) == ((0, 1), (1, 0))
    found = whisper.transcribe(
        program, noise, language="zh", fp16=False, temperature=0.0, word_timestamps=True, no_speech_threshold=None
    )
    assert any(segment["words"] for segment in found["segments"])


def test_transformers_times_words_by_them(published, noise):
    transformers = pytest.importorskip("transformers")
    program = transformers.pipeline("automatic-speech-recognition", str(published / "huggingface"))
    assert program.model.generation_config.alignment_heads == [[0, 1], [1, 0]]
    options = {"language": "zh", "max_new_tokens": 20}
    chunks = program(noise.copy(), return_timestamps="word", generate_kwargs=options)["chunks"]
    assert chunks and all("timestamp" in chunk for chunk in chunks)


def test_faster_whisper_times_words_by_them(published, noise):
    stated = json.loads((published / "ctranslate2/config.json").read_text())["alignment_heads"]
    assert stated == [[0, 1], [1, 0]]  # which CTranslate2 reads where it aligns
    faster = pytest.importorskip("faster_whisper")
    program = faster.WhisperModel(str(published / "ctranslate2"), device="cpu", compute_type="float32")
    segments, _ = program.transcribe(
        noise, language="zh", word_timestamps=True, temperature=0.0, no_speech_threshold=None, max_new_tokens=20
    )
    assert any(segment.words for segment in segments)
