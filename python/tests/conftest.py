"""What several tests share."""

import shlex
import sys
from pathlib import Path

import pytest


@pytest.fixture
def stand_in(tmp_path):
    """The path of a program that stands in for `godwit`."""
    program = tmp_path / "godwit"
    script = Path(__file__).with_name("trainer_stand_in.py")
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(script)])} "$@"\n')
    program.chmod(0o755)
    return str(program)
