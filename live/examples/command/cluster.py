#!/usr/bin/env python3
"""A cluster that godwit moves workloads of, in one file: a template for your own.

    [command]
    program = "python3"
    arguments = ["cluster.py", "state.json"]
    moves = true

Each call is one JSON document on standard input, and the answer one on standard
output. This example keeps a made-up cluster in a file; where it says REAL, call
your cluster instead. Try it:

    echo '{"call": "look"}' | python3 cluster.py state.json
"""

import fcntl
import json
import os
import sys
import time

MOVE_S = float(os.environ.get("MOVE_S", "2"))

BEGINNING = {
    "nodes": {"n1": {"cpu": 16, "memory": 64}, "n2": {"cpu": 16, "memory": 64}},
    "workloads": {
        "web": {"node": "n1", "cpu": 6, "memory": 8},
        "db": {"node": "n1", "cpu": 8, "memory": 32},
        "cache": {"node": "n2", "cpu": 2, "memory": 16},
    },
    "moves": {},
}


class Refused(Exception):
    """No, and next time, too."""


class Later(Exception):
    """Not now."""


def look(cluster):
    # REAL: ask for nodes, for what runs where and for what it uses.
    order = ["cpu", "memory"]
    nodes = [{"name": n, "supply": [s[r] for r in order]} for n, s in cluster["nodes"].items()]
    workloads = [
        {"name": w, "node": s["node"], "demand": [s[r] for r in order], "state_gib": s["memory"]}
        for w, s in cluster["workloads"].items()
    ]
    snapshot = {
        "format": "godwit-snapshot/1",
        "taken_at_s": time.time(),
        "resources": order,
        "nodes": nodes,
        "workloads": workloads,
    }
    return {"snapshot": snapshot, "notes": []}


def promises(cluster):
    return {
        "promises": {
            "state_is_kept": True,
            "destination_is_kept": True,
            "can_be_cancelled": True,
            "is_measured": True,
        }
    }


def start(cluster, order):
    workload = cluster["workloads"].get(order["workload"])
    if workload is None or order["destination"] not in cluster["nodes"]:
        raise Refused("no such workload or node")
    if order["id"] in cluster["moves"]:
        raise Refused("this order was begun before")
    if workload["node"] != order["source"]:
        raise Refused("it runs on " + workload["node"])
    if any(m["workload"] == order["workload"] and m["state"] == "running" for m in cluster["moves"].values()):
        raise Later("it is being moved")
    # REAL: begin the migration, named after order["id"], and do not wait for its end.
    move = {"workload": order["workload"], "to": order["destination"], "began": time.time()}
    cluster["moves"][order["id"]] = dict(move, state="running")
    return {"handle": order["id"]}


def watch(cluster, order, handle):
    # REAL: ask how it is getting on.
    move = cluster["moves"][handle]
    if move["state"] == "cancelled":
        return {"progress": "cancelled"}
    if move["state"] == "done":
        return {"progress": {"done": {"transfer_s": MOVE_S, "downtime_s": 0.1}}}
    share = min(1.0, (time.time() - move["began"]) / MOVE_S)
    return {"progress": {"running": {"share": share}}}


def cancel(cluster, order, handle):
    # REAL: ask for the migration to be given up.
    if cluster["moves"][handle]["state"] == "running":
        cluster["moves"][handle]["state"] = "cancelled"
    return {}


def find(cluster, order):
    # REAL: look whether a migration of this name is under way, else where the workload runs.
    if cluster["moves"].get(order["id"], {}).get("state") == "running":
        return {"whereabouts": {"under_way": order["id"]}}
    workload = cluster["workloads"].get(order["workload"])
    return {"whereabouts": {"at": workload["node"]} if workload else "nowhere"}


def passed(cluster):
    """What happened since the last call. A real cluster does this by itself."""
    for move in cluster["moves"].values():
        if move["state"] == "running" and time.time() - move["began"] >= MOVE_S:
            move["state"] = "done"
            cluster["workloads"][move["workload"]]["node"] = move["to"]


def main():
    request = json.load(sys.stdin)
    call = {f.__name__: f for f in (look, promises, start, watch, cancel, find)}[request.pop("call")]
    path = sys.argv[1]
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path):
            with open(path) as file:
                cluster = json.load(file)
        else:
            cluster = BEGINNING
        passed(cluster)
        try:
            answer = call(cluster, **request)
        except Refused as why:
            answer = {"refused": str(why)}
        except Later as why:
            answer = {"later": {"reason": str(why), "after_s": 5}}
        with open(path + ".new", "w") as file:
            json.dump(cluster, file)
        os.replace(path + ".new", path)
    json.dump(answer, sys.stdout)


main()
