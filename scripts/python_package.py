#!/usr/bin/env python3
"""Build the Python package, or build it and run its tests.

    python_package.py wheel    a release build under target/wheels
    python_package.py test     a quick build, tested in an environment of its own

Both use the virtual environment `.python`, which is filled with pip from
python/requirements-test.txt the first time. Where that cannot be had (no pip,
no network), `test` says so and ends well, and `wheel` fails.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python"
ENVIRONMENT = ROOT / ".python"
PYTHON = ENVIRONMENT / "bin" / "python"
REQUIREMENTS = PACKAGE / "requirements-test.txt"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
LONGEST_S = 600


class Missing(Exception):
    """The environment cannot be had."""


def provide_environment():
    """Fills the environment, if it is not there as it should be."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    mark = ENVIRONMENT / "requirements.sha256"
    if mark.is_file() and mark.read_text() == wanted:
        return
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    try:
        # Without pip: some systems keep what puts it there in a package of its own.
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", str(ENVIRONMENT)],
            check=True,
            capture_output=True,
            text=True,
        )
        pip("--only-binary", ":all:", "--requirement", str(REQUIREMENTS))
    except subprocess.CalledProcessError as error:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        lines = (error.stderr or error.stdout or "").strip().splitlines()
        raise Missing((lines or [str(error)])[-1]) from None
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        raise Missing(str(error)) from None
    mark.write_text(wanted)


def pip(*arguments):
    """Installs into the environment with this interpreter's pip."""
    command = [sys.executable, "-m", "pip", "--python", str(PYTHON), "--disable-pip-version-check"]
    command += ["install", "--quiet", "--no-input", "--timeout", "10", "--retries", "1"]
    subprocess.run(
        [*command, *arguments], check=True, capture_output=True, text=True, timeout=LONGEST_S
    )


def build(profile, folder):
    """Builds the wheel into an empty folder; its path."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [str(ENVIRONMENT / "bin" / "maturin"), "build", "--profile", profile]
    command += ["--locked", "--interpreter", str(PYTHON), "--out", str(folder)]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET)}
    subprocess.run(command, cwd=PACKAGE, check=True, env=environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test():
    """Installs a fresh wheel and runs the tests outside of the source tree."""
    wheel = build("dev", TARGET / "wheels-test")
    pip("--force-reinstall", "--no-deps", str(wheel))
    environment = dict(os.environ)
    # Other programs of this project, where they are built: plans and networks are held to them.
    for variable, name in (("GODWIT", "godwit"), ("GODWIT_SCORER", "godwit-scorer")):
        program = TARGET / "debug" / name
        if program.is_file():
            environment.setdefault(variable, str(program))
    environment["PATH"] = os.pathsep.join([str(TARGET / "debug"), os.environ.get("PATH", "")])
    pages = [PACKAGE / "README.md", ROOT / "README.md", ROOT / "docs" / "src" / "python.md"]
    environment["GODWIT_EXAMPLES"] = str(PACKAGE / "examples")
    environment["GODWIT_PAGES"] = os.pathsep.join(str(page) for page in pages)
    with tempfile.TemporaryDirectory() as folder:
        tests = Path(folder) / "tests"
        shutil.copytree(PACKAGE / "tests", tests)
        command = [str(PYTHON), "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(tests)]
        return subprocess.run(command, cwd=folder, env=environment).returncode


def main():
    if sys.argv[1:] not in (["wheel"], ["test"]):
        sys.exit(__doc__)
    testing = sys.argv[1] == "test"
    try:
        provide_environment()
    except Missing as missing:
        if not testing:
            sys.exit(f"wheel: expected the packages of {REQUIREMENTS.name}, got: {missing}")
        print(f"test: skipped the Python package: {missing}", file=sys.stderr)
        return 0
    if testing:
        return test()
    wheel = build("release", TARGET / "wheels")
    print(f"{wheel}: {wheel.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
