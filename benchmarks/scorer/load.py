"""Load `godwit-scorer serve` from a second process over loopback, and watch its memory.

    python benchmarks/scorer/load.py SNAPSHOT.json [--seconds 600] [--reload] [--json]
    godwit snapshot founding-10x50 --out SNAPSHOT.json     # writes such a snapshot

First as fast as it goes, then at half of that rate. With --reload the artifact is loaded anew every
second meanwhile. Needs wrk (Debian: apt-get install wrk) and a release build. Exit code 1 if any
request failed.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

CONNECTIONS = 8
SCRIPT = """
wrk.method = "POST"
wrk.body = io.open("{body}"):read("a")
local every = {every}
-- Milliseconds between an answer and the next request of the same connection, at random so that
-- connections do not go in step.
if every > 0 then delay = function() return math.random(0, 2 * every) end end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency.max,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
"""


class Service:
    """The program under load, on a free port."""

    def __init__(self, program, model):
        command = [program, "serve", "--model", model, "--listen", "127.0.0.1:0"]
        command += ["--log-level", "warn"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().split()[-1]
        self.reloads, self.failed = 0, 0

    def post(self, path):
        request = urllib.request.Request(self.url + path, data=b"", method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def reload_until(self, over):
        while not over.wait(1.0):
            try:
                self.post("/v1/model/reload")
                self.reloads += 1
            except OSError:
                self.failed += 1


def load(service, body, seconds, connections, every, path="/v1/decide"):
    """Runs wrk; `every` is the pause of each connection in milliseconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT.format(body=body, every=every))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
        command += ["-s", script.name, service.url + path]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        memory, started = [], time.monotonic()
        while running.poll() is None:
            time.sleep(0.5)
            memory.append((time.monotonic() - started, service.resident_mib()))
        output = running.stdout.read()
    found = re.search(r"RESULT (.*)", output)
    if running.returncode != 0 or not found:
        sys.exit(f"wrk failed:\n{output}")
    requests, micros, p50, p99, most, broken, status = map(int, found[1].split())
    warm = [mib for at, mib in memory if at > min(30, seconds / 4)] or [0.0]
    return {
        "requests": requests,
        "per_s": requests / micros * 1e6,
        "p50_ms": p50 / 1e3,
        "p99_ms": p99 / 1e3,
        "max_ms": most / 1e3,
        "broken": broken,
        "not_200": status,
        "resident_mib": [warm[0], warm[-1], max(warm)],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("snapshot", type=pathlib.Path)
    parser.add_argument("--model", default="models/pretrained/founding-10x50.pt")
    parser.add_argument("--program", default="target/release/godwit-scorer")
    parser.add_argument("--seconds", type=int, default=10, help="of each of the two parts")
    parser.add_argument("--reload", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    service = Service(args.program, args.model)
    over = threading.Event()
    reloading = threading.Thread(target=service.reload_until, args=(over,))
    results = {}
    try:
        if args.reload:
            reloading.start()
        body = args.snapshot.resolve()
        results["full"] = load(service, body, args.seconds, CONNECTIONS, 0)
        rate = results["full"]["per_s"] / 2
        # Each connection answers and pauses in turn; 64 of them, so that the pause is far longer.
        connections = 64
        every = max(1, round(connections / rate * 1e3 - results["full"]["p50_ms"]))
        results["half"] = load(service, body, args.seconds, connections, every)
    finally:
        over.set()
        if args.reload:
            reloading.join()
        service.process.terminate()
        service.process.wait()
    results["reloads"] = {"done": service.reloads, "failed": service.failed}
    if args.json:
        print(json.dumps(results))
    else:
        for name in ("full", "half"):
            r = results[name]
            memory = " -> ".join(f"{mib:.1f}" for mib in r["resident_mib"][:2])
            print(
                f"{name}: {r['per_s']:.0f} requests/s, p50 {r['p50_ms']:.2f} ms, p99 {r['p99_ms']:.2f} ms, "
                f"longest {r['max_ms']:.1f} ms, {r['requests']} requests, {r['broken']} broken, "
                f"{r['not_200']} not 200, memory {memory} MiB (most {r['resident_mib'][2]:.1f})"
            )
        print(f"reloads: {service.reloads} done, {service.failed} failed")
    failed = service.failed + sum(results[n][k] for n in ("full", "half") for k in ("broken", "not_200"))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
