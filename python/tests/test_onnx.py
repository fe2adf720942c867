"""ONNX says what the native forward pass says."""

import os
import subprocess

import numpy as np
import pytest

import godwit

GODWIT = os.environ.get("GODWIT")
onnxruntime = pytest.importorskip("onnxruntime")


def states(name, count):
    """Observations along random episodes."""
    env = godwit.make(name, phase="evaluate")
    rng, seed = np.random.default_rng(1), 0
    observation, info = env.reset(seed=seed)
    for _ in range(count):
        yield observation
        open_ = np.flatnonzero(info["action_mask"])
        observation, _, terminated, truncated, info = env.step(rng.choice(open_))
        if terminated or truncated:
            seed += 1
            observation, info = env.reset(seed=seed)


def inputs(session, observations):
    names = [part.name for part in session.get_inputs()]
    return {name: np.stack([o[name] for o in observations]) for name in names}


@pytest.mark.parametrize("name", ["founding-10x50", "gpu-defrag", "faults", "generalist"])
def test_values_and_decisions_agree_on_a_thousand_states(name):
    policy = godwit.Policy.load(name)
    session = onnxruntime.InferenceSession(policy.to_onnx(), providers=["CPUExecutionProvider"])
    if name == "generalist":
        seen = generalist_states(policy, 1000)
    else:
        seen = list(states(name, 1000))
    alike = {}
    for observation in seen:
        alike.setdefault(tuple(part.shape for part in observation.values()), []).append(observation)
    for batch in alike.values():
        for at in range(0, len(batch), 64):
            several = batch[at : at + 64]
            q, action = session.run(["q", "action"], inputs(session, several))
            for own, theirs, best in zip(several, q, action, strict=True):
                native = policy.q(own)
                assert np.array_equal(np.isfinite(native), np.isfinite(theirs))
                open_ = np.isfinite(native)
                scale = max(1.0, np.abs(native[open_]).max())
                assert np.abs(native[open_] - theirs[open_]).max() <= 1e-5 * scale
                # Values that are equal but for their last bits may be ordered either way.
                assert native[best] >= native[open_].max() - 2e-5 * scale


def generalist_states(policy, count):
    from test_decisions import snapshots

    return [godwit.observe(snapshot, policy) for snapshot in snapshots(count)]


def test_the_file_says_what_it_is_of(tmp_path):
    policy = godwit.Policy.load("churn")
    path = tmp_path / "policy.onnx"
    policy.to_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    stated = session.get_modelmeta().custom_metadata_map
    assert stated["godwit.artifact_sha256"] == policy.sha256
    assert stated["godwit.scenario"] == "churn" and stated["godwit.opset"] == "17"
    shapes = {part.name: part.shape for part in session.get_inputs()}
    assert shapes["mask"] == ["states", "candidates"]


@pytest.mark.skipif(not GODWIT, reason="GODWIT names no program")
@pytest.mark.parametrize("architecture", ["mlp", "candidate", "relational"])
def test_the_trainer_writes_every_network(architecture, tmp_path):
    run, artifact, path = (tmp_path / name for name in ("run", "policy.pt", "policy.onnx"))
    settings = [f"network.architecture={architecture}", "warm_up_steps=64", "evaluate_every=200"]
    sets = [word for setting in settings for word in ("--set", setting)]
    for command in (
        ["train", "founding-3x3", "--env-steps", "400", "--device", "cpu", "--out", run, *sets],
        ["export", run, "--out", artifact, "--episodes", "0"],
        ["export", run, "--format", "onnx", "--out", path],
    ):
        done = subprocess.run([GODWIT, *map(str, command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    policy = godwit.Policy.load(artifact)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for observation in states("founding-3x3", 200):
        (q,), (action,) = session.run(["q", "action"], inputs(session, [observation]))
        native = policy.q(observation)
        open_ = np.isfinite(native)
        assert np.array_equal(open_, np.isfinite(q))
        assert np.abs(native[open_] - q[open_]).max() <= 1e-5 * max(1.0, np.abs(native[open_]).max())
        assert native[action] >= native[open_].max() - 2e-5
