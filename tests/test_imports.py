"""What a command imports: nobody waits for what they do not use."""

import subprocess
import sys

import pytest

from agent.sandbox.options import Options
from agent.sandbox.server import running
from tests.command import make_agent

SDKS = {"boto3", "botocore", "okta", "github", "aiohttp"}
HEAVY = SDKS | {"httpx", "pydantic", "starlette", "uvicorn", "apscheduler", "structlog", "rfc8785", "zstandard"}
TELL = """
import sys
from agent.cli import main
sys.argv = ["chequr-agent", *sys.argv[1:]]
try:
    main()
finally:
    print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def imported(agent, *arguments):
    """The packages that a command has imported by its end."""
    done = subprocess.run(
        [sys.executable, "-c", TELL, *arguments],
        cwd=agent.home,
        env=agent._environment({}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {0, 3}, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with running(Options(rate=10_000)) as sandbox:
        yield make_agent(tmp_path_factory.mktemp("agent"), sandbox)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_that_it_does_not_need(agent, arguments):
    """Help and version import no SDK, no HTTP client, no pydantic, no server and no scheduler."""
    assert imported(agent, *arguments) & HEAVY == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["collect", "manual"],
        ["collect", "--dry-run"],
        ["deliver"],
        ["status"],
        ["types"],
        ["permissions", "aws"],
        ["doctor"],
    ],
)
def test_an_agent_of_files_imports_no_sdk(agent, arguments):
    """Collecting files, and looking at the catalogue of all sources, imports no source's SDK."""
    assert imported(agent, *arguments) & SDKS == set()


def test_the_command_line_takes_no_modules_from_its_tests():
    """The product imports nothing that only a checkout has, but for the demo's fakes, which it starts as processes."""
    code = "import pkgutil, importlib, sys, agent, collectors\\n".replace("\\n", "\n")
    code += "for root in (agent, collectors):\n"
    code += "    for each in pkgutil.walk_packages(root.__path__, root.__name__ + '.'):\n"
    code += "        if each.name not in {'agent.__main__', 'collectors.conformance'}:\n"
    code += "            importlib.import_module(each.name)\n"
    code += "print(*sorted(set(sys.modules) & {'tests', 'pytest', 'moto', 'hypothesis', 'boto3', 'okta', 'github'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
