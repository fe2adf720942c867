#!/usr/bin/env python3
"""Provide what the feature `milp` is built with (cmake and libclang) under `.milp`.

In this order: what the machine has; else the wheels `cmake` and `libclang`,
fetched with pip and unpacked into a per-user cache. Nothing is done when all
is there. Only building HiGHS needs them: built programs do not.

`.cargo/config.toml` points cargo to the links, so nothing has to be exported;
an exported CMAKE or LIBCLANG_PATH wins.

Needs python3 >= 3.8 with pip where something has to be fetched.
"""

import glob
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

# HiGHS asks for cmake 3.15 or later.
OLDEST_CMAKE = (3, 15)
VERSIONS = {"cmake": "4.4.4", "libclang": "18.1.1"}
ROOT = Path(__file__).resolve().parent.parent
LINKS = ROOT / ".milp"


def fail(message):
    sys.exit(f"setup: {message}")


def say(message):
    print(f"setup: {message}", file=sys.stderr, flush=True)


def cmake_serves(program):
    """Whether it runs and is new enough: a wheel's launcher may lie there without its wheel."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return False
    found = re.search(r"version (\d+)\.(\d+)", answer.stdout)
    return bool(answer.returncode == 0 and found and tuple(map(int, found.groups())) >= OLDEST_CMAKE)


def own_cmake():
    """The machine's cmake."""
    program = os.environ.get("CMAKE") or shutil.which("cmake")
    return Path(program).absolute() if program and cmake_serves(program) else None


def own_libclang():
    """The folder of the machine's libclang."""
    given = os.environ.get("LIBCLANG_PATH")
    if given:
        folder = Path(given)
        if folder.is_file():
            folder = folder.parent
        if not any(folder.glob("libclang*.so*")) and not any(folder.glob("libclang*.dylib")):
            fail(f"LIBCLANG_PATH is {given}, expected a folder with libclang.so")
        return folder
    patterns = ["/usr/lib/llvm-*/lib/libclang*.so*", "/usr/lib*/libclang.so*"]
    patterns += ["/usr/lib/*-linux-gnu/libclang*.so*"]
    # libclang-cpp is another library.
    found = [p for pattern in patterns for p in glob.glob(pattern) if "libclang-cpp" not in p]
    usable = [p for p in found if re.search(r"libclang(-\d+)?\.so(\.[\d.]+)?$", p)]
    return Path(sorted(usable)[-1]).parent if usable else None


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "godwit"


def pip_download(name, folder):
    """The wheel for this machine; pip checks it against the registry's SHA-256."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--no-deps", "--dest", str(folder)]
    command += [f"{name}=={VERSIONS[name]}"]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    wheels = sorted(folder.glob(f"{name}-*.whl"))
    if answer.returncode != 0 or not wheels:
        lines = [line for line in answer.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"pip exited with {answer.returncode}"
        fail(f"could not download {name} with pip (is the package registry reachable?): {reason}")
    return wheels[0]


def unpack(wheel, folder):
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            target = folder / entry.filename
            if folder.resolve() not in target.resolve().parents:
                fail(f"{wheel.name} holds a path outside of itself: {entry.filename}")
            if entry.is_dir():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out)
            mode = entry.external_attr >> 16
            if mode & 0o111:
                target.chmod(0o755)


def from_wheel(name):
    """The unpacked wheel in the cache, fetched first where it is not there yet."""
    import fcntl  # not on every platform, and only needed here

    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        fail(
            f"{name} and pip are missing, install one of them "
            f"(Debian: apt-get install {'libclang-dev' if name == 'libclang' else 'cmake'})"
        )
    cache = cache_folder()
    final = cache / f"{name}-{VERSIONS[name]}-{platform.machine()}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "setup.lock", "w") as lock:
        # Two clones may set up at once: the second waits and finds the work done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.exists():
            partial = cache / f"{final.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            say(f"downloading {name} {VERSIONS[name]} (about 30 MB)")
            wheel = pip_download(name, partial)
            unpack(wheel, partial)
            wheel.unlink()
            os.replace(partial, final)
    return final


def wheel_cmake():
    program = from_wheel("cmake") / "cmake/data/bin/cmake"
    if not cmake_serves(program):
        fail(f"{program} does not run, remove {program.parents[3]} and run again")
    return program


def wheel_libclang():
    found = sorted(from_wheel("libclang").glob("**/clang/native"))
    if not found:
        fail(f"the wheel libclang {VERSIONS['libclang']} holds no clang/native")
    return found[0]


def link(path, target):
    LINKS.mkdir(exist_ok=True)
    fresh = LINKS / f"{path.name}.{os.getpid()}.tmp"
    fresh.symlink_to(target)
    os.replace(fresh, path)
    say(f".milp/{path.name} -> {target}")


def main():
    cmake, libclang = LINKS / "cmake", LINKS / "libclang"
    if not cmake_serves(cmake):
        link(cmake, own_cmake() or wheel_cmake())
    if not any(libclang.glob("libclang*")):
        link(libclang, own_libclang() or wheel_libclang())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("interrupted, run again to go on")
    except OSError as error:
        fail(f"{error.filename or 'file operation'}: {error.strerror or error}")
