"""From a published folder to the Hub: what goes, through a server that answers as the Hub does; and the gates."""

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
from local_server import LocalServer, QuietHandler

from k2d.errors import DataError
from k2d.publish.gates import Gates, read_gates, verdicts
from k2d.publish.upload import NotUploaded, check_id, described, planned, upload
from k2d.score.monolingual import Retained, retained, single_language
from k2d.tables import write_numbers, write_table


class Hub(LocalServer):
    """What huggingface_hub asks for to make a repository and commit files, small ones inline, large ones as LFS."""

    def __init__(self):
        self.private: dict[str, bool] = {}
        self.stored: dict[str, bytes] = {}  # by sha256
        self.files: dict[str, bytes] = {}
        super().__init__(Answer)


class Answer(QuietHandler):
    def do_GET(self):
        repo = "/".join(self.path.split("/")[3:5])
        if repo not in self.server.private:
            return self.say({"error": "no such repository"}, 404, {"X-Error-Code": "RepoNotFound"})
        return self.say({"id": repo, "sha": "0" * 40, "private": self.server.private[repo], "siblings": []})

    def do_PUT(self):
        body = self.body()
        if self.path.endswith("/settings"):
            repo = "/".join(self.path.split("/")[3:5])
            self.server.private[repo] = _private(json.loads(body))
            return self.say({})
        self.server.stored[hashlib.sha256(body).hexdigest()] = body
        return self.say({})

    def do_POST(self):
        if self.headers.get("Authorization") != "Bearer hf_may_write":
            return self.say({"error": "Invalid token"}, 401)
        body, words = self.body(), self.path.partition("?")[0]
        if words == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}"
            status = 409 if repo in self.server.private else 200
            self.server.private.setdefault(repo, _private(asked))
            return self.say({"url": f"{self.server.address}/{repo}"}, status)
        if words == "/api/validate-yaml":
            return self.say({"errors": [], "warnings": []})
        if "/preupload/" in words:
            modes = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith((".safetensors", ".bin")) else "regular",
                 "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]  # fmt: skip
            return self.say({"files": modes})
        if words.endswith("/info/lfs/objects/batch"):
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.server.address}/lfs/{each['oid']}", "header": {}}}}
                for each in json.loads(body)["objects"]
            ]
            return self.say({"transfer": "basic", "objects": objects})
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.server.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.server.files[value["path"]] = self.server.stored[value["oid"]]
        return self.say({"commitUrl": f"{self.server.address}/me/student/commit/1", "commitOid": "1"})

    def body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def say(self, answer: dict, status: int = 200, head: dict[str, str] | None = None) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        for key, value in {**(head or {}), "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)


def _private(asked: dict) -> bool:
    return asked.get("private", asked.get("visibility") == "private")


@pytest.fixture
def server(monkeypatch):
    server = Hub()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", "hf_may_write")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def published(tmp_path) -> Path:
    contents = {
        "huggingface/README.md": "model OWNER/NAME\n", "huggingface/config.json": "{}",
        "huggingface/model.safetensors": "weights", "ctranslate2/model.bin": "more weights", "openai.pt": "pickled",
        "ggml-model.bin": "ggml", "k2d/model.safetensors": "own", "private/labels.tsv": "secret", "step.json": "{}",
        "parity.json": "[]", "gates.json": "[]", "ctranslate2/.half.tmp": "half",
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


GOES = ["README.md", "config.json", "model.safetensors", "ctranslate2/model.bin", "openai.pt", "ggml-model.bin"]


def test_what_goes_is_shown_and_arrives(published, server):
    plan = planned(published)
    assert sorted(each.path for each in plan) == sorted(GOES)
    shown = described(plan, "me/student", public=False)
    assert "12 B  ctranslate2/model.bin" in shown and "in 6 files to me/student, private" in shown
    assert f"card says me/student where {published}/huggingface/README.md says OWNER/NAME" in shown
    assert server.private == {}, "looking sends nothing"
    assert upload(plan, "me/student", public=False).endswith("/commit/1")
    assert sorted(server.files) == sorted(GOES) and server.private == {"me/student": True}
    assert server.files["README.md"] == b"model me/student\n" and server.files["model.safetensors"] == b"weights"
    upload(plan, "me/student", public=True)
    assert server.private == {"me/student": False}
    with pytest.raises(NotUploaded, match="is public already; give --release"):
        upload(plan, "me/student", public=False)


def test_a_student_with_its_own_vocabulary_takes_no_file_that_nothing_reads(published):
    (published / "ggml-model.bin").unlink()
    assert "openai.pt" not in {each.path for each in planned(published)}


def test_what_hinders_an_upload_says_what_to_do(published, server, monkeypatch):
    plan = planned(published)
    with pytest.raises(NotUploaded, match="no id of the Hub; expected OWNER/NAME"):
        check_id("student")
    monkeypatch.setenv("HF_TOKEN", "hf_may_only_read")
    with pytest.raises(NotUploaded, match=r"refused the token .*may write to me"):
        upload(plan, "me/student", public=False)
    server.shutdown()
    server.server_close()
    with pytest.raises(NotUploaded, match=r"cannot be reached .*HTTPS_PROXY"):
        upload(plan, "me/student", public=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(NotUploaded, match=r"no token for .*hf auth login"):
        upload(plan, "me/student", public=False)


RESULT = {"repetitions": {"windows": 1, "of_windows": 1000}}
LICENCES = {"model": "mit", "teacher": "MIT", "recordings": "CC BY 4.0"}


def rise(language, low, high, test_set="test", units=1000):
    """Of a student from an interval in points, its teacher at 10 %."""
    return Retained(test_set, language, 50, units, 0.10 + (low + high) / 200, 0.10, low, high)


KEPT = [rise("zh", -0.2, 1.0), rise("en", -3.0, -1.0)]


def judged(kept=KEPT, student=RESULT, findings=0, reviewed_by=None, licences=LICENCES, gates=None) -> dict:
    """Gates that are not passed: False where one fails, None where it cannot be told."""
    found = verdicts(gates or Gates(), kept, {"test": (student, RESULT)}, findings, reviewed_by, licences)
    return {each.gate: each.passed for each in found if not each.passed}


def loops(windows, of_windows=1000):
    return {"repetitions": {"windows": windows, "of_windows": of_windows}}


def test_each_gate_fails_for_what_it_is_about_and_for_nothing_else():
    assert judged() == {}
    assert judged([*KEPT, rise("zh", 1.1, 5.0, "other")]) == {"monolingual zh": False}
    assert judged(student=loops(20)) == {"loops": False}
    assert judged(findings=3) == judged(findings=None) == {"privacy": False}
    assert judged(findings=3, reviewed_by="Ann") == {}
    assert judged(licences=LICENCES | {"recordings": None}) == {"licences": False}
    assert judged([], gates=Gates(None, None, loop_rise=None, privacy=False, licences=False)) == {}


def test_a_gate_in_the_noise_is_neither_passed_nor_failed_and_says_what_would_tell():
    assert judged(KEPT[:1]) == {"monolingual en": None}, "what was not measured is not passed"
    assert judged([KEPT[0], replace(KEPT[1], low=None, high=None)]) == {"monolingual en": None}, "one recording"
    noisy = rise("zh", -1.0, 2.0)
    assert judged([noisy, KEPT[1]]) == {"monolingual zh": None}
    said = next(str(v) for v in verdicts(Gates(), [noisy], {}, 0, None, LICENCES))
    assert "cannot tell: 10.50 % on test, the teacher 10.00 %: +0.50 points [-1.00, +2.00], allowed +1.00" in said
    assert "about 9,000 characters in utterances of Mandarin alone would tell, of the 1,000" in said
    # As wide as three times what it is away: nine times as much is needed.
    assert judged([noisy, *KEPT]) == {}, "another set tells"
    assert judged(student=loops(1, 100)) == {"loops": None}
    assert judged(student=loops(0, 0)) == {"loops": None}


def test_without_a_test_set_the_gates_say_how_to_get_one():
    found = [str(each) for each in verdicts(Gates(), [], {}, 0, None, LICENCES)]
    assert [said.partition(":")[0] for said in found if "k2d audit" in said and "test set" in said] == [
        "gate monolingual zh", "gate monolingual en", "gate loops",
    ]  # fmt: skip


def test_a_recipe_changes_single_gates(tmp_path):
    own = tmp_path / "gates.yaml"
    own.write_text("zh_rise: 2\nen_rise: null\n")
    assert read_gates(own) == Gates(zh_rise=2, en_rise=None)
    own.write_text("zh_raise: 2\n")
    with pytest.raises(DataError, match="no gate 'zh_raise'; there are zh_rise"):
        read_gates(own)
    own.write_text("privacy: 3\n")
    with pytest.raises(DataError, match="privacy: 3; expected true, false"):
        read_gates(own)


def test_retention_is_measured_on_utterances_of_one_language(tmp_path):
    spoken = {"今天 3 點": "zh", "the 3 of us": "en", "今天 good": None, "2024": None}
    assert {text: single_language(text) for text in spoken} == spoken
    write_table(tmp_path / "text", {"a": "今天", "b": "今天 good", "c": "very good", "d": "明天"})
    files = []
    for name, wrong in (("student", [1, 0, 1, 2]), ("teacher", [0, 0, 1, 2])):
        write_numbers(tmp_path / name / "utt2errors", dict(zip("abcd", wrong, strict=True)))
        write_numbers(tmp_path / name / "utt2units", {"a": 2, "b": 3, "c": 2, "d": 2})
        write_table(tmp_path / name / "utt2recording", {"a": "one", "b": "one", "c": "two", "d": "two"})
        (tmp_path / name / "step.json").write_text(json.dumps({"inputs": {"ref": {"path": str(tmp_path / "text")}}}))
        files.append(tmp_path / name / "result.json")
    zh, en = retained({"test": tuple(files)})
    assert (zh.language, zh.units, zh.student, zh.teacher, zh.rise) == ("zh", 4, 0.75, 0.5, 25.0)
    assert zh.low < 25 < zh.high and (en.low, en.high) == (None, None), "of two recordings, and of one"
    assert (en.language, en.utterances, en.rise) == ("en", 1, 0.0)
