"""What happened is read once: CloudTrail's history, over runs that end well, are killed, and begin where others end."""

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
aws_cloudtrail_privileged_events = ["ctrl_ac_02"]
[collectors.aws]
endpoint_url = "{}"
regions = ["us-east-1"]
types = ["aws_cloudtrail_privileged_events"]
"""


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


@pytest.fixture
def agent(tmp_path, trail):
    with loopback.serving(trail.answer) as server:
        nowhere = str(tmp_path / "none")
        files = {"AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere}
        made = Agent(tmp_path, "https://api.chequr.example/v1", {**ENVIRONMENT, **files, "CHEQUR_TOKEN": UNSET})
        made.configure(CONFIGURATION.format(server.url.removesuffix("/v1")))
        yield made


def queued(agent, folder):
    """How often each event is in the outbox, and the end of the last period."""
    agent.run("outbox", "export", str(folder))
    payloads = [json.loads(file.read_bytes())["payload"] for file in sorted(folder.iterdir())]
    assert all(payload["collection"]["complete"] for payload in payloads)
    counts = Counter(record["event"] for payload in payloads for record in payload["records"])
    return counts, max(payload["collection"]["period"]["until"] for payload in payloads)


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
