"""A program for `godwit evaluate --external 'mine=python3 external.py'`: no package is needed.

One JSON line for each decision comes in, one with a move goes out. This one moves the largest
workload of the fullest node to the emptiest node that has room for it.
"""

import json
import sys

for line in sys.stdin:
    cluster = json.loads(line)["snapshot"]
    supply = {node["name"]: node["supply"] for node in cluster["nodes"]}
    held = {name: [0.0] * len(kinds) for name, kinds in supply.items()}
    for workload in cluster["workloads"]:
        held[workload["node"]] = [a + b for a, b in zip(held[workload["node"]], workload["demand"])]
    load = {n: sum(h / s for h, s in zip(held[n], supply[n]) if s) for n in supply}
    full, empty = max(load, key=load.get), min(load, key=load.get)
    answer = {}
    for workload in sorted(cluster["workloads"], key=lambda w: -sum(w["demand"])):
        room = all(h + d <= s for h, d, s in zip(held[empty], workload["demand"], supply[empty]))
        allowed = workload.get("classes") or [None]
        kind = next(node.get("class") for node in cluster["nodes"] if node["name"] == empty)
        free = workload.get("movable", True) and not workload.get("cooldown_ticks")
        if workload["node"] == full and room and free and (allowed == [None] or kind in allowed):
            answer = {"workload": workload["name"], "destination": empty}
            break
    print(json.dumps(answer), flush=True)
