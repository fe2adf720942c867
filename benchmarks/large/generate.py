"""Writes a large cluster as a snapshot: `python3 benchmarks/large/generate.py --out large.json`.

Nodes of three sizes in twelve zones, filled to about 60 %, workloads of many sizes; some of them in
anti-affinity groups of about ten. With --places also sets of nodes, limits of workloads per node, and
groups that are spread over the zones. The same seed gives the same file.
"""

import argparse
import json
import random


def snapshot(args):
    rng = random.Random(args.seed)
    sizes = [[32, 128], [64, 256], [96, 768]]
    nodes = []
    for i in range(args.nodes):
        node = {"name": f"node-{i:06}", "supply": rng.choice(sizes), "zone": f"zone-{i % 12}"}
        if args.places:
            node["max_workloads"] = 110
        nodes.append(node)
    mean = [sum(node["supply"][j] for node in nodes) * 0.6 / args.workloads for j in range(2)]
    # Large nodes get more: each gets as many entries as it has multiples of the smallest size.
    seats = [i for i, node in enumerate(nodes) for _ in range(node["supply"][0] // 32)]
    rng.shuffle(seats)
    workloads, taken = [], set()
    for k in range(args.workloads):
        shape = rng.uniform(0.2, 1.8)
        demand = [round(mean[j] * shape * rng.uniform(0.8, 1.2), 3) for j in range(2)]
        at = seats[k % len(seats)]
        workload = {"name": f"workload-{k:07}", "node": nodes[at]["name"], "demand": demand,
                    "state_gib": round(demand[1] / 2, 3)}
        group = rng.randrange(args.groups) if args.groups and k < 10 * args.groups else None
        if group is not None and (group, at) not in taken:
            taken.add((group, at))
            workload["anti_affinity"] = f"group-{group}"
        if args.places and k % 10 == 3:
            workload["spread"] = {"group": f"spread-{k // 500}", "max_skew": 5}
        if args.places and k % 50 == 7:
            # A thirtieth of the nodes, its own among them.
            rest = range(at % 30, args.nodes, 30)
            workload["nodes"] = [nodes[i]["name"] for i in rest]
        workloads.append(workload)
    return {"format": "godwit-snapshot/1", "tick": 0, "resources": ["cpu", "memory"],
            "nodes": nodes, "workloads": workloads}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5_000)
    parser.add_argument("--workloads", type=int, default=150_000)
    parser.add_argument("--groups", type=int, default=2_000, help="anti-affinity groups")
    parser.add_argument("--places", action="store_true", help="with sets, limits and zones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True, help="the snapshot that is written")
    args = parser.parse_args()
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump(snapshot(args), file, separators=(",", ":"))


if __name__ == "__main__":
    main()
