"""Agents with many files to collect."""

import random
import shutil
from pathlib import Path

from agent.sandbox.server import Sandbox
from tests.command import Agent

CONTROLS = ("ctrl_bc_03", "ctrl_gv_01", "ctrl_hr_01", "ctrl_vm_02")
_COLLECTOR = '[collectors.manual]\npath = "evidence"\n'


def home(directory: Path, sandbox: Sandbox, tables: str = _COLLECTOR, *, url: str | None = None) -> Agent:
    """An agent that may write to the sandbox, with an empty folder."""
    directory.mkdir(parents=True, exist_ok=True)
    agent = Agent(directory, url or sandbox.url, {"CHEQUR_TOKEN": sandbox.write})
    (directory / "evidence").mkdir(exist_ok=True)
    agent.configure(tables)
    return agent


def files(agent: Agent, number: int, lots: random.Random, *, size: int = 3000, label: str = "") -> None:
    """Adds files that no compression makes smaller, spread over the controls."""
    for one in range(number):
        agent.put(f"{CONTROLS[one % len(CONTROLS)]}/{label}{one:04}.bin", lots.randbytes(size))


def copy(agent: Agent, directory: Path, sandbox: Sandbox, *, with_files: bool) -> Agent:
    """The same agent elsewhere, as `cp -r` makes it: its state directory, and its files or an empty folder."""
    other = home(directory, sandbox)
    shutil.copytree(agent.state, other.state)
    if with_files:
        shutil.copytree(agent.home / "evidence", other.home / "evidence", dirs_exist_ok=True)
    return other
