"""What `doctor` finds, good and bad, each with its remedy."""

import json
import random
import re

import pytest

from agent.exit import Exit
from agent.sandbox.options import Options
from agent.sandbox.server import running
from tests import loopback
from tests.command import ROOT, UNSET, make_agent
from tests.fakes.aws import ENVIRONMENT, ROLE, SECOND_ACCOUNT, serving
from tests.fakes.okta import Fault, Okta, said

MANUAL = '[collectors.manual]\npath = "evidence"\n'
NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="module")
def sandbox():
    with running(Options(rate=10_000)) as started:
        yield started


@pytest.fixture
def agent(tmp_path, sandbox):
    return make_agent(tmp_path, sandbox)


def findings(agent, level=None, **environment):
    """All findings, or those of one level. Each that is not good says what to do."""
    done = agent.run("doctor", "--json", **environment)
    found = done.lines
    assert all(finding["remedy"] for finding in found if finding["level"] != "good")
    bad = any(finding["level"] == "bad" for finding in found)
    assert done.code == (Exit.DIFFERENCE if bad else Exit.WELL)
    return [finding for finding in found if level in (None, finding["level"])]


def one(found, subject):
    (finding,) = [finding for finding in found if finding["subject"] == subject]
    return finding


def test_all_is_well(agent, sandbox):
    """A good configuration, state directory, API, token and folder are told as such, and nothing is submitted."""
    good = findings(agent, "good")
    assert [finding["subject"] for finding in good] == ["configuration", "state", "API", "collector manual"]
    assert good[2]["message"].startswith(f"{sandbox.url} answers, and takes the token ")
    assert good[2]["message"].endswith(" for writing")
    assert good[3]["message"] == "2 of 2 places can be seen in full"
    assert sandbox.evidence == []


def test_findings_are_lines_for_people(agent):
    """One line a finding, with its level first and its remedy last."""
    agent.put("stray.csv")
    done = agent.run("doctor")
    assert done.code == Exit.DIFFERENCE
    lines = done.out.splitlines()
    assert {line[:4] for line in lines} == {"ok  ", "note", "BAD "}
    assert any(line.endswith("-> Move it into a subfolder named after its control.") for line in lines)


@pytest.mark.parametrize(
    ("token", "message", "remedy"),
    [
        (UNSET, "no chequr_token", "Create a key"),
        ("two words", "holds more than a token", "Create a key"),
        ("wrong", "refused: [req_", "Renew the key"),
        ("chequr-sandbox-read", "its scope is too small: [req_", "Use a key with write scope."),
    ],
)
def test_a_token_that_does_not_do_is_bad(agent, token, message, remedy):
    """No token, an unusable one, a refused one, and one that may only read."""
    finding = one(findings(agent, "bad", CHEQUR_TOKEN=token), "token")
    assert message in finding["message"]
    assert remedy in finding["remedy"]
    assert token not in finding["message"]


def test_an_api_that_is_away_is_bad(agent):
    """The finding names the address and where the fault may lie; the rest is still looked at."""
    found = findings(agent, CHEQUR_AGENT__CHEQUR__BASE_URL=NOWHERE)
    api = one(found, "API")
    assert api["level"] == "bad"
    assert NOWHERE in api["message"]
    assert "HTTPS_PROXY" in api["remedy"]
    assert one(found, "collector manual")["level"] == "good"


def test_an_address_that_is_not_the_api_is_bad(agent, sandbox):
    """A base_url that lacks its path answers, but not as the API does."""
    api = one(findings(agent, "bad", CHEQUR_AGENT__CHEQUR__BASE_URL=sandbox.root), "API")
    assert "404" in api["message"]
    assert "chequr.base_url" in api["remedy"]


def test_a_state_directory_that_cannot_be_used_is_bad(agent):
    """The finding names the directory; the API and the collectors are still looked at, and nothing is written."""
    agent.state.write_text("a file")
    found = findings(agent)
    state = one(found, "state")
    assert state["level"] == "bad"
    assert str(agent.state) in state["message"]
    assert one(found, "API")["level"] == "good"


def test_an_outbox_without_room_is_bad(agent):
    """Where nothing more can be queued, that is no mere note."""
    for number in range(3):
        agent.put(f"ctrl_vm_02/{number}.bin", random.Random(number).randbytes(500_000))
    agent.run("collect", "--no-deliver")
    agent.configure(f"{MANUAL}[outbox]\nmax_bytes = 1_000_000\n")
    state = one(findings(agent, "bad"), "state")
    assert re.search(r"can queue nothing more: it holds \d\.\d MB of the 1\.0 MB that outbox", state["message"])


def test_webhooks_without_their_secret_are_bad(agent):
    """Where webhooks are taken, a secret that is missing is told, and one that is there is good."""
    agent.configure(MANUAL + '[webhooks]\nlisten = "0"\nsecret_file = "secret"\n')
    found = one(findings(agent, "bad"), "webhooks")
    assert f"webhook_secret cannot be read from {agent.home / 'secret'}" in found["message"]
    assert "`chequr-agent webhooks register`" in found["remedy"]
    (agent.home / "secret").write_text("5" * 64)
    assert one(findings(agent, "good"), "webhooks")["message"] == "taken at 127.0.0.1:0, and their secret is there"


def test_no_collector_is_bad(agent):
    """An agent without a collector collects nothing, as no command but these would begin with it."""
    agent.configure("")
    assert one(findings(agent, "bad"), "collectors")["message"] == "none is enabled"


def test_a_workspace_without_controls_is_noted(tmp_path):
    """A workspace that has no control yet is told so."""
    controls = tmp_path / "controls.json"
    controls.write_text(json.dumps([]))
    with running(Options(controls=controls)) as sandbox:
        found = findings(make_agent(tmp_path, sandbox))
    assert "the workspace has no control" in [finding["message"] for finding in found]


def test_evaluators_that_nobody_serves_are_noted(agent):
    """A control whose evaluator no collector serves is told, with whether an installed source could."""
    notes = {finding["message"]: finding["remedy"] for finding in findings(agent, "note")}
    assert notes["ctrl_ac_08: no collector here has okta_user_mfa"].startswith("Enable a collector of its source")
    remedy = notes["ctrl_ep_01: no evidence type is called jamf_computer_encryption, which it wants"]
    assert remedy == "Map a type to it in [controls.map], or install its source."
    assert not any("manual" in message for message in notes)


def test_a_control_that_is_mapped_by_hand_wants_that(agent):
    """A control in [controls.map] wants what is there, whatever its evaluator is: also from a collector that is off."""
    agent.configure(
        '[collectors.okta]\norg_url = "http://127.0.0.1:9"\ntypes = ["okta_user_mfa"]\nenabled = false\n'
        '[controls.map]\nokta_user_mfa = ["ctrl_ep_01"]'
    )
    messages = [finding["message"] for finding in findings(agent, "note")]
    assert [message for message in messages if "ctrl_ep_01" in message] == [
        "ctrl_ep_01: no collector here has okta_user_mfa"
    ]
    assert "ctrl_bc_03: no collector here is of the source manual, which it wants" in messages


@pytest.mark.parametrize("discover", ["true", "false"])
def test_a_control_that_the_workspace_does_not_have_is_bad(agent, discover):
    """An id in [controls.map] and a folder's name are held against the controls that there are."""
    agent.configure(
        '[collectors.manual]\npath = "evidence"\n[controls.map]\nokta_user_mfa = ["ctrl_ac_08", "ctrl_ac_80"]\n'
        f"[controls]\ndiscover = {discover}"
    )
    agent.put("ctrl_none/a.csv")
    bad = {finding["subject"]: finding["message"] for finding in findings(agent, "bad")}
    assert bad["mapping"] == "[controls.map] okta_user_mfa names ctrl_ac_80, which the workspace does not have"
    folder = bad.get("collector manual, ctrl_none/a.csv")
    assert folder == ("the workspace has no control ctrl_none" if discover == "true" else None)


def test_an_evidence_type_that_is_broken_keeps_nothing_from_being_looked_at(agent):
    """A fault of its author's is a finding; the others follow."""
    agent.environment["PYTHONPATH"] = f"{ROOT}:{ROOT}/tests/third_party"
    broken = '[collectors.acme]\ntypes = ["acme_door_hinges"]\ntrouble = {hinges = "broken"}\n'
    agent.configure(f'{broken}[collectors.manual]\npath = "evidence"\n')
    with agent.started("doctor", "--json") as doctor:
        assert doctor.ended() == Exit.DIFFERENCE
        found = {finding["subject"]: finding["message"] for finding in doctor.events if "subject" in finding}
    assert doctor.count("evidence_type.failed") == 1
    assert found["collector acme, north, acme_door_hinges"] == "failed: acme_door_hinges broke: ZeroDivisionError"
    assert found["collector manual"] == "2 of 2 places can be seen in full"


def test_a_folder_that_is_not_there_is_bad(agent):
    """A collector that cannot begin is one finding."""
    agent.configure('[collectors.manual]\npath = "nowhere"')
    (bad,) = findings(agent, "bad")
    assert bad["subject"] == "collector manual"
    assert "nowhere" in bad["message"]


def test_the_controls_are_read_anew_for_the_next_collection(agent, sandbox):
    """After `doctor`, a collection knows the controls without asking."""
    findings(agent)
    before = sandbox.calls["GET /v1/controls"]
    assert agent.run("collect", "--no-deliver").code == Exit.WELL
    assert sandbox.calls["GET /v1/controls"] == before


def okta(agent, org, more=""):
    types = '["okta_password_policy", "okta_user_lifecycle", "okta_user_mfa"]'
    agent.configure(f'[collectors.okta]\norg_url = "{org.url}"\ntypes = {types}\n{more}')
    agent.environment["OKTA_TOKEN"] = org.token


def test_evidence_types_without_a_control_are_noted(agent):
    """What is for no control is not collected, and that is told for each evidence type."""
    with Okta(users=3) as org:
        okta(agent, org, '[controls]\ndiscover = false\n[controls.map]\nokta_user_mfa = ["ctrl_ac_08"]')
        notes = [finding["message"] for finding in findings(agent, "note")]
        assert notes == [
            "okta_password_policy: it is for no control, and is not collected",
            "okta_user_lifecycle: it is for no control, and is not collected",
        ]
        okta(agent, org)
        found = findings(agent, "good")
    assert one(found, "mapping")["message"] == "each of 3 evidence types has a control"
    assert one(found, "collector okta")["message"] == "1 of 1 places can be seen in full"


def test_a_mapping_that_was_never_read_is_told_once(agent):
    """Where the API was never reached nobody knows what is wanted: one finding says so, not one for each type."""
    with Okta(users=3) as org:
        okta(agent, org)
    mapping = one(findings(agent, "note", CHEQUR_AGENT__CHEQUR__BASE_URL=NOWHERE), "mapping")
    assert mapping["message"] == "which controls want 3 evidence types is not known: the API was never read"


def test_grants_that_are_missing_are_bad(agent):
    """A source that denies a read is told by evidence type, with the grant that would mend it."""
    with Okta(users=3) as org:
        okta(agent, org)
        org.faults.append(Fault("/api/v1/policies", said(403, "E0000006", "You do not have permission")))
        (bad,) = findings(agent, "bad")
    assert bad["subject"].startswith("collector okta, ")
    assert bad["subject"].endswith(", okta_password_policy")
    assert bad["message"].startswith("denied: GET /api/v1/policies")
    assert "okta.policies.read" in bad["remedy"]


@pytest.mark.parametrize("token", [UNSET, "00wrong"])
def test_credentials_that_are_missing_or_refused_are_bad(agent, token):
    """A source without a good secret is told, and the secret is not."""
    with Okta(users=3) as org:
        okta(agent, org)
        bad = findings(agent, "bad", OKTA_TOKEN=token)
    assert {finding["message"].partition(":")[0] for finding in bad} == {"unauthenticated"}
    assert "00wrong" not in json.dumps(bad)


AWS = """[collectors.aws]
endpoint_url = "{}"
regions = ["eu-central-1", "us-east-1"]
accounts = [{{}}, {{ role_arn = "{}" }}]
types = ["aws_iam_password_policy", "aws_iam_root_account", "aws_kms_key_rotation"]
"""


@pytest.fixture
def aws(agent, tmp_path):
    """What the agent knows of AWS: keys, and no configuration of the machine's own."""
    nowhere = str(tmp_path / "none")
    agent.environment.update(ENVIRONMENT, AWS_CONFIG_FILE=nowhere, AWS_SHARED_CREDENTIALS_FILE=nowhere)


def test_each_aws_account_is_looked_at_and_one_region_of_each(agent, aws):
    """Permissions hold in all regions of an account alike: one tells of the others."""
    with serving(buckets=1) as endpoint:
        agent.configure(AWS.format(endpoint, ROLE))
        found = findings(agent)
    assert one(found, "collector aws")["message"] == "4 of 4 places can be seen in full"


def test_what_iam_says_that_the_agent_lacks(agent, aws):
    """Where policies may be simulated, each action that is lacking is told, with the evidence that is lost by it."""
    with serving(buckets=1, denied=("kms:GetKeyPolicy", "iam:ListMFADevices")) as endpoint:
        agent.configure(AWS.format(endpoint, ROLE))
        told = [finding for finding in findings(agent, "bad") if finding["subject"].startswith("collector aws")]
    (lacking,) = told  # the other account is read by a user that moto has no ARN of IAM's for
    assert lacking["subject"] == f"collector aws, {SECOND_ACCOUNT}/eu-central-1, aws_kms_key_rotation"
    assert "IAM's policy simulation says: implicitDeny" in lacking["message"]
    assert lacking["remedy"] == "Grant kms:GetKeyPolicy."


def test_an_aws_account_that_is_closed_is_told_once(agent, aws):
    error = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>"
    with loopback.serving(loopback.Answer(403, error, {"content-type": "text/xml"})) as server:
        agent.configure(AWS.format(server.url.removesuffix("/v1"), ROLE))
        found = findings(agent)
    told = [finding for finding in found if finding["subject"].startswith("collector aws")]
    assert [(finding["level"], finding["subject"]) for finding in told] == [
        ("bad", "collector aws, ambient account"),
        ("bad", f"collector aws, {SECOND_ACCOUNT}"),
        ("bad", f"collector aws, {SECOND_ACCOUNT}/eu-central-1, aws_kms_key_rotation"),
    ]
    assert told[1]["message"].endswith("(so there is no aws_iam_password_policy, aws_iam_root_account)")
    assert all("AccessDenied: not authorized" in finding["message"] for finding in told)
