"""`demo`: the whole way of evidence on one machine, without any account.

A sandbox is the API. In a checkout, local fakes are AWS, Okta and GitHub; an installed agent has only the folder of
files. Everything else is the agent as it always is: the command, the configuration, the outbox.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agent.sandbox.server import Sandbox

_ROOT = Path(__file__).resolve().parents[2]
_FAKES = {"aws": "AWS", "okta": "Okta", "github": "GitHub"}


Keep = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep configuration and state here, to look at. [default: a folder that goes]"),
]


def demo(*, keep: Keep = None) -> None:
    """Shows the whole of it without any account: collects, queues and delivers to a local Chequr API."""
    from agent.cli.output import say
    from agent.sandbox.server import running

    with ExitStack() as stack:
        home = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chequr-demo-")))
        home.mkdir(parents=True, exist_ok=True)
        say("Starting a Chequr API and what there is to look at, all on this machine ...")
        sandbox = stack.enter_context(running())
        say(f"  Chequr API  {sandbox.url}")
        places = {name: stack.enter_context(_fake(name)) for name in available()}
        for name, url in places.items():
            say(f"  {_FAKES[name]:<10}  {url}")
        config = _configure(home, sandbox, places)
        say(f"  files       {home / 'evidence'}\n")
        first = _agent(config, sandbox, "collect")
        say("Once more the files only: what was delivered is not sent again.\n")
        second = _agent(config, sandbox, "collect", "manual")
        _agent(config, sandbox, "status")
        say("What the API accepted is a chain that nobody can change unseen.\n")
        third = _agent(config, sandbox, "ledger", "verify")
        _say_what_next(sandbox, config if keep else None)
    raise typer.Exit(next((code for code in (first, second, third) if code not in (0, 3)), 0))


def available() -> list[str]:
    """The fakes of the checkout; an installed agent has none."""
    fakes = _ROOT / "tests" / "fakes"
    return [name for name in _FAKES if (fakes / f"{name}.py").is_file() or (fakes / name / "__main__.py").is_file()]


@contextmanager
def _fake(name: str) -> Iterator[str]:
    """The URL of a local service that runs while the context lasts."""
    command = [sys.executable, "-m", f"tests.fakes.{name}", "--port", "0"]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 our own
        try:
            yield _url(name, process)
        finally:
            process.terminate()


def _url(name: str, process: "subprocess.Popen[str]") -> str:
    """The last word of the line that a fake prints when it is ready."""
    line = process.stdout.readline() if process.stdout else ""
    if not line.strip():
        raise RuntimeError(f"the local {_FAKES[name]} did not start")
    return line.split()[-1]


def _configure(home: Path, sandbox: "Sandbox", places: dict[str, str]) -> Path:
    """Writes a configuration as an operator would, and an example folder of files."""
    _lay_out(home / "evidence")
    tables = [
        'state_dir = "state"\n',
        f'[chequr]\nbase_url = "{sandbox.url}"\n',
        '[log]\nformat = "console"\n',
        '[collectors.manual]\npath = "evidence"\n',
    ]
    tables += [_TABLES[name].format(url=url) for name, url in places.items()]
    config = home / "config.toml"
    config.write_text("\n".join(tables), encoding="utf-8")
    return config


def _lay_out(folder: Path) -> None:
    """The checkout's example folder, or, where there is no checkout, one file of it."""
    examples = _ROOT / "examples" / "evidence"
    if examples.is_dir():
        shutil.copytree(examples, folder, dirs_exist_ok=True)
        return
    training = folder / "ctrl_hr_01" / "training.csv"
    training.parent.mkdir(parents=True, exist_ok=True)
    training.write_text("employee,course,completed\nAda,Security awareness,2026-03-02\n", encoding="utf-8")


_TABLES = {
    "aws": '[collectors.aws]\nendpoint_url = "{url}"\nregions = ["eu-central-1", "us-east-1"]\n',
    "okta": '[collectors.okta]\norg_url = "{url}"\n',
    "github": '[collectors.github]\norganizations = ["acme"]\nbase_url = "{url}"\n',
}


def _agent(config: Path, sandbox: "Sandbox", *arguments: str) -> int:
    """Runs the agent's own command, and shows it as it would be typed."""
    from agent.cli.output import say

    say(f"$ chequr-agent {' '.join(arguments)}")
    sys.stdout.flush()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CHEQUR_"))},
        "CHEQUR_AGENT_CONFIG": str(config),
        "CHEQUR_TOKEN": sandbox.write,
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "OKTA_TOKEN": "00demoOktaToken",
        "GITHUB_TOKEN": "ghfake",
    }
    command = [sys.executable, "-m", "agent", *arguments]
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 our own


def _say_what_next(sandbox: "Sandbox", config: Path | None) -> None:
    from agent.cli.output import count, say

    say(f"The API took {count(len(sandbox.evidence), 'item')} of evidence. Where to look next:")
    say("  chequr-agent types                      what can be collected, and the permissions it needs")
    say("  chequr-agent config example             a configuration to begin with")
    say("  chequr-agent sandbox                    the local API by itself, to try your own configuration on")
    say("  chequr-agent collect NAME --dry-run     the payloads, before anything is sent")
    if config:
        say(f"  {config.parent}  what this demo left")
