"""Every snippet of the documentation runs, each from a fresh folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_decisions import snapshots

PAGES = [Path(page) for page in os.environ.get("GODWIT_PAGES", "").split(os.pathsep) if page]
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SNIPPETS = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(SNIPPET.findall(page.read_text(encoding="utf-8")))
]


@pytest.mark.skipif(not PAGES, reason="GODWIT_PAGES names no pages")
@pytest.mark.parametrize("code", SNIPPETS)
def test_snippets_run(code, tmp_path):
    if "tune.Training" in code and not shutil.which("godwit"):
        pytest.skip("no godwit in PATH")
    (tmp_path / "snapshot.json").write_text(json.dumps(next(snapshots(1))))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
