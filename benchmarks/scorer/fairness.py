"""Whether one client's large clusters are in the way of another's small ones.

    python benchmarks/scorer/fairness.py [--seconds 20] [--repeat 3] [--json]

Times plans for a small cluster over one connection: alone, and beside 1 and 4 clients that send the
largest cluster that the default limits admit (2,000 nodes, 20,000 workloads), one plan after
another. Makes its snapshots itself; needs a release build and nothing else. Prints p50 and p99 of
the small plans and how often the p99 alone that beside others is. Exit code 1 if it is more than
--most times (10), or if a small plan failed.
"""

import argparse
import http.client
import json
import random
import subprocess
import sys
import threading
import time

LARGE_CLIENTS = (1, 4)


def snapshot(nodes, workloads, seed):
    """A cluster of equal nodes, three quarters full, with the workloads anywhere."""
    rng = random.Random(seed)
    per_node = 0.75 * nodes / workloads
    demand = lambda: [round(per_node * rng.uniform(0.2, 1.8), 6) for _ in range(3)]
    return json.dumps(
        {
            "format": "godwit-snapshot/1",
            "resources": ["cpu", "memory", "gpu"],
            "nodes": [{"name": f"node-{i}", "supply": [1.0, 1.0, 1.0]} for i in range(nodes)],
            "workloads": [
                {"name": f"workload-{k}", "node": f"node-{rng.randrange(nodes)}", "demand": demand()}
                for k in range(workloads)
            ],
        },
        separators=(",", ":"),
    ).encode()


class Service:
    """The program under load, on a free port."""

    def __init__(self, program, model, workers):
        command = [program, "serve", "--model", model, "--listen", "127.0.0.1:0"]
        command += ["--log-level", "warn"] + (["--workers", str(workers)] if workers else [])
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split("//")[-1].strip()

    def end(self):
        self.process.terminate()
        self.process.wait()


class Client:
    """One connection, opened anew whenever it breaks."""

    def __init__(self, address):
        self.address, self.connection = address, None

    def plan(self, body):
        """Status of the answer, 0 where the connection broke."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.address, timeout=60)
            self.connection.request("POST", "/v1/plan", body)
            answer = self.connection.getresponse()
            answer.read()
            return answer.status
        except OSError:
            self.connection = None
            return 0


def send_until(over, client, body, counts):
    while not over.is_set():
        status = client.plan(body)
        counts[status] = counts.get(status, 0) + 1


def measure(service, small, seconds, pause_s):
    """Milliseconds that plans take, sorted, and how many failed."""
    client, took, failed = Client(service.address), [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        asked = time.perf_counter()
        failed += client.plan(small) != 200
        took.append((time.perf_counter() - asked) * 1e3)
        time.sleep(pause_s)
    return sorted(took), failed


def beside(service, small, large, clients, seconds, pause_s):
    """The small plans' times beside so many clients that send large ones."""
    over, counts = threading.Event(), {}
    threads = [
        threading.Thread(target=send_until, args=(over, Client(service.address), large, counts))
        for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    # Until the first of the large bodies are being worked on.
    time.sleep(1.0 if clients else 0.0)
    took, failed = measure(service, small, seconds, pause_s)
    over.set()
    for thread in threads:
        thread.join()
    return {
        "p50_ms": took[len(took) // 2],
        "p99_ms": took[int(len(took) * 0.99)],
        "max_ms": took[-1],
        "plans": len(took),
        "failed": failed,
        "large": counts,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="quickstart")
    parser.add_argument("--program", default="target/release/godwit-scorer")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of alone, beside 1, beside 4")
    parser.add_argument("--pause-ms", type=float, default=5, help="between small plans")
    parser.add_argument("--workers", type=int, help="of the service; its default if left out")
    parser.add_argument("--most", type=float, default=10, help="most that the p99 may grow by")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    small, large = snapshot(10, 50, 1), snapshot(2_000, 20_000, 2)
    service = Service(args.program, args.model, args.workers)
    rounds = []
    try:
        measure(service, small, 1, 0)
        for _ in range(args.repeat):
            part = lambda clients: beside(service, small, large, clients, args.seconds, args.pause_ms / 1e3)
            alone = part(0)
            rounds.append({"alone": alone} | {f"beside {n}": part(n) for n in LARGE_CLIENTS})
    finally:
        service.end()
    worst, failed = 0.0, 0
    for result in rounds:
        for name, figures in result.items():
            figures["ratio"] = figures["p99_ms"] / result["alone"]["p99_ms"]
            worst, failed = max(worst, figures["ratio"]), failed + figures["failed"]
            if not args.json:
                print(
                    f"{name}: p50 {figures['p50_ms']:.2f} ms, p99 {figures['p99_ms']:.2f} ms "
                    f"({figures['ratio']:.1f} times alone), longest {figures['max_ms']:.1f} ms, "
                    f"{figures['plans']} plans, {figures['failed']} failed, large {figures['large']}"
                )
    bodies = {"small": len(small), "large": len(large)}
    if args.json:
        print(json.dumps({"bodies_bytes": bodies, "rounds": rounds, "worst_ratio": worst}))
    else:
        print(f"bodies of {bodies['small']} and {bodies['large']} bytes; worst ratio {worst:.1f}")
    sys.exit(1 if failed or worst > args.most else 0)


if __name__ == "__main__":
    main()
