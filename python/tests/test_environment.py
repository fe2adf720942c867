"""The environment keeps Gymnasium's contract."""

import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import godwit

SCENARIOS = godwit.embedded_scenarios()


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("flatten", [False, True])
def test_every_scenario_passes_the_checker(name, flatten):
    # The checker draws actions without a mask.
    env = gymnasium.make(
        f"godwit/{name}-v0", flatten=flatten, invalid="stay", render_mode="rgb_array"
    )
    check_env(env.unwrapped)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_passes_the_checker_of_stable_baselines(name):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(godwit.make(name, flatten=True, invalid="stay"))


def random_episode(env, seed):
    rng = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed)
    seen, rewards, done = [observation], [], False
    while not done:
        action = rng.choice(np.flatnonzero(info["action_mask"]))
        observation, reward, terminated, truncated, info = env.step(action)
        seen.append(observation)
        rewards.append(reward)
        done = terminated or truncated
    return seen, rewards, terminated, truncated


def test_the_same_seed_gives_the_same_episode_to_the_bit():
    first, second = (random_episode(godwit.make("churn"), 3) for _ in range(2))
    assert first[1] == second[1]
    for a, b in zip(first[0], second[0], strict=True):
        assert all(np.array_equal(a[name], b[name]) for name in a)


def test_online_episodes_are_truncated_and_static_ones_terminate():
    assert random_episode(godwit.make("bursty"), 0)[2:] == (False, True)
    assert random_episode(godwit.make("quickstart"), 0)[2:] == (True, False)


def test_a_static_return_is_what_the_objective_fell_by():
    env = godwit.make("founding-3x3")
    _, info = env.reset(seed=1)
    before, total, done = info["level"], 0.0, False
    while not done:
        observation = env.state().observation()
        change = env.features["candidates"].index("objective_change")
        gains = np.where(observation["mask"] == 1, observation["candidates"][:, change], 0.0)
        best = int(gains.argmin())
        _, reward, terminated, truncated, info = env.step(best)
        total += reward
        done = terminated or truncated
    assert total == pytest.approx(before - info["level"], abs=1e-5) and total > 0


def test_discounts_count_ticks_and_not_steps():
    env = godwit.make("founding-10x50", gamma=0.9)
    _, info = env.reset(seed=0)
    moves = np.flatnonzero(info["action_mask"])[1:]
    _, _, _, _, info = env.step(moves[0])
    assert (info["elapsed_ticks"], info["discount"]) in [(0, 1.0), (1, 0.9)]
    _, _, _, _, info = env.step(0)
    assert (info["elapsed_ticks"], info["discount"]) == (1, 0.9)


def test_flat_observations_are_padded_to_a_stated_size():
    small = godwit.make("founding-3x3", flatten=True)
    n, k, a = small.sizes[:3]
    wide = godwit.make("founding-3x3", flatten=True, pad_to=(n + 2, k + 3, a + 5))
    plain, _ = small.reset(seed=2)
    padded, info = wide.reset(seed=2)
    sizes = wide.sizes
    assert padded.shape == wide.observation_space.shape
    assert len(info["action_mask"]) == wide.action_space.n == a + 5
    assert not info["action_mask"][a:].any()
    own = n * sizes.node_features
    assert np.array_equal(padded[:own], plain[:own])
    assert not padded[own : own + 2 * sizes.node_features].any()
    with pytest.raises(ValueError, match="pad_to: expected at least"):
        godwit.make("founding-3x3", flatten=True, pad_to=(1, 1, 1))
    with pytest.raises(godwit.ActionError, match="expected 0 to"):
        wide.step(a + 1)


def test_pictures_show_the_loads_and_the_last_move():
    env = godwit.make("quickstart", render_mode="ansi")
    _, info = env.reset(seed=0)
    move = np.flatnonzero(info["action_mask"])[1]
    env.step(move)
    text = env.render()
    assert text.startswith("tick ") and "<- workload" in text and "#" in text
    picture = godwit.make("quickstart", render_mode="rgb_array")
    picture.reset(seed=0)
    before = picture.render()
    picture.step(move)
    assert before.dtype == np.uint8 and before.ndim == 3
    assert not np.array_equal(before, picture.render())


def test_scenarios_are_read_changed_and_refused_with_their_paths(tmp_path):
    scenario = godwit.Scenario("quickstart")
    changed = scenario.replace({"rules.episode.move_budget": 3}, name="mine")
    assert (changed["rules.episode.move_budget"], changed.name) == (3, "mine")
    assert changed != scenario and changed.sha256 != scenario.sha256
    path = tmp_path / "mine.toml"
    path.write_text(changed.to_toml())
    assert godwit.Scenario(path) == changed == godwit.Scenario(changed.to_toml())
    assert pickle.loads(pickle.dumps(changed)) == changed
    with pytest.raises(godwit.ScenarioError, match=r"rules\.episode\.move_budget"):
        scenario.replace({"rules.episode.move_budget": -1})
    with pytest.raises(godwit.ScenarioError, match="nearest: quickstart"):
        godwit.Scenario("quickstar")
    with pytest.raises(KeyError, match="expected one of"):
        scenario["rules.nothing"]
