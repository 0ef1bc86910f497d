"""Options of shell scripts, the environment of recipes, what the installer says when it cannot install."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SCRIPT = """#!/usr/bin/env bash
# Says its options.
# Second line.
set -euo pipefail

# What to label
nj=4         # Jobs at a time.
train_set="two words" # recordings # to label, so many that a line does not hold them

# How
resume=false
fixed=(a b)
readonly constant=1
source "{root}/utils/parse_options.sh"
printf '%s|' "$nj" "$train_set" "$resume" "${{fixed[0]}}" "$constant" "$@"
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.sh"
    path.write_text(SCRIPT.format(root=ROOT))

    def call(*arguments, **environment):
        return subprocess.run(
            ["bash", path, *arguments], capture_output=True, text=True, env={**os.environ, **environment}
        )

    return call


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ([], "4|two words|false|a|1|"),
        (["--nj", "8"], "8|two words|false|a|1|"),
        (["--nj=8", "--train-set=x"], "8|x|false|a|1|"),
        (["--nj", "8", "--nj", "9", "--resume", "true"], "9|two words|true|a|1|"),
        (["--train_set", "two 'q' \"q\" $HOME 中文"], "4|two 'q' \"q\" $HOME 中文|false|a|1|"),
        (["--train_set", ""], "4||false|a|1|"),
        (["--resume"], "4|two words|true|a|1|"),
        (["--resume", "--nj", "9"], "9|two words|true|a|1|"),
        (["--train_set=a=b"], "4|a=b|false|a|1|"),
        (["--train_set=--nj"], "4|--nj|false|a|1|"),
        (["--train_set", "--colour"], "4|--colour|false|a|1|"),
        (["--nj", "8", "rest", "--nj", "9"], "8|two words|false|a|1|rest|--nj|9|"),
        (["--nj", "8", "--", "--nj", "9"], "8|two words|false|a|1|--nj|9|"),
    ],
)
def test_options_become_variables(script, arguments, output):
    result = script(*arguments)
    assert (result.returncode, result.stdout, result.stderr) == (0, output, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nk", "8"], "unknown option --nk"),
        (["--nj"], "--nj needs a value"),
        (["--train_set", "--nj", "8"], "--train_set needs a value, and --nj follows it"),
        (["--train_set", "--nj=8"], "--train_set needs a value, and --nj follows it"),
        (["--train_set", "--", "rest"], "--train_set needs a value, and -- follows it"),
        (["--resume", "yes"], "--resume is true or false, not 'yes'"),
        (["--PATH", "x"], "unknown option --PATH"),
        (["--fixed", "x"], "unknown option --fixed"),
        (["--constant", "x"], "unknown option --constant"),
        (["--a[$(touch$IFS'x')]", "x"], "unknown option"),
    ],
)
def test_what_is_no_option_is_an_error(script, arguments, message):
    result = script(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_the_value_of_an_option_that_is_passed_on_may_be_an_option(tmp_path):
    script = tmp_path / "script.sh"
    script.write_text(f"nj=4\nmore_opts=\nsource '{ROOT}/utils/parse_options.sh'\necho $nj $more_opts\n")
    result = subprocess.run(["bash", script, "--more_opts", "--nj=8"], capture_output=True, text=True)
    assert result.stdout == "4 --nj=8\n", result.stderr


def test_options_that_a_recipe_reads_itself_say_that_they_lack_a_value():
    tried = 0
    for run_sh in ROOT.glob("egs/*/k2d1/run.sh"):
        own = re.findall(r"^(?:own_options|places=\()([\w ]+)", run_sh.read_text(), re.MULTILINE)
        for option in (f"--{name}" for name in " ".join(own).split()):
            for words in ([option], [option, "--dry_run"]):
                result = subprocess.run([run_sh, *words], capture_output=True, text=True)
                assert (result.returncode, result.stderr) == (2, f"run.sh: option {option} needs a value\n"), run_sh
            tried += 1
    assert tried > 12


@pytest.mark.parametrize("words", [["--lecture_hours", "5", "--stop="], ["--lecture-hours=5", "--stop", ""]])
def test_options_that_a_recipe_reads_itself_are_taken_out_of_the_others(tmp_path, words):
    script = tmp_path / "run.sh"
    script.write_text(
        f"set -euo pipefail\nsource '{ROOT}/utils/own_options.sh'\nlecture_hours=2 stop=patience other=1\n"
        'own_options lecture_hours stop -- "$@"\nprintf "%s;" "$lecture_hours" "$stop" "$other" "${options[@]}"\n'
    )
    said = subprocess.run(["bash", script, "--other", "3", *words, "--x", "two words"], capture_output=True, text=True)
    assert said.stdout == "5;;1;--other;3;--x;two words;", said.stderr


def test_what_is_switched_on_among_the_other_options(tmp_path):
    script = tmp_path / "run.sh"
    script.write_text(
        f"source '{ROOT}/utils/own_options.sh'\nown_options stop -- \"$@\"\n"
        "for name in help dry_run; do ! is_on $name || echo $name; done\n"
    )

    def on(words: str) -> list[str]:
        return subprocess.run(["bash", script, *words.split()], capture_output=True, text=True).stdout.split()

    assert all(on(words) == ["help"] for words in ("-h", "--seed 1-2 --help"))
    assert all(on(words) == ["dry_run"] for words in ("--dry_run", "--dry-run true --seed 1", "--dry-run=true"))
    assert not any(map(on, ("", "--dry_run false", "--dry-run=false", "--seed dry_run", "--stop=--help")))


def test_every_recipe_has_help():
    for program in (*ROOT.glob("egs/*/k2d1/run.sh"), *ROOT.glob("egs/*/k2d1/k2d.sh")):
        result = subprocess.run([program, "--help"], capture_output=True, text=True, cwd="/")
        assert (result.returncode, result.stderr) == (0, "") and "--train_set" in result.stdout, program
    elsewhere = subprocess.run([program, "--train_set", "lectures"], capture_output=True, text=True, cwd="/")
    assert elsewhere.returncode and "no cmd.sh in /: change to the recipe's folder, cd /" in elsewhere.stderr


def test_a_stage_says_how_long_it_took_as_a_person_writes_it():
    steps = (ROOT / "utils/steps.sh").read_text().partition("lasted() {")[2].partition("\n}\n")[0]
    script = f'lasted() {{{steps}\n}}\nfor each in 7 60 3599 9000; do lasted $each; echo; done'
    said = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["7 s", "1 min 0 s", "59 min 59 s", "2 h 30 min"]


@pytest.mark.parametrize("recipe", sorted(ROOT.glob("egs/*/*/run.sh")), ids=lambda path: path.parts[-3])
@pytest.mark.parametrize("symlinks", [True, False])
def test_a_recipe_outside_a_checkout_says_where_it_belongs(tmp_path, recipe, symlinks):
    """Links of the copy lead nowhere, and it has no utils/."""
    leave_out = shutil.ignore_patterns("data", "exp", ".k2d")
    folder = Path(shutil.copytree(recipe.parent, tmp_path / "a/b/mine", symlinks=symlinks, ignore=leave_out))
    programs = ["run.sh"] if symlinks or not (folder / "k2d.sh").exists() else ["run.sh", "k2d.sh"]
    for program in programs:
        result = subprocess.run([folder / program], cwd=folder, capture_output=True, text=True)
        assert result.returncode and "copy this folder there" in result.stderr and result.stderr.count("\n") == 1
        assert "install.sh" not in result.stderr


def test_help_prints_the_comment_and_the_options_in_their_groups(script):
    result = script("--help", COLUMNS="60")
    assert result.returncode == 0
    assert result.stdout.startswith("Says its options. Second line.\n\nOptions with")
    assert result.stdout.partition("underscores.\n")[2] == (
        """
What to label
  --nj 4                      Jobs at a time.
  --train_set "two words"     recordings # to label, so many
                              that a line does not hold them

How
  --resume false
"""
    )


def test_help_shows_what_a_recipe_has_set(script):
    assert "--nj 8 " in script("--nj", "8", "--help").stdout


def test_a_misspelt_option_is_told_its_neighbour(script):
    said = "unknown option --train_sett (did you mean --train_set?); --help lists all"
    assert said in script("--train-sett", "x").stderr
    assert "did you mean" not in script("--colour", "x").stderr


def test_every_option_of_the_pipeline_has_a_group_and_a_sentence():
    shown = subprocess.run(
        ["bash", "./k2d.sh", "--help"], cwd=ROOT / "egs/TEMPLATE/k2d1", capture_output=True, text=True,
        env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    # But for the table of stages.
    assert max(len(line) for line in shown.stdout.splitlines() if not line[2:3].isdigit()) <= 100
    lines = shown.stdout.partition("underscores.\n")[2].splitlines()
    assert sum(bool(line) and not line.startswith(" ") for line in lines) >= 7
    for line, following in zip(lines, [*lines[1:], ""]):
        if line.startswith("  --"):
            sentence = line[30:] if line[28:30].strip() == "" and len(line) > 30 else following.strip()
            assert sentence[:1].isupper(), line


def test_an_exported_namesake_does_not_hide_an_option(script):
    assert script("--nj", "8", nj="3").stdout.startswith("8|")


@pytest.mark.parametrize(("visible", "device"), [("", "cpu"), ("0,1", "cuda")])
def test_auto_is_all_gpus_that_the_environment_leaves(tmp_path, visible, device):
    (tmp_path / "a.wav").write_bytes(b"not empty")
    words = ["--recordings", tmp_path, "--train_hours", "1", "--stop_stage", "2", "--dry_run"]
    shown = subprocess.run(
        [ROOT / "egs/TEMPLATE/k2d1/run.sh", *words], capture_output=True, text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": visible},
    )  # fmt: skip
    assert f"--device {device}" in shown.stdout, shown.stderr
    assert ("--num_jobs 2" in shown.stdout) == (device == "cuda")
    assert ("no GPU here: models run on the CPU\n" in shown.stderr) == (device == "cpu")


def test_path_sh_exports_the_environment_of_a_recipe():
    probe = 'set -euo pipefail; cd "$0/egs/mini_cs/k2d1"; . ./path.sh; env'
    result = subprocess.run(["bash", "-c", probe, ROOT], capture_output=True, text=True)
    if not (ROOT / "tools/venv/bin/python").exists():
        assert "run" in result.stderr and "tools/install.sh" in result.stderr
        return
    values = dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)
    assert values["K2D_ROOT"] == str(ROOT)
    assert values["PYTHONPATH"].split(":")[0] == str(ROOT)
    assert values["PATH"].startswith(f"{ROOT}/tools/venv/bin:")
    assert values["LC_ALL"] == "C"
    assert int(values["OMP_NUM_THREADS"]) >= 1


# --------------------------------------------------------------------------------------------- installer

BARE = "bash cat sha256sum cut awk date dirname rm tee grep env du uname sed".split()


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def disk(free_kb):
    """What df prints: the tests are no affair of this machine's disk."""
    return f"echo Filesystem Blocks Used Available\necho disk 99000000 9000000 {free_kb}"


@pytest.fixture
def bare_clone(tmp_path):
    """The installer in a folder of its own and a path without Python; returns a function that runs it."""
    clone, path = tmp_path / "clone", tmp_path / "path"
    (clone / "tools").mkdir(parents=True)
    path.mkdir()
    for name in ("install.sh", "constraints.txt", "check_install.py"):
        shutil.copy(ROOT / "tools" / name, clone / "tools")
    shutil.copy(ROOT / "setup.py", clone)
    for name in BARE:
        (path / name).symlink_to(shutil.which(name))
    program(path / "df", disk(free_kb=90_000_000))

    def call(*arguments, **environment):
        environment = {"PATH": str(path), "HOME": str(tmp_path), **environment}
        command = [path / "bash", clone / "tools/install.sh", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)

    call.clone, call.path = clone, path
    return call


def last_sentence(result):
    assert result.returncode == 1
    lines = result.stderr.strip().splitlines()
    assert lines[-1].startswith("install: ")
    return lines[-1]


def test_installer_without_python_says_how_to_get_one(bare_clone):
    assert "no Python 3.12 or 3.13 found" in last_sentence(bare_clone())
    assert "uv python install 3.12" in last_sentence(bare_clone())


def test_installer_takes_no_python_that_is_too_old_or_does_not_run(bare_clone):
    program(bare_clone.path / "python3.12", "echo 'pyenv: version not installed' >&2\nexit 127")
    assert "no Python 3.12 or 3.13 found" in last_sentence(bare_clone())


def test_installer_on_a_small_disk_says_how_much_is_needed(bare_clone):
    program(bare_clone.path / "df", disk(free_kb=1_000_000))
    assert "1 GB are free" in last_sentence(bare_clone())
    assert "3 GB are needed" in last_sentence(bare_clone()) and "--cpu" not in last_sentence(bare_clone())
    program(bare_clone.path / "df", disk(free_kb=5_000_000))
    assert "no Python" in last_sentence(bare_clone()), "enough for torch without CUDA"
    assert "8 GB are needed" in last_sentence(bare_clone("--gpu"))
    program(bare_clone.path / "nvidia-smi", "echo GPU 0: NVIDIA")
    assert "8 GB are needed" in last_sentence(bare_clone()) and "try --cpu" in last_sentence(bare_clone())
    assert "no Python" in last_sentence(bare_clone("--cpu"))


def test_installer_measures_the_processor_again(bare_clone):
    assert "run tools/install.sh first" in last_sentence(bare_clone("--measure"))
    python = bare_clone.clone / "tools/venv/bin/python"
    python.parent.mkdir(parents=True)
    program(python, 'echo "$@"')
    assert bare_clone("--measure").stdout == "-m k2d.whisper.processor\n"


def test_installer_without_network_says_so(bare_clone):
    """No uv on the path either, so it is uv that cannot be fetched."""
    result = bare_clone(
        K2D_PYTHON=sys.executable,
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_CONFIG_FILE=os.devnull,
        PIP_RETRIES="0",
    )
    assert "no network: the package index cannot be reached" in last_sentence(result)


def test_installer_does_nothing_when_up_to_date(bare_clone):
    python = bare_clone.clone / "tools/venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    inputs = [bare_clone.clone / name for name in ("tools/constraints.txt", "setup.py", "tools/install.sh")]
    hashed = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    (bare_clone.clone / "tools/.stamp").write_text(f"{hashed}\n")
    result = bare_clone()
    assert (result.returncode, "up to date" in result.stdout) == (0, True)
    (bare_clone.clone / "setup.py").write_text("# changed\n")
    assert "no Python" in last_sentence(bare_clone())


def test_installer_has_help(bare_clone):
    shown = bare_clone("--help")
    assert shown.returncode == 0 and "\n  tools/install.sh --check " in shown.stdout and "#" not in shown.stdout
    assert not shown.stderr


def test_installer_names_an_unknown_argument(bare_clone):
    assert "unknown argument '--chek'" in last_sentence(bare_clone("--chek"))
    assert "run tools/install.sh first" in last_sentence(bare_clone("--check"))


def wheel(folder, name, version):
    """A package of nothing, as an index would have it."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def cpu_torch(uv, build, **environment) -> subprocess.CompletedProcess:
    """What tools/install.sh tells uv to take torch for CPUs."""
    functions = (ROOT / "tools/install.sh").read_text().partition("wants_cuda() {")[2].partition("check_disk() {")[0]
    script = f"""
    log() {{ echo "$*"; }}
    wants_cuda() {{{functions}
    tools="{ROOT}/tools"; build=$1; cpu_torch "{uv}" "{sys.executable}"
    """
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script, "install", build], capture_output=True, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_the_installer_takes_torch_for_cpus_from_pytorch_where_the_index_does_not_have_it(tmp_path):
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\ncase "$*" in *"--torch-backend cpu torch==2."*) ;; *) exit 1 ;; esac\n')
    uv.chmod(0o755)
    done = cpu_torch(uv, "cpu")
    words = done.stdout.split()
    assert (done.returncode, words[0], done.stderr) == (0, "--torch-backend=cpu", "")
    assert [word.partition("==")[0] for word in words[1:]] == ["torch", "torchaudio"]
    assert all(word.endswith("+cpu") for word in words[1:]), "also in the place of the usual one"


@pytest.mark.parametrize("packages", [["torch", "torchaudio"], ["torch"]])
def test_the_installer_takes_torch_for_cpus_where_the_index_has_it(tmp_path, packages):
    pins = dict(line.split("==") for line in (ROOT / "tools/constraints.txt").read_text().splitlines() if "==" in line)
    for name in packages:
        wheel(tmp_path, name, f"{pins[name]}+cpu")
    uv = shutil.which("uv") or (ROOT / "tools/venv").resolve().parent / "venv-bootstrap/bin/uv"
    for build in ("cpu", "cuda"):
        done = cpu_torch(uv, build, UV_FIND_LINKS=str(tmp_path), UV_NO_INDEX="1")
        if build == "cuda":
            assert (done.returncode, done.stdout) == (0, "")
        elif len(packages) == 2:
            assert done.stdout.split() == [f"{name}=={pins[name]}+cpu" for name in packages], done.stderr
        else:
            assert (done.returncode, done.stdout) == (0, ""), "it goes on with the usual one"
            assert "no torch for CPUs alone" in done.stderr and "UV_INDEX" in done.stderr


def test_places_are_those_of_where_run_sh_was_typed(tmp_path):
    recipe, there = tmp_path / "egs/mine/k2d1", tmp_path / "我的 place"
    for folder in (recipe, tmp_path / "utils", there / "models/big", tmp_path / "disk/models/real", there / "subs"):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "egs/TEMPLATE/k2d1/run.sh", recipe)
    shutil.copy(ROOT / "utils/own_options.sh", tmp_path / "utils")
    (recipe / "k2d.sh").write_text("#!/bin/bash\nprintf '%s\\n' \"$@\"\n")
    (recipe / "k2d.sh").chmod(0o755)
    (there / "far").symlink_to(tmp_path / "disk/models")
    (there / "models/named").symlink_to("big")
    for path in (there / "base", tmp_path / "disk/here"):
        path.mkdir()

    def given(name, value, typed_in=there):
        typed = [recipe / "run.sh", f"--{name}", value]
        shown = subprocess.run(typed, cwd=typed_in, capture_output=True, text=True, check=True)
        return shown.stdout.split(f"\n--\n--{name}\n")[1].removesuffix("\n")

    assert given("teacher", "models/named/") == f"{there}/models/named", "a link gives its name"
    assert given("teacher", "far/../here") == f"{tmp_path}/disk/here", "as the system goes, not as it is written"
    assert given("labels", "text:subs") == f"text:{there}/subs"
    assert given("validator", "far/real base") == f"{there}/far/real base", "neither link nor name is changed"
    assert given("recordings", ".") == str(there) and given("teacher", "models/..") == str(there)
    assert given("validator", "base") == "base" and given("teacher", "models/none") == "models/none"
    assert given("validator", "") == "" and given("recordings", "subs") == f"{there}/subs"
    disk = tmp_path / "disk"
    assert given("revise", "base ./here\nmodels/real", disk) == f"base {disk}/here {disk}/models/real"
