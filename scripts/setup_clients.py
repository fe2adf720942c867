#!/usr/bin/env python3
"""Provide the clients and checkers that some tests use, under `.clients`.

Packages of the requirements.txt in scorer/tests/python and live/tests/python,
fetched with pip for the python3 that runs this script. Nothing is done when they are there. Where they
cannot be had (no pip, no network), says so and ends well: the tests that need
them are skipped, and say so, too.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".clients"
REQUIREMENTS = [ROOT / crate / "tests/python/requirements.txt" for crate in ("scorer", "live")]
LONGEST_S = 300


def main():
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in REQUIREMENTS) + sys.version.encode()).hexdigest()
    mark = FOLDER / "requirements.sha256"
    if mark.is_file() and mark.read_text() == wanted:
        return
    fresh = FOLDER.with_name(".clients.tmp")
    for folder in (fresh, FOLDER):
        shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--timeout", "10", "--retries", "1", "--only-binary", ":all:"]
    command += ["--target", str(fresh)]
    for file in REQUIREMENTS:
        command += ["--requirement", str(file)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S)
        lines = answer.stderr.strip().splitlines()
        reason = None if answer.returncode == 0 else (lines or ["pip failed"])[-1]
    except (OSError, subprocess.SubprocessError) as error:
        reason = str(error)
    if reason is not None:
        shutil.rmtree(fresh, ignore_errors=True)
        print(f"setup: skipped the clients that some tests use: {reason}", file=sys.stderr)
        return
    (fresh / mark.name).write_text(wanted)
    fresh.rename(FOLDER)


if __name__ == "__main__":
    main()
