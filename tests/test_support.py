"""The archive for somebody who helps: enough to help, and nothing secret or collected."""

import sqlite3
import tarfile
import threading
from contextlib import closing

import pytest

from agent.exit import Exit
from agent.sandbox.options import Options
from agent.sandbox.server import running
from tests.command import make_agent

SECRETS = {
    "CHEQUR_TOKEN": "chequr-key-never-told-8d1f",
    "OKTA_TOKEN": "00OktaTokenNeverTold",
    "HTTPS_PROXY": "http://me:proxy-word-never-told@127.0.0.1:9",
}
IN_A_NAME = "ghp_" + "n" * 36
IN_A_FILE = "evidence-never-told"


@pytest.fixture
def agent(tmp_path):
    """One that read files and could not deliver them, with secrets wherever somebody might have put one."""
    with running(Options(rate=10_000)) as sandbox:
        made = make_agent(tmp_path, sandbox)
        made.put(f"ctrl_bc_03/{IN_A_NAME}.csv", f"a\n{IN_A_FILE}\n")
        top = '[collectors.okta]\nenabled = false\norg_url = "https://acme.okta.com"\n'
        made.configure(f'[collectors.manual]\npath = "evidence"\n{top}')
        assert made.run("collect", "--no-deliver").code == Exit.WELL
        made.environment.update(SECRETS)
        made.run("deliver", "--wait", "0")
        yield made


def told(agent, *arguments):
    done = agent.run("support-bundle", *arguments)
    assert done.code == Exit.WELL
    return done


def test_no_secret_is_in_it(agent, tmp_path):
    """Neither tokens nor proxies' passwords, nor what was collected, nor a secret in a file's name."""
    told(agent, "--output", "bundle.tar.gz")
    file = agent.home / "bundle.tar.gz"
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as archive:
        names = archive.getnames()
        text = "".join(archive.extractfile(name).read().decode() for name in names)
    assert len(names) == 7
    for secret in (*SECRETS.values(), "proxy-word-never-told", IN_A_NAME, IN_A_FILE):
        assert secret not in text
    assert '"chequr.base_url"' in text
    assert "manual_files_content" in text
    assert "HTTPS_PROXY" in text


def test_temporary_files_that_go_meanwhile(agent):
    """A service at work makes and removes files while they are listed: those that are gone are left out."""
    done = threading.Event()

    def work():
        files = [agent.state / f"z-{number}.tmp" for number in range(300)]
        while not done.is_set():
            for file in files:
                file.touch()
            for file in files:
                file.unlink()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(5):
            told(agent, "--list")
    finally:
        done.set()
        worker.join()


def test_a_state_that_cannot_be_used(agent):
    """Then above all somebody needs help: what the database would tell is replaced by why it does not."""
    with closing(sqlite3.connect(agent.state / "state.db")) as newer:
        newer.execute("PRAGMA user_version = 9")
    shown = told(agent, "--list").out
    assert '"unusable": ' in shown
    assert "a newer" in shown
    assert [line for line in shown.splitlines() if line.startswith("── ")] == [
        f"── {name}.json" for name in ("about", "settings", "status", "state")
    ]


def test_it_can_be_looked_at_first(agent):
    """--list shows the same, and writes nothing."""
    before = set(agent.home.iterdir())
    shown = told(agent, "--list").out
    assert {path for path in agent.home.iterdir() if not path.name.startswith(".")} <= before
    assert [line for line in shown.splitlines() if line.startswith("── ")] == [
        f"── {name}.json" for name in ("about", "settings", "status", "outbox", "runs", "losses", "state")
    ]
    assert IN_A_NAME not in shown
