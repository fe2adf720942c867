"""From an artifact to an observation to a decision.

    python decide.py [POLICY [SNAPSHOT.json]]
"""

import sys

import numpy as np

import godwit

SNAPSHOT = {
    "format": "godwit-snapshot/1",
    "resources": ["cpu", "memory"],
    "nodes": [{"name": name, "supply": [16.0, 64.0]} for name in ("a", "b", "c")],
    "workloads": [
        {"name": f"w{k}", "node": "a" if k < 5 else "b", "demand": [2.0, 6.0], "state_gib": 1.0}
        for k in range(7)
    ],
}


def main(policy="generalist", snapshot=SNAPSHOT):
    policy = godwit.Policy.load(policy)
    print(policy)

    # What the network sees, and what it thinks of each candidate.
    seen = godwit.observe(snapshot, policy)
    values = policy.q(seen)
    best = np.argsort(-values)[:3]
    for index in best:
        workload, node = seen["candidate_workload"][index], seen["candidate_destination"][index]
        what = "stay" if index == 0 else f"workload {workload} to node {node}"
        print(f"  {values[index]:9.4f}  {what}")

    # What the scorer would do: the whole plan, checked against every constraint.
    decision = godwit.plan(snapshot, policy)
    print(decision["reason"])
    for move in decision["plan"]["moves"]:
        names = (move[part] for part in ("workload_name", "source_name", "destination_name"))
        print("  {}: {} -> {}".format(*names), f"gains {move['predicted_gain']:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
