"""The command, as a process, against a sandbox: what it prints, and what it ends with."""

import json
import os
import pty
import random
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from agent.exit import Exit
from agent.lock import lock
from agent.sandbox.options import Options
from agent.sandbox.server import running
from tests.command import ROOT, UNSET, eventually, make_agent

NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="module")
def sandbox():
    with running(Options(rate=10_000)) as started:
        yield started


@pytest.fixture
def agent(tmp_path, sandbox):
    return make_agent(tmp_path, sandbox)


@pytest.fixture(scope="module")
def delivered(tmp_path_factory, sandbox):
    """An agent that has delivered two items, and owes two others that it was told not to deliver."""
    agent = make_agent(tmp_path_factory.mktemp("delivered"), sandbox)
    assert agent.run("collect").code == Exit.WELL
    agent.put("ctrl_bc_03/second.csv")
    agent.put("ctrl_gv_01/second.txt")
    assert agent.run("collect", "--no-deliver").code == Exit.WELL
    return agent


def test_each_receipt_of_a_large_snapshot_is_told(agent):
    """However many pieces of evidence one place comes to, the run says which the API took."""
    agent.put("ctrl_vm_02/people.csv", "name\n" + "".join(f"{number:05}{'x' * 900}\n" for number in range(2500)))
    agent.config.write_text(f"{agent.config.read_text()}\n[delivery]\nmax_payload_bytes = 20000\n")
    told = agent.run("collect", "--json").json
    (large,) = [each for each in told["collectors"][0]["observed"] if "people" in each["target"]]
    assert len(large["receipts"]) == len(large["items"]) == large["parts"] > 100
    assert len(set(large["receipts"])) == len(large["receipts"])


# ── what is not understood ──


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["collect", "--bogus"], "No such option: --bogus"),
        (["collect", "manul"], "no collector is called manul (did you mean manual?); there are manual"),
        (["collect", "--type", "aws_*"], "none of the chosen collectors has an evidence type aws_*"),
        (["collect", "-t", "x", "-t", "manual_*", "-t", "y*"], "the chosen collectors has an evidence type x, y*"),
        (["collect", "--wait", "-1"], "'--wait'"),
        (["collect", "--wait", "soon"], "'--wait'"),
        (["types", "show", "aws_s3_bucket_encrypt"], "(did you mean aws_s3_bucket_encryption?)"),
        (["permissions", "awz"], "no source is called awz (did you mean aws?); there are aws, github, manual, okta"),
        (["permissions"], "Missing argument 'SOURCE'"),
        (["outbox", "show", "abc"], "'ID'"),
        (["outbox", "show", "0"], "'ID'"),
        (["outbox", "show", "99999999999999999999"], "'ID'"),
        (["outbox", "show", "77"], "the outbox has no item 77; `chequr-agent outbox list` shows what it has"),
        (["outbox", "retry", "77"], "the outbox has no item 77"),
        (["outbox", "discard", "77", "--yes"], "the outbox has no item 77"),
        (["permissions", "aws", "--format", "teraform"], "aws has no format teraform (did you mean terraform?)"),
        (["permissions", "okta", "--format", "terraform"], "okta has no format terraform; there are json"),
        (["outbox", "list", "--state", "panding"], "no state is called panding (did you mean pending?)"),
        (["outbox", "list", "--limit", "0"], "'--limit'"),
        (["outbox", "export", "/proc/none"], "/proc/none cannot be written to: No such file or directory"),
        (["support-bundle", "--output", "none/x"], "none/x cannot be written to: No such file or directory"),
        (["outbox", "export", "config.toml"], "config.toml cannot be written to: File exists"),
        (["controls", "show", "ctrl_none"], '404 not_found: There is no control "ctrl_none"'),
        (["controls", "list", "--framework", "soc3"], '"framework" does not know "soc3"'),
        (["audit-log", "--from", "yesterday"], "'--from'"),
        (["audit-log", "--from", "2030-01-01", "--to", "2029-01-01"], '422 invalid_range: "from" is later than "to"'),
        (["sandbox", "--port", "65536"], "'--port'"),
        (["sandbox", "--port", "0", "--token", "secret"], "A token is given as SCOPE=VALUE"),
        (["sandbox", "--port", "0", "--fault", "501"], 'There is no fault "501"'),
        (["sandbox", "--port", "0", "--rate", "0"], "The rate must be more than 0 requests a second, not 0"),
        (["sandbox", "--port", "0", "--host", "0.0.0.0"], "The sandbox does not listen on 0.0.0.0"),
        (["sandbox", "--port", "0", "--state", "/proc/none"], "The state file /proc/none cannot be used"),
        (["sandbox", "--port", "0", "--controls", "config.toml"], "must hold a JSON list of controls: Invalid JSON"),
    ],
)
def test_what_is_not_understood_is_one_message(delivered, arguments, told):
    """A wrong word, option or number ends with exit code 2, and a message that names it."""
    done = delivered.run(*arguments)
    assert done.code == Exit.USAGE
    assert told in done.told
    assert not done.out


def test_a_port_that_is_taken_is_told(agent):
    """The sandbox says which port is taken, and to choose another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = agent.run("sandbox", "--port", str(taken.getsockname()[1]))
    assert done.code == Exit.USAGE
    assert "Address already in use. Choose another port" in done.told


# ── configuration ──


@pytest.mark.parametrize(
    "command",
    ["run", "collect", "deliver", "status", "doctor", "outbox list", "controls list", "audit-log", "config check"],
)
def test_every_command_refuses_a_bad_configuration(agent, command):
    """A configuration that cannot be used ends each command with 78, its name, and every problem on a line."""
    agent.configure('[collectors.manual]\npath = "x"\nschedul = "daily"\n[log]\nlevl = "info"')
    done = agent.run(*command.split())
    assert done.code == Exit.CONFIGURATION
    assert done.err == "chequr-agent: config.toml: log.levl: there is no such key (did you mean level?)\n"


@pytest.mark.parametrize("command", ["types", "permissions aws"])
def test_the_catalogue_does_not_pass_over_a_bad_configuration(agent, command):
    """A broken configuration is told, not taken for none: permissions would come out too wide."""
    agent.config.write_text("oops")
    done = agent.run(*command.split())
    assert done.code == Exit.CONFIGURATION
    assert "config.toml: the file is not TOML: Expected '=' after a key" in done.told


def test_a_configuration_that_is_missing_is_told(agent):
    """A named file that is not there, and no file anywhere, are told as such."""
    done = agent.run("status", "--config", "other.toml")
    assert (done.code, done.err) == (
        Exit.CONFIGURATION,
        "chequr-agent: other.toml: the file cannot be read: No such file or directory\n",
    )
    agent.config.chmod(0)
    done = agent.run("status", "--config", "config.toml")
    if os.geteuid() != 0:  # who may read anything
        assert (done.code, done.told.endswith("Permission denied")) == (Exit.CONFIGURATION, True)
    agent.config.unlink()
    done = agent.run("status")
    assert done.code == Exit.CONFIGURATION
    assert "no configuration: looked for config.toml and /etc/chequr-agent/config.toml" in done.told


@pytest.mark.parametrize("command", ["collect", "run"])
def test_nothing_to_collect_is_a_mistake_of_the_configuration(agent, command):
    """Without a collector there is nothing to do, and that is told."""
    agent.configure("")
    done = agent.run(command)
    assert (done.code, done.told) == (
        Exit.CONFIGURATION,
        "chequr-agent: config.toml: collectors: there is none; add a [collectors.<name>] table",
    )


def test_a_disabled_collector_runs_only_by_its_name(agent):
    """`enabled = false` keeps a collector out of `collect`, unless it is asked for."""
    agent.configure('[collectors.manual]\npath = "evidence"\nenabled = false')
    assert "collectors: none is enabled" in agent.run("collect").told
    assert agent.run("collect", "manual").code == Exit.WELL


@pytest.mark.parametrize("arguments", [["collect"], ["status"], ["deliver"], ["outbox", "list"], ["run"]])
def test_a_state_directory_that_is_none_is_told(agent, arguments):
    """A file where the state directory should be ends the command with its path and a remedy."""
    agent.state.write_text("a file")
    done = agent.run(*arguments)
    assert done.code == Exit.FAILURE
    assert f"{agent.state} cannot be used: " in done.told
    assert "let the agent's user write there, or set another state_dir" in done.told


def test_a_damaged_database_is_set_aside(agent):
    """A state file that is no database is told, kept, and stops nothing."""
    agent.state.mkdir()
    content = b"not a database at all" * 100
    (agent.state / "state.db").write_bytes(content)
    done = agent.run("status")
    assert done.code == Exit.WELL
    assert "store.damaged" in done.err
    assert [file.read_bytes() for file in (agent.state / "damaged").glob("*/state.db")] == [content]
    assert "store.damaged" not in agent.run("status").err


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("HTTPS_PROXY", "foo://proxy", "the proxy that HTTPS_PROXY or ALL_PROXY names cannot be used"),
        ("SSL_CERT_FILE", "config.toml", "certificates cannot be read from SSL_CERT_FILE"),
    ],
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_told(agent, variable, value, told):
    """What the environment says wrongly about the way to the API is a matter of configuration, for the service too."""
    told_https = {variable: value, "CHEQUR_AGENT__CHEQUR__BASE_URL": "https://127.0.0.1:9/v1"}
    for command in (["controls", "list"], ["run"]):
        done = agent.run(*command, **told_https)
        assert done.code == Exit.CONFIGURATION
        assert told in done.told


# ── the token and the API ──


@pytest.mark.parametrize(
    ("token", "told"),
    [
        (UNSET, "no chequr_token: set its file in the configuration"),
        ("", "no chequr_token: set its file in the configuration"),
        ("two\nlines", "holds more than a token: leave only the token's own characters in it"),
        ("two words", "holds more than a token"),
        ("wörld", "holds more than a token"),
        ("wrong", "401 unauthorized: The Bearer token is not valid"),
    ],
)
def test_a_token_that_is_not_taken_ends_with_77(agent, token, told):
    """No token, one that no header can carry, and one that the API refuses: each is told, and never repeated."""
    done = agent.run("controls", "list", CHEQUR_TOKEN=token)
    assert done.code == Exit.REFUSED
    assert told in done.told
    assert not re.search("two|wörld|wrong", done.told)


def test_a_token_file_that_cannot_be_read_is_told(agent):
    """A named token file wins, and says what is wrong with it."""
    agent.configure(top="", tables='token_file = "token"\n[collectors.manual]\npath = "evidence"')
    assert "chequr_token cannot be read from" in agent.run("controls", "list").told
    (agent.home / "token").write_text("  \n")
    assert "is empty" in agent.run("controls", "list").told
    (agent.home / "token").write_text(agent.environment["CHEQUR_TOKEN"] + "\n")
    assert agent.run("controls", "list", CHEQUR_TOKEN="wrong").code == Exit.WELL


def test_an_api_that_is_away_ends_with_75(agent):
    """A connection that is refused is told with the host and the request."""
    done = agent.run("controls", "list", CHEQUR_AGENT__CHEQUR__BASE_URL=NOWHERE)
    assert done.code == Exit.UNDELIVERED
    assert "no answer from 127.0.0.1 to GET /controls: ConnectError" in done.told


@pytest.mark.parametrize(
    ("token", "told"),
    [
        (
            "wrong",
            "The token is wrong, expired or revoked: make a new key in Chequr, and put it in its place. Then run",
        ),
        (
            "chequr-sandbox-read",
            "make a key with write scope, and put it in its place. Then run `chequr-agent deliver`",
        ),
        (UNSET, "There is no token that can be sent: put one in its place. Then run `chequr-agent deliver`"),
    ],
)
def test_evidence_is_held_while_the_token_is_not_taken(agent, token, told):
    """A token that is refused or too small keeps all in the outbox, ends with 77, and `status` shows the hold."""
    done = agent.run("collect", CHEQUR_TOKEN=token)
    assert done.code == Exit.REFUSED
    assert "2 items held: " in done.out
    assert told in done.out
    assert "HELD since" in agent.run("status").out
    assert agent.run("deliver", CHEQUR_TOKEN=token).code == Exit.REFUSED
    done = agent.run("deliver")
    assert (done.code, done.out) == (Exit.WELL, "2 items accepted.\n")
    assert "HELD" not in agent.run("status").out


# ── collecting and delivering ──


def test_the_second_collection_sends_nothing(agent, sandbox):
    """Unchanged files are not sent again; a changed one is one new item."""
    before = len(sandbox.evidence)
    assert agent.run("collect", "manual").code == Exit.WELL
    assert len(sandbox.evidence) == before + 2
    second = agent.run("collect", "manual")
    assert second.code == Exit.WELL
    assert second.out == "2 files unchanged since queued: not sent again.\n0 items accepted.\n"
    agent.put("ctrl_bc_03/restore.csv", "day,hours\nmonday,3\n")
    assert "1 item accepted." in agent.run("collect", "manual").out
    assert len(sandbox.evidence) == before + 3
    assert sandbox.evidence[-1].payload["records"][1]["row"] == {"day": "monday", "hours": "3"}


def test_a_collection_is_a_table_with_its_receipts(agent, sandbox):
    """Each file is a row with its records, its control and its receipt."""
    out = agent.run("collect").out
    ids = {each.id for each in sandbox.evidence[-2:]}
    assert set(re.findall(r"ev_\w+", out)) == ids
    assert re.search(r"manual_files_content +ctrl_bc_03/restore.csv +2 +1 +ctrl_bc_03 +ev_", out)


def test_a_large_collection_is_told_by_evidence_type(agent):
    """Where there are too many places to read of each, they are told together, with what they came to."""
    for number in range(99):
        agent.put(f"ctrl_bc_03/{number}.csv", "day,hours\nmonday,3\n")
    out = agent.run("collect").out
    assert re.search(r"manual_files_content +101 places +\d+ +101 +ctrl_bc_03, ctrl_gv_01 +101 receipts", out)
    assert "restore.csv" not in out


def test_what_is_collected_can_be_delivered_later(agent, sandbox):
    """--no-deliver queues only; `deliver` sends."""
    before = len(sandbox.evidence)
    done = agent.run("collect", "--no-deliver")
    assert done.code == Exit.WELL
    assert "Nothing was delivered, as wished: `chequr-agent deliver` does it." in done.out
    assert len(sandbox.evidence) == before
    assert agent.run("status", "--json").json["outbox"]["pending"]["items"] == 2
    done = agent.run("deliver", "--json")
    assert (done.code, done.json["accepted"], done.json["owed"]) == (Exit.WELL, 2, 0)
    assert len(sandbox.evidence) == before + 2
    assert agent.run("deliver").out == "0 items accepted.\n"


def test_a_dry_run_touches_nothing(agent, sandbox):
    """--dry-run prints one payload a line, asks the API nothing, and does not even make the state directory."""
    before = sum(sandbox.calls.values())
    done = agent.run("collect", "--dry-run", CHEQUR_TOKEN=UNSET)
    assert done.code == Exit.WELL
    assert {line["target"]["file"] for line in done.lines} == {"ctrl_bc_03/restore.csv", "ctrl_gv_01/policy.txt"}
    assert sum(sandbox.calls.values()) == before
    assert not agent.state.exists()


def test_gaps_end_with_3(agent, sandbox):
    """A folder of an unknown control and a file in none are told with their remedies; the rest is delivered."""
    agent.put("ctrl_none/a.csv")
    agent.put("stray.csv")
    before = len(sandbox.evidence)
    done = agent.run("collect")
    assert done.code == Exit.GAPS
    assert len(sandbox.evidence) == before + 2
    assert "2 gaps, delivered as such where there is a control and room for it:" in done.out
    assert "the workspace has no control ctrl_none" in done.out
    assert "stray.csv is in no control's subfolder" in done.out
    told = agent.run("collect", "--json")
    assert told.code == Exit.GAPS
    assert told.json["collectors"][0]["gaps"] == 2
    assert agent.run("collect", "--dry-run").code == Exit.GAPS


def test_gaps_are_accepted_where_they_are_delivered(agent, sandbox):
    """With --accept-gaps a gap that somebody gets is no failure; one that nobody does is, and so it is without."""
    before = len(sandbox.evidence)
    agent.configure('[collectors.manual]\npath = "evidence"\nmax_file_bytes = 5\n')
    assert agent.run("collect", "--dry-run").code == Exit.GAPS
    assert agent.run("collect", "--dry-run", "--accept-gaps").code == Exit.WELL
    done = agent.run("collect", "--accept-gaps")
    assert (done.code, [len(each.payload["gaps"]) for each in sandbox.evidence[before:]]) == (Exit.WELL, [1, 1])
    agent.configure('[collectors.manual]\npath = "gone"\n')
    done = agent.run("collect", "--accept-gaps")
    assert (done.code, len(sandbox.evidence)) == (Exit.GAPS, before + 2)
    assert "1 gap, delivered as such where there is a control" in done.out


def test_a_collector_without_any_of_the_types_is_left_alone(agent):
    """Where some evidence types are asked for, nobody waits for a collector that has none of them."""
    agent.configure('[collectors.manual]\npath = "evidence"\n[collectors.okta]\norg_url = "http://127.0.0.1:9"\n')
    agent.state.mkdir()
    with lock(agent.state, "collector-okta"):
        done = agent.run("collect", "--type", "manual_*", "--json")
    assert done.code == Exit.WELL, done.told
    assert [run["collector"] for run in done.json["collectors"]] == ["manual"]


def test_an_api_that_is_away_does_not_stop_collecting(agent, sandbox):
    """What cannot be sent is queued, with or without knowledge of the controls, and is sent once the API is back."""
    away = {"CHEQUR_AGENT__CHEQUR__BASE_URL": NOWHERE}
    done = agent.run("collect", "--wait", "0", **away)
    assert done.code == Exit.UNDELIVERED
    assert "The controls could not be read from the API: no answer" in done.out
    assert "2 items still owed and safe in the outbox" in done.out
    assert agent.run("deliver").code == Exit.WELL


def test_evidence_types_without_controls_are_told_when_the_api_is_away(agent):
    """Where the controls were never read, what has no mapping of its own is not collected, and the command says so."""
    agent.configure('[collectors.okta]\norg_url = "http://127.0.0.1:9"')
    done = agent.run("collect", CHEQUR_AGENT__CHEQUR__BASE_URL=NOWHERE)
    assert done.code == Exit.UNDELIVERED
    assert "They were never read before, so it is not known where evidence belongs." in done.out
    assert agent.run("collect", CHEQUR_TOKEN="wrong").code == Exit.REFUSED


def test_known_controls_serve_while_the_api_is_away(agent, sandbox):
    """The controls that were read once still tell a known control from an unknown one while the API is away."""
    assert agent.run("collect").code == Exit.WELL
    agent.put("ctrl_none/a.csv")
    agent.put("ctrl_vm_02/b.csv")
    sandbox.faults = ["drop-before@/v1/controls"]
    done = agent.run("collect", "--json", CHEQUR_AGENT__CONTROLS__REFRESH="0")
    sandbox.faults = []
    assert done.code == Exit.GAPS
    (unknown,) = [told for told in done.json["collectors"][0]["observed"] if told["gaps"]]
    assert unknown["first_gaps"][0]["message"] == "the workspace has no control ctrl_none"
    assert done.json["delivery"]["accepted"] == 1


def test_a_rejected_item_is_told_shown_and_sent_again(agent, sandbox):
    """What the API rejects ends with 75 once, is kept with its words, and `retry` sends the same bytes again."""
    agent.put("ctrl_none/a.csv")
    done = agent.run("collect", "--no-deliver", CHEQUR_AGENT__CONTROLS__DISCOVER="false")
    assert done.code == Exit.WELL
    done = agent.run("deliver")
    assert done.code == Exit.UNDELIVERED
    assert "2 items accepted. 1 item rejected: `chequr-agent outbox list --state rejected` says why." in done.out
    assert agent.run("deliver").code == Exit.WELL
    (rejected,) = agent.run("outbox", "list", "--state", "rejected", "--json").lines
    assert (rejected["status"], rejected["code"]) == (404, "not_found")
    assert "There is no control" in agent.run("outbox", "show", str(rejected["id"])).out
    assert "1 item due now." in agent.run("outbox", "retry").out
    assert agent.run("deliver").code == Exit.UNDELIVERED
    assert agent.run("outbox", "discard", str(rejected["id"])).code == Exit.FAILURE
    assert agent.run("outbox", "discard", str(rejected["id"]), "--yes").code == Exit.WELL
    assert agent.run("outbox", "retry").out == "There is nothing to retry: only rejected and deferred items are.\n"


def test_what_needs_another_key_is_told(agent, sandbox):
    """A refusal that comes again under the same key asks for another one, and says why; `--new-key` takes it."""
    agent.put("ctrl_none/a.csv")
    assert agent.run("collect", "--no-deliver", CHEQUR_AGENT__CONTROLS__DISCOVER="false").code == Exit.WELL
    agent.run("deliver")
    (before,) = agent.run("outbox", "list", "--state", "rejected", "--json").lines
    shown = agent.run("outbox", "show", str(before["id"])).out
    step = f"Its control is not in the workspace. Create it there, then `chequr-agent outbox retry {before['id']}`."
    assert step in shown
    assert "1 item due now." in agent.run("outbox", "retry").out
    agent.run("deliver")
    told = agent.run("outbox", "retry").out
    assert told.startswith("1 item not retried: they were retried and refused as before")
    assert "1 item due now." in agent.run("outbox", "retry", "--new-key").out
    (after,) = agent.run("outbox", "list", "--state", "pending", "--json").lines
    assert after["key"] == f"{before['key']}-1"


def test_what_was_accepted_is_neither_retried_nor_discarded(delivered):
    """An item that the API has is told as such, with its receipt, and not as one that never was."""
    receipt = delivered.run("outbox", "show", "1", "--json").json["evidence_id"]
    for command in (["retry", "1"], ["discard", "1", "--yes"]):
        done = delivered.run("outbox", *command)
        assert (done.code, f"the API has taken item 1, as {receipt}" in done.told) == (Exit.USAGE, True)


def test_an_outbox_that_is_full_is_told(agent, sandbox):
    """What finds no room is a gap, delivered as such; nothing queued is dropped; later it is read again."""
    before, lots = len(sandbox.evidence), random.Random(1)
    for number in range(6):
        agent.put(f"ctrl_vm_02/{number}.bin", lots.randbytes(300_000))
    agent.configure('[collectors.manual]\npath = "evidence"\n[outbox]\nmax_bytes = 1_000_000\n')
    done = agent.run("collect", "--no-deliver")
    assert done.code == Exit.GAPS
    assert "the outbox is full: it holds" in done.out
    assert "raise outbox.max_bytes" in done.out
    assert agent.run("deliver").code == Exit.WELL
    gaps = [each.payload["gaps"] for each in sandbox.evidence[before:] if each.payload["gaps"]]
    assert {gap["kind"] for found in gaps for gap in found} == {"omitted"}
    assert 0 < len(gaps) < 6
    while agent.run("collect").code == Exit.GAPS:
        pass
    whole = {each.payload["target"]["file"] for each in sandbox.evidence[before:] if not each.payload["gaps"]}
    assert {f"ctrl_vm_02/{number}.bin" for number in range(6)} <= whole


def test_losses_are_told_by_name(agent, sandbox):
    """After a disk has failed: what is lost is listed, ends a delivery with 75, and comes with the next collection."""
    before = len(sandbox.evidence)
    assert agent.run("outbox", "losses").out == "Nothing that was queued is lost.\n"
    assert agent.run("collect", "--no-deliver").code == Exit.WELL
    (agent.state / "state.db").unlink()
    done = agent.run("outbox", "losses")
    assert done.code == Exit.WELL
    assert "manual_files_content" in done.out
    assert "damaged/" in done.out
    assert len(agent.run("outbox", "losses", "--json").lines) == 2
    assert "LOST: 2 items; `chequr-agent outbox losses` says which, and why." in agent.run("status").out
    done = agent.run("collect")
    assert done.code == Exit.WELL
    assert "2 items accepted. 2 items lost: `chequr-agent outbox losses` says which." in done.out
    assert len(sandbox.evidence) == before + 2


def test_the_age_of_a_token_is_told(agent):
    """A token is shown by its fingerprint and the day that it was first used; after 90 days it is to be rotated."""
    assert "not used here yet." in agent.run("status").out
    assert agent.run("collect").code == Exit.WELL
    token = agent.run("status", "--json").json["token"]
    assert re.fullmatch("[0-9a-f]{8}", token["fingerprint"])
    assert f"Token {token['fingerprint']}, first used here" in agent.run("status").out
    assert "Rotate it" not in agent.run("status").out + agent.run("doctor").out
    with closing(sqlite3.connect(agent.state / "state.db")) as database:
        database.execute("UPDATE token SET first_seen = first_seen - 91 * 86400")
        database.commit()
    assert "Rotate it: it is older than 90 days." in agent.run("status").out
    assert f"note  token: {token['fingerprint']} has been in use since" in agent.run("doctor").out


@pytest.mark.parametrize(
    ("token", "told"),
    [("wrong", "make a new key in Chequr"), ("chequr-sandbox-read", "make a key with write scope")],
)
def test_a_key_that_is_gone_is_told_from_one_that_is_too_small(agent, token, told):
    """401 and 403 have next steps of their own."""
    assert agent.run("collect", CHEQUR_TOKEN=token).code == Exit.REFUSED
    assert told in agent.run("status").out


# ── looking ──


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "--json"],
        ["outbox", "show", "1", "--json"],
        ["outbox", "show", "3", "--json"],
        ["types", "--json"],
        ["types", "show", "manual_files_content", "--json"],
        ["controls", "show", "ctrl_bc_03", "--json"],
        ["permissions", "aws"],
        ["permissions", "okta"],
        ["permissions", "github"],
        ["permissions", "manual"],
        ["config", "check", "--json"],
        ["config", "schema"],
    ],
)
def test_facts_are_json_for_programs(delivered, arguments):
    """Standard output is one JSON document and nothing else."""
    done = delivered.run(*arguments)
    assert done.code == Exit.WELL
    assert done.json


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        (["outbox", "list", "--json"], 2),
        (["controls", "list", "--json"], 20),
        (["controls", "list", "--framework", "gdpr", "--json"], 3),
        (["doctor", "--json"], 3),
        (["audit-log"], 2),
    ],
)
def test_lists_are_json_lines_for_programs(delivered, arguments, number):
    """Standard output is one JSON value a line."""
    done = delivered.run(*arguments)
    assert done.code == Exit.WELL
    assert len(done.lines) >= number


def test_the_outbox_is_listed_shown_and_exported(delivered):
    """What is owed is a table, an item with its body, and files."""
    listed = delivered.run("outbox", "list", "--limit", "1").out
    assert re.search(r"3 +pending +manual_files_content", listed)
    assert "These are the first 1 of 2; --limit shows more." in listed
    assert delivered.run("outbox", "list", "--state", "rejected").out == "No such items.\n"
    shown = delivered.run("outbox", "show", "3").out
    assert '"control_id": "ctrl_bc_03"' in shown or '"control_id": "ctrl_gv_01"' in shown
    assert re.search(r"evidence_id +ev_", delivered.run("outbox", "show", "1").out)
    assert delivered.run("outbox", "export", "bodies").out == "2 bodies written to bodies.\n"
    assert all(json.loads(each.read_bytes()) for each in (delivered.home / "bodies").iterdir())


def test_status_tells_runs_and_what_is_owed(delivered):
    """The outbox by state, what was accepted, and each collector's last and next run."""
    out = delivered.run("status").out
    assert re.search(r"pending +2 ", out)
    assert "Accepted by the API so far: 2." in out
    assert re.search(r"manual +daily +\d{4}-\d\d-\d\d .* complete +\d+ +0 +\d{4}", out)


def test_the_example_configuration_is_one(agent):
    """`config example` prints what `config check` takes."""
    agent.config.write_text(agent.run("config", "example").out)
    assert agent.run("config", "check").code == Exit.WELL


def test_the_audit_log_is_asked_for_a_time_and_an_actor(delivered):
    """--from, --to and --actor reach the API."""
    assert delivered.run("audit-log", "--to", "2020-01-02", "--from", "2020-01-01").lines == []
    assert delivered.run("audit-log", "--actor", "nobody").lines == []


def test_a_controls_test_is_told_where_the_api_tells_it(delivered):
    """The API shows a control without the time of its last test: that is not the same as never."""
    assert "status   passing\n" in delivered.run("controls", "show", "ctrl_bc_03").out
    assert re.search(r"ctrl_bc_03 .* passing +\d{4}-", delivered.run("controls", "list").out)


def test_a_type_that_needs_no_mapping_says_whose_word_counts(delivered):
    """Files name their controls themselves; what has no control yet is told as such."""
    assert "Controls:     those that each File names" in delivered.run("types", "show", "manual_files_content").out
    assert "Controls:     none known" in delivered.run("types", "show", "okta_org_settings").out


# ── help and screens ──


def test_an_interrupt_before_a_command_has_begun_is_no_fault(agent):
    """Ctrl-C while modules are still being read ends at once, without a word."""
    (agent.home / "typer.py").write_text("raise KeyboardInterrupt")
    done = agent.run_afresh("status")
    assert (done.code, done.out, done.err) == (Exit.STOPPED, "", "")


def test_the_version_is_printed():
    """`--version` needs no command."""
    done = subprocess.run(
        [sys.executable, "-m", "agent", "--version"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert re.fullmatch(r"chequr-agent \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize(
    "command",
    ["", "run", "collect", "deliver", "status", "outbox", "outbox list", "outbox show", "outbox retry",
     "outbox discard", "outbox losses",
     "outbox export", "types", "types show", "permissions", "controls list", "controls show",
     "audit-log", "doctor", "config", "config check", "config schema", "config example", "sandbox", "demo"],
)  # fmt: skip
def test_every_command_has_help(agent, command):
    """`--help` says what a command does, without a configuration."""
    agent.config.unlink()
    done = agent.run(*command.split(), "--help")
    assert done.code == Exit.WELL
    assert "Usage: " in done.out


@pytest.mark.parametrize("arguments", [["types"], ["doctor"], ["types", "--json"], ["--help"], ["bogus"]])
def test_a_terminal_without_unicode_is_served(delivered, arguments):
    """Where a character cannot be shown there is a stand-in, and JSON stays JSON."""
    done = delivered.run_afresh(*arguments, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.code == (Exit.USAGE if arguments == ["bogus"] else Exit.WELL)
    assert done.out.isascii()
    assert "--json" not in arguments or done.json


@pytest.mark.parametrize(("no_color", "coloured"), [(UNSET, True), ("1", False)])
def test_colours_are_for_terminals_that_want_them(delivered, no_color, coloured):
    """A terminal gets colours unless NO_COLOR is set; a pipe or a file never does."""
    text = _on_a_terminal(delivered, ["--help"], {"TERM": "xterm-256color", "NO_COLOR": no_color})
    assert (re.search("\x1b\\[[0-9;]*3[0-9]", text) is not None) is coloured
    for arguments in (["--help"], ["types"], ["status"], ["doctor"]):
        assert "\x1b" not in delivered.run(*arguments).out


def test_logs_on_a_terminal_have_colours_only_where_wanted(agent):
    """Log lines follow NO_COLOR too."""
    for no_color, coloured in ((UNSET, True), ("1", False)):
        text = _on_a_terminal(agent, ["collect", "-v"], {"TERM": "xterm-256color", "NO_COLOR": no_color})
        (line,) = [line for line in text.splitlines() if "collector.finished" in line]
        assert ("\x1b[3" in line) is coloured


def _on_a_terminal(agent, arguments, environment):
    """All that a command writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        agent._command(arguments), cwd=agent.home, env=agent._environment(environment),
        stdin=theirs, stdout=theirs, stderr=theirs,
    ) as process:  # fmt: skip
        os.close(theirs)
        text = b""
        for _ in count():
            try:
                if select.select([ours], [], [], 30)[0]:
                    text += os.read(ours, 65536)
            except OSError:  # the terminal is closed with its last user
                break
        assert process.wait(30) in {0, 3}
    os.close(ours)
    return text.decode()


@pytest.mark.parametrize("arguments", ["types", "types --json", "controls list --json", "doctor", "--help"])
def test_a_reader_that_leaves_is_no_fault(delivered, arguments):
    """As in `| head -1`: no traceback, and nothing of the pipe on standard error."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as stdout:
        done = delivered.run_afresh(*arguments.split(), stdout=stdout)
    assert "Pipe" not in done.err


def test_a_full_disk_behind_standard_output_is_told(delivered):
    """Standard output that takes nothing ends with 1 and one line."""
    with Path("/dev/full").open("wb") as full:
        done = delivered.run_afresh("types", stdout=full)
    assert done.code == Exit.FAILURE
    assert done.err == "chequr-agent: this machine refuses: [Errno 28] No space left on device\n"


def test_a_delivery_that_is_stopped_says_what_it_waits_for(tmp_path):
    """Ctrl-C sends nothing more, says that what is under way gets its answer, and ends with what is left."""
    with running(Options()) as slow:
        agent = make_agent(tmp_path, slow)
        agent.run("collect", "--no-deliver")
        slow.faults = ["slow:2s@/v1/evidence"]
        with agent.started("deliver") as process:
            eventually(lambda: slow.calls["POST /v1/evidence"], "a request is under way")
            process.signal(signal.SIGINT)
            assert process.ended() in (Exit.WELL, Exit.UNDELIVERED)
        assert "chequr-agent: stopping; what is under way gets its answer first, which takes 60 s" in process.text
        assert "accepted." in process.text


def test_the_status_is_watched(agent):
    """With --watch it is shown again and again, and Ctrl-C ends it well."""
    with agent.started("status", "--watch", "--json") as process:
        eventually(lambda: process.text.count('"outbox"') >= 2, "it is shown twice")
        process.signal(signal.SIGINT)
        assert process.ended() == Exit.WELL
    assert "Traceback" not in process.text


def test_the_configuration_in_force(agent):
    """Each key is shown with its value and where it comes from; a variable wins; what looks like a secret is masked."""
    manual = '[collectors.manual]\npath = "evidence"\n'
    agent.config.write_text(f'state_dir = "state"\n[chequr]\nrate = 5\n{manual}')
    done = agent.run("config", "show", "--json", CHEQUR_AGENT__CHEQUR__RATE="7", CHEQUR_AGENT__LOG='{"level": "error"}')
    told = {each["key"]: (each["value"], each["origin"]) for each in done.json["settings"]}
    assert told["chequr.rate"] == (7.0, "$CHEQUR_AGENT__CHEQUR__RATE")
    assert told["log.level"] == ("error", "$CHEQUR_AGENT__LOG")
    assert told["collectors.manual.path"] == (str(agent.home / "evidence"), "file")
    assert told["delivery.concurrency"] == (32, "default")
    assert told["collectors.manual.source"] == ("manual", "default")
    agent.config.write_text(f'state_dir = "state/ghp_{"a" * 36}"\n{manual}')
    shown = agent.run("config", "show")
    assert (shown.code, "ghp_" in shown.out, "[redacted]" in shown.out) == (Exit.WELL, False, True)
    assert agent.run("config", "show", "--config", "nowhere.toml").code == Exit.CONFIGURATION
