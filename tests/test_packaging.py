"""What comes beside the code: the manual page, completions, and the wheel."""

import os
import pty
import re
import shutil
import subprocess
import threading
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from agent.exit import MEANING, Exit
from tests.command import eventually

ROOT = Path(__file__).parents[1]
SHARE = ROOT / "packaging/share"


def program(name, package):
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name} here (package {package})")
    return name


def test_the_manual_page_is_set_without_complaint():
    """groff has nothing to say against it, and what it sets has every command, exit code and option."""
    command = [program("groff", "groff-base"), "-man", "-Tutf8", "-ww", "-b", str(SHARE / "man/man1/chequr-agent.1")]
    environment = {**os.environ, "GROFF_NO_SGR": "1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stderr == ""
    text = re.sub(r".\x08", "", done.stdout)
    for told in ("ledger export", "--shard", "webhooks register", "EXIT STATUS", "CHEQUR_AGENT_CONFIG"):
        assert told in text.replace("\u2010", "-").replace("\u2212", "-")
    assert all(str(code.value) in text for code in MEANING)


BASH = """
source {script}
COMP_WORDS=({words}) COMP_CWORD={at}
_chequr_agent
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "there", "absent"),
    [
        (["chequr-agent", ""], {"collect", "ledger"}, {"export", "--version"}),
        (["chequr-agent", "--"], {"--version", "--help"}, {"collect"}),
        (["chequr-agent", "col"], {"collect"}, {"ledger"}),
        (["chequr-agent", "ledger", ""], {"verify", "export", "seal"}, {"collect"}),
        (["chequr-agent", "ledger", "export", "--"], {"--from", "--to", "--output"}, {"--archive"}),
        (["chequr-agent", "collect", "--config", "x", "--sh"], {"--shard"}, {"--from"}),
        (["chequr-agent", "collect", "--config", ""], set(), {"--shard", "--config"}),
    ],
)
def test_bash_completes(words, there, absent):
    """What may follow is offered, and nothing else."""
    script = SHARE / "bash-completion/completions/chequr-agent"
    quoted = " ".join(f"'{word}'" for word in words)
    text = BASH.format(script=script, words=quoted, at=len(words) - 1)
    done = subprocess.run([program("bash", "bash"), "-c", text], capture_output=True, text=True, check=True)
    offered = set(done.stdout.split())
    assert (there - offered, absent & offered) == (set(), set())


@pytest.mark.parametrize(
    ("line", "there", "absent"),
    [
        ("chequr-agent ", "collect", "export"),
        ("chequr-agent ledger ", "export", "here.toml"),
        ("chequr-agent ledger export --", "--output", "--archive"),
        ("chequr-agent collect --config ", "here.toml", "--shard"),
    ],
)
def test_fish_completes(line, there, absent, tmp_path):
    """What may follow is offered, and nothing else; files where a value is one."""
    (tmp_path / "here.toml").touch()
    script = SHARE / "fish/vendor_completions.d/chequr-agent.fish"
    command = [program("fish", "fish"), "--no-config", "-c", f"source {script}; complete -C '{line}'"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    offered = {line.split("\t")[0] for line in done.stdout.splitlines()}
    assert (there in offered, absent in offered) == (True, False)


ZSH = """\
PS1=; setopt no_beep
fpath=({functions} $fpath)
autoload -U compinit; compinit -u -D
tell() {{ zle complete-word; print -r -- "$BUFFER" >> told; BUFFER= }}
zle -N tell; bindkey '^X' tell
zle-line-init() {{ print -r -- ready >> told }}
zle -N zle-line-init
"""


@pytest.fixture
def zsh(tmp_path):
    """What zsh completes a line to, at a prompt."""
    told = tmp_path / "told"
    told.touch()
    (tmp_path / ".zshrc").write_text(ZSH.format(functions=SHARE / "zsh/site-functions"), encoding="utf-8")
    command = [program("zsh", "zsh"), "-i", "-d"]
    environment = {**os.environ, "ZDOTDIR": str(tmp_path), "TERM": "xterm"}
    terminal, end = pty.openpty()
    process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, cwd=tmp_path, env=environment)
    os.close(end)
    reader = threading.Thread(target=drain, args=(terminal,))
    reader.start()

    def completed(line, times):
        os.write(terminal, f"{line}\x18".encode())
        eventually(lambda: told.read_text().count("\n") == times, f"a completion of {line}")
        return told.read_text().splitlines()[-1]

    try:
        eventually(lambda: told.read_text() == "ready\n", "a prompt")
        yield completed
    finally:
        process.kill()
        process.wait()
        reader.join()


def drain(terminal):
    """Reads what is shown until there is nobody who shows, so that nothing waits for a reader."""
    with os.fdopen(terminal, "rb", buffering=0) as shown, suppress(OSError):
        while shown.read(4096):
            pass


def test_zsh_completes(zsh, tmp_path):
    """From its first tab on, the word that is meant is written: a command, an option, a file."""
    (tmp_path / "here.toml").touch()
    assert zsh("chequr-agent led", 2) == "chequr-agent ledger "
    assert zsh("chequr-agent ledger ex", 3) == "chequr-agent ledger export "
    assert zsh("chequr-agent ledger export --fr", 4) == "chequr-agent ledger export --from "
    assert zsh("chequr-agent collect --config he", 5) == "chequr-agent collect --config here.toml "


def test_what_is_in_the_wheel(tmp_path):
    """The wheel has the code, its templates and types, the manual page and the completions; no tests, no fakes."""
    uv = shutil.which("uv") or str(ROOT / ".cache/uv/bin/uv")
    command = [uv, "build", "--wheel", "--quiet", f"--out-dir={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no wheel can be built here: {done.stderr[-300:]}")
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    share = "chequr_agent-0.1.0.data/data/share"
    wanted = {
        "agent/py.typed", "collectors/py.typed", "agent/templates/page.html", "agent/templates/page.css",
        f"{share}/man/man1/chequr-agent.1", f"{share}/bash-completion/completions/chequr-agent",
        f"{share}/zsh/site-functions/_chequr-agent", f"{share}/fish/vendor_completions.d/chequr-agent.fish",
    }  # fmt: skip
    assert wanted - set(names) == set()
    assert [
        name for name in names if name.startswith(("tests/", "benchmarks/", "docs/")) or "__pycache__" in name
    ] == []


@pytest.mark.parametrize("place", ["systemd", "kubernetes"])
def test_exit_codes_are_the_documented_ones(place):
    """Units and manifests name no exit code that is none of ours."""
    known = {code.value for code in Exit}
    for file in (ROOT / place).rglob("*"):
        if file.suffix in {".service", ".yaml"}:
            text = file.read_text(encoding="utf-8")
            told = re.findall(
                r"^(?:SuccessExitStatus|RestartPreventExitStatus|RestartForceExitStatus)=(.*)$", text, re.MULTILINE
            )
            told += [" ".join(map(str, values)) for values in _values(text)]
            assert {int(code) for line in told for code in line.split() if code != "SIGTERM"} <= known, file


def _values(text):
    return [yaml.safe_load(found) for found in re.findall(r"^\s*values: (\[.*\])$", text, re.MULTILINE)]


SYSTEMD_HAS_NO_SECRET = 243
TOLD = (ROOT / "README.md", SHARE / "man/man1/chequr-agent.1", *sorted((ROOT / "docs").glob("*.md")))


@pytest.mark.parametrize("page", TOLD, ids=lambda page: page.name)
def test_exit_codes_that_are_told_of_are_ours(page):
    """A sentence that names an exit code names one that there is."""
    text = page.read_text(encoding="utf-8")
    told = [code for line in re.findall(r"[Ee]xit codes?:? (\d[^.\n]*)", text) for code in re.findall(r"\b\d+\b", line)]
    told += re.findall(r"(?:[Ee]nd(?:s|ed)|[Ee]xits) with (\d+)\b", text)
    assert {int(code) for code in told} <= {SYSTEMD_HAS_NO_SECRET, *(code.value for code in Exit)}, page


def test_the_codes_are_final():
    """These are what schedulers rely on."""
    assert {code.name: code.value for code in Exit} == {
        "WELL": 0, "FAILURE": 1, "USAGE": 2, "GAPS": 3, "DIFFERENCE": 4, "UNDELIVERED": 75, "REFUSED": 77,
        "CONFIGURATION": 78, "STOPPED": 130,
    }  # fmt: skip
