"""The native vector environment keeps Gymnasium's contract, and its arrays say what they hold."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import godwit


def random_actions(rng, mask):
    noise = rng.random(mask.shape) * mask
    return noise.argmax(axis=1)


def test_make_vec_gives_the_native_one():
    env = gymnasium.make_vec(
        "godwit/quickstart-v0", num_envs=3, vectorization_mode="vector_entry_point"
    )
    assert isinstance(env.unwrapped, godwit.VectorEnv)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observation, info = env.reset(seed=1)
    assert env.observation_space.contains(
        {name: np.ascontiguousarray(part) for name, part in observation.items()}
    )
    assert info["action_mask"].shape == (3, env.single_action_space.n)


@pytest.mark.parametrize("name", ["quickstart", "churn"])
@pytest.mark.parametrize("threads", [1, 3])
def test_copies_play_what_single_environments_play(name, threads):
    copies = 4
    vector = godwit.make_vec(name, copies, threads=threads)
    singles = [godwit.make(name) for _ in range(copies)]
    seeds = [11, 12, 13, 14]
    seen, info = vector.reset(seed=seeds)
    plain = [env.reset(seed=seed)[0] for env, seed in zip(singles, seeds, strict=True)]
    rng = np.random.default_rng(5)
    over = [False] * copies
    for _ in range(60):
        for copy in range(copies):
            if not over[copy]:
                for part in plain[copy]:
                    assert np.array_equal(seen[part][copy], plain[copy][part]), part
        actions = random_actions(rng, info["action_mask"])
        seen, rewards, terminated, truncated, info = vector.step(actions)
        for copy, env in enumerate(singles):
            if over[copy]:
                continue
            plain[copy], reward, ended, cut, own = env.step(actions[copy])
            assert reward == pytest.approx(rewards[copy], abs=0)
            assert (ended, cut) == (terminated[copy], truncated[copy])
            assert own["elapsed_ticks"] == info["elapsed_ticks"][copy]
            if ended or cut:
                assert info["_final_obs"][copy]
                last = info["final_obs"][copy]
                assert all(np.array_equal(last[part], plain[copy][part]) for part in last)
                over[copy] = True


def test_observations_stay_until_the_step_after_the_next_one():
    env = godwit.make_vec("quickstart", 2)
    first, info = env.reset(seed=0)
    kept = {name: part.copy() for name, part in first.items()}
    second, *_, info = env.step(random_actions(np.random.default_rng(0), info["action_mask"]))
    assert all(np.array_equal(first[name], kept[name]) for name in kept)
    assert not np.shares_memory(first["candidates"], second["candidates"])
    third, *_ = env.step([0, 0])
    assert np.shares_memory(first["candidates"], third["candidates"])
    copied = godwit.make_vec("quickstart", 2, copy=True)
    first, _ = copied.reset(seed=0)
    copied.step([0, 0])
    third, *_ = copied.step([0, 0])
    assert not np.shares_memory(first["candidates"], third["candidates"])


def test_discounts_and_wrappers_work():
    env = godwit.make_vec("bursty", 3, gamma=0.5)
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(env)
    wrapped.reset(seed=3)
    for _ in range(500):
        *_, info = wrapped.step(np.zeros(3, int))
        assert np.array_equal(info["discount"], [0.5] * 3)
        if "episode" in info:
            break
    assert (info["episode"]["r"][info["_episode"]] < 0).all()


def test_bad_input_is_refused_with_a_message():
    env = godwit.make_vec("quickstart", 2)
    with pytest.raises(godwit.EpisodeEnded, match="call reset first"):
        env.step([0, 0])
    env.reset(seed=0)
    for actions in ([0], [0.5, 0.5], "no", None):
        with pytest.raises(godwit.ActionError, match="expected 2 whole numbers"):
            env.step(actions)
    with pytest.raises(godwit.ActionError, match="environment 1: action index"):
        env.step([0, 10_000_000])
    with pytest.raises(godwit.ActionError, match="environment 0"):
        env.step([-1, 0])
    # A refusal changes nothing, in no copy.
    refused = godwit.make_vec("bursty", 2, threads=1)
    seen, info = refused.reset(seed=4)
    before = {name: part.copy() for name, part in seen.items()}
    allowed = int(np.flatnonzero(info["action_mask"][0])[1])
    masked = int(np.flatnonzero(info["action_mask"][1] == 0)[0])
    with pytest.raises(godwit.ActionError, match=f"environment 1: action index {masked}.*masked"):
        refused.step([allowed, masked])
    assert all(np.array_equal(seen[name], before[name]) for name in before)
    again = godwit.make_vec("bursty", 2, threads=1)
    again.reset(seed=4)
    after = [env.step([0, 0])[0] for env in (refused, again)]
    assert all(np.array_equal(seen[name], before[name]) for name in before)
    assert all(np.array_equal(after[0][name], after[1][name]) for name in before)
    with pytest.raises(ValueError, match="expected 2 seeds"):
        env.reset(seed=[1, 2, 3])
    for count in (0, -1):
        with pytest.raises(ValueError, match=f"num_envs: expected at least 1, got {count}"):
            godwit.make_vec("quickstart", count)
    with pytest.raises(ValueError, match="threads: expected at least 0, got -1"):
        godwit.make_vec("quickstart", 1, threads=-1)
    env.close()
    with pytest.raises(godwit.EpisodeEnded, match="closed"):
        env.reset()
