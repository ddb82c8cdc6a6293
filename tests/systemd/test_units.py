"""The units as files: understood by systemd, hardened, and alike in how."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
EXPOSED = 11  # tenths, of ten: what is left is the network, and the root directory
ours = pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)


@pytest.fixture(scope="module")
def analyze():
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze here: the units are not looked at")
    return program


@ours
def test_hardened(unit, analyze):
    """systemd counts an exposure of 1.1 at most."""
    asked = [analyze, "security", "--offline=true", "--no-pager", f"--threshold={EXPOSED}", str(unit)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_understood(tmp_path, analyze):
    """No unit has a key or a value that systemd does not know."""
    subprocess.run(["make", "--silent", "install-systemd", f"DESTDIR={tmp_path}"], cwd=UNITS.parent, check=True)
    for program in (tmp_path / "usr/bin/chequr-agent", tmp_path / "bin/kill"):
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    names = [path.name.replace("@.", "@files.") for path in (*SERVICES, *UNITS.glob("*.timer"))]
    asked = [analyze, "verify", "--man=no", "--recursive-errors=no", f"--root={tmp_path}", *names]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert "nknown" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


def test_hardened_alike():
    """What one of them is denied all are denied."""
    hardening = {
        unit.read_text().partition("# It reads the network")[2].partition("[Install]")[0].strip() for unit in SERVICES
    }
    assert len(hardening) == 1
    assert "CapabilityBoundingSet=" in hardening.pop()
