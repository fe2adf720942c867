#!/usr/bin/env python3
"""Provide libtorch under `.libtorch`: every other make target calls this first.

In this order: an existing LIBTORCH wins; else a python3 that imports the right
torch; else the torch wheel, fetched with pip and unpacked into a per-user
cache (no virtual environment is made). Nothing is done when all is there.

Needs python3 >= 3.8 with pip; the wheel fits any version of it, because only
the C++ libraries and headers in it are used.
"""

import base64
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

# The version that the crate tch 0.24 is generated for; its build script checks it.
VERSION = "2.11.0"
# The wheels' file names say which CPython they are for. One fixed choice makes
# the SHA-256 below hold for every python3 that runs this script.
WHEEL_PYTHON = "3.11"
# libtorch_cpu.so of the CUDA 13 build needs these two even where no GPU is.
CPU_NEEDS = ["nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"]
PINNED = {
    "x86_64": {
        "torch": "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
        "nvidia_cuda_runtime": "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        "nvidia_cuda_cupti": "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    },
    "aarch64": {
        "torch": "d91aac77f24082809d2c5a93f52a5f085032740a1ebc9252a7b052ef5a4fddc6",
        "nvidia_cuda_runtime": "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
        "nvidia_cuda_cupti": "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151",
    },
}
# These serve only CUDA or Python, and are a third of the size.
CUDA_ONLY = re.compile(r"torch/lib/lib(torch_cuda\w*|torch_nvshmem|c10_cuda|caffe2_nvrtc)\.so$")
UNUSED = re.compile(r"torch/lib/lib(torch_python|shm)\.so$|\.(a|bc)$")
STAMP = "godwit-setup.json"

ROOT = Path(__file__).resolve().parent.parent
LINK = ROOT / ".libtorch"


def fail(message):
    sys.exit(f"setup: {message}")


def say(message):
    print(f"setup: {message}", file=sys.stderr, flush=True)


def is_libtorch(folder):
    library = any((folder / "lib" / n).exists() for n in ("libtorch_cpu.so", "libtorch_cpu.dylib"))
    return library and (folder / "include" / "torch" / "script.h").exists()


def version_of(folder):
    """The version that the headers state, as text, or None."""
    try:
        text = (folder / "include/torch/headeronly/version.h").read_text()
    except OSError:
        return None
    parts = re.findall(r"#define TORCH_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text)
    return ".".join(parts) if len(parts) == 3 else None


def gpu_present():
    return any(os.path.exists(p) for p in ("/dev/nvidiactl", "/dev/dxg"))


def gpu_works():
    """Asked only before a download: it decides between 0.6 GB and 3.6 GB on disk."""
    if not shutil.which("nvidia-smi"):
        return False
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.returncode == 0 and "GPU" in answer.stdout


def link_to(folder):
    folder = folder.resolve()
    if LINK.is_symlink() and LINK.resolve() == folder:
        return
    if LINK.exists() and not LINK.is_symlink():
        fail(f"{LINK} is in the way: expected a link or nothing there, remove it and run again")
    fresh = LINK.with_name(f".libtorch.{os.getpid()}.tmp")
    fresh.symlink_to(folder, target_is_directory=True)
    os.replace(fresh, LINK)
    say(f".libtorch -> {folder}")


def from_environment():
    value = os.environ.get("LIBTORCH")
    if not value:
        return None
    folder = Path(value)
    if os.path.abspath(folder) == str(LINK):
        return None
    if not is_libtorch(folder):
        fail(f"LIBTORCH is {value}, expected a folder with lib/libtorch_cpu.so and include/torch")
    found = version_of(folder)
    if found != VERSION:
        fail(f"LIBTORCH holds libtorch {found}, godwit needs {VERSION}; unset LIBTORCH to fetch it")
    return folder


def from_python():
    """The torch folder of a python3 that imports the right version."""
    code = "import torch, os; print(torch.__version__); print(os.path.dirname(torch.__file__))"
    for python in dict.fromkeys([sys.executable, shutil.which("python3")]):
        if not python:
            continue
        answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        lines = answer.stdout.split("\n")
        if answer.returncode == 0 and len(lines) >= 2 and lines[0].split("+")[0] == VERSION:
            folder = Path(lines[1])
            if is_libtorch(folder):
                return folder
    return None


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "godwit"


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def pip_download(requirements, folder, with_dependencies=False):
    """Wheels that are there already are not fetched again, so a cut-off run goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--python-version", WHEEL_PYTHON, "--dest", str(folder)]
    command += [] if with_dependencies else ["--no-deps"]
    answer = subprocess.run(
        command + requirements, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if answer.returncode != 0:
        lines = [line for line in answer.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"pip exited with {answer.returncode}"
        what = requirements[0]
        fail(f"could not download {what} with pip (is the package registry reachable?): {reason}")


def check_pinned(wheels, pinned):
    """pip has checked each wheel against the registry; this checks the registry."""
    for wheel in wheels:
        expected = pinned.get(wheel.name.split("-")[0])
        if expected and sha256_of(wheel) != expected:
            wheel.unlink()
            fail(f"{wheel.name} has an unexpected SHA-256 and was deleted, run again")


def cuda_requirements(torch_wheel):
    """What the wheel's metadata names for CUDA, without the Python-only packages."""
    with zipfile.ZipFile(torch_wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    named = re.findall(r"^Requires-Dist: ((?:cuda-toolkit|nvidia-)[^;\n]*)", text, re.MULTILINE)
    if not named:
        fail(f"{torch_wheel.name} names no CUDA packages in its metadata")
    return [requirement.strip() for requirement in named]


def wanted(name, cuda):
    if name.startswith("nvidia/"):
        return "/lib/" in name and not UNUSED.search(name)
    if name.startswith("torch/lib/"):
        return not UNUSED.search(name) and (cuda or not CUDA_ONLY.search(name))
    return name.startswith("torch/include/") or name == "torch/version.py"


def unpack(wheel, folder, cuda):
    """Unpack what is needed, each file checked against the wheel's own RECORD."""
    with zipfile.ZipFile(wheel) as archive:
        record_name = next(n for n in archive.namelist() if n.endswith(".dist-info/RECORD"))
        record = {}
        for line in archive.read(record_name).decode().splitlines():
            name, digest, _size = line.rsplit(",", 2)
            record[name.strip('"')] = digest
        for name in archive.namelist():
            keep_licence = ".dist-info/" in name and "license" in name.lower()
            if name.endswith("/") or not (wanted(name, cuda) or keep_licence):
                continue
            target = folder / name
            if folder.resolve() not in target.resolve().parents:
                fail(f"{wheel.name} holds a path outside of itself: {name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with archive.open(name) as source, open(target, "wb") as out:
                for block in iter(lambda: source.read(1 << 20), b""):
                    digest.update(block)
                    out.write(block)
            found = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
            if record.get(name) != f"sha256={found}":
                fail(f"{name} in {wheel.name} does not match the SHA-256 in its RECORD")


def check_tools(cache, cuda):
    if sys.platform != "linux" or platform.machine() not in PINNED:
        fail(
            f"no ready-made libtorch for {sys.platform} {platform.machine()}, "
            f"expected Linux on x86_64 or aarch64: install libtorch {VERSION} and set LIBTORCH"
        )
    pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if pip.returncode != 0:
        fail("pip is missing for python3, install it (Debian: apt-get install python3-pip)")
    need = 12 if cuda else 4
    free = shutil.disk_usage(cache).free / 1e9
    if free < need:
        fail(f"not enough disk space in {cache}: needs {need} GB during set-up, found {free:.1f} GB")


def from_wheels():
    """The torch folder in the cache, filled first where it is not there yet."""
    import fcntl  # not on every platform, and only needed here

    cache = cache_folder()
    cuda = gpu_works()
    final = cache / f"libtorch-{VERSION}-{'cuda' if cuda else 'cpu'}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = open(cache / "setup.lock", "w")
    except OSError as error:
        fail(f"cannot write to the cache folder {cache}: {error.strerror}")
    with lock:
        # Two clones may set up at once: the second waits and finds the work done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (final / STAMP).exists() and is_libtorch(final / "torch"):
            return final / "torch"
        check_tools(cache, cuda)
        for stale in cache.glob(f"{final.name}.partial*"):
            shutil.rmtree(stale)
        shutil.rmtree(final, ignore_errors=True)

        wheels_folder = cache / f"wheels-{VERSION}-{'cuda' if cuda else 'cpu'}"
        size = "over 2 GB, GPU found" if cuda else "about 0.55 GB, no GPU found"
        say(f"downloading libtorch {VERSION} ({size})")
        pip_download([f"torch=={VERSION}"], wheels_folder)
        torch_wheel = next(wheels_folder.glob(f"torch-{VERSION}-*.whl"))
        if cuda:
            pip_download(cuda_requirements(torch_wheel), wheels_folder, with_dependencies=True)
        else:
            pip_download(CPU_NEEDS, wheels_folder)
        wheels = sorted(wheels_folder.glob("*.whl"))
        check_pinned(wheels, PINNED[platform.machine()])

        say(f"unpacking into {final}")
        partial = cache / f"{final.name}.partial"
        # The wheels' own layout is kept (torch/ beside nvidia/): the libraries
        # find each other by paths relative to themselves.
        for wheel in wheels:
            unpack(wheel, partial, cuda)
        full_version = re.search(
            r"__version__ = '([^']+)'", (partial / "torch/version.py").read_text()
        )
        if not full_version or full_version[1].split("+")[0] != VERSION:
            fail(f"{torch_wheel.name} does not hold libtorch {VERSION}")
        (partial / "torch/build-version").write_text(full_version[1] + "\n")
        stamp = {"libtorch": full_version[1], "cuda": cuda, "wheels": [w.name for w in wheels]}
        (partial / STAMP).write_text(json.dumps(stamp, indent=2) + "\n")
        os.replace(partial, final)
        shutil.rmtree(wheels_folder)
        return final / "torch"


def serves(folder):
    """Whether what .libtorch points to is still the best this machine can have."""
    if not is_libtorch(folder) or version_of(folder) != VERSION:
        return False
    cpu_only = folder.resolve().parent.name == f"libtorch-{VERSION}-cpu"
    # A cache filled before the GPU came (or a moved home) is filled anew.
    return not (cpu_only and gpu_present() and gpu_works())


def check_build_tools():
    if not shutil.which("cargo"):
        fail("cargo is missing, install Rust 1.89 or later")
    first = (os.environ.get("CXX") or "c++").split()[0]
    if not any(shutil.which(name) for name in (first, "c++", "g++", "clang++")):
        fail("a C++ compiler is missing, install one (Debian: apt-get install g++)")


def main():
    check_build_tools()
    given = from_environment()
    if given:
        link_to(given)
    elif not serves(LINK):
        link_to(from_python() or from_wheels())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("interrupted, run again to go on")
    except OSError as error:
        fail(f"{error.filename or 'file operation'}: {error.strerror or error}")
