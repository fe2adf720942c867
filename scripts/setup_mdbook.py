#!/usr/bin/env python3
"""Provide mdBook under `.mdbook`, which `make docs` builds the book with.

Compiled by cargo from its sources, a few minutes, once. Nothing is done when
it is there in the version below.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".mdbook"
VERSION = "0.5.4"


def main():
    program = FOLDER / "bin" / "mdbook"
    if program.is_file():
        answer = subprocess.run([program, "--version"], capture_output=True, text=True)
        if answer.stdout.split()[-1:] == [f"v{VERSION}"]:
            return
    print(f"setup: compiling mdBook {VERSION}, a few minutes, once", file=sys.stderr)
    # Without its web server.
    command = ["cargo", "install", "mdbook", "--locked", "--version", VERSION, "--force"]
    command += ["--no-default-features", "--features", "search", "--root", str(FOLDER)]
    # Outside the checkout: the project's own settings are not for other programs.
    answer = subprocess.run(command, cwd=ROOT.parent)
    if answer.returncode != 0:
        shutil.rmtree(FOLDER, ignore_errors=True)
        sys.exit("setup: mdBook could not be installed; the book is not built")


if __name__ == "__main__":
    main()
