"""Plans and observations are those of the scorer."""

import json
import os
import subprocess

import numpy as np
import pytest

import godwit

SCORER = os.environ.get("GODWIT_SCORER")


def snapshots(count):
    """Snapshots of random small clusters."""
    rng = np.random.default_rng(7)
    for _ in range(count):
        nodes, workloads = int(rng.integers(2, 9)), int(rng.integers(1, 40))
        names = [f"n{i}" for i in range(nodes)]
        yield {
            "format": "godwit-snapshot/1",
            "resources": ["cpu", "memory"],
            "nodes": [{"name": name, "supply": [64.0, 256.0]} for name in names],
            "workloads": [
                {
                    "name": f"w{k}",
                    "node": names[int(rng.integers(nodes))],
                    "demand": [float(rng.uniform(0.1, 3.0)), float(rng.uniform(0.5, 12.0))],
                    "state_gib": float(rng.uniform(0.1, 8.0)),
                }
                for k in range(workloads)
            ],
        }


def without_times(decision):
    return {key: value for key, value in decision.items() if key != "timing_us"}


@pytest.mark.skipif(not SCORER, reason="GODWIT_SCORER names no program")
def test_plans_are_those_that_decide_prints(tmp_path):
    lines = [json.dumps(snapshot) for snapshot in snapshots(1000)]
    for policy in ["generalist"]:
        done = subprocess.run(
            [SCORER, "stream", "--model", policy, "--think", "0"],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            check=True,
        )
        theirs = [json.loads(line) for line in done.stdout.splitlines()]
        loaded = godwit.Policy.load(policy)
        for line, their in zip(lines, theirs, strict=True):
            own = godwit.plan(line, loaded, think_ms=0)
            assert json.dumps(without_times(own)) == json.dumps(without_times(their))


def safetensors(path):
    """The arrays of a file: a header of JSON with its length before it, then the numbers."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    kinds = {"F32": np.float32, "I32": np.int32, "U8": np.uint8}
    return {
        name: np.frombuffer(body[slice(*part["data_offsets"])], kinds[part["dtype"]]).reshape(
            part["shape"]
        )
        for name, part in header.items()
        if name != "__metadata__"
    }


@pytest.mark.skipif(not SCORER, reason="GODWIT_SCORER names no program")
def test_observations_are_those_that_the_scorer_writes(tmp_path):
    policy = godwit.Policy.load("generalist")
    for number, snapshot in enumerate(snapshots(20)):
        own = godwit.observe(snapshot, policy)
        (tmp_path / "snapshot.json").write_text(json.dumps(snapshot))
        out = tmp_path / f"{number}.safetensors"
        subprocess.run(
            [SCORER, "observe", "--snapshot", tmp_path / "snapshot.json", "--out", out],
            check=True,
            capture_output=True,
        )
        written = safetensors(out)
        open_ = own["mask"] == 1
        open_[0] = False
        for name, part in own.items():
            other = written[f"0.{name}"]
            if name == "candidates":
                # Those of masked candidates mean nothing.
                assert np.array_equal(other.T[open_], part[open_])
            else:
                assert np.array_equal(other, part), name
        assert np.array_equal(written["0.q"], policy.q(own))


def test_a_policy_values_what_it_observes_of_a_snapshot():
    policy = godwit.Policy.load("generalist")
    for snapshot in snapshots(20):
        observation = godwit.observe(snapshot, policy)
        q = policy.q(observation)
        assert q.shape == observation["mask"].shape
        assert np.array_equal(np.isfinite(q), observation["mask"] == 1)
        best = policy.act(observation)
        assert q[best] == q.max()


def test_observations_of_environments_are_what_policies_read():
    env = godwit.make("founding-10x50")
    policy = godwit.Policy.load("founding-10x50")
    observation, _ = env.reset(seed=3)
    assert policy.features == env.features
    assert np.isfinite(policy.q(observation)[0])
    assert policy.manifest["scenario_name"] == policy.scenario == "founding-10x50"
    assert "network of" in repr(policy)
