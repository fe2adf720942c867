"""How much memory `godwit-scorer serve` takes after many answers about a large cluster.

    python benchmarks/scorer/memory.py [--answers 1000] [--nodes 2000] [--workloads 20000] [--json]

Makes the snapshot itself, starts the service, sends it again and again to /v1/plan?stays=list, and
prints what the process holds (VmRSS) and has held at most (VmHWM), as Linux states it. With --name-bytes
the names of workloads are that long. Exit code 1 if an answer was none, or if more than --most-mib are
held at the end.
"""

import argparse
import http.client
import json
import pathlib
import random
import re
import subprocess
import sys
import time


def snapshot(nodes, workloads, name_bytes, resources, seed=1):
    """A cluster at about half its supply, with uneven loads."""
    draw = random.Random(seed)
    name = lambda k: f"workload-{k:05}".ljust(name_bytes, "x")
    per_node = workloads / nodes
    return {
        "format": "godwit-snapshot/1",
        "tick": 100,
        "resources": resources,
        "nodes": [{"name": f"node-{i:04}", "supply": [100.0] * len(resources)} for i in range(nodes)],
        "workloads": [
            {
                "name": name(k),
                "node": f"node-{draw.randrange(nodes):04}",
                "demand": [round(draw.uniform(20.0, 80.0) / per_node, 3) for _ in resources],
                "state_gib": round(draw.uniform(0.5, 8.0), 3),
            }
            for k in range(workloads)
        ],
    }


def memory_mib(process, figure):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(rf"{figure}:\s+(\d+)", status)[1]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", default="target/release/godwit-scorer")
    parser.add_argument("--model", default="founding-10x50")
    parser.add_argument("--resources", default="cpu,memory,gpu", help="those of the model")
    parser.add_argument("--nodes", type=int, default=2000)
    parser.add_argument("--workloads", type=int, default=20000)
    parser.add_argument("--name-bytes", type=int, default=14)
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--max-moves", type=int, default=5)
    parser.add_argument("--most-mib", type=float, default=200.0)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("serve", nargs="*", help="further arguments of serve, behind --")
    args = parser.parse_args()

    body = json.dumps(snapshot(args.nodes, args.workloads, args.name_bytes, args.resources.split(",")))
    command = [args.program, "serve", "--model", args.model, "--listen", "127.0.0.1:0"]
    command += ["--log-level", "warn", "--request-timeout-ms", "60000", *args.serve]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().split("//")[-1].strip()
        connection = http.client.HTTPConnection(address, timeout=120)
        path = f"/v1/plan?stays=list&max_moves={args.max_moves}"
        seen, refused, answer_bytes, started = [], 0, 0, time.monotonic()
        every = max(1, args.answers // 10)
        for number in range(1, args.answers + 1):
            connection.request("POST", path, body)
            answer = connection.getresponse()
            answer_bytes = len(answer.read())
            refused += answer.status != 200
            if number % every == 0 or number == args.answers:
                seen.append([number, round(memory_mib(process, "VmRSS"), 1)])
        result = {
            "answers": args.answers,
            "refused": refused,
            "snapshot_bytes": len(body),
            "answer_bytes": answer_bytes,
            "ms_per_answer": round((time.monotonic() - started) / args.answers * 1e3, 1),
            "resident_mib": seen,
            "most_resident_mib": round(memory_mib(process, "VmHWM"), 1),
        }
    finally:
        process.terminate()
        process.wait()
    if args.json:
        print(json.dumps(result))
    else:
        for number, mib in seen:
            print(f"{number:6} answers  {mib:8.1f} MiB")
        print(
            f"snapshot {len(body)} bytes, answer {answer_bytes}, {result['ms_per_answer']} ms each, "
            f"{refused} refused, at most {result['most_resident_mib']} MiB"
        )
    sys.exit(1 if refused or seen[-1][1] > args.most_mib else 0)


if __name__ == "__main__":
    main()
