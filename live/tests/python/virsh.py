#!/usr/bin/env python3
"""A stand-in for virsh that plays a small cluster. It is no libvirt.

It prints what libvirt's virsh prints for the few commands that godwit uses, as
its manual and its source describe them. The state lies in the folder
VIRSH_FOLDER; the host is the last part of the connection's URI. A migration is
played by a process of its own, as libvirt does for --p2p: it goes on whatever
becomes of virsh.

Files in the folder bring trouble: `down-HOST` (no connection), `hang-COMMAND`
(it never ends), `fail` (how the next migration ends halfway), `hold` (no
migration gets further than halfway as long as it is there), `refuse` (the next migration never begins), `lose` (the
next migration begins, and virsh then loses its connection).
"""

import fcntl
import json
import os
import sys
import time

FOLDER = os.environ["VIRSH_FOLDER"]
STEPS = 10


class Cluster:
    """The state, locked as long as one looks at it."""

    def __enter__(self):
        self.lock = open(os.path.join(FOLDER, "lock"), "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        with open(os.path.join(FOLDER, "state.json")) as file:
            self.state = json.load(file)
        return self.state

    def __exit__(self, *_):
        path = os.path.join(FOLDER, "state.json")
        with open(path + ".new", "w") as file:
            json.dump(self.state, file)
        os.replace(path + ".new", path)
        self.lock.close()


def trouble(name, take=False):
    """What a file of this name says; None where there is none."""
    path = os.path.join(FOLDER, name)
    try:
        with open(path) as file:
            text = file.read()
    except FileNotFoundError:
        return None
    if take:
        os.remove(path)
    return text


def fail(*lines):
    for line in lines:
        print("error: " + line, file=sys.stderr)
    sys.exit(1)


def option(arguments, name):
    return arguments[arguments.index(name) + 1] if name in arguments else None


def aborted(source, name):
    with Cluster() as state:
        return state[source]["domains"][name]["job"].get("abort")


def play(source, target, name):
    """The migration itself, in a process of its own."""
    failure = trouble("fail", take=True)
    for step in range(1, STEPS + 1):
        time.sleep(0.03)
        while step == STEPS // 2 and trouble("hold") is not None and not aborted(source, name):
            time.sleep(0.03)
        with Cluster() as state:
            domain = state[source]["domains"][name]
            how = "canceled by client" if domain["job"].get("abort") else failure if step == STEPS // 2 else None
            if how:
                domain["job"] = None
                del state[target]["domains"][name]
                return how
            domain["job"]["done"] = step / STEPS
    with Cluster() as state:
        domain = state[source]["domains"].pop(name)
        state[target]["domains"][name] = dict(domain, state="running", job=None, completed=True)
        state[target]["count"] = state[target].get("count", 0) + 1
    return None


def migrate(host, arguments):
    name, target = option(arguments, "--domain"), option(arguments, "--desturi").rsplit("/", 1)[1]
    for flag in ("--live", "--persistent", "--undefinesource", "--p2p"):
        if flag not in arguments:
            fail("the stand-in plays live migrations from host to host alone")
    why = trouble("refuse", take=True)
    if why is not None:
        fail(why.strip())
    with Cluster() as state:
        domain = state[host]["domains"][name]
        if domain.get("job"):
            fail("Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatch)")
        if name in state[target]["domains"]:
            fail("operation failed: domain '%s' is already active" % name)
        domain["job"] = {"done": 0.0}
        state[target]["domains"][name] = dict(domain, state="paused", job=None)
        state[host]["began"] = state[host].get("began", 0) + 1
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        silent = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silent, stream)
        how = play(host, target, name)
        try:
            os.write(writing, (how or "").encode())
        except BrokenPipeError:
            pass
        os._exit(0)
    os.close(writing)
    if trouble("lose", take=True) is not None:
        time.sleep(0.2)
        fail("End of file while reading data: Input/output error")
    how = os.read(reading, 1000).decode()
    if how:
        fail("operation %s: migration out job: %s" % ("aborted" if "client" in how else "failed", how))
    print("Migration: [100 %]", file=sys.stderr)


def domain_of(state, host, arguments):
    name = option(arguments, "--domain")
    if name not in state[host]["domains"]:
        fail("failed to get domain '%s'" % name)
    return state[host]["domains"][name]


def main():
    assert sys.argv[1] == "-q" and sys.argv[2] == "-c"
    host, command, arguments = sys.argv[3].rsplit("/", 1)[1], sys.argv[4], sys.argv[5:]
    if trouble("down-" + host) is not None:
        fail("failed to connect to the hypervisor", "Cannot recv data: Connection refused")
    if trouble("hang-" + command) is not None:
        time.sleep(3600)
    if command == "migrate":
        return migrate(host, arguments)
    with Cluster() as state:
        node = state[host]
        if command == "nodeinfo":
            print("CPU model:           x86_64\nCPU(s):              %d" % node["cpus"])
            print("Memory size:         %d KiB" % (node["memory_gib"] * 2**20))
        elif command == "domstats":
            for name, domain in node["domains"].items():
                codes = {"running": 1, "paused": 3, "shut off": 5}
                print("Domain: '%s'\n  state.state=%d\n  state.reason=1" % (name, codes[domain["state"]]))
                if domain["state"] != "shut off":
                    print("  cpu.time=%d" % (time.monotonic() * 1e9 * domain["use"]))
                    print("  balloon.current=%d\n  vcpu.current=%d" % (domain["memory_gib"] * 2**20, domain["cpus"]))
                print()
        elif command == "domstate":
            print(domain_of(state, host, arguments)["state"] + "\n")
        elif command == "domjobinfo":
            domain = domain_of(state, host, arguments)
            job = domain.get("job")
            if "--completed" in arguments and domain.get("completed"):
                print("Job type:         Completed\nOperation:        Incoming migration")
                print("Time elapsed:     3000         ms\nData processed:   2.500 GiB")
                print("Data total:       2.000 GiB\nTotal downtime:   45           ms")
            elif job:
                print("Job type:         Unbounded\nOperation:        Outgoing migration")
                print("Data processed:   %.3f GiB\nData total:       2.000 GiB" % (2 * job["done"]))
            else:
                print("Job type:         None")
        elif command == "domjobabort":
            job = domain_of(state, host, arguments).get("job")
            if not job:
                fail("Requested operation is not valid: no job is active on the domain")
            job["abort"] = True
        else:
            fail("unknown command: '%s'" % command)


main()
