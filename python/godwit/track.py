"""Sends a run of ``godwit train`` to an experiment tracker: ``python -m godwit.track --help``.

It is a process of its own that only reads the run's folder. If the tracker fails, the run goes on.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from godwit import runs
from godwit.decisions import Policy
from godwit.errors import GodwitError
from godwit.evaluation import Evaluation

__all__ = ["Mlflow", "Point", "Tracker", "Wandb", "send"]

#: Kinds of lines with curves; others are notes for people.
CURVES = ("round", "evaluation")


class Tracker(Protocol):
    """Where a run is sent to."""

    def settings(self, values: dict[str, Any]) -> None:
        """The run's settings by their dotted keys."""

    def points(self, points: list[Point]) -> None:
        """Points of curves, in order."""

    def artifact(self, path: Path, manifest: dict[str, Any]) -> None:
        """The trained policy."""

    def evaluation(self, evaluation: Evaluation) -> None:
        """A comparison with other policies."""

    def end(self, failed: bool) -> None:
        """The last call."""


class Point:
    """What a line of ``metrics.jsonl`` says: numbers by their names in TensorBoard."""

    def __init__(self, line: dict[str, Any]) -> None:
        self.env_steps: int = line["env_steps"]
        self.seconds: float = line["seconds"]
        told = {key: value for key, value in line.items() if key not in ("kind", "env_steps")}
        self.values = dict(_numbers(told, line["kind"]))


def _numbers(tables: dict[str, Any], path: str) -> Iterator[tuple[str, float]]:
    for key, value in runs.dotted(tables):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and math.isfinite(value):
            yield f"{path}/{key.replace('.', '/')}", float(value)


class Mlflow:
    """A run in MLflow."""

    def __init__(self, uri: str | None, project: str, name: str) -> None:
        import mlflow
        from mlflow.entities import Metric, Param

        self._metric, self._param = Metric, Param
        self._client = mlflow.MlflowClient(tracking_uri=uri)
        experiment = self._client.get_experiment_by_name(project)
        number = experiment.experiment_id if experiment else self._client.create_experiment(project)
        begun = self._client.create_run(number, run_name=name).info
        self._run, self._begun_ms = begun.run_id, begun.start_time
        self.where = f"run {self._run} of experiment {project}"

    def settings(self, values: dict[str, Any]) -> None:
        params = [self._param(key, _text(value)) for key, value in values.items()]
        for some in _parts(params, 100):
            self._client.log_batch(self._run, params=some)

    def points(self, points: list[Point]) -> None:
        # Curves over time show the run's own time, also of a run that ended long ago.
        metrics = [
            self._metric(
                name, value, self._begun_ms + int(1000 * point.seconds), point.env_steps
            )
            for point in points
            for name, value in point.values.items()
        ]
        for some in _parts(metrics, 1000):
            self._client.log_batch(self._run, metrics=some)

    def artifact(self, path: Path, manifest: dict[str, Any]) -> None:
        self._client.log_artifact(self._run, str(path), "policy")
        self._client.log_dict(self._run, manifest, "policy/manifest.json")

    def evaluation(self, evaluation: Evaluation) -> None:
        self._client.log_text(self._run, evaluation.to_json(), "comparison.json")
        columns, rows = _table(evaluation)
        self._client.log_dict(self._run, {"columns": columns, "data": rows}, "comparison_table.json")
        for name, value in _returns(evaluation):
            self._client.log_metric(self._run, name, value)

    def end(self, failed: bool) -> None:
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")


class Wandb:
    """A run in Weights & Biases."""

    def __init__(self, project: str, name: str) -> None:
        import wandb

        self._wandb = wandb
        self._run = wandb.init(project=project, name=name, settings=wandb.Settings(silent=True))
        # Its own steps only count calls.
        self._run.define_metric("env_steps")
        self._run.define_metric("*", step_metric="env_steps")
        self.where = f"run {self._run.id} of project {project}"

    def settings(self, values: dict[str, Any]) -> None:
        self._run.config.update(values)

    def points(self, points: list[Point]) -> None:
        for point in points:
            self._run.log({"env_steps": point.env_steps, **point.values})

    def artifact(self, path: Path, manifest: dict[str, Any]) -> None:
        name = re.sub(r"[^\w.-]", "_", f"policy-{manifest['scenario_name']}")
        artifact = self._wandb.Artifact(name, type="model", metadata=manifest)
        artifact.add_file(str(path))
        self._run.log_artifact(artifact)

    def evaluation(self, evaluation: Evaluation) -> None:
        columns, rows = _table(evaluation)
        self._run.log({"comparison": self._wandb.Table(columns=columns, data=rows)})
        self._run.summary.update(dict(_returns(evaluation)))

    def end(self, failed: bool) -> None:
        self._run.finish(exit_code=1 if failed else 0)


def send(
    run: runs.RunFolder,
    begin: Callable[[], Tracker],
    *,
    wait: bool = False,
    artifact: str | os.PathLike[str] | None = None,
    program: str | None = None,
    evaluation: str | os.PathLike[str] | None = None,
) -> None:
    """Sends a run to a tracker, and follows it until it is over. Ctrl-C ends that early.

    :param begin: makes the tracker; it is called once there is something to send.
    :param wait: whether to wait for a run that has not begun.
    :param artifact: an artifact of its policy, which is read when the run is over.
    :param program: where no artifact is given: the ``godwit`` that writes one then.
    :param evaluation: what ``godwit evaluate --json`` printed, read when the run is over.
    """
    new_lines = runs.follow(run, wait=wait)
    first = next(new_lines)
    tracker, failed = begin(), True
    try:
        tracker.settings(runs.settings(run))
        for lines in itertools.chain([first], new_lines):
            tracker.points([Point(line) for line in lines if line["kind"] in CURVES])
            diverged = lines[-1]["kind"] == "error"
        _send_results(run, tracker, artifact, program, evaluation)
        failed = diverged
    finally:
        tracker.end(failed)


def _send_results(
    run: runs.RunFolder,
    tracker: Tracker,
    artifact: str | os.PathLike[str] | None,
    program: str | None,
    evaluation: str | os.PathLike[str] | None,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if artifact is None and program is not None:
            artifact = runs.export(run, Path(folder) / "policy.pt", program=program)
        if artifact is not None:
            tracker.artifact(Path(artifact), Policy.load(artifact).manifest)
    if evaluation is not None:
        tracker.evaluation(Evaluation(Path(evaluation).read_text(encoding="utf-8"), ""))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _parts(items: list[Any], most: int) -> Iterable[list[Any]]:
    return (items[at : at + most] for at in range(0, len(items), most))


def _table(evaluation: Evaluation) -> tuple[list[Any], list[list[Any]]]:
    records = evaluation.records
    columns = [name for name in records[0] if name != "parameters"]
    return columns, [[row[name] for name in columns] for row in records]


def _returns(evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    for row in evaluation.records:
        # Trackers refuse some characters in names.
        yield f"comparison/{re.sub(r'[^-_./ 0-9A-Za-z]', '_', row['policy'])}", row["return"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m godwit.track",
        description="Send a run of `godwit train` to an experiment tracker: its settings, its curves "
        "over env steps while it trains, and at the end its policy and a comparison. It only reads the "
        "run's folder: if the tracker fails, the run goes on.",
        epilog="examples:\n"
        "  python -m godwit.track checkpoints/first --to mlflow --uri sqlite:///mlflow.db\n"
        "  python -m godwit.track checkpoints/first --to wandb --wait --export\n"
        "  WANDB_MODE=offline python -m godwit.track checkpoints/first --to wandb\n"
        "  godwit evaluate quickstart --policy checkpoints/first --json > comparison.json\n"
        "  python -m godwit.track checkpoints/first --to mlflow --artifact policy.pt "
        "--evaluation comparison.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="folder of the run; it may be running or over")
    parser.add_argument("--to", required=True, choices=("mlflow", "wandb"), help="the tracker")
    parser.add_argument("--wait", action="store_true", help="wait for a run that has not begun")
    parser.add_argument(
        "--project",
        default="godwit",
        help="experiment of MLflow, or project of Weights & Biases [default: godwit]",
    )
    parser.add_argument("--name", help="name of the run there [default: that of its folder]")
    parser.add_argument(
        "--uri",
        help="where MLflow keeps runs, such as sqlite:///mlflow.db or the address of a server "
        "[default: what MLFLOW_TRACKING_URI says]",
    )
    policy = parser.add_mutually_exclusive_group()
    policy.add_argument(
        "--artifact", metavar="FILE", help="artifact of its policy, read when the run is over"
    )
    policy.add_argument(
        "--export",
        action="store_true",
        help="when the run is over, let `godwit export` (from PATH) write an artifact, and send it",
    )
    parser.add_argument(
        "--evaluation",
        metavar="FILE",
        help="what `godwit evaluate --json` printed, read when the run is over",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command: exit code 1 for a tracker or a run that fails, 130 for Ctrl-C."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.uri is not None and args.to != "mlflow":
        parser.error("--uri: expected --to mlflow with it, got --to wandb (set WANDB_BASE_URL)")
    try:
        importlib.import_module(args.to)
    except ImportError as error:
        return _failed(f"expected the package {args.to}, got: {error} (pip install {args.to})")

    def begin() -> Tracker:
        name = args.name or Path(args.run).resolve().name
        mlflow = args.to == "mlflow"
        tracker = Mlflow(args.uri, args.project, name) if mlflow else Wandb(args.project, name)
        print(f"track: {args.run} goes to {args.to}, {tracker.where}", file=sys.stderr)
        return tracker

    try:
        send(
            args.run,
            begin,
            wait=args.wait,
            artifact=args.artifact,
            program="godwit" if args.export else None,
            evaluation=args.evaluation,
        )
    except KeyboardInterrupt:
        return 130
    except (GodwitError, OSError) as error:
        return _failed(str(error))
    except Exception as error:  # each tracker has its own kinds
        return _failed(f"{args.to}: {type(error).__name__}: {error}")
    return 0


def _failed(text: str) -> int:
    print(f"track: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
