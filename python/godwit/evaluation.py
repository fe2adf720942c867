"""The comparison: policies, heuristics and callables of one's own in the same episodes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from godwit import _native
from godwit.decisions import Policy
from godwit.scenario import Scenario, ScenarioLike

__all__ = ["Evaluation", "baselines", "evaluate"]

Move = tuple[int, int] | int | None
PolicyArgument = Policy | _native.Baseline | Callable[[_native.State], Move] | str | os.PathLike[str]


def baselines() -> dict[str, _native.Baseline]:
    """The heuristics that come with the package, by name.

    Each can be called with a :class:`godwit.State` and returns the move that it makes;
    ``with_parameters({...})`` makes another.
    """
    return {baseline.name: baseline for baseline in _native.baselines()}


class Evaluation:
    """What a comparison came to. Printed, it is the table of ``godwit evaluate``."""

    def __init__(self, text: str, table: str) -> None:
        self._text = text
        self._table = table
        #: The whole document, as ``godwit evaluate --json`` prints it.
        self.document: dict[str, Any] = json.loads(text)

    def to_json(self) -> str:
        """The document as JSON."""
        return self._text

    @property
    def policies(self) -> dict[str, dict[str, Any]]:
        """Each policy's row by its name, the best first."""
        return {row["name"]: row for row in self.document["policies"]}

    @property
    def records(self) -> list[dict[str, Any]]:
        """Rows of plain values, for tables: ``pandas.DataFrame(evaluation.records)``."""
        rows = []
        for row in self.document["policies"]:
            estimate, ahead = row["mean_return"], row["comparison"]
            difference = ahead["difference"] if ahead else {"value": None, "low": None, "high": None}
            rows.append(
                {
                    "policy": row["name"],
                    "return": estimate["value"],
                    "return_low": estimate["low"],
                    "return_high": estimate["high"],
                    "behind": difference["value"],
                    "behind_low": difference["low"],
                    "behind_high": difference["high"],
                    "moves": row["moves"],
                    "moved_gib": row["moved_gib"],
                    "downtime_s": row["downtime_s"],
                    "decision_us": row["decision_us_p50"],
                    "parameters": row["parameters"],
                }
            )
        return rows

    def ahead_of(self, policy: str, other: str) -> tuple[float, float, float]:
        """By how much one is ahead of another in mean return: value, low and high end (95 %)."""
        for row in self.policies[policy].get("ahead_of", []):
            if row["policy"] == other:
                difference = row["difference"]
                return difference["value"], difference["low"], difference["high"]
        raise KeyError(f"{policy}: expected a comparison with {other!r}, got none")

    def _repr_html_(self) -> str:
        rows = self.records
        head = "".join(f"<th>{name}</th>" for name in ("policy", "return", "95 %", "moves", "us"))
        body = "".join(
            f"<tr><td>{row['policy']}</td><td>{row['return']:.4f}</td>"
            f"<td>{row['return_low']:.4f} to {row['return_high']:.4f}</td>"
            f"<td>{row['moves']:.1f}</td><td>{row['decision_us']:.0f}</td></tr>"
            for row in rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def __str__(self) -> str:
        return self._table

    def __repr__(self) -> str:
        best = self.document["policies"][0]["name"] if self.document["policies"] else "none"
        return (
            f"Evaluation({self.document['scenario']!r}, {self.document['episodes']} episodes, "
            f"{len(self.document['policies'])} policies, best {best!r})"
        )


def evaluate(
    scenario: ScenarioLike,
    policies: Mapping[str, PolicyArgument] | None = None,
    *,
    baselines: str | Iterable[str] = ("stay", "best-single-move", "best-move-or-swap"),
    episodes: int = 100,
    seed: int = 0,
    phase: str = "evaluate",
    tuned: bool | str | os.PathLike[str] = False,
    threads: int = 0,
    unruled: bool = False,
    limits: str | None = None,
    time_limit_s: float | None = None,
    progress: bool | None = None,
) -> Evaluation:
    """Plays every policy through the same episodes, which training never draws.

    :param policies: by the names of their rows: a :class:`godwit.Policy`, the path of an artifact or
        the name of one that comes with the package, a heuristic of :func:`baselines`, or a callable.
        A callable gets a :class:`godwit.State` and returns ``None`` to stay, ``(workload, node)``, or
        the index of a candidate of ``state.observation()``. One with a method ``reset(seed)`` may
        remember something within an episode; each thread has a copy of it.
    :param baselines: names, ``"all"`` or ``"none"``.
    :param tuned: the path of a file of ``godwit tune-baselines``; True for that of a scenario that
        comes with the package.
    :param unruled: without the net-gain rule, by which the scorer drops moves that are not worth
        their costs.
    :param limits: the TOML of an operator's limits.
    :param time_limit_s: seconds that each decision of a search may take.
    :param progress: whether to show a bar (needs tqdm); None for where somebody looks on.

    Exceptions that a callable raises end the comparison and are raised here; so does Ctrl-C.
    """
    made = Scenario(scenario)
    pairs = [(name, _argument(policy)) for name, policy in (policies or {}).items()]
    names = _names(baselines)
    path, text = None, None
    if tuned is True:
        text = _native.tuned_file(made.name)
    elif tuned is not False:
        path = Path(tuned)
    total = episodes * (len(pairs) + len(names))
    with _Bar(total, progress) as bar:
        document, table = _native.evaluate(
            made._native,
            pairs,
            names,
            path,
            text,
            episodes,
            seed,
            phase,
            threads,
            unruled,
            limits,
            time_limit_s,
            bar.update,
        )
    return Evaluation(document, table)


def _argument(policy: PolicyArgument) -> Any:
    if isinstance(policy, Policy):
        return policy._native
    if isinstance(policy, (str, os.PathLike)):
        known = baselines()
        if isinstance(policy, str) and policy in known:
            return known[policy]
        return Policy.load(policy)._native
    return policy


def _names(names: str | Iterable[str]) -> list[str]:
    if names == "all":
        return [name for name in baselines() if name != "milp"]
    if names == "none":
        return []
    if isinstance(names, str):
        return [name.strip() for name in names.split(",")]
    return list(names)


class _Bar:
    """A bar of tqdm, if it is there and wanted."""

    def __init__(self, total: int, wanted: bool | None) -> None:
        self._bar: Any = None
        if wanted is False:
            return
        try:
            from tqdm.auto import tqdm
        except ImportError:
            if wanted:
                raise
            return
        # None: not where standard error is no terminal.
        self._bar = tqdm(total=total, unit="episode", disable=None if wanted is None else False)

    def update(self, done: int) -> None:
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
