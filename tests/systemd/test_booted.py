"""The units under a real systemd: started, hung, reloaded, stopped, misconfigured, beside each other."""

import json
import re
import time
from collections import Counter
from textwrap import dedent

import pytest

from tests.systemd.machine import ROOT, booted


def documented(subject, language="console"):
    """The first code that the documentation gives below a bold subject."""
    text = (ROOT / "docs/deployment.md").read_text(encoding="utf-8").partition(f" **{subject}")[2]
    return text.partition(f"```{language}\n")[2].partition("```")[0]


AGENT, COLLECT, FAILED = "chequr-agent.service", "chequr-agent-collect@files.service", "chequr-agent-failed@{}.service"
FROM_ELSEWHERE = dedent(documented("A key from elsewhere", "ini"))  # a drop-in
TOKEN = "chequr-sandbox-write"
SANDBOX = "http://127.0.0.1:8080"
CONFIGURATION = """state_dir = "/var/lib/chequr-agent"
[chequr]
base_url = "http://127.0.0.1:8080/v1"
[delivery]
concurrency = 4
[collectors.files]
source = "manual"
path = "/srv/evidence"
schedule = "weekly"
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with booted(tmp_path_factory.mktemp("machine")) as machine:
        for step in ("The user", "The configuration"):
            machine.write("/root/chequr_token", TOKEN)
            machine.write("/root/config.toml", CONFIGURATION)
            machine.run("sh", "-ec", f"cd /root\n{documented(step)}")
        yield machine


@pytest.fixture(autouse=True)
def sandbox(machine):
    """A Chequr API, inside, and an agent without a past."""
    machine.write("/etc/chequr-agent/config.toml", CONFIGURATION)
    machine.run("rm", "-rf", "/srv/evidence", "/var/lib/chequr-agent", "/etc/systemd/system/chequr-agent.service.d")
    machine.run("rm", "-rf", f"/etc/systemd/system/{COLLECT}.d")
    files(machine, "first", 5)
    machine.run("systemctl", "daemon-reload")
    serve(machine)
    yield
    machine.run("systemctl", "stop", AGENT, "sandbox.service", check=False)
    machine.run("systemctl", "reset-failed", check=False)


def serve(machine, *faults):
    machine.run("systemctl", "stop", "sandbox.service", check=False)
    machine.run("systemctl", "reset-failed", "sandbox.service", check=False)
    options = [part for fault in faults for part in ("--fault", fault)]
    run = ("systemd-run", "--quiet", "--unit=sandbox", "chequr-agent", "sandbox", "--port", "8080", *options)
    machine.run(*run)
    machine.eventually(lambda: asked(machine, "/_sandbox/state") is not None, "a sandbox")


def asked(machine, path):
    script = f"import urllib.request as r; print(r.urlopen('{SANDBOX}{path}').read().decode())"
    done = machine.run("/opt/python/bin/python3", "-c", script, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def files(machine, name, count):
    for number in range(count):
        machine.write(f"/srv/evidence/ctrl_bc_03/{name}-{number}.csv", f"a,b\n{name},{number}\n")
    machine.run("sh", "-c", "touch -d '1 hour ago' /srv/evidence/*/*")


def accepted(machine):
    return asked(machine, "/_sandbox/state")["evidence"]


def outbox(machine):
    done = machine.run("chequr-agent", "status", "--json", "--config", "/etc/chequr-agent/config.toml", check=False)
    return Counter({state: held["items"] for state, held in json.loads(done.stdout)["outbox"].items()})


def test_installed_as_documented(machine):
    """The steps make the folder, and give what lies in it to those who are to read it, and to nobody else."""
    told = machine.run("sh", "-c", "stat --format='%a %U %G %n' /etc/chequr-agent /etc/chequr-agent/*").stdout
    assert told.splitlines()[0] == "750 root chequr-agent /etc/chequr-agent"
    assert "600 root root /etc/chequr-agent/chequr_token" in told


def test_ready_and_delivering(machine):
    """It is ready within five seconds, collects, delivers, and says in one line how it stands."""
    machine.drop_in(AGENT, "[Service]\nTimeoutStartSec=5\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", AGENT)
    machine.eventually(lambda: accepted(machine) == 5, "five files at the API")
    machine.eventually(
        lambda: machine.show(AGENT, "StatusText")["StatusText"] == "Nothing is owed.", "nothing owed in the status"
    )
    assert machine.show(AGENT, "Type", "Result", "NRestarts") == {
        "Type": "notify", "Result": "success", "NRestarts": "0",
    }  # fmt: skip


def test_a_hang_is_ended_and_the_outbox_is_whole(machine):
    """One that hangs is killed by the watchdog and started again; what it owed is delivered once."""
    machine.drop_in(AGENT, "[Service]\nWatchdogSec=3\nRestartSec=1\n")
    machine.run("systemctl", "daemon-reload")
    serve(machine, "slow:500ms@/v1/evidence")
    machine.run("systemctl", "start", AGENT)
    machine.eventually(lambda: accepted(machine) > 0, "a first file")
    machine.run("kill", "-STOP", machine.show(AGENT, "MainPID")["MainPID"])
    machine.eventually(lambda: machine.show(AGENT, "NRestarts")["NRestarts"] == "1", "a restart")
    machine.eventually(lambda: accepted(machine) == 5, "five files at the API")
    assert "watchdog" in machine.run("journalctl", "--no-pager", "--unit", AGENT).stdout.lower()
    time.sleep(1)
    assert accepted(machine) == 5


def test_reload(machine):
    """A good configuration is taken up without a restart; a bad one is refused in words, and the old one stays."""
    machine.run("systemctl", "start", AGENT)
    before = machine.show(AGENT, "MainPID")
    machine.write("/etc/chequr-agent/config.toml", CONFIGURATION.replace("weekly", "hourly"))
    machine.run("systemctl", "reload", AGENT)
    machine.eventually(lambda: "configuration.reloaded" in machine.journal(AGENT), "a reload in the journal")
    machine.write("/etc/chequr-agent/config.toml", "nonsense = 1\n")
    machine.run("systemctl", "reload", AGENT)
    machine.eventually(lambda: "configuration.refused" in machine.journal(AGENT), "a refusal in the journal")
    assert machine.show(AGENT, "MainPID") == before


def test_stopped_while_it_sends(machine):
    """A stop waits for the answers that are under way, as long as they take; what was not sent stays owed."""
    machine.drop_in(AGENT, "[Service]\nTimeoutStopSec=2\n")
    machine.run("systemctl", "daemon-reload")
    serve(machine, "slow:4s@/v1/evidence")
    machine.run("systemctl", "start", AGENT)
    machine.eventually(lambda: outbox(machine)["in_flight"], "requests under way")
    machine.run("systemctl", "stop", AGENT)
    assert machine.show(AGENT, "Result")["Result"] == "success"
    left = outbox(machine)
    assert left["in_flight"] == 0
    assert accepted(machine) + left["pending"] + left["deferred"] == 5


def test_a_collection_by_hand_beside_the_service(machine):
    """A collector that is started by its own unit puts into the same outbox, and the service delivers it."""
    machine.run("systemctl", "start", AGENT)
    machine.eventually(lambda: accepted(machine) == 5, "five files at the API")
    files(machine, "second", 3)
    machine.run("systemctl", "start", COLLECT)
    machine.eventually(lambda: accepted(machine) == 8, "eight files at the API")
    assert machine.show(COLLECT, "Result")["Result"] == "success"
    owner = machine.run("stat", "--format=%U", "/var/lib/chequr-agent/state.db").stdout
    assert owner.strip() == "chequr-agent"


def test_a_collection_that_is_stopped_has_not_failed(machine):
    """A stop in the middle of it, as at a shutdown, calls nobody."""
    write = "while true; do touch /srv/evidence/ctrl_bc_03/first-0.csv; sleep 0.05; done"
    machine.run("systemd-run", "--quiet", "--unit=writer", "sh", "-c", write)
    machine.run("systemctl", "start", "--no-block", COLLECT)
    lock = "/var/lib/chequr-agent/locks/collector-files.lock"
    machine.eventually(lambda: not machine.run("test", "-e", lock, check=False).returncode, "a run under way")
    machine.run("systemctl", "stop", COLLECT)
    machine.run("systemctl", "stop", "writer")
    assert machine.show(COLLECT, "Result")["Result"] == "success"
    assert "stopped; what was being read is not kept" in machine.journal(COLLECT)
    assert "has failed" not in machine.run("journalctl", "--no-pager", "--unit", FAILED.format(COLLECT)).stdout


def test_credentials_are_rotated(machine):
    """A token that is put in the place of the old one is used after a restart; the old one holds what is owed."""
    machine.write("/etc/chequr-agent/chequr_token", "wrong", 0o600)
    machine.run("systemctl", "start", AGENT)
    machine.eventually(lambda: machine.show(AGENT, "StatusText")["StatusText"].startswith("Held: "), "a hold")
    machine.write("/etc/chequr-agent/chequr_token", TOKEN, 0o600)
    machine.run("systemctl", "restart", AGENT)
    machine.eventually(lambda: accepted(machine) == 5, "five files at the API")
    shown = machine.run("systemctl", "show", AGENT).stdout + machine.journal(AGENT)
    assert TOKEN not in shown


def test_the_key_is_seen_by_who_looks_after_a_failure(machine):
    """The status after a failure tells of the key; without its file it tells all else, and fails no more than that."""
    hook = FAILED.format("some.service")
    machine.run("systemctl", "start", hook)
    assert "Token " in machine.journal(hook)
    assert "there is no chequr_token" not in machine.journal(hook)
    machine.run("mv", "/etc/chequr-agent/chequr_token", "/srv/token")
    machine.run("systemctl", "start", hook, check=False)
    machine.run("mv", "/srv/token", "/etc/chequr-agent/chequr_token")
    assert machine.show(hook, "Result")["Result"] == "success"
    assert machine.journal(hook).count("files") == 2


def test_doctor_by_hand_sees_the_key(machine):
    """As documented, and what it writes is the service's to use."""
    (command,) = re.findall(r"`sudo (CREDENTIALS_DIRECTORY=.* doctor)`", (ROOT / "README.md").read_text())
    told = machine.run("sh", "-c", command, check=False).stdout
    assert "takes the token" in told
    assert "BAD   token" not in told
    machine.run("systemctl", "start", AGENT)
    machine.eventually(lambda: accepted(machine) == 5, "five files at the API")


def test_a_bad_configuration_is_not_started_again(machine):
    """It ends with 78 once, says what is wrong, and what is to be done on failure is done."""
    machine.write("/etc/chequr-agent/config.toml", "nonsense = 1\n")
    machine.run("systemctl", "start", AGENT, check=False)
    machine.eventually(lambda: machine.show(AGENT, "ActiveState")["ActiveState"] == "failed", "a failure")
    assert machine.show(AGENT, "ExecMainStatus", "NRestarts") == {"ExecMainStatus": "78", "NRestarts": "0"}
    assert "nonsense" in machine.journal(AGENT)
    hook = FAILED.format(AGENT)
    machine.eventually(lambda: "nonsense" in machine.journal(hook), "what is done on failure")


def test_its_memory_is_limited(machine):
    """One that takes more memory than it may is ended, and started again with its outbox whole."""
    machine.write("/etc/chequr-agent/chequr_token", "wrong", 0o600)
    machine.drop_in(AGENT, "[Service]\nRestartSec=1\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", AGENT)
    machine.eventually(lambda: sum(outbox(machine).values()) == 5, "five files in the outbox")
    with machine.memory_limited(AGENT, 0):
        machine.run("systemctl", "reload", AGENT, check=False)
        machine.eventually(lambda: int(machine.show(AGENT, "NRestarts")["NRestarts"]) > 0, "a restart")
    assert sum(outbox(machine).values()) == 5
    machine.write("/etc/chequr-agent/chequr_token", TOKEN, 0o600)
    machine.run("systemctl", "restart", AGENT)
    machine.eventually(lambda: accepted(machine) == 5, "five files at the API")


def test_an_encrypted_credential(machine):
    """A token that systemd decrypts is used, and lies on the disk in no other form."""
    path = "/etc/chequr-agent/chequr_token"
    machine.run("systemd-creds", "setup")
    encrypt = f"systemd-creds encrypt --with-key=host --name=chequr_token {path} {path}.cred && rm {path}"
    machine.run("sh", "-c", encrypt)
    for unit in (AGENT, COLLECT):
        machine.drop_in(unit, FROM_ELSEWHERE)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", COLLECT)
    assert accepted(machine) == 5
    files(machine, "second", 3)
    machine.run("systemctl", "start", AGENT)
    machine.run("systemctl", "start", COLLECT)
    machine.eventually(lambda: accepted(machine) == 8, "eight files at the API")
    places = ("/etc/chequr-agent", "/etc/systemd", "/var/lib/chequr-agent")
    found = machine.run("grep", "--recursive", "--files-with-matches", TOKEN, *places, check=False).stdout
    machine.write(path, TOKEN, 0o600)
    assert found == ""


def test_a_token_file_instead_of_the_credential(machine):
    """Without the credential's file a unit ends with 243; with the documented line it takes the configured one."""
    path = "/etc/chequr-agent/chequr_token"
    machine.run("mv", path, "/srv/token")
    machine.run("chown", "chequr-agent", "/srv/token")
    named = CONFIGURATION.replace("[delivery]", 'token_file = "/srv/token"\n[delivery]')
    machine.write("/etc/chequr-agent/config.toml", named)
    machine.run("systemctl", "start", COLLECT, check=False)
    without = machine.show(COLLECT, "ExecMainStatus")
    machine.drop_in(COLLECT, FROM_ELSEWHERE.partition("LoadCredentialEncrypted")[0])
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", COLLECT)
    machine.write(path, TOKEN, 0o600)
    assert without == {"ExecMainStatus": "243"}
    assert accepted(machine) == 5


def test_the_timer_is_understood(machine):
    """The timer of a collector has a next time, and its unit verifies."""
    machine.run("systemctl", "start", "chequr-agent-collect@files.timer")
    assert machine.show("chequr-agent-collect@files.timer", "ActiveState")["ActiveState"] == "active"
    machine.run("systemctl", "stop", "chequr-agent-collect@files.timer")
