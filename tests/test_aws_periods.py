"""What happened is read once: restores, and CloudTrail's history, whose runs end well or are killed."""

import contextlib
import json
import time
from collections import Counter
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from agent.exit import Exit
from tests import loopback
from tests.command import UNSET, Agent
from tests.fakes.aws import ACCOUNT, ENVIRONMENT

DELAY = 15 * 60  # seconds in which CloudTrail may still learn of an event
CALLER = (
    f"<GetCallerIdentityResponse><GetCallerIdentityResult><Account>{ACCOUNT}</Account>"
    f"<Arn>arn:aws:iam::{ACCOUNT}:user/auditor</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"
)
CONFIGURATION = """[controls.map]
{kind} = ["ctrl_ac_02"]
[collectors.aws]
endpoint_url = "{url}"
regions = ["us-east-1"]
types = ["{kind}"]
"""


class Restores:
    """One restore that ended two days ago, and one that ended now and is still being validated."""

    def answer(self, request):
        if b"GetCallerIdentity" in request.body:
            return loopback.Answer(200, CALLER.encode(), {"Content-Type": "text/xml"})
        now = int(time.time())
        jobs = [self.job("old", now - 2 * 86_400, "SUCCESSFUL"), self.job("new", now - 60, "VALIDATING")]
        return loopback.Answer(200, {"RestoreJobs": jobs})

    def job(self, name, ended, validation):
        return {
            "RestoreJobId": name,
            "AccountId": ACCOUNT,
            "RecoveryPointArn": f"arn:aws:ec2:us-east-1::snapshot/{name}",
            "CreationDate": ended - 600,
            "CompletionDate": ended,
            "Status": "COMPLETED",
            "ValidationStatus": validation,
        }


class Trail:
    """One key is made every second, from a minute before the end of the first period on; each answer has five."""

    def __init__(self):
        begun = int(time.time()) - DELAY - 60
        self.events = {second: f"event-{second}" for second in range(begun, begun + 600)}
        self.slow = 0.0

    def answer(self, request):
        if b"GetCallerIdentity" in request.body:
            assert parse_qs(request.body.decode())["Action"] == ["GetCallerIdentity"]
            return loopback.Answer(200, CALLER.encode(), {"Content-Type": "text/xml"})
        asked = json.loads(request.body)
        time.sleep(self.slow)
        if asked["LookupAttributes"][0]["AttributeValue"] != "CreateAccessKey":
            return loopback.Answer(200, {"Events": []})
        start = int(asked.get("NextToken", int(asked["StartTime"])))
        seconds = [second for second in self.events if start <= second <= int(asked["EndTime"])]
        further = {"NextToken": str(seconds[5])} if len(seconds) > 5 else {}
        return loopback.Answer(200, {"Events": [self.event(second) for second in seconds[:5]], **further})

    def event(self, second):
        details = {"userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/ada"}}
        return {
            "EventId": self.events[second],
            "EventName": "CreateAccessKey",
            "EventTime": second,
            "EventSource": "iam.amazonaws.com",
            "CloudTrailEvent": json.dumps(details),
        }


@pytest.fixture
def trail():
    return Trail()


@contextlib.contextmanager
def reading(tmp_path, source, kind):
    """An agent that reads one evidence type of a source."""
    with loopback.serving(source.answer) as server:
        nowhere = str(tmp_path / "none")
        files = {"AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere}
        made = Agent(tmp_path, "https://api.chequr.example/v1", {**ENVIRONMENT, **files, "CHEQUR_TOKEN": UNSET})
        made.configure(CONFIGURATION.format(kind=kind, url=server.url.removesuffix("/v1")))
        yield made


@pytest.fixture
def agent(tmp_path, trail):
    with reading(tmp_path, trail, "aws_cloudtrail_privileged_events") as made:
        yield made


def payloads(agent, folder):
    """What is in the outbox."""
    agent.run("outbox", "export", str(folder))
    found = [json.loads(file.read_bytes())["payload"] for file in sorted(folder.iterdir())]
    assert all(payload["collection"]["complete"] for payload in found)
    return found


def queued(agent, folder):
    """How often each event is in the outbox, and the end of the last period."""
    found = payloads(agent, folder)
    counts = Counter(record["event"] for payload in found for record in payload["records"])
    return counts, max(payload["collection"]["period"]["until"] for payload in found)


def test_each_event_is_read_once(agent, trail, tmp_path):
    """Over five runs, three of them killed at any instant, each event of the time that was read is queued once."""
    assert agent.run("collect", "--no-deliver").code == Exit.WELL
    trail.slow = 0.05
    for moment in (0.8, 1.2, 1.6):
        with agent.started("collect", "--no-deliver") as process:
            time.sleep(moment)
            process.popen.kill()
    trail.slow = 0.0
    assert agent.run("collect", "--no-deliver").code == Exit.WELL
    counts, until = queued(agent, tmp_path / "bodies")
    end = datetime.fromisoformat(until).astimezone(UTC).timestamp()
    assert counts == Counter(name for second, name in trail.events.items() if second < end)
    assert len(counts) > 60


def test_a_restore_is_read_once_it_is_validated(tmp_path):
    """A restore that just ended, and may still be validated, is left to a later run; the first one leaves no gap."""
    with reading(tmp_path, Restores(), "aws_backup_restore_jobs") as agent:
        assert agent.run("collect", "--no-deliver").code == Exit.WELL
        (payload,) = payloads(agent, tmp_path / "bodies")
    assert [(job["job"], job["validation"]) for job in payload["records"]] == [("old", "SUCCESSFUL")]
