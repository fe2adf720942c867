"""Runs are followed while they train, and sent whole; the run never notices."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import godwit
from godwit import runs, track

EXAMPLES = os.environ.get("GODWIT_EXAMPLES")


def row(kind, env_steps, **more):
    return {"kind": kind, "env_steps": env_steps, "updates": env_steps, "seconds": 1.0, **more}


def write(folder, rows, mode="a"):
    with (folder / "metrics.jsonl").open(mode) as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def run(tmp_path):
    """The folder of a run that is over."""
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "config.toml").write_text(
        'seed = 3\n[learner]\nbackend = "auto"\ngamma = 0.9\nlearning_rate = { from = 0.1, to = 0.0 }\n'
    )
    nested = {"return": 2.0, "td_error": {"q50": 0.5}, "loss": None, "paid": float("nan")}
    write(folder, [row("round", 10, **nested), row("note", 10, text="hello")])
    write(folder, [row("evaluation", 20, **{"return": 3.0})])
    return folder


class Recorded:
    """A tracker that remembers what it is sent."""

    def __init__(self):
        self.calls = []

    def settings(self, values):
        self.calls.append(("settings", values))

    def points(self, points):
        self.calls.append(("points", [(point.env_steps, point.values) for point in points]))

    def artifact(self, path, manifest):
        self.calls.append(("artifact", path.read_bytes()[:2], manifest["scenario_name"]))

    def evaluation(self, evaluation):
        self.calls.append(("evaluation", [record["policy"] for record in evaluation.records]))

    def end(self, failed):
        self.calls.append(("end", failed))


def comparison(folder):
    found = godwit.evaluate(
        "quickstart", {"p": "quickstart"}, baselines=["stay"], episodes=2, progress=False
    )
    path = folder / "comparison.json"
    path.write_text(found.to_json())
    return path


def artifact():
    path = Path(EXAMPLES or "/").parents[1] / "models" / "pretrained" / "quickstart.pt"
    return path if EXAMPLES and path.is_file() else None


def test_a_run_that_is_over_is_sent_in_order(run, tmp_path):
    recorded = Recorded()
    policy = artifact()
    track.send(run, lambda: recorded, artifact=policy, evaluation=comparison(tmp_path))
    settings, points, *policies, evaluation, end = recorded.calls
    assert settings[1] == {
        "seed": 3,
        "learner.backend": "auto",
        "learner.gamma": 0.9,
        "learner.learning_rate.from": 0.1,
        "learner.learning_rate.to": 0.0,
    }
    numbers = {"return": 2.0, "td_error/q50": 0.5, "updates": 10.0, "seconds": 1.0}
    assert points[1] == [
        (10, {f"round/{name}": value for name, value in numbers.items()}),
        (20, {"evaluation/return": 3.0, "evaluation/updates": 20.0, "evaluation/seconds": 1.0}),
    ]
    assert policies == ([("artifact", b"PK", "quickstart")] if policy else [])
    assert evaluation == ("evaluation", ["p", "stay"]) and end == ("end", False)


def test_lines_come_once_whole_and_also_after_a_run_has_gone_on(run):
    log = runs.Log(run)
    assert [line["env_steps"] for line in log.new()] == [10, 10, 20]
    path = run / "metrics.jsonl"
    with path.open("a") as file:
        file.write('{"kind": "round", "env_st')
    assert log.new() == []
    with path.open("a") as file:
        file.write('eps": 30, "updates": 30, "seconds": 2.0}\n')
    assert [line["env_steps"] for line in log.new()] == [30]
    # A kill cut a line short; the run goes on from a checkpoint at 15 in a new file.
    with path.open("a") as file:
        file.write('{"kind": "round", "env_')
    (run / "new").write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    (run / "new").replace(path)
    again = [row("resume", 15), row("evaluation", 20), row("round", 28), row("round", 35)]
    write(run, again)
    assert [(line["kind"], line["env_steps"]) for line in log.new()] == [("resume", 15), ("round", 35)]


def test_a_run_is_followed_from_before_its_start_to_its_end(stand_in, tmp_path):
    run, recorded = tmp_path / "run", Recorded()
    thread = threading.Thread(target=track.send, args=(run, lambda: recorded), kwargs={"wait": True})
    thread.start()
    command = [stand_in, "train", "quickstart", "--out", run, "--set", "pause_s=0.25"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    thread.join(10)
    assert not thread.is_alive()
    points = [call[1] for call in recorded.calls if call[0] == "points"]
    assert recorded.calls[-1] == ("end", False)
    found = [
        (steps, values["evaluation/return"])
        for part in points
        for steps, values in part
        if "evaluation/return" in values
    ]
    assert found == [(200 * part, pytest.approx(part / 5)) for part in range(1, 6)]


def test_what_fails_is_told_and_the_folder_stays_as_it_is(run):
    before = {path: path.read_bytes() for path in run.iterdir()}

    class Broken(Recorded):
        def points(self, points):
            raise ConnectionError("no server")

    broken = Broken()
    with pytest.raises(ConnectionError):
        track.send(run, lambda: broken)
    assert broken.calls[-1] == ("end", True)
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    write(run, [row("error", 30, text="loss is not finite")])
    recorded = Recorded()
    track.send(run, lambda: recorded)
    assert recorded.calls[-1] == ("end", True)


def test_what_is_missing_is_told_in_a_line(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert track.main([str(run), "--to", "wandb"]) == 1
    assert "expected the package wandb, got" in capsys.readouterr().err
    with pytest.raises(godwit.TrainingError, match="expected the folder of a run"):
        track.send(tmp_path / "none", Recorded)
    with pytest.raises(godwit.TrainingError, match="neither a path nor in PATH"):
        track.send(run, Recorded, program="no-such-godwit")


def test_mlflow_keeps_what_it_is_sent(run, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    uri = (tmp_path / "mlruns").as_uri()
    words = [str(run), "--to", "mlflow", "--uri", uri, "--evaluation", str(comparison(tmp_path))]
    policy = artifact()
    assert track.main([*words, *(["--artifact", str(policy)] if policy else [])]) == 0
    client = mlflow.MlflowClient(tracking_uri=uri)
    (experiment,) = client.search_experiments(filter_string="name = 'godwit'")
    (kept,) = client.search_runs([experiment.experiment_id])
    assert (kept.info.run_name, kept.info.status) == ("first", "FINISHED")
    assert kept.data.params["learner.learning_rate.from"] == "0.1"
    (point,) = client.get_metric_history(kept.info.run_id, "evaluation/return")
    assert (point.step, point.value) == (20, 3.0)
    assert kept.data.metrics["comparison/stay"] == 0.0
    files = {file.path for file in client.list_artifacts(kept.info.run_id)}
    assert files == {"comparison.json", "comparison_table.json"} | ({"policy"} if policy else set())


def test_wandb_takes_a_run_without_a_network(run, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    words = [str(run), "--to", "wandb", "--evaluation", str(comparison(tmp_path))]
    policy = artifact()
    assert track.main([*words, *(["--artifact", str(policy)] if policy else [])]) == 0
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
