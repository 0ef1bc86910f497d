"""Which revision of the code a result came from."""

import os
import subprocess

from k2d.work import provenance


def test_revision_is_dirty_for_changed_code_and_not_for_new_results(tmp_path, monkeypatch):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for name in ("k2d/datadir.py", "egs/a/k2d1/RESULTS.md"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("before\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "k2d/datadir.py"))
    clean = provenance.code_revision()
    assert len(clean) == 40
    (tmp_path / "egs/a/k2d1/RESULTS.md").write_text("after\n")
    assert provenance.code_revision() == clean
    (tmp_path / "k2d/datadir.py").write_text("after\n")
    assert provenance.code_revision() == f"{clean}-dirty"


def test_code_that_is_in_no_repository_has_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "none"))
    assert provenance.code_revision() == "unknown"
    monkeypatch.setenv("PATH", os.devnull)
    assert provenance.code_revision() == "unknown"
