"""mini_cs through Slurm: stages 1 to 7 run there, and 1 to 4 give what a local run gives, accidents or not.

Stage 8 is one command, which is submitted as those of stage 7 are. That a training which stops and goes on ends as one
that does not is in test_slurm_training.py.
"""

import re

from k2d.corpus.trial import read_trial


def test_stage_one_gives_the_same_bytes(recipes):
    run = recipes.data_slurm.result()
    assert re.search(r"^# host .*, Slurm job \d+ on n\d$", run.log("data/log/prepare.log"), re.MULTILINE)
    assert re.search(r"ok +data/test_in_long +\d+ recording", run.log("output"))
    made = run.data()
    assert made == recipes.data.result().data()
    for name in ("data/test_in_long/wav.scp", "data/dev/text"):
        assert name in made
    assert sum(name.endswith(".flac") for name in made) > 6


def test_the_planner_measures_a_run(recipes):
    assert recipes.lost.result()
    rates = read_trial(recipes.lossy.recipe)
    assert set(rates) == {"teacher", "validator", "distance", "training"}
    assert all(rate.value > 0 for rate in rates.values())
    assert rates["teacher"].source.endswith("data/test_in_long_teacher/speed.json")


def test_a_lost_node_and_a_preempted_training_cost_only_what_was_lost(recipes):
    lost, run, local = recipes.lost.result(), recipes.lossy, recipes.local.result()
    assert run.log("output").count("2 jobs submitted as") == 2, "of stages 2 and 3"
    assert re.search(r"^# host .*, Slurm job \d+_2 on n\d$", run.log("data/test_in_long_teacher/log/label.2.log"), re.M)
    assert run.labels() == local.labels()
    assert lost
    again = [job for job in "12" if run.log(f"data/test_in_long_teacher/log/label.{job}.log").count("# start") == 2]
    assert again == lost, "only what was lost ran again"
    trained = run.log("exp/student_segment/train/log/train.log")
    assert trained.count("# start") == 2
    assert re.search(r"stopped after batch \d of 6", trained) and re.search(r"goes on after batch \d of 6", trained)


def test_the_last_stages_run_there_too(recipes):
    assert recipes.lost.result()
    run = recipes.lossy
    decoded = [f"exp/{model}/decode_dev/log/decode.log" for model in ("teacher", "validator", "student_segment")]
    for log in (*decoded, "exp/speed/log/speed.log", "exp/teacher/decode_dev/score/log/score.log"):
        assert re.search(r"^# host .*, Slurm job \S+ on n\d$", run.log(log), re.MULTILINE), log
    assert "| student_segment |" in run.log("RESULTS.md")
