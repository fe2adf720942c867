#!/usr/bin/env python3
"""Build kube-apiserver and etcd for `make test-kubernetes`, and print their folder.

From the Go modules in live/tests/kubernetes/real/programs, five minutes on two
cores, once: they are kept in a per-user cache. Without Go, ends with status 1.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULE = ROOT / "live/tests/kubernetes/real/programs"
PROGRAMS = {"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver", "etcd": "go.etcd.io/etcd/server/v3"}


def main():
    go = shutil.which("go")
    if go is None:
        sys.exit("setup: go is missing; a real Kubernetes is not built, and its tests are skipped")
    wanted = b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum"))
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "godwit"
    final = base / f"kubernetes-{hashlib.sha256(wanted).hexdigest()[:12]}"
    base.mkdir(parents=True, exist_ok=True)
    with open(base / "kubernetes.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.is_dir():
            build(go, final)
    print(final)


def build(go, final):
    print("setup: building kube-apiserver and etcd, five minutes, once", file=sys.stderr)
    partial = final.with_name(f"{final.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name, package in PROGRAMS.items():
        command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", flags()]
        command += ["-o", str(partial / name), package]
        if subprocess.run(command, cwd=MODULE, stdout=sys.stderr).returncode != 0:
            sys.exit(f"setup: {name} could not be built; tests with a real Kubernetes are skipped")
    partial.rename(final)


def flags():
    # Clients ask a server for its version, which a release build states in this way.
    lines = (MODULE / "go.mod").read_text().split()
    version = lines[lines.index("k8s.io/kubernetes") + 1]
    major, minor, _ = version.lstrip("v").split(".")
    at = "k8s.io/component-base/version"
    stated = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {at}.{key}={value}" for key, value in stated.items())])


if __name__ == "__main__":
    main()
