"""Which token a row of the embedding is: told by the files beside the weights, and refused where they do not fit."""

import dataclasses
import json
import shutil

import pytest
import safetensors.torch
import torch
from published_models import DIMS, transformers_model, transformers_tokenizer, whisper_model, write_huggingface

from k2d.errors import CheckpointError
from k2d.publish.huggingface import save_huggingface
from k2d.text.tokenizer import Layout, WhisperTokenizer
from k2d.whisper import checkpoint
from k2d.whisper.ctranslate2_conversion import convert
from k2d.whisper.formats import inspect_model
from k2d.whisper.identity import TINY_EN

WORDS, CONTROL = ["哋", "K2D"], ["<|speaker|>"]
TEXT = " I use K2D 佢哋 today"


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory):
    """(folder, transformers' model, its tokenizer) of a Whisper with added words, language and control token, whose
    embedding is padded to a multiple of 64.
    """
    folder = tmp_path_factory.mktemp("fine_tuned")
    tokenizer = transformers_tokenizer(folder)
    tokenizer.add_tokens(WORDS)
    tokenizer.add_tokens(["<|nan|>"])
    tokenizer.add_special_tokens({"additional_special_tokens": CONTROL})
    tokenizer.save_pretrained(folder)
    model = transformers_model(whisper_model())
    torch.manual_seed(1)
    model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=64, mean_resizing=False)
    model.save_pretrained(folder)
    return folder, model.eval(), tokenizer


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write_huggingface(tmp_path_factory.mktemp("plain") / "model")


@pytest.fixture
def copy(plain, tmp_path):
    shutil.copytree(plain, tmp_path / "model")
    return tmp_path / "model"


def edit(file, change):
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def test_a_fine_tuned_model_with_added_tokens_means_what_it_does_in_transformers(fine_tuned):
    folder, theirs, tokenizer = fine_tuned
    loaded = checkpoint.load(folder)
    ours = loaded.tokenizer
    assert (ours.layout.words, ours.control, ours.languages[-1]) == (tuple(WORDS), tuple(CONTROL), "nan")
    assert [ours.tokens()[i] for i in ours.encode(TEXT)] == tokenizer.convert_ids_to_tokens(
        tokenizer.encode(TEXT, add_special_tokens=False)
    )
    assert ours.decode(ours.encode(TEXT)) == TEXT
    # Row by row: whatever token comes next, it has the same logit.
    place = {token: i for i, token in enumerate(ours.tokens())}
    prompt = ["<|startoftranscript|>", "<|nan|>", "<|transcribe|>", "<|0.00|>", "哋", "Ġyou", "<|speaker|>", "<|1.00|>"]
    mel = torch.randn(1, 80, 3000)
    with torch.inference_mode():
        got = loaded.model(mel, torch.tensor([[place[token] for token in prompt]]))
        want = theirs(
            input_features=mel, decoder_input_ids=torch.tensor([tokenizer.convert_tokens_to_ids(prompt)])
        ).logits
    named = [(number, place[token]) for token, number in tokenizer.get_vocab().items()]
    assert len(named) == ours.vocab_size == loaded.dims.n_vocab
    theirs_at, ours_at = map(list, zip(*named, strict=True))
    torch.testing.assert_close(got[..., ours_at], want[..., theirs_at], atol=1e-4, rtol=0)
    facts = inspect_model(folder)
    assert facts.vocabulary == "Whisper's with added tokens, multilingual, 51869 tokens"
    assert facts.findings == (
        "3 added tokens: 哋 K2D <|speaker|>", "left out: 35 rows of the embedding without a token"
    )  # fmt: skip


@pytest.mark.parametrize("form", ["k2d", "frozen", "huggingface", "ctranslate2"])
def test_added_tokens_survive_every_form_that_we_write(fine_tuned, tmp_path, form):
    loaded = checkpoint.load(fine_tuned[0])
    if form in ("k2d", "frozen"):
        config = {"frozen": {"source": str(fine_tuned[0])}} if form == "frozen" else None
        checkpoint.save(tmp_path, loaded.model, loaded.tokenizer, config)
    elif form == "huggingface":
        save_huggingface(tmp_path, loaded.model, loaded.tokenizer)
    else:
        convert(loaded.model, loaded.tokenizer, "float32", tmp_path)
    again = checkpoint.load(tmp_path)
    assert again.tokenizer.layout == loaded.tokenizer.layout
    embedding = "decoder.token_embedding.weight"
    torch.testing.assert_close(again.model.state_dict()[embedding], loaded.model.state_dict()[embedding])


def test_ctranslate2s_own_conversion_of_a_fine_tuned_model_is_read(fine_tuned, tmp_path):
    from ctranslate2.converters import TransformersConverter

    folder, _, _ = fine_tuned
    TransformersConverter(str(folder)).convert(str(tmp_path / "ct2"), quantization="float32")
    ours, theirs = checkpoint.load(folder), checkpoint.load(tmp_path / "ct2")
    assert theirs.tokenizer.layout == ours.tokenizer.layout
    torch.testing.assert_close(
        theirs.model.decoder.token_embedding.weight, ours.model.decoder.token_embedding.weight
    )


def test_any_file_that_names_the_tokens_is_enough(tmp_path):
    model = whisper_model(dataclasses.replace(DIMS, n_vocab=51866))  # with 80 mel bands, as no published one has
    save_huggingface(tmp_path, model, WhisperTokenizer(51866))
    for unneeded in ((), ("generation_config.json", "tokenizer_config.json"), ("vocab.json", "added_tokens.json")):
        for name in unneeded:
            (tmp_path / name).rename(tmp_path / f"{name}.away")
        assert checkpoint.load_tokenizer(tmp_path).layout == Layout.published(51866)
    for name in ("vocab.json", "added_tokens.json"):
        (tmp_path / f"{name}.away").rename(tmp_path / name)
    (tmp_path / "tokenizer.json").unlink()
    assert checkpoint.load_tokenizer(tmp_path).layout == Layout.published(51866)


def test_older_files_leave_the_timestamps_out(copy):
    def cut(content):
        content["added_tokens"] = [t for t in content["added_tokens"] if t["id"] < 50364]
        next(t for t in content["added_tokens"] if t["content"] == "<|nospeech|>")["content"] = "<|nocaptions|>"

    for name in ("vocab.json", "added_tokens.json", "tokenizer_config.json"):
        (copy / name).unlink(missing_ok=True)
    edit(copy / "tokenizer.json", cut)
    assert checkpoint.load_tokenizer(copy).layout == Layout.published(51865)


def test_the_published_packages_vocabulary_is_read():
    facts = inspect_model(TINY_EN)
    assert (facts.form, facts.vocabulary) == ("ctranslate2", "Whisper's, English only, 51864 tokens")
    assert facts.findings == () and facts.languages == () and facts.bytes > 70e6


@pytest.mark.parametrize(
    ("mels", "tokens", "said"),
    [
        (80, 51866, "the published models of 51866 tokens take 128 mel bands, this one 80: tokens were added"),
        (128, 51865, "the published models of 51865 tokens take 80 mel bands, this one 128"),
        (80, 51867, "has 51867 rows, and no file beside it says which tokens they are"),
    ],
)
def test_a_file_with_one_token_too_many_is_refused(tmp_path, mels, tokens, said):
    checkpoint.save_openai(tmp_path / "m.pt", whisper_model(dataclasses.replace(DIMS, n_mels=mels, n_vocab=tokens)))
    with pytest.raises(CheckpointError, match=said):
        checkpoint.load(tmp_path / "m.pt")


def test_an_english_file_with_one_token_more_is_known_by_languages_it_has_not_learnt(tmp_path):
    english = checkpoint.load(TINY_EN).model.decoder.token_embedding.weight
    model = whisper_model()
    with torch.no_grad():
        model.decoder.token_embedding.weight[:-1] = english[:, : DIMS.n_text_state]
    checkpoint.save_openai(tmp_path / "m.pt", model)
    with pytest.raises(CheckpointError, match=r"languages are all alike.* a token was added.* put the tokenizer.json"):
        checkpoint.load(tmp_path / "m.pt")


def test_a_published_size_without_files_is_taken_on_trust_and_said(tmp_path):
    checkpoint.save_openai(tmp_path / "m.pt", whisper_model())
    assert inspect_model(tmp_path / "m.pt").findings == (
        "no file beside it names its tokens: its vocabulary is taken from their number",
    )


def test_a_row_whose_token_no_file_names_is_told(plain, tmp_path, caplog):
    """Padding makes the number of rows a multiple of 8; a row more is a token that was added."""
    shutil.copytree(plain, tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    state = safetensors.torch.load_file(weights)
    for name in (name for name in state if "embed_tokens" in name or "proj_out" in name):
        state[name] = torch.cat([state[name], state[name][:1]])
    safetensors.torch.save_file(state, weights, metadata={"format": "pt"})
    edit(tmp_path / "model" / "config.json", lambda config: config.update(vocab_size=51866))
    ((found, todo),) = inspect_model(tmp_path / "model").doubts
    assert found.startswith("left out: 1 row of the embedding without a token, and 51866 in all are no padding")
    checkpoint.load(tmp_path / "model")
    assert f"{tmp_path}/model: {found}; {todo}" in caplog.text


def one_more(content):
    content["added_tokens"].append({"id": 51865, "content": "extra", "special": False})


def renamed(content):
    next(t for t in content["added_tokens"] if t["id"] == 51000)["content"] = "<|31.00|>"


def another_word(content):
    vocabulary = content["model"]["vocab"]
    vocabulary["neuesWort"] = vocabulary.pop("Ġthe")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("tokenizer.json", one_more, r"51866 tokens, up to 'extra' \(51865\), and the embedding 51865 rows"),
        ("tokenizer.json", renamed, r"is '.*', in .* it is '.*'; the files are of two models|has no <\|"),
        ("tokenizer.json", another_word, r"none of Whisper's: token 262 is 'neuesWort'|of two models"),
        ("tokenizer.json", lambda c: c.update(model={"type": "Unigram", "vocab": []}), "of type Unigram; expected"),
        ("tokenizer.json", lambda c: c.update(added_tokens={"a": 1}), "expected a list of tokens, found a dict"),
        ("generation_config.json", lambda c: c.update(no_timestamps_token_id=50364), "is 50364 there and 50363 in"),
        ("generation_config.json", lambda c: c.update(lang_to_id={"<|zh|>": 50261}), "is 50261 there and 50260 in"),
        ("generation_config.json", lambda c: c.update(lang_to_id=["<|zh|>"]), "lang_to_id is a list; expected tokens"),
        ("generation_config.json", lambda c: c.update(task_to_id="transcribe"), "task_to_id is a str; expected tokens"),
        ("preprocessor_config.json", lambda c: c.update(feature_size=128), "is 128, and the weights take 80 mel bands"),
        ("preprocessor_config.json", lambda c: c.update(sampling_rate=8000), "is 8000; Whisper's is 16000, and"),
        ("preprocessor_config.json", lambda c: c.update(hop_length=320), "hop_length is 320; Whisper's is 160"),
        ("config.json", lambda c: c.update(num_mel_bins=128), r"conv1.weight \(16, 80, 3\) instead of \(16, 128, 3\)"),
        ("config.json", lambda c: c.update(vocab_size=51866), r"\(51865, 16\) instead of \(51866, 16\)"),
        ("config.json", lambda c: c.update(decoder_attention_heads=3), "3 attention heads do not divide the text"),
        ("config.json", lambda c: c.update(encoder_layers=9), "9 encoder layers there, 1 in the weights"),
        ("config.json", lambda c: c.update(decoder_layers=0), "decoder_layers is 0; expected a whole number"),
        ("config.json", lambda c: c.update(d_model="16"), "is '16'; expected a whole number"),
        ("config.json", lambda c: c.update(activation_function="relu"), "activation_function is 'relu'"),
        ("config.json", lambda c: c.pop("d_model"), "not a Whisper configuration: d_model is missing"),
    ],
)
def test_what_does_not_fit_is_refused_with_file_and_remedy(copy, name, change, said):
    edit(copy / name, change)
    with pytest.raises(CheckpointError, match=said) as error:
        inspect_model(copy)
    assert str(copy) in str(error.value)


def test_the_vocabulary_of_ctranslate2_has_to_fit(tmp_path):
    model, tokenizer = whisper_model(), WhisperTokenizer(51865)
    convert(model, tokenizer, "int8", tmp_path)
    tokens = json.loads((tmp_path / "vocabulary.json").read_text())
    (tmp_path / "vocabulary.json").write_text(json.dumps([*tokens, "extra"]))
    with pytest.raises(CheckpointError, match=r"51866 tokens, up to 'extra' \(51865\), and the embedding 51865 rows"):
        checkpoint.load(tmp_path)
    (tmp_path / "vocabulary.json").write_text(json.dumps(tokens[:400]))
    with pytest.raises(CheckpointError, match=r"the vocabulary of vocabulary.json has no <\|endoftext\|>"):
        checkpoint.load(tmp_path)
    (tmp_path / "vocabulary.json").unlink()
    (tmp_path / "vocabulary.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    assert checkpoint.load_tokenizer(tmp_path).layout == tokenizer.layout
