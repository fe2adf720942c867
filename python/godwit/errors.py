"""What can go wrong, each with a message that says what was expected and what was got."""


class GodwitError(Exception):
    """Any error of this package."""


class ScenarioError(GodwitError, ValueError):
    """A scenario is refused; the message names the file, the field and the value."""


class SnapshotError(GodwitError, ValueError):
    """A snapshot of a cluster, or an operator's limits, are refused."""


class PolicyError(GodwitError, ValueError):
    """A policy cannot be used, or does not fit an observation."""


class ActionError(GodwitError, ValueError):
    """An action is out of range, masked, or no action."""


class EpisodeEnded(GodwitError, RuntimeError):
    """The episode has ended, or the environment is closed; call ``reset`` first, or make another."""


class StartError(GodwitError, RuntimeError):
    """An episode has no feasible start."""


class EvaluationError(GodwitError, RuntimeError):
    """A comparison could not be finished."""


class TrainingError(GodwitError, RuntimeError):
    """A run of ``godwit train`` cannot be started or read, or has failed; the program's own message."""


class TrainingDiverged(TrainingError):
    """Training met a number that is not finite, and ended."""
