"""Whatever is handed in: an exception with a clear message, never the end of the interpreter."""

import threading

import gymnasium
import numpy as np
import pytest

import godwit


def test_actions_that_are_none_are_refused_and_change_nothing():
    env = godwit.make("quickstart")
    with pytest.raises(godwit.EpisodeEnded, match="call reset first"):
        env.step(0)
    before, info = env.reset(seed=0)
    masked = int(np.flatnonzero(info["action_mask"] == 0)[0])
    for action, message in [
        (masked, "masked"),
        (10**9, "expected 0 to"),
        (-1, "action index"),
        (0.5, "whole number"),
        ("stay", "whole number"),
        (None, "whole number"),
        (np.array([1, 2]), "whole number"),
    ]:
        with pytest.raises(godwit.ActionError, match=message):
            env.step(action)
    after = env.state().observation()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_an_episode_that_ended_and_a_closed_environment_say_so():
    env = godwit.make("quickstart")
    env.reset(seed=0)
    assert env.step(0)[2]
    with pytest.raises(godwit.EpisodeEnded):
        env.step(0)
    env.close()
    env.close()
    with pytest.raises(godwit.EpisodeEnded, match="closed"):
        env.reset()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o: o.pop("nodes"), "expected float32"),
        (lambda o: o.update(nodes=o["nodes"].astype(float)), "float64"),
        (lambda o: o.update(nodes=o["nodes"][:, :-1]), "features in each row"),
        (lambda o: o.update(mask=o["mask"][:-1]), "expected"),
        (lambda o: o.update(mask=o["mask"] * 0), "staying is always allowed"),
        (lambda o: o.update(placement=o["placement"] + 1000), "expected indices below"),
        (lambda o: o.update(candidate_workload=o["candidate_workload"] - 1000), "indices below"),
        (lambda o: o.update(globals="no"), "globals"),
    ],
)
def test_observations_that_do_not_fit_a_policy_are_refused(change, message):
    policy = godwit.Policy.load("quickstart")
    observation, _ = godwit.make("quickstart").reset(seed=0)
    assert 0 <= policy.act(observation)
    change(observation)
    with pytest.raises(godwit.PolicyError, match=message):
        policy.q(observation)


def test_other_wrong_things():
    with pytest.raises(godwit.PolicyError, match="expected"):
        godwit.Policy.load("no-such-policy")
    with pytest.raises(godwit.PolicyError, match="dictionary"):
        godwit.Policy.load("quickstart").q([1, 2])
    with pytest.raises(godwit.SnapshotError):
        godwit.plan("{}", "quickstart")
    with pytest.raises(TypeError, match="expected a name, a path"):
        godwit.make(3)
    with pytest.raises(ValueError, match="phase"):
        godwit.make("quickstart", phase="test")
    with pytest.raises(ValueError, match="render_mode"):
        godwit.make("quickstart", render_mode="human")
    with pytest.raises(godwit.PolicyError, match="at least one"):
        godwit.evaluate("quickstart", baselines="none")
    with pytest.raises(TypeError, match="callable"):
        godwit.evaluate("quickstart", {"x": 3}, baselines="none")


def test_threads_that_share_an_environment_do_not_crash():
    env = godwit.make("quickstart")
    env.reset(seed=0)
    errors = []

    def play():
        for seed in range(50):
            try:
                env.reset(seed=seed)
                env.step(0)
            except (godwit.GodwitError, RuntimeError) as error:
                errors.append(error)

    threads = [threading.Thread(target=play) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert env.reset(seed=0)[1]["elapsed_ticks"] == 0


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_processes_play_the_same_however_they_are_started(context):
    # A pool of threads in the parent, which a forked child does not have.
    parent = godwit.make_vec("quickstart", 2, threads=2)
    parent.reset(seed=0)
    env = gymnasium.vector.AsyncVectorEnv([make, make], context=context)
    try:
        _, info = env.reset(seed=5)
        actions = info["action_mask"].argmax(axis=1)
        first = env.step(actions)[1]
    finally:
        env.close()
    alone = godwit.make("quickstart")
    alone.reset(seed=5)
    assert first[0] == pytest.approx(alone.step(int(actions[0]))[1])


def make():
    return godwit.make("quickstart")
