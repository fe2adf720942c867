"""A search starts runs, follows their validation and ends them early."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

import godwit
from godwit import runs, tune

GODWIT = os.environ.get("GODWIT") or shutil.which("godwit")


def test_a_run_gives_its_validations_and_its_best(stand_in, tmp_path):
    out = tmp_path / "run"
    with tune.Training("quickstart", {"top": 2.0}, out=out, env_steps=500, program=stand_in) as run:
        found = list(run)
    assert found == [(100 * part, pytest.approx(0.4 * part)) for part in range(1, 6)]
    assert run.best_return == 2.0 and run.folder == out


def test_a_run_that_is_left_early_ends_like_one_that_is_interrupted(stand_in, tmp_path):
    settings = {"pause_s": 30.0}
    with tune.Training("quickstart", settings, out=tmp_path / "run", program=stand_in) as run:
        first = next(iter(run))
        assert runs.is_training(run.folder)
    assert first.value == run.best_return == pytest.approx(0.2)
    assert not runs.is_training(run.folder)
    made = [line["env_steps"] for line in runs.Log(run.folder).new()]
    assert made == [200, 200], "it went on"


def test_errors_are_the_programs_own(stand_in, tmp_path):
    with pytest.raises(godwit.TrainingError, match="^--set tpo: unknown setting; nearest: top$"):
        with tune.Training("quickstart", {"tpo": 1}, out=tmp_path / "a", program=stand_in) as run:
            list(run)
    settings = {"diverges": True}
    with pytest.raises(godwit.TrainingDiverged, match="expected a finite number, got NaN"):
        with tune.Training("quickstart", settings, out=tmp_path / "b", program=stand_in) as run:
            list(run)
    assert run.best_return == pytest.approx(0.4)
    # Nothing is taken from a run that was there before.
    with pytest.raises(godwit.TrainingError, match="expected a new or empty directory") as refused:
        with tune.Training("quickstart", out=tmp_path / "b", program=stand_in) as run:
            list(run)
    assert refused.type is godwit.TrainingError and run.best_return is None
    with pytest.raises(godwit.TrainingError, match="expected one that can be run"):
        tune.Training("quickstart", out=tmp_path / "c", program="no-such-godwit")


def test_ctrl_c_ends_the_run(stand_in, tmp_path):
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from godwit import tune\n"
        "settings = {'pause_s': 30.0}\n"
        "with tune.Training('quickstart', settings, out=sys.argv[1], program=sys.argv[2]) as run:\n"
        "    for validation in run:\n"
        "        print(validation, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run"), stand_in]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as search:
        search.stdout.readline()
        search.send_signal(signal.SIGINT)
        _, errors = search.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    assert not runs.is_training(tmp_path / "run")


SPACE = {
    "top": {"min": 1, "max": 100, "integer": True},
    "gamma": {"min": 1e-4, "max": 1e-2, "log": True},
    "kind": {"values": ["a", "b"]},
}


def test_draws_depend_on_seed_and_number_and_keep_to_the_space():
    studies = [tune.Study(SPACE, seed=seed) for seed in (1, 1, 2)]
    drawn = [[study.ask().settings for _ in range(200)] for study in studies]
    assert drawn[0] == drawn[1] != drawn[2]
    tops, gammas, kinds = ([settings[key] for settings in drawn[0]] for key in SPACE)
    assert all(isinstance(top, int) and 1 <= top <= 100 for top in tops)
    assert set(kinds) == {"a", "b"} and all(1e-4 <= gamma <= 1e-2 for gamma in gammas)
    # Half of the logarithms lie below the middle one.
    assert 70 < sum(gamma < 1e-3 for gamma in gammas) < 130
    for domain in ({"min": 1}, {"min": 2, "max": 1}, {"min": 0, "max": 1, "log": True}, {"values": []}):
        with pytest.raises(ValueError, match="x: expected"):
            tune.Study({"x": domain})


def test_the_median_rule_prunes_what_is_behind_half_of_the_trials():
    study = tune.Study({}, unpruned=3)
    for curve in ([1.0, 5.0], [2.0, 1.0], [3.0]):
        trial = study.ask()
        assert not trial.should_prune()
        for at, value in enumerate(curve):
            trial.report(10 * (at + 1), value)
            assert not trial.should_prune(), "fewer than three trials to compare with"
        study.tell(trial, max(curve))
    # Medians of the best by then: 2 at 10 steps; at 20 only two trials are left (5 and 2).
    behind, level = study.ask(), study.ask()
    behind.report(10, 1.9)
    assert behind.should_prune()
    study.tell(behind, None)
    level.report(10, 2.0)
    assert not level.should_prune()
    study.tell(level, 2.0)
    assert study.best.value == 5.0


def test_a_search_finds_the_better_settings_and_prunes(stand_in, tmp_path):
    study, pruned = tune.Study({"top": SPACE["top"]}, seed=0, unpruned=2), 0
    for _ in range(6):
        trial = study.ask()
        out = tmp_path / str(trial.number)
        with tune.Training("quickstart", trial.settings, out=out, program=stand_in) as run:
            for env_steps, value in run:
                trial.report(env_steps, value)
                if trial.should_prune():
                    pruned += 1
                    break
        study.tell(trial, run.best_return)
    assert study.best.value == study.best.settings["top"]
    assert study.best.value == max(trial.settings["top"] for trial in study.trials)
    assert pruned > 0


needs_godwit = pytest.mark.skipif(not GODWIT, reason="no godwit in GODWIT or PATH")


@needs_godwit
def test_the_trainer_is_followed_ended_and_exported(tmp_path):
    settings = {
        "evaluate_every": 1000,
        "evaluate_episodes": 4,
        "warm_up_steps": 200,
        "learner": {"learning_rate": 1e-3},
    }
    scenario = godwit.Scenario("founding-3x3").replace(name="mine")
    out = tmp_path / "run"
    with tune.Training(
        scenario, settings, out=out, env_steps=1_000_000, threads=1, program=GODWIT
    ) as run:
        found = [validation for validation, _ in zip(run, range(2), strict=False)]
        assert runs.is_training(out)
    assert [validation.env_steps for validation in found] == [1024, 2048]
    assert run.best_return >= max(validation.value for validation in found)
    assert runs.settings(out)["learner.learning_rate.from"] == 1e-3
    policy = godwit.Policy.load(run.export(tmp_path / "policy.pt"))
    assert policy.scenario == "mine"


@needs_godwit
def test_the_trainer_refuses_settings_in_its_own_words(tmp_path):
    for settings, message in [
        ({"learner.gama": 0.9}, "gama"),
        ({"learner.gamma": 2.0}, "expected .* got 2"),
    ]:
        with pytest.raises(godwit.TrainingError, match=message):
            with tune.Training("quickstart", settings, out=tmp_path / "run", program=GODWIT) as run:
                list(run)
