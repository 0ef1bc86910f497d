"""Damaged downloads: each is named with its file, what was expected and what to do, before anything is computed."""

import dataclasses
import io
import json
import os
import shutil
import struct
import tarfile

import pytest
import safetensors.torch
import torch
from published_models import transformers_model, whisper_model, write_huggingface

from k2d.errors import CheckpointError
from k2d.publish.export import save_ctranslate2
from k2d.text.tokenizer import WhisperTokenizer, train_sentencepiece
from k2d.whisper import checkpoint
from k2d.whisper.formats import inspect_model, open_checkpoint
from k2d.whisper.formats.names import openai_to_hf_name
from k2d.whisper.formats.state import check_numbers_of
from k2d.whisper.formats.stored import shapes
from k2d.whisper.identity import model_identity
from k2d.whisper.model import count_parameters

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 6174000000\n"
PAGE = b"<!DOCTYPE html>\n<html><body>Log in to download</body></html>"
REFUSED = b"Access to model openai/whisper-large-v2 is restricted."


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    """A small Whisper in every published form, by name; each is a folder, but for openai.pt."""
    root = tmp_path_factory.mktemp("forms")
    model = whisper_model()
    write_huggingface(root / "huggingface", model)
    state = transformers_model(model).state_dict()
    for name in ("bin", "sharded", "bin_sharded"):
        shutil.copytree(root / "huggingface", root / name)
        (root / name / "model.safetensors").unlink()
    torch.save(state, root / "bin/pytorch_model.bin")
    names = sorted(state)
    for folder, stem, suffix in (("sharded", "model", "safetensors"), ("bin_sharded", "pytorch_model", "bin")):
        weight_map = {}
        for i in (1, 2):
            shard = f"{stem}-0000{i}-of-00002.{suffix}"
            part = {name: state[name].clone() for name in names[i - 1 :: 2]}
            if suffix == "bin":
                torch.save(part, root / folder / shard)
            else:
                safetensors.torch.save_file(part, root / folder / shard)
            weight_map |= dict.fromkeys(part, shard)
        (root / folder / f"{stem}.{suffix}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    checkpoint.save_openai(root / "openai.pt", model)
    checkpoint.save(root / "k2d", model, WhisperTokenizer(51865))
    save_ctranslate2(root / "ctranslate2", checkpoint.load(root / "k2d"), "float16")
    return root


def copied(forms, name, tmp_path):
    source, to = forms / name, tmp_path / name
    tmp_path.mkdir(exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, to)
    return to


@pytest.mark.parametrize("form", ["huggingface", "bin", "sharded", "bin_sharded", "openai.pt", "k2d", "ctranslate2"])
def test_every_form_is_read_and_inspected(forms, form):
    facts = inspect_model(forms / form)
    assert facts.form == {"openai.pt": "openai", "k2d": "k2d", "ctranslate2": "ctranslate2"}.get(form, "huggingface")
    assert facts.vocabulary == "Whisper's, multilingual, 51865 tokens" and facts.bytes > 1e6
    loaded, want = checkpoint.load(forms / form), whisper_model()
    tolerance = 1e-3 if form == "ctranslate2" else 0.0  # float16
    for name, tensor in want.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], tensor, atol=tolerance, rtol=tolerance)
    assert facts.parameters == count_parameters(loaded.model)
    assert model_identity(forms / form).digest == loaded.hash


@pytest.mark.parametrize("form", ["openai", "bin", "bin_sharded"])
def test_files_of_older_torch_are_read_weights_only(forms, tmp_path, form):
    """Before torch 1.6 they were no zip but a pickle."""
    path = copied(forms, "openai.pt" if form == "openai" else form, tmp_path)
    for file in [path] if path.is_file() else path.glob("*.bin"):
        content = torch.load(file, weights_only=True)
        torch.save(content, file, _use_new_zipfile_serialization=False)
    facts = inspect_model(path)
    assert facts.dims == whisper_model().dims
    for file in [path] if path.is_file() else list(path.glob("*.bin"))[:1]:
        file.write_bytes(file.read_bytes()[:-100_000])
    with pytest.raises(CheckpointError, match=r"cut short, .* bytes are there; download it again") as error:
        inspect_model(path)
    assert "weights_only" not in str(error.value)


def test_the_tensors_of_a_whisper_are_those_of_its_module():
    model = whisper_model()
    assert {name: tuple(t.shape) for name, t in model.state_dict().items()} == dict(shapes(model.dims))


WEIGHTS = {
    "huggingface": "model.safetensors",
    "bin": "pytorch_model.bin",
    "sharded": "model-00002-of-00002.safetensors",
    "bin_sharded": "pytorch_model-00001-of-00002.bin",
    "openai.pt": "",
    "k2d": "model.safetensors",
    "ctranslate2": "model.bin",
}


@pytest.mark.parametrize("form", WEIGHTS)
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "the file is empty; download it again"),
        (lambda data: POINTER, r"Git LFS pointer of a file of 6,174,000,000 bytes; run 'git lfs pull'"),
        (lambda data: PAGE, "a web page in place of the file; download it again"),
        (lambda data: REFUSED, r'text in place of the file \("Access to model .* is restricted'),
        (lambda data: data[: len(data) // 2], r"(cut short|truncated)[\s\S]*(download|copy) it again"),
        (lambda data: data[:-1], r"(cut short|truncated)[\s\S]*(download|copy) it again"),
        (lambda data: data[:9], r"(cut short|truncated|no torch file)[\s\S]*(download|copy) it again"),
        (lambda data: b"\0" * len(data), "zeros in place of the file, .*; download it again"),
    ],
    ids=["empty", "git-lfs", "page", "text", "half", "a byte less", "nine bytes", "zeros"],
)
def test_damaged_weights_are_named(forms, tmp_path, form, damage, said):
    path = copied(forms, form, tmp_path)
    file = path / WEIGHTS[form] if WEIGHTS[form] else path
    file.write_bytes(damage(file.read_bytes()))
    for read in (inspect_model, checkpoint.load, checkpoint.load_tokenizer):
        with pytest.raises(CheckpointError, match=said) as error:
            read(path)
        assert str(file) in str(error.value) and "weights_only" not in str(error.value)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("huggingface", "config.json"),
        ("huggingface", "tokenizer.json"),
        ("huggingface", "preprocessor_config.json"),
        ("huggingface", "tokenizer_config.json"),
        ("sharded", "model.safetensors.index.json"),
        ("bin_sharded", "pytorch_model.bin.index.json"),
        ("k2d", "config.json"),
        ("ctranslate2", "vocabulary.json"),
        ("ctranslate2", "tokenizer.json"),
    ],
)
@pytest.mark.parametrize("kind", ["empty", "cut", "page", "list"])
def test_damaged_json_is_named(forms, tmp_path, form, name, kind):
    path = copied(forms, form, tmp_path)
    file = path / name
    whole = file.read_bytes()
    new = {"empty": b"", "cut": whole[: len(whole) // 2], "page": PAGE, "list": b"[1, 2]"}[kind]
    file.write_bytes(new)
    with pytest.raises(CheckpointError) as error:
        inspect_model(path)
    said = {"empty": "is empty", "cut": "not JSON", "page": "a web page", "list": "expected|is not a token"}[kind]
    assert str(file) in str(error.value)
    assert any(part in str(error.value) for part in said.split("|"))


@pytest.mark.parametrize(("form", "stem"), [("sharded", "model"), ("bin_sharded", "pytorch_model")])
def test_shards(forms, tmp_path, form, stem):
    path = copied(forms, form, tmp_path)
    index = next(path.glob("*.index.json"))
    shards = sorted(path.glob(f"{stem}-*"))
    index.rename(tmp_path / "index")
    assert inspect_model(path).dims == whisper_model().dims, "their names say how many there are"
    shards[1].rename(tmp_path / "shard")
    with pytest.raises(CheckpointError, match=r"-00002-of-00002\..*: missing; expected one of 2 files"):
        inspect_model(path)
    (tmp_path / "index").rename(index)
    with pytest.raises(CheckpointError, match=r"-00002-of-00002\..*: missing; expected the weights that .*index.json"):
        inspect_model(path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "C:\\x", "", "a\0b", 7])
def test_names_in_an_index_stay_in_its_folder(forms, tmp_path, name):
    path = copied(forms, "sharded", tmp_path)
    index = path / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["model.encoder.conv1.weight"] = name
    index.write_text(json.dumps(content))
    for read in (inspect_model, model_identity):
        with pytest.raises(CheckpointError, match=r"names the file .*, which is not in"):
            read(path)


def test_links_are_followed_as_the_cache_of_huggingface_hub_is_made_of_them(forms, tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots/main"
    shutil.copytree(forms / "sharded", blobs)
    snapshot.mkdir(parents=True)
    for file in blobs.iterdir():
        (snapshot / file.name).symlink_to(file)
    assert inspect_model(snapshot).dims == whisper_model().dims


@pytest.mark.parametrize("form", ["huggingface", "bin", "bin_sharded", "k2d", "ctranslate2"])
def test_a_link_without_its_file_is_named(forms, tmp_path, form):
    """A copy of a snapshot of huggingface_hub's cache, without its blobs."""
    path = copied(forms, form, tmp_path)
    file = path / WEIGHTS[form]
    file.unlink()
    file.symlink_to("../blobs/4d7a")
    with pytest.raises(CheckpointError, match=rf"{file}: a link that leads nowhere; expected .*: download the folder"):
        inspect_model(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda dims: None, "found NoneType instead of a Whisper's; expected the dimensions n_audio_ctx, "),
        (lambda dims: [1500], "found list instead of a Whisper's; expected the dimensions n_audio_ctx, "),
        (lambda dims: {"n_mels": 80}, r"found \['n_mels'\] instead of a Whisper's; expected the dimensions n_audio"),
        (lambda dims: dims | {"n_vocab": 0}, "n_vocab is 0; expected a whole number from 1 to 2,147,483,647"),
        (lambda dims: dims | {"n_text_ctx": 10**13}, "n_text_ctx is 1000.*; expected a whole number from 1 to 2,147"),
    ],
)
def test_dimensions_that_no_whisper_has_are_named(forms, tmp_path, change, said):
    file = copied(forms, "k2d", tmp_path) / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"dims": change(config["dims"])}))
    with pytest.raises(CheckpointError, match=f"{file}: {said}"):
        inspect_model(file.parent)


def test_a_header_that_claims_terabytes(forms, tmp_path):
    path = copied(forms, "huggingface", tmp_path) / "model.safetensors"
    whole = path.read_bytes()
    size = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + size])
    for damaged in (
        struct.pack("<Q", 12 << 40) + whole[8:],
        _with_header({**header, "x": {"dtype": "F32", "shape": [3 << 40], "data_offsets": [0, 12 << 40]}}),
        _with_header({**header, "x": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}),
    ):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"model.safetensors: cut short or damaged"):
            inspect_model(path.parent)
    path = copied(forms, "ctranslate2", tmp_path) / "model.bin"
    data = bytearray(path.read_bytes())
    name = b"decoder/embeddings/weight\0"
    at = data.index(name) + len(name)
    struct.pack_into("<II", data, at + 1, 1 << 31, 1 << 31)
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="which do not agree"):
        inspect_model(path.parent)


def _with_header(header: dict) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * 64


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("huggingface", float("nan")),
        ("bin", float("inf")),
        ("openai.pt", float("-inf")),
        ("k2d", float("nan")),
        ("ctranslate2", float("nan")),
    ],
)
def test_weights_that_are_no_numbers_are_found_before_anything_runs(forms, tmp_path, form, value):
    model, path = whisper_model(), copied(forms, form, tmp_path)
    with torch.no_grad():
        model.decoder.blocks[1].mlp[0].weight[3, 5] = value
    theirs = {openai_to_hf_name(name): tensor for name, tensor in model.state_dict().items()}
    if form == "openai.pt":
        checkpoint.save_openai(path, model)
    elif form == "k2d":
        checkpoint.save(path, model, WhisperTokenizer(51865))
    elif form == "ctranslate2":
        save_ctranslate2(path, checkpoint.Checkpoint(model, WhisperTokenizer(51865), "", "", {}), "float16")
    elif form == "bin":
        torch.save(theirs, path / "pytorch_model.bin")
    else:
        safetensors.torch.save_file(theirs, path / "model.safetensors")
    for read in (inspect_model, checkpoint.load):
        with pytest.raises(CheckpointError, match=r"mlp.0.weight holds 1 values of .* NaN or infinite; .*download"):
            read(path)
    assert open_checkpoint(path).stored.form


def test_a_hole_in_a_download_is_found_before_anything_runs(forms, tmp_path):
    path = copied(forms, "huggingface", tmp_path)
    dims = dataclasses.replace(whisper_model().dims, n_text_state=128, n_audio_state=128)
    model = whisper_model(dims)
    with torch.no_grad():
        model.decoder.blocks[1].mlp[0].weight.flatten()[:-100] = 0
    checkpoint.save_openai(path / "model.pt", model)
    for read in (inspect_model, checkpoint.load):
        with pytest.raises(CheckpointError, match=r"of .*mlp.0.weight at least 49,152 are 0 .*; download it again"):
            read(path / "model.pt")
    matrix = torch.ones(300, 200)
    matrix[100:280] = 0
    with pytest.raises(CheckpointError, match=r"of the 60,000 values of fc1\.weight at least 16,384 are 0"):
        check_numbers_of(matrix, "fc1.weight", path)
    check_numbers_of(matrix, "model.decoder.embed_tokens.weight", path)  # tokens that are never used
    check_numbers_of(torch.zeros(500), "fc1.bias", path)
    check_numbers_of(torch.zeros(200, 200), "attn.out.weight", path)  # a layer that begins as the identity
    with pytest.raises(CheckpointError, match="at least 16,384 are 0"):  # Whisper has used every one of its tokens
        check_numbers_of(matrix, "decoder.token_embedding.weight", path)
    matrix[280:] = 0
    check_numbers_of(matrix, "decoder.token_embedding.weight", path)  # but for the last rows, which were added
    with pytest.raises(CheckpointError, match="are 0 in a row"):
        check_numbers_of(torch.zeros(2000, 200), "decoder.token_embedding.weight", path)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda tensor: tensor.to_sparse(), "stored sparse"),
        (lambda tensor: tensor.to("meta"), "stored without its numbers"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "stored as qint8"),
    ],
    ids=["sparse", "meta", "quantised"],
)
def test_tensors_that_are_not_dense_numbers_are_named(forms, tmp_path, change, said):
    path = copied(forms, "openai.pt", tmp_path)
    record = torch.load(path, weights_only=True)
    state = record["model_state_dict"]
    state |= {name: change(tensor) for name, tensor in state.items() if name.endswith("mlp.0.weight")}
    torch.save(record, path)
    for read in (inspect_model, checkpoint.load):
        with pytest.raises(CheckpointError, match=rf"openai\.pt: .*mlp\.0\.weight is {said}.*; expected"):
            read(path)


def test_a_number_of_heads_that_no_whisper_has_is_told(tmp_path):
    dims = dataclasses.replace(whisper_model().dims, n_text_state=64, n_audio_state=64, n_audio_head=1, n_text_head=4)
    checkpoint.save(tmp_path, whisper_model(dims), WhisperTokenizer(dims.n_vocab))
    (found,) = inspect_model(tmp_path).findings
    assert found.startswith("the decoder has 4 attention heads for a width of 64; all published Whispers would have 1")
    assert inspect_model(tmp_path).doubts == ()


def test_weights_quantised_in_another_way_are_named(forms, tmp_path):
    path = copied(forms, "k2d", tmp_path)
    state = safetensors.torch.load_file(path / "model.safetensors")
    state["decoder.ln.weight"] = state["decoder.ln.weight"].to(torch.int8)
    safetensors.torch.save_file(state, path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"decoder.ln.weight is stored as int8; expected float32"):
        inspect_model(path)


def test_a_frozen_source_that_is_itself(tmp_path):
    model, tokenizer = whisper_model(), WhisperTokenizer(51865)
    for name in ("a", "b"):
        checkpoint.save(tmp_path / name, model, tokenizer)

    def freeze(name, frozen):
        file = tmp_path / name / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "frozen": frozen}))

    freeze("a", {"source": str(tmp_path / "a")})
    for read in (inspect_model, model_identity, checkpoint.load):
        with pytest.raises(CheckpointError, match=r"a/config.json: frozen names .*, which leads back to itself"):
            read(tmp_path / "a")
    freeze("a", {"source": str(tmp_path / "b")})
    freeze("b", {"source": str(tmp_path / "x/../a")})
    with pytest.raises(CheckpointError, match=r"which is not there|leads back to itself"):
        inspect_model(tmp_path / "a")
    freeze("b", {"source": str(tmp_path / "gone")})
    with pytest.raises(CheckpointError, match=r"b/config.json: its frozen tensors are .*gone, which is not there"):
        inspect_model(tmp_path / "a")
    freeze("b", "tiny")
    with pytest.raises(CheckpointError, match=r"b/config.json: frozen is 'tiny'; expected"):
        inspect_model(tmp_path / "a")


class Evil:
    def __init__(self, call=exec, argument="raise SystemExit('ran')"):
        self.call = call, (argument,)

    def __reduce__(self):
        return self.call


def test_the_true_reason_of_what_is_not_loaded(forms, tmp_path):
    def said(path) -> str:
        with pytest.raises(CheckpointError) as error:
            inspect_model(path)
        assert "weights_only" not in str(error.value) and str(path) in str(error.value)
        return str(error.value)

    torch.save({"dims": {}, "model_state_dict": Evil()}, tmp_path / "evil.pt")
    assert "objects besides weights (exec), which could run code" in said(tmp_path / "evil.pt")
    torch.save({"dims": {}, "model_state_dict": Evil(os.system, "exit 1")}, tmp_path / "evil.pt")
    assert f"objects besides weights ({os.name}.system), which could run code" in said(tmp_path / "evil.pt")
    torch.save({"model_state_dict": {}}, tmp_path / "other.pt")
    assert "not an OpenAI Whisper checkpoint" in said(tmp_path / "other.pt")
    torch.save([1], tmp_path / "list.pt")
    assert "found list" in said(tmp_path / "list.pt")
    torch.save({"dims": {"n_mels": 80}, "model_state_dict": {}}, tmp_path / "dims.pt")
    assert "expected the dimensions n_audio_ctx" in said(tmp_path / "dims.pt")
    with tarfile.open(tmp_path / "old.pt", "w") as archive:
        for name in ("pickle", "storages", "tensors"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert "a tar of torch before 0.1.10" in said(tmp_path / "old.pt")
    with pytest.warns(match="deprecated"):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "program.pt")
    assert "a TorchScript archive, which is a program" in said(tmp_path / "program.pt")
    (tmp_path / "ggml-base.bin").write_bytes(b"lmgg" + b"\0" * 600)
    assert "whisper.cpp" in said(tmp_path / "ggml-base.bin")
    assert "give its folder" in said(forms / "huggingface/model.safetensors")
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora/adapter_config.json").write_text("{}")
    assert "a LoRA adapter" in said(tmp_path / "lora/")
    (tmp_path / "lora/adapter_model.safetensors").write_bytes(b"")
    assert "a LoRA adapter" in said(tmp_path / "lora/")
    (copied(forms, "huggingface", tmp_path) / "adapter_model.bin").write_bytes(b"")
    assert "merge it into its model" in said(tmp_path / "huggingface"), "its weights lack what was learnt"
    (copied(forms, "sharded", tmp_path / "trainer") / "trainer_state.json").write_text("{}")
    assert f"perhaps you mean {tmp_path / 'trainer/sharded'}" in said(tmp_path / "trainer")
    path = copied(forms, "bin", tmp_path)
    torch.save({"state_dict": {}}, path / "pytorch_model.bin")
    assert "a training program's checkpoint, with the model's tensors under 'state_dict' in it" in said(path)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"encoder_attention_heads": None}))
    assert "config.json: encoder_attention_heads is None; expected a whole number from 1" in said(path)
    (path / "config.json").write_text(json.dumps(config | {"vocab_size": 10**12}))
    assert "config.json: vocab_size is 1000000000000; expected a whole number from 1 to 2,147,483,647" in said(path)
    path = copied(forms, "k2d", tmp_path)
    (path / "tokenizer.model").write_bytes(train_sentencepiece(["今天 words"] * 5, 300).model_proto[:200])
    assert "no sentencepiece model" in said(path)


def test_a_word_in_place_of_yes_or_no(forms, tmp_path):
    shutil.copytree(forms / "k2d", tmp_path / "k2d")
    file = tmp_path / "k2d/config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "trim_padding": "no"}))
    with pytest.raises(CheckpointError, match=r"config.json: trim_padding is 'no'; expected true or false"):
        open_checkpoint(tmp_path / "k2d")


def test_a_published_name_is_not_downloaded_to_be_looked_at(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    facts = inspect_model("large-v2")
    assert (facts.form, facts.dims) == ("download", None) and not list(tmp_path.iterdir())
    (tmp_path / "whisper").mkdir()
    (tmp_path / "whisper/large-v2.pt").write_bytes(POINTER)
    with pytest.raises(CheckpointError):
        inspect_model("large-v2")
