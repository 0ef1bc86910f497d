"""Models by their ids, from a server that answers as the Hugging Face Hub does, and from the cache without one."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from local_server import LocalServer, QuietHandler

from k2d.bin import parse, transcribe
from k2d.errors import CheckpointError
from k2d.publish.huggingface import save_huggingface
from k2d.text.tokenizer import WhisperTokenizer
from k2d.transcribers import open_transcriber
from k2d.whisper import checkpoint, hub
from k2d.whisper.identity import model_identity, resolve
from k2d.whisper.model import ModelDimensions, Whisper

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEXT = "f" * 40
OTHERS = ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "README.md", "trainer_state.json")


class Hub(LocalServer):
    """The part of the Hub's API that huggingface_hub asks for: a repository's files, and each of them."""

    def __init__(self):
        self.folders: dict[str, Path] = {}
        self.commits = {"main": COMMIT, COMMIT: COMMIT}
        self.gated, self.asked = set(), []
        super().__init__(Answer)


class Answer(QuietHandler):
    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        words = self.path.partition("?")[0].strip("/").split("/")
        self.server.asked.append(self.path)
        listing = words[:2] == ["api", "models"]
        owner, name, *rest = words[2:] if listing else words
        repo, revision = f"{owner}/{name}", rest[1] if len(rest) > 1 else "main"
        if repo not in self.server.folders:
            return self.refuse(401, "RepoNotFound")
        if revision not in self.server.commits:
            return self.refuse(404, "RevisionNotFound")
        if repo in self.server.gated and not listing:
            return self.refuse(403, "GatedRepo")
        folder, commit = self.server.folders[repo], self.server.commits[revision]
        if listing:
            files = [{"rfilename": path.relative_to(folder).as_posix()} for path in sorted(folder.rglob("*.*"))]
            return self.send(json.dumps({"id": repo, "sha": commit, "siblings": files}).encode(), {}, body)
        path = folder.joinpath(*rest[2:])
        if not path.is_file():
            return self.refuse(404, "EntryNotFound")
        content = path.read_bytes()
        head = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        return self.send(content, head, body)

    def refuse(self, status: int, code: str) -> None:
        self.send(b"{}", {"X-Error-Code": code}, True, status)

    def send(self, content: bytes, head: dict[str, str], body: bool, status: int = 200) -> None:
        self.send_response(status)
        for key, value in {**head, "Content-Length": str(len(content)), "Content-Type": "application/json"}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A tiny Whisper in the form of openai/whisper-…, beside other forms of its weights that nobody needs."""
    tokenizer = WhisperTokenizer(51865)
    torch.manual_seed(0)
    model = Whisper(ModelDimensions(80, 1500, 8, 1, 1, tokenizer.vocab_size, 448, 8, 1, 1))
    folder = tmp_path_factory.mktemp("published")
    save_huggingface(folder, model, tokenizer)
    for other in OTHERS:
        (folder / other).write_bytes(b"not to be fetched")
    return folder


@pytest.fixture
def server(published, tmp_path, monkeypatch):
    """A Hub with openai/whisper-test, and an empty cache."""
    server = Hub()
    server.folders["openai/whisper-test"] = published
    settings = huggingface_hub.constants
    monkeypatch.setattr(settings, "ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(settings, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


def test_a_model_is_fetched_once_and_only_what_is_read(server, published, monkeypatch):
    loaded = checkpoint.load("openai/whisper-test")
    assert loaded.dims.n_vocab == 51865 and loaded.tokenizer.multilingual
    folder = resolve("openai/whisper-test")
    fetched = {path.name for path in folder.iterdir()}
    assert fetched == {path.name for path in published.iterdir()} - set(OTHERS)
    assert checkpoint.load(published).model.state_dict().keys() == loaded.model.state_dict().keys()
    asked = len(server.asked)
    identity = model_identity("openai/whisper-test")
    server.shutdown()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert checkpoint.load("openai/whisper-test").hash == loaded.hash == identity.digest
    assert len(server.asked) == asked, "the cache is not asked about again"


def test_a_revision_is_another_model(server):
    server.commits |= {"v2": NEXT, NEXT: NEXT}
    first, second = (model_identity(f"openai/whisper-test{at}").digest for at in ("", "@v2"))
    assert first != second == model_identity(f"openai/whisper-test@{NEXT}").digest


def test_shards_of_a_large_model(server, published, tmp_path):
    import safetensors.torch

    folder = tmp_path / "sharded"
    shutil.copytree(published, folder)
    state = safetensors.torch.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(state)
    where = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        safetensors.torch.save_file({name: state[name] for name in part}, folder / file, {"format": "pt"})
        where |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    server.folders["MediaTek-Research/Breeze-test"] = folder
    loaded = checkpoint.load("MediaTek-Research/Breeze-test").model.state_dict()
    whole = checkpoint.load(published).model.state_dict()
    assert all((loaded[name] == whole[name]).all() for name in whole)
    shard = hub.folder_of("MediaTek-Research/Breeze-test") / "model-00002-of-00002.safetensors"
    shard.unlink()
    checkpoint.load("MediaTek-Research/Breeze-test")  # what the cache lacks is fetched again
    assert shard.is_file()


def test_what_goes_wrong_says_what_to_do(server, published, tmp_path, monkeypatch):
    def said(name: str) -> str:
        with pytest.raises(CheckpointError) as raised:
            model_identity(name)
        with pytest.raises(CheckpointError):
            resolve(name)
        return str(raised.value)

    assert "openai/whisper-tset: no such folder here, and http://127.0.0.1" in said("openai/whisper-tset")
    assert "no revision 'v9'; correct what follows the @" in said("openai/whisper-test@v9")
    server.folders["meta/gated"] = published
    server.gated.add("meta/gated")
    assert "accept its terms at http://127.0.0.1" in said("meta/gated") and "HF_TOKEN" in said("meta/gated")
    bare = tmp_path / "pickled"
    bare.mkdir()
    (bare / "config.json").write_text("{}")
    (bare / "pytorch_model.bin").write_bytes(b"")
    server.folders["some/pickled"] = bare
    assert "pytorch_model.bin) are pickled and could run code" in said("some/pickled")
    (bare / "config.json").unlink()
    assert "holds no config.json; expected config.json with model.safetensors" in said("some/pickled")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids to fetch it" in said("openai/whisper-test")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    server.shutdown()
    server.server_close()
    assert "cannot be reached" in said("openai/whisper-test") and "HF_ENDPOINT" in said("openai/whisper-test")


def test_a_folder_here_is_no_id(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("exp").mkdir()
    with pytest.raises(CheckpointError, match="exp/studnet: no such file or folder"):
        resolve("exp/studnet")
    assert server.asked == []
    assert hub.parts_of("exp/student_comp@0.2/average") is None, "a student that is yet to be made"
    assert hub.parts_of("owner/name@refs/pr/3") == ("owner/name", "refs/pr/3")
    assert hub.parts_of("exp/student/average") is None and hub.parts_of("../mine/model") is None


def test_a_misspelt_id_is_found_before_the_first_stage(server):
    words = ["decode", "--data", "d", "--output_dir", "o", "--model"]
    assert parse.problem([*words, "openai/whisper-test"]) is None
    assert "has no such model" in parse.problem([*words, "openai/whisper-tset"])
    assert "has no such model" in parse.problem([*words, "transformers:openai/whisper-tset"])
    assert not any(asked.endswith("model.safetensors") for asked in server.asked), "nothing large is fetched for it"


def test_transformers_models_come_with_their_processor(server):
    hub.folder_of("openai/whisper-test")
    (hub.folder_of("openai/whisper-test") / "preprocessor_config.json").unlink()
    transcriber = open_transcriber("transformers:openai/whisper-test")
    names = {path.name for path in transcriber.folder.iterdir()}
    assert {"preprocessor_config.json", "tokenizer.json", "model.safetensors"} <= names and not names & set(OTHERS)
    assert transcriber.identity.path == "openai/whisper-test"


def test_from_the_command_line(server, noise_recordings, tmp_path, monkeypatch):
    """The variables that people set, in a process of its own; then from what that left in the cache."""
    environment = {**os.environ, "HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "home")}
    words = [
        str(noise_recordings["b"]), "--model", "openai/whisper-test", "--language", "zh", "--max-new-tokens", "4",
        "--temperatures", "0", "--output-format", "json", "--output-dir", str(tmp_path / "out"),
    ]  # fmt: skip
    command = [sys.executable, "-m", "k2d.bin.main", "transcribe", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/b.json").read_text())["language"] == "zh"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "home/hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert transcribe.main(words) == 0
