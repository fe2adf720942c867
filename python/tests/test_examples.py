"""The examples run, in a short form; those that need other packages only where these are."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import godwit

GODWIT = os.environ.get("GODWIT") or shutil.which("godwit")
FOLDER = os.environ.get("GODWIT_EXAMPLES")
pytestmark = pytest.mark.skipif(not FOLDER, reason="GODWIT_EXAMPLES names no folder")


def run(folder, name, *arguments):
    command = [sys.executable, str(Path(FOLDER) / name), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_heuristic_of_ones_own_stands_in_the_table(tmp_path):
    out = run(tmp_path, "own_heuristic.py", 3)
    assert "careful" in out and "the trained policy is ahead of careful by" in out


def test_an_artifact_an_observation_and_a_decision(tmp_path):
    out = run(tmp_path, "decide.py")
    assert "a -> c" in out


def test_curves_are_drawn_from_the_log_of_a_run(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "scenario.toml").write_text(godwit.Scenario("quickstart").to_toml())
    rows = [
        {"kind": kind, "env_steps": steps, "return": steps / 100}
        for steps in (100, 200)
        for kind in ("round", "evaluation")
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "wrote" in run(tmp_path, "curves.py", tmp_path, tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_deep_q_learning_in_one_file_learns_something(tmp_path):
    pytest.importorskip("torch")
    out = run(tmp_path, "dqn.py", "--scenario", "founding-3x3", "--steps", 1600)
    assert "dqn.py" in out


def test_maskable_ppo_plays(tmp_path):
    pytest.importorskip("sb3_contrib")
    out = run(tmp_path, "maskable_ppo.py", "--steps", 1024, "--episodes", 5)
    assert "MaskablePPO" in out


@pytest.mark.skipif(not GODWIT, reason="no godwit in GODWIT or PATH")
def test_optuna_searches_settings(tmp_path):
    pytest.importorskip("optuna")
    words = ["founding-3x3", "--trials", 2, "--env-steps", 3000, "--program", GODWIT]
    out = run(tmp_path, "optuna_search.py", *words)
    assert json.loads(out.splitlines()[-1])["gamma"] >= 0.9
