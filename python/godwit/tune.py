"""Runs of ``godwit train`` for a search of settings: start one, follow its validation, end it early.

What searches may be anything that asks and tells; :class:`Study` is a small one. The programs'
own search is ``godwit sweep``.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from godwit import runs
from godwit.errors import TrainingDiverged, TrainingError
from godwit.scenario import Scenario

__all__ = ["Study", "Training", "Trial", "Validation"]

#: Between two looks at a run.
POLL_S = 0.1
#: A run writes a checkpoint when it is asked to end; after so long it is killed.
END_S = 60.0


class Validation(NamedTuple):
    """What a run's policy came to in the validation episodes, after so many env steps."""

    env_steps: int
    value: float


class Training:
    """A run of ``godwit train``, as a process of its own.

    Iterated, it gives each :class:`Validation` as it comes, until the run is over. Leaving the ``with``
    block ends a run that is not, after a checkpoint, and so does Ctrl-C:

    >>> with Training("quickstart", {"learner.gamma": 0.9}, out="run", env_steps=20_000) as run:
    ...     for env_steps, value in run:
    ...         if value < 0:
    ...             break

    :param scenario: a name, a path or a :class:`godwit.Scenario`.
    :param settings: by their dotted keys, as ``godwit train --set`` takes them. How often there is a
        validation is one of them: ``evaluate_every``.
    :param out: the run's folder, new or empty. ``godwit evaluate --policy`` takes it.
    :param env_steps: length of the run; what the settings say, if None.
    :param minutes: end the run after so many minutes at the latest.
    :param seed: seed of everything that is drawn.
    :param threads: threads that step environments; 0 for one per core.
    :param program: name or path of ``godwit``.

    Where neither settings nor a length are given, ``godwit train`` finds settings by itself.
    """

    def __init__(
        self,
        scenario: str | os.PathLike[str] | Scenario,
        settings: Mapping[str, Any] | None = None,
        *,
        out: str | os.PathLike[str],
        env_steps: int | None = None,
        minutes: float | None = None,
        seed: int = 0,
        threads: int = 0,
        program: str = "godwit",
    ) -> None:
        path = runs.found(program)
        #: The run's folder.
        self.folder = Path(out)
        #: The best validation return so far; None before the first.
        self.best_return: float | None = None
        self._program = program
        self._log = runs.Log(out)
        # Lines of another run, whose folder the program will refuse, are not those of this one.
        self._log.new()
        self._diverged = False
        self._ended_early = False
        # What goes to it ends with this object, and is not in the run's folder, which has to be empty.
        self._texts = tempfile.TemporaryDirectory()
        command = [path, "train", self._scenario(scenario), "--out", os.fspath(out)]
        command += ["--seed", str(seed), "--threads", str(threads)]
        if env_steps is not None:
            command += ["--env-steps", str(env_steps)]
        if minutes is not None:
            command += ["--minutes", str(minutes)]
        for key, value in runs.dotted(settings or {}):
            command += ["--set", f"{key}={_toml(value)}"]
        with self._messages.open("wb") as messages:
            # In a session of its own: Ctrl-C comes to it once, from here.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=messages,
                start_new_session=True,
            )

    def __iter__(self) -> Iterator[Validation]:
        while True:
            # Asked first: what it writes before its end is read after that.
            over = self._process.poll() is not None
            for line in self._log.new():
                self._diverged |= line["kind"] == "error"
                if line["kind"] == "evaluation":
                    value = line["return"]
                    if self.best_return is None or value > self.best_return:
                        self.best_return = value
                    yield Validation(line["env_steps"], value)
            if over:
                break
            time.sleep(POLL_S)
        if self._process.returncode != 0 and not self._ended_early:
            error = TrainingDiverged if self._diverged else TrainingError
            raise error(self._reason())

    def end(self) -> None:
        """Ends the run, after a checkpoint; does nothing where it is over."""
        if self._process.poll() is not None:
            return
        self._ended_early = True
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def export(self, out: str | os.PathLike[str]) -> Path:
        """Writes the best policy as an artifact, for :meth:`godwit.Policy.load`."""
        return runs.export(self.folder, out, program=self._program)

    def __enter__(self) -> Training:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        self._texts.cleanup()

    @property
    def _messages(self) -> Path:
        return Path(self._texts.name) / "messages.txt"

    def _scenario(self, scenario: str | os.PathLike[str] | Scenario) -> str:
        if not isinstance(scenario, Scenario):
            return os.fspath(scenario)
        path = Path(self._texts.name) / "scenario.toml"
        path.write_text(scenario.to_toml(), encoding="utf-8")
        return os.fspath(path)

    def _reason(self) -> str:
        lines = self._messages.read_text(encoding="utf-8", errors="replace").splitlines()
        # Progress comes before it; the message itself may have several lines.
        starts = [at for at, line in enumerate(lines) if line.startswith("error: ")]
        told = lines[starts[-1] :] if starts else lines[-1:]
        text = "\n".join(told).removeprefix("error: ").strip()
        return text or f"{self._program} train: exit code {self._process.returncode}"


def _toml(value: Any) -> str:
    """A value as TOML: scalars and lists are written as in JSON."""
    if isinstance(value, np.generic):
        value = value.item()
    return json.dumps(value, ensure_ascii=False)


class Trial:
    """Settings that a :class:`Study` asks to try."""

    def __init__(self, study: Study, number: int, settings: dict[str, Any]) -> None:
        self.number = number
        self.settings = settings
        #: What was told of it; None before.
        self.value: float | None = None
        self._study = study
        self._best: list[Validation] = []

    def report(self, env_steps: int, value: float) -> None:
        """Takes note of a validation."""
        best = max(value, self._best[-1].value) if self._best else value
        self._best.append(Validation(env_steps, best))

    def should_prune(self) -> bool:
        """The median rule: whether its best validation is behind the median of what earlier trials
        had come to by then."""
        if not self._best:
            return False
        env_steps, best = self._best[-1]
        others = [
            value
            for trial in self._study.trials
            if trial is not self and (value := trial._best_by(env_steps)) is not None
        ]
        return len(others) >= self._study.unpruned and best < statistics.median(others)

    def _best_by(self, env_steps: int) -> float | None:
        """Its best validation by then; None where it was over before."""
        if not self._best or self._best[-1].env_steps < env_steps:
            return None
        return max((b.value for b in self._best if b.env_steps <= env_steps), default=None)

    def __repr__(self) -> str:
        return f"Trial({self.number}, {self.settings}, value={self.value})"


class Study:
    """A search at random with the median rule (Golovin et al., KDD 2017): ask, train, tell.

    >>> study = Study({"learner.gamma": {"values": [0.9, 0.99]}}, seed=1)
    >>> trial = study.ask()
    >>> study.tell(trial, 1.5)
    >>> study.best.value
    1.5

    :param space: settings by their dotted keys, as in the ``[space]`` table of ``godwit sweep``:
        ``{"values": [...]}``, or ``{"min": 1e-4, "max": 1e-2}`` with ``"log": True`` for even draws of
        the logarithm and ``"integer": True`` for whole numbers.
    :param seed: seed of the draws; a trial's settings depend on it and on the trial's number only.
    :param unpruned: the median is asked only where it is that of so many trials.
    """

    def __init__(
        self, space: Mapping[str, Mapping[str, Any]], *, seed: int = 0, unpruned: int = 4
    ) -> None:
        for key, domain in space.items():
            _check(key, domain)
        #: All trials, in the order in which they were asked for.
        self.trials: list[Trial] = []
        self.unpruned = unpruned
        self._space = {key: dict(domain) for key, domain in space.items()}
        self._seed = seed

    def ask(self) -> Trial:
        """Settings to try."""
        rng = np.random.default_rng([self._seed, len(self.trials)])
        settings = {key: _draw(rng, domain) for key, domain in self._space.items()}
        self.trials.append(Trial(self, len(self.trials), settings))
        return self.trials[-1]

    def tell(self, trial: Trial, value: float | None) -> None:
        """What came of it: its best validation return, or None where it has none."""
        trial.value = value

    @property
    def best(self) -> Trial:
        """The trial of the best value."""
        told = [(trial.value, trial) for trial in self.trials if trial.value is not None]
        if not told:
            raise ValueError("study: expected a trial that a value was told of, got none")
        return max(told, key=lambda pair: pair[0])[1]


def _check(key: str, domain: Mapping[str, Any]) -> None:
    keys, ends = set(domain), {"min", "max"}
    if keys == {"values"} and len(domain["values"]) > 0:
        return
    if not ends <= keys or keys - ends - {"log", "integer"}:
        raise ValueError(
            f"{key}: expected {{values}} or {{min, max}} with log and integer, got {dict(domain)}"
        )
    low, high = domain["min"], domain["max"]
    if not low <= high or (domain.get("log") and low <= 0):
        raise ValueError(f"{key}: expected min up to max, above 0 with log, got {low} and {high}")


def _draw(rng: np.random.Generator, domain: Mapping[str, Any]) -> Any:
    if "values" in domain:
        return domain["values"][int(rng.integers(len(domain["values"])))]
    low, high = domain["min"], domain["max"]
    if domain.get("integer"):
        low, high = low - 0.5, high + 0.5
    if domain.get("log"):
        value = math.exp(rng.uniform(math.log(low), math.log(high)))
    else:
        value = rng.uniform(low, high)
    return round(value) if domain.get("integer") else float(value)
