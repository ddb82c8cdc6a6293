"""From a cloud to the API: through the command, against local services."""

import http.client
import re
from collections import Counter
from urllib.parse import urlsplit

import pytest

from agent.exit import Exit
from tests import loopback
from tests.command import exactly_once, make_agent
from tests.fakes.aws import ENVIRONMENT, REGIONS, serving

BUCKETS = 100
DENIED = f"acme-006-{REGIONS[0]}"
REFUSAL = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
TABLES = """
[collectors.aws]
endpoint_url = "{}"
regions = ["eu-central-1", "us-east-1"]
types = ["aws_s3_bucket_encryption", "aws_iam_password_policy"]
"""


@pytest.fixture(scope="module")
def endpoint():
    with serving(BUCKETS) as url:
        yield url


@pytest.fixture
def agent(tmp_path, sandbox):
    agent = make_agent(tmp_path, sandbox)
    agent.environment |= {**ENVIRONMENT, "AWS_EC2_METADATA_DISABLED": "true"}
    return agent


def records(sandbox, evidence_type):
    """All records that the API took of one type."""
    payloads = [taken.payload for taken in sandbox.evidence]
    return [record for told in payloads if told["evidence_type"] == evidence_type for record in told["records"]]


def test_every_bucket_of_two_regions_is_in_a_record(agent, sandbox, endpoint):
    """100 buckets: each is in one record at the control of its evidence type, and the command ends well."""
    agent.configure(TABLES.format(endpoint))
    done = agent.run("collect")
    assert done.code == Exit.WELL, done
    found = Counter(record["bucket"] for record in records(sandbox, "aws_s3_bucket_encryption"))
    assert found == Counter(f"acme-{number:03}-{REGIONS[number % 2]}" for number in range(BUCKETS))
    assert {taken.control_id for taken in sandbox.evidence} == {"ctrl_ac_02", "ctrl_ac_04"}
    assert re.search(r"aws_s3_bucket_encryption +123456789012 +100 ", done.out)
    exactly_once(sandbox, agent.state)


def through(endpoint):
    """Passes requests on to AWS, but denies all reads of one bucket."""
    host = urlsplit(endpoint).netloc

    def respond(request):
        if request.path.strip("/") == DENIED:
            return loopback.Answer(403, REFUSAL, {"Content-Type": "application/xml"})
        line = http.client.HTTPConnection(host, timeout=30)
        kept = {name: value for name, value in request.headers.items() if name.lower() not in {"host", "connection"}}
        line.request(request.method, request.target, request.body, kept)
        answer = line.getresponse()
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _FRAMING}
        body = answer.read()
        line.close()
        return loopback.Answer(answer.status, body, headers)

    return loopback.serving(respond)


_FRAMING = {"content-length", "transfer-encoding", "connection", "date", "server"}


def test_a_bucket_that_is_denied_is_a_gap_and_nothing_is_asked_twice(agent, sandbox, endpoint):
    """One denied bucket: 99 records and one gap are delivered, the exit code says so, and no request came twice."""
    with through(endpoint) as aws:
        agent.configure(TABLES.format(aws.url.removesuffix("/v1")))
        done = agent.run("collect", "--json")
        asked = Counter((request.method, request.target, request.body) for request in aws.requests)
    assert done.code == Exit.GAPS, done
    assert len(records(sandbox, "aws_s3_bucket_encryption")) == BUCKETS - 1
    (gap,) = [gap for taken in sandbox.evidence for gap in taken.payload["gaps"]]
    assert (gap["kind"], gap["resource"]) == ("denied", DENIED)
    assert not [request for request, times in asked.items() if times > 1]
    told = {each["evidence_type"]: each for each in done.json["collectors"][0]["observed"]}
    assert told["aws_s3_bucket_encryption"]["gaps"] == 1
    assert len(told["aws_s3_bucket_encryption"]["receipts"]) == told["aws_s3_bucket_encryption"]["parts"]


def test_one_record_a_request_where_it_is_wished(agent, sandbox, endpoint):
    """With payload_shape = "record", each bucket is an item of its own, its fields flat as in the API's example."""
    agent.configure(TABLES.format(endpoint) + 'payload_shape = "record"\n')
    done = agent.run("collect", "--type", "aws_s3_*")
    assert done.code == Exit.WELL, done
    assert f"{BUCKETS} items accepted." in done.out
    assert {"bucket", "encryption", "public_access_blocked"} <= set(sandbox.evidence[0].payload)
    assert len({taken.payload["bucket"] for taken in sandbox.evidence}) == BUCKETS


def test_a_dry_run_prints_what_would_be_sent(agent, sandbox, endpoint):
    """The payloads of a dry run hold the records of the real one, and the API is not asked."""
    agent.configure(TABLES.format(endpoint))
    done = agent.run("collect", "--dry-run", "--type", "aws_iam_*")
    assert done.code == Exit.WELL, done
    printed = [record for line in done.lines for record in line["records"]]
    assert not sandbox.calls
    assert agent.run("collect", "--type", "aws_iam_*").code == Exit.WELL
    sent = [record for taken in sandbox.evidence for record in taken.payload["records"]]
    assert printed == sent != []
