"""One's own heuristics beside trained policies, on the same episodes with the same statistics."""

import signal
import threading
import time

import numpy as np
import pytest

import godwit


def relieve(state):
    """The best move from the fullest node, as the baseline does: by the objective's change."""
    observation = state.observation()
    gains = observation["candidates"][:, CHANGE]
    gains = np.where(observation["mask"] == 1, gains, 0.0)
    gains[0] = 0.0
    best = int(gains.argmin())
    return best if gains[best] < 0 else None


CHANGE = godwit.make("quickstart").features["candidates"].index("objective_change")


def test_a_callable_that_does_what_a_baseline_does_returns_the_same():
    baselines = godwit.baselines()
    found = godwit.evaluate(
        "quickstart",
        {
            "called": lambda state: baselines["best-single-move"](state),
            "own": relieve,
            "trained": "quickstart",
        },
        baselines=["best-single-move"],
        episodes=20,
        unruled=True,
        progress=False,
    )
    rows = found.policies
    assert rows["called"]["returns"] == rows["best-single-move"]["returns"]
    assert rows["own"]["mean_return"]["value"] > 0
    value, low, high = found.ahead_of("trained", "own")
    expected = np.mean(np.subtract(rows["trained"]["returns"], rows["own"]["returns"]))
    assert value == pytest.approx(expected) and low <= value <= high
    assert [row["policy"] for row in found.records] == list(rows)
    assert "trained" in str(found) and "<table>" in found._repr_html_()


def test_what_remembers_something_is_copied_and_reset():
    class Alternating:
        def __init__(self):
            self.asked = None

        def reset(self, seed):
            self.asked = 0

        def __call__(self, state):
            self.asked += 1
            return None

    mine = Alternating()
    godwit.evaluate("quickstart", {"mine": mine}, baselines="none", episodes=4, progress=False)
    assert mine.asked is None, "the one that was handed in was played"


def test_tuned_parameters_of_the_package_and_of_a_file_are_the_same(tmp_path):
    from godwit import _native

    path = tmp_path / "tuned.toml"
    path.write_text(_native.tuned_file("quickstart"))
    rows = [
        godwit.evaluate(
            "quickstart", baselines=["hold-down"], tuned=tuned, episodes=5, progress=False
        ).records
        for tuned in (True, str(path))
    ]
    assert rows[0][0]["return"] == rows[1][0]["return"]
    with pytest.raises(godwit.ScenarioError, match="scenario_sha256"):
        godwit.evaluate("bursty", tuned=str(path), episodes=1)


def test_what_a_callable_raises_is_raised():
    def broken(state):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        godwit.evaluate("quickstart", {"broken": broken}, baselines="none", progress=False)
    for answer, message in [
        ((0, 10_000), "no such workload or node"),
        ("left", "expected None"),
        (10**6, "action index"),
    ]:
        with pytest.raises(godwit.ActionError, match=message):
            godwit.evaluate(
                "quickstart", {"x": lambda state, a=answer: a}, baselines="none", progress=False
            )


@pytest.fixture
def interruptible():
    """A process that was started in the background ignores SIGINT, and Python with it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_a_comparison(interruptible):
    def slow(state):
        time.sleep(0.05)

    started = time.monotonic()
    threading.Thread(
        target=lambda: (time.sleep(0.5), signal.pthread_kill(MAIN, signal.SIGINT))
    ).start()
    with pytest.raises(KeyboardInterrupt):
        godwit.evaluate("bursty", {"slow": slow}, baselines="none", episodes=50, progress=False)
    assert time.monotonic() - started < 10


MAIN = threading.main_thread().ident


def test_limits_and_thoughtful_rows():
    free = godwit.evaluate(
        "quickstart", {"p": "quickstart"}, baselines="none", episodes=5, progress=False
    )
    held = godwit.evaluate(
        "quickstart",
        {"p": "quickstart"},
        baselines="none",
        episodes=5,
        limits="max_moves = 1\n",
        progress=False,
    )
    assert held.policies["p"]["moves"] <= 1 < free.policies["p"]["moves"]
