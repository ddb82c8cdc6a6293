"""The AWS source against a moto server, and against answers and failures put in by botocore's own events."""

import contextlib
import functools
import hashlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError
from pydantic import TypeAdapter, ValidationError

from collectors.aws import SOURCE
from collectors.aws.connection import Connection
from collectors.aws.moment import Instant
from collectors.aws.permissions import ACTIONS
from collectors.aws.session import timestamp
from collectors.aws.settings import Settings
from collectors.aws.simulation import principal, refusal
from collectors.aws.targets import Account, Region
from collectors.contract import Cancelled, Gap, Journal, Period, Run, Unreachable, journaling
from collectors.errors import AccessDenied, CollectionError, NotEnabled, Unauthenticated, Unavailable
from collectors.registry import evidence_types
from tests import loopback
from tests.fakes.aws import ACCOUNT, ENVIRONMENT, REGIONS, ROLE, SECOND_ACCOUNT, serving
from tests.replay_aws import Response, loader, replay

STARTED = datetime(2026, 4, 15, 9, 14, 22, tzinfo=UTC)
TYPES = {kind.id: kind for kind in evidence_types("aws")}
S3_TYPES = ("aws_s3_bucket_encryption", "aws_s3_bucket_public_access")
CALLER = {
    "call": "sts:GetCallerIdentity",
    "answer": {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/auditor", "UserId": "AIDAEXAMPLE"},
}


@pytest.fixture(scope="module")
def endpoint():
    with serving(buckets=100) as url:
        yield url


@pytest.fixture(scope="module", autouse=True)
def _ambient_identity(tmp_path_factory):
    nowhere = tmp_path_factory.mktemp("aws") / "none"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            environment.setenv(name, str(nowhere))
        yield


@pytest.fixture
def run():
    with running() as run:
        yield run


@pytest.fixture
def entered(run):
    """Enters AWS with some settings and, where given, with botocore event handlers by event name."""
    with contextlib.ExitStack() as places:
        yield lambda handlers=None, **settings: enter(places, run, handlers or {}, settings)


class Hasty(threading.Event):
    """Nobody stops, and pauses are a hundredth of what they are."""

    def wait(self, timeout=None):
        return super().wait(timeout and timeout / 100)


@contextlib.contextmanager
def running(waiting=lambda _reason, _seconds: None, *, cancelled=None):
    with ThreadPoolExecutor(8) as pool:
        yield Run("aws", STARTED, pool, 8, cancelled or threading.Event(), waiting)


def enter(stack, run, handlers, settings):
    def prepare(session):
        session.register_component("data_loader", loader())
        for event, handler in handlers.items():
            session.register(event, handler)

    places = list(Connection(Settings.model_validate(settings), run, prepare).places())
    for place in places:
        if not isinstance(place, Unreachable):
            stack.callback(place.close)
    return places


def observed(kind, target):
    return [seen.model_dump(mode="json") for seen in TYPES[kind](target)]


def denied(action, when=lambda **_event: True):
    error = {"Code": "AccessDenied", "Message": f"User: auditor is not authorized to perform: {action}"}

    def deny(**event):
        answer = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403}}
        return (Response(403), answer) if when(**event) else None

    return deny


def example_of(kind, case):
    return json.loads((Path(__file__).parent / "evidence" / kind / case / "answers.json").read_text())


def replayed(kind, example, run, *, whole=True):
    """All that an evidence type sees in the places of an example; not `whole`, some answers may be left."""
    period = TypeAdapter(Period | None).validate_python(example.get("period"))
    seen = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.nullcontext() if whole else contextlib.suppress(AssertionError))
        for place in stack.enter_context(replay(example["answers"], example["settings"], run)):
            if isinstance(place, TYPES[kind].target):
                seen += TYPES[kind](place, period)
    return seen


# ── A company of 100 buckets ───────────────────────────────────────────────────────────────────────────────────────


class Survey:
    """One whole reading of the buckets: the records by evidence type, and every call with its region."""

    def __init__(self, endpoint):
        self.calls = Counter()
        with running() as run, contextlib.ExitStack() as places:
            settings = {"endpoint_url": endpoint, "regions": REGIONS}
            account = enter(places, run, {"before-parameter-build": self.count}, settings)[0]
            self.records = {kind: observed(kind, account) for kind in S3_TYPES}

    def count(self, model, params, context, **_event):
        asked = json.dumps(params, sort_keys=True, default=str)
        self.calls[model.service_model.service_name, model.name, asked, context["client_region"]] += 1


@pytest.fixture(scope="module")
def survey(endpoint):
    return Survey(endpoint)


def test_every_bucket_is_a_record_and_no_operation_is_called_twice(survey):
    """100 buckets in two regions give 100 records a type, and no operation is called twice with the same parameters."""
    for records in survey.records.values():
        assert len({record["bucket"] for record in records}) == len(records) == 100
        assert Counter(record["region"] for record in records) == dict.fromkeys(REGIONS, 50)
    assert set(survey.calls.values()) == {1}
    assert len({call[:3] for call in survey.calls}) == len(survey.calls) == 3 + 5 * 100


def test_bucket_reads_go_to_the_buckets_region(survey):
    """A bucket is asked about in its own region, whichever region the account is entered by."""
    reads = [call for call in survey.calls if call[1] in {"GetBucketEncryption", "GetBucketAcl"}]
    assert len(reads) == 200
    assert all(json.loads(asked)["Bucket"].endswith(region) for _service, _name, asked, region in reads)


def test_what_no_type_declares_cannot_be_called(endpoint, entered):
    """Clients are made of models that have the declared operations only: there is nothing to write with."""
    account = entered(endpoint_url=endpoint, regions=REGIONS)[0]
    with contextlib.closing(account.access.client("s3", REGIONS[0])) as s3:
        assert hasattr(s3, "list_buckets")
        assert not [name for name in dir(s3) if name.startswith(("put_", "delete_", "create_"))]
    for service in ("ec2", "iam", "kms", "organizations"):
        with contextlib.closing(account.access.client(service, REGIONS[0])) as client:
            names = client.meta.service_model.operation_names
            assert names
            reads = ("Describe", "Generate", "Get", "List", "Simulate")
            assert not [name for name in names if not name.startswith(reads)]


def test_what_both_the_account_and_a_region_want_is_asked_once(endpoint, entered):
    """The VPCs that one type reads of all regions and another in each are listed once; answers go with the last."""
    calls = Counter()

    def count(params, context, **_event):
        calls[context["client_region"]] += 1

    handlers = {"before-parameter-build.ec2.DescribeVpcs": count}
    account, *regions = entered(handlers, endpoint_url=endpoint, regions=REGIONS)
    for place in (account, *regions):
        for _ in range(2):
            assert [len(list(account.pages("ec2:DescribeVpcs", "Vpcs", region=region))) for region in REGIONS] == [1, 1]
            assert len(list(regions[0].pages("ec2:DescribeVpcs", "Vpcs"))) == 1
        assert calls == dict.fromkeys(REGIONS, 1)
        place.close()
    assert list(account.pages("ec2:DescribeVpcs", "Vpcs", region=REGIONS[0]))
    assert calls[REGIONS[0]] == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-04-15T09:14:22Z", datetime(2026, 4, 15, 9, 14, 22, tzinfo=UTC)),
        ("2026-04-15T09:14:22.120Z", datetime(2026, 4, 15, 9, 14, 22, 120000, UTC)),
        ("2026-04-15T11:14:22+02:00", datetime(2026, 4, 15, 9, 14, 22, tzinfo=UTC)),
        ("Wed, 15 Apr 2026 09:14:22 GMT", datetime(2026, 4, 15, 9, 14, 22, tzinfo=UTC)),
        ("1776244462", datetime(2026, 4, 15, 9, 14, 22, tzinfo=UTC)),
        (1776244462.12, datetime(2026, 4, 15, 9, 14, 22, 120000, UTC)),
        ("2026-04-15T09:14:22.123456789Z", datetime(2026, 4, 15, 9, 14, 22, 123456, UTC)),
    ],
)
def test_times_are_read_however_aws_writes_them(text, expected):
    assert timestamp(text) == expected


def test_denied_bucket_is_a_gap_and_changes_no_other_record(endpoint, survey, entered):
    """A bucket whose reads are denied is a gap that names the permission; the other 99 records stay the same."""
    name = "acme-002-eu-central-1"
    deny = denied("s3:GetEncryptionConfiguration", lambda params, **_event: f"/{name}" in params["url"])
    account = entered({"before-call.s3.GetBucketEncryption": deny}, endpoint_url=endpoint, regions=REGIONS)[0]
    found = list(TYPES["aws_s3_bucket_encryption"](account))
    (gap,) = [seen for seen in found if isinstance(seen, Gap)]
    assert (gap.kind, gap.resource, gap.permission) == ("denied", name, "s3:GetEncryptionConfiguration")
    expected = [record for record in survey.records["aws_s3_bucket_encryption"] if record["bucket"] != name]
    assert [seen.model_dump(mode="json") for seen in found if seen is not gap] == expected
    assert len(expected) == 99


def _is_among_the_denied(params, **_event):
    """Three buckets in ten, by a digest of their names."""
    bucket = params["url"].partition("?")[0].rpartition("/")[2]
    return int(hashlib.sha256(bucket.encode()).hexdigest(), 16) % 10 < 3


def _whole(targets):
    """All records and gaps of four types that rest on what is denied."""
    account, region = targets[0], targets[1]
    at = {
        "aws_s3_bucket_encryption": account,
        "aws_iam_user_mfa": account,
        "aws_kms_key_rotation": region,
        "aws_vpc_security_group_ingress": region,
    }
    found = {}
    for kind, target in at.items():
        try:
            found[kind] = list(TYPES[kind](target))
        except CollectionError as error:
            found[kind] = [error.gap()]
    return found


def test_partial_permissions_change_no_record(endpoint, entered):
    """Each read that is denied is a gap with its permission, and no record differs from what it is in the whole."""
    settings = {"endpoint_url": endpoint, "regions": REGIONS}
    complete = _whole(entered(**settings))
    assert not any(isinstance(seen, Gap) for found in complete.values() for seen in found)
    denials = {
        "before-call.s3.GetBucketEncryption": denied("s3:GetEncryptionConfiguration", _is_among_the_denied),
        "before-call.iam.GetCredentialReport": denied("iam:GetCredentialReport"),
        "before-call.kms.ListKeys": denied("kms:ListKeys"),
        "before-call.ec2.DescribeSecurityGroups": denied("ec2:DescribeSecurityGroups"),
    }
    partial = _whole(entered(denials, **settings))
    permissions = {
        kind: {seen.permission for seen in found if isinstance(seen, Gap)} for kind, found in partial.items()
    }
    assert permissions == {
        "aws_s3_bucket_encryption": {"s3:GetEncryptionConfiguration"},
        "aws_iam_user_mfa": {"iam:GetCredentialReport"},
        "aws_kms_key_rotation": {"kms:ListKeys"},
        "aws_vpc_security_group_ingress": {"ec2:DescribeSecurityGroups"},
    }
    buckets = {seen.bucket: seen for seen in complete["aws_s3_bucket_encryption"]}
    gaps = {seen.resource for seen in partial["aws_s3_bucket_encryption"] if isinstance(seen, Gap)}
    kept = {seen.bucket: seen for seen in partial["aws_s3_bucket_encryption"] if not isinstance(seen, Gap)}
    assert 20 <= len(gaps) <= 40
    assert gaps | kept.keys() == buckets.keys()
    assert kept == {name: buckets[name] for name in kept}
    for kind in ("aws_iam_user_mfa", "aws_kms_key_rotation", "aws_vpc_security_group_ingress"):
        assert [seen for seen in partial[kind] if not isinstance(seen, Gap)] == []
        assert complete[kind]


def test_every_type_reads_the_company(endpoint, entered):
    """Each evidence type finds what the company has: people, trails, open ports and keys."""
    account, region, _other = entered(endpoint_url=endpoint, regions=REGIONS)
    users = {record["user"]: record for record in observed("aws_iam_user_mfa", account)}
    assert {name: (user["console_access"], user["mfa_type"]) for name, user in users.items()} == {
        "alice": (True, ["virtual"]),
        "bob": (True, []),
        "carol": (True, ["virtual"]),
        "deploy": (False, []),
    }
    (policy,) = observed("aws_iam_password_policy", account)
    assert (policy["exists"], policy["min_length"], policy["reuse"]) == (True, 14, 24)
    (root,) = observed("aws_iam_root_account", account)
    assert (root["root_mfa"], root["root_last_used"]) == (False, "2026-01-05T08:12:41Z")
    (trail,) = observed("aws_cloudtrail_trails", account)
    assert (trail["name"], trail["region"], trail["is_logging"]) == ("acme-audit", "us-east-1", True)
    groups = {record["name"]: record for record in observed("aws_vpc_security_group_ingress", region)}
    assert {name: group["open_ports"] for name, group in groups.items() if group["open_ports"]} == {
        "web": ["tcp/443"],
        "bastion": ["tcp/22"],
    }
    assert [name for name, group in groups.items() if group["attached"]] == ["web"]
    keys = observed("aws_kms_key_rotation", region)
    assert sorted((key["state"], key["spec"], key["rotation"]) for key in keys if key["rotation"] is not False) == [
        ("Enabled", "RSA_2048", None),
        ("Enabled", "SYMMETRIC_DEFAULT", True),
    ]
    assert sum(key["pending_deletion"] is not None for key in keys) == 1


def test_credential_report_is_shared_by_its_types(endpoint, entered):
    """The credential report is drawn up once in a run, however many evidence types read it."""
    account = entered(endpoint_url=endpoint, regions=REGIONS)[0]
    observed("aws_iam_user_mfa", account)
    with journaling(Journal()) as journal:
        observed("aws_iam_root_account", account)
    report = journal.uses["iam:GetCredentialReport"]
    assert (report.calls, report.reused, journal.uses["iam:GenerateCredentialReport"].calls) == (0, 1, 0)


# ── Accounts and regions ───────────────────────────────────────────────────────────────────────────────────────────


def test_account_is_entered_by_its_role(endpoint, entered):
    """An account with a role is read with that role's credentials, asked for with the external id, for an hour."""
    asked = []
    settings = {"accounts": [{"role_arn": ROLE, "external_id": "acme-7f3e"}], "regions": REGIONS}
    handlers = {"before-parameter-build.sts.AssumeRole": lambda params, **_event: asked.append(params)}
    account, *regions = entered(handlers, endpoint_url=endpoint, **settings)
    assert account.identity() == f"arn:aws:sts::{SECOND_ACCOUNT}:assumed-role/chequr-evidence/chequr-agent"
    assert [place.id for place in (account, *regions)] == [
        SECOND_ACCOUNT,
        *(f"{SECOND_ACCOUNT}/{region}" for region in REGIONS),
    ]
    assert len(observed("aws_s3_bucket_encryption", account)) == 2
    expected = {"RoleArn": ROLE, "RoleSessionName": "chequr-agent", "DurationSeconds": 3600, "ExternalId": "acme-7f3e"}
    assert asked == [expected]


def test_denied_role_leaves_a_gap_for_each_type_and_spares_other_accounts(endpoint, entered):
    """A role that may not be assumed is tried once, fails each read with its permission, and ends no other account."""
    tries = []
    deny = denied("sts:AssumeRole", lambda **_event: not tries.append(1))
    accounts = [{"role_arn": ROLE}, {}]
    handlers = {"before-call.sts.AssumeRole": deny}
    *closed, account, _first, _second = entered(handlers, endpoint_url=endpoint, accounts=accounts, regions=REGIONS)
    for target in closed:
        kind = "aws_iam_password_policy" if isinstance(target, Account) else "aws_kms_key_rotation"
        with pytest.raises(AccessDenied) as raised:
            observed(kind, target)
        assert (raised.value.operation, raised.value.permission) == ("sts:AssumeRole", "sts:AssumeRole")
    assert len(tries) == 1
    assert len(observed("aws_iam_password_policy", account)) == 1


def test_regions_are_discovered_where_none_are_named(endpoint, entered):
    """Without configured regions every region that is enabled in the account is a place, and no other."""
    account, *regions = entered(endpoint_url=endpoint)
    names = {place.region for place in regions}
    assert isinstance(account, Account)
    assert all(isinstance(place, Region) for place in regions)
    assert set(REGIONS) <= names
    assert "me-south-1" not in names


def test_failed_discovery_leaves_the_account_readable(endpoint, entered):
    """Where regions cannot be discovered, the account is read all the same, and its regions are one known gap."""
    deny = denied("ec2:DescribeRegions")
    account, regions = entered({"before-call.ec2.DescribeRegions": deny}, endpoint_url=endpoint)
    assert isinstance(account, Account)
    assert (regions.kind, regions.id, regions.cause.permission) == (Region, ACCOUNT, "ec2:DescribeRegions")


def test_account_is_not_mistaken_for_another(endpoint, entered):
    """Credentials of another account than the configured one are refused before anything is read with them."""
    account = entered(endpoint_url=endpoint, accounts=[{"id": "444455556666"}], regions=["eu-central-1"])[0]
    with pytest.raises(Unauthenticated, match=f"those of account {ACCOUNT}, not of 444455556666"):
        observed("aws_iam_password_policy", account)


def test_endpoint_that_does_not_answer_is_unavailable_soon(entered):
    """An endpoint that refuses connections makes both kinds of place unreachable within seconds."""
    began = time.monotonic()
    places = entered(endpoint_url="http://127.0.0.1:9", regions=REGIONS)
    assert [place.kind for place in places] == [Account, Region]
    assert all(isinstance(place.cause, Unavailable) for place in places)
    assert time.monotonic() - began < 10


def test_lost_endpoint_is_not_waited_for_at_each_read(endpoint, entered):
    """Once an endpoint was given up, its further reads try it once each."""
    tries = Counter()
    handlers = {
        "before-sign.s3": lambda request, **_event: setattr(request, "url", "http://127.0.0.1:9/"),
        "request-created.s3": lambda operation_name, **_event: tries.update([operation_name]),
    }
    account = entered(handlers, endpoint_url=endpoint, regions=["us-east-1"])[0]
    for operation in ("s3:GetBucketAcl", "s3:GetBucketPolicyStatus"):
        with pytest.raises(Unavailable):
            account.read(operation, Bucket="acme-001-us-east-1")
    assert tries == {"GetBucketAcl": 3, "GetBucketPolicyStatus": 1}


def test_missing_credentials_and_profile_are_told(entered, monkeypatch):
    """No credentials, or a profile that is not there, is one clear cause for both kinds of place."""
    places = entered(profile="acme-audit", regions=REGIONS)
    assert "acme-audit" in str(places[0].cause)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ENVIRONMENT:
        monkeypatch.delenv(name)
    places += entered(endpoint_url="http://127.0.0.1:9", regions=REGIONS)
    assert [type(place.cause) for place in places] == [Unauthenticated] * 4


# ── What AWS answers ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", "denied"),
        (400, "AccessDeniedException", "denied"),
        (403, "UnauthorizedOperation", "denied"),
        (403, "SomethingNew", "denied"),
        (400, "ExpiredToken", "unauthenticated"),
        (403, "InvalidClientTokenId", "unauthenticated"),
        (403, "SignatureDoesNotMatch", "unauthenticated"),
        (403, "OptInRequired", "not_enabled"),
        (400, "SubscriptionRequiredException", "not_enabled"),
        (404, "NoSuchBucket", "not_found"),
    ],
)
def test_errors_keep_their_meaning(status, code, kind, run):
    """Each of AWS's error codes becomes the one state that it means, with AWS's own words in the message."""
    error = {"status": status, "code": code, "message": "AWS's own words"}
    answers = [CALLER, {"call": "iam:GetAccountPasswordPolicy", "error": error}]
    expected = pytest.raises(CollectionError, match=f"{code}: AWS's own words")
    with replay(answers, {"regions": ["us-east-1"]}, run) as places, expected as raised:
        list(TYPES["aws_iam_password_policy"](next(places)))
    assert raised.value.kind == kind


@pytest.mark.parametrize(
    ("status", "code", "attempts"),
    [(400, "Throttling", 10), (503, "SlowDown", 10), (500, "InternalError", 5), (403, "AccessDenied", 1)],
)
def test_what_may_still_succeed_is_asked_again(endpoint, status, code, attempts):
    """Throttled reads are tried ten times, failed ones five; what stays is a gap that has AWS's words."""
    asked = []

    def refuse(**_event):
        asked.append(1)
        answer = {"Error": {"Code": code, "Message": "AWS's own words"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return Response(status), answer

    with running(cancelled=Hasty()) as run, contextlib.ExitStack() as places:
        settings = {"endpoint_url": endpoint, "regions": REGIONS}
        account = enter(places, run, {"before-call.iam.GetAccountPasswordPolicy": refuse}, settings)[0]
        with pytest.raises((Unavailable, AccessDenied), match=f"{code}: AWS's own words"):
            list(TYPES["aws_iam_password_policy"](account))
    assert len(asked) == attempts


def test_under_a_limit_nothing_is_lost_and_little_refused(endpoint):
    """Where 50 reads a second are taken all are answered, few are refused, and people are told why it takes long."""
    tokens, looked, refused, said = 50.0, time.monotonic(), [], []
    turn = threading.Lock()

    def limit(**_event):
        nonlocal tokens, looked
        with turn:
            now = time.monotonic()
            tokens, looked = min(50.0, tokens + (now - looked) * 50), now
            if tokens >= 1:
                tokens -= 1
                return Response(200), {"Attributes": {}, "ResponseMetadata": {"HTTPStatusCode": 200}}
            refused.append(1)
        error = {"Code": "Throttling", "Message": "Rate exceeded"}
        return Response(400), {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}

    with running(lambda reason, _seconds: said.append(reason)) as run, contextlib.ExitStack() as places:
        settings = {"endpoint_url": endpoint, "regions": REGIONS}
        region = enter(places, run, {"before-call.sns.GetTopicAttributes": limit}, settings)[1]

        def look(number):
            region.read("sns:GetTopicAttributes", TopicArn=f"arn:aws:sns:eu-central-1:{ACCOUNT}:topic-{number}")
            return number

        assert list(region.each(range(400), look, resource=str)) == list(range(400))
    assert 0 < len(refused) <= 40
    assert set(said) == {f"AWS throttles sns in eu-central-1 of {ACCOUNT}"}


@pytest.mark.parametrize("status", [200, 404])
def test_a_page_in_the_stead_of_an_answer_is_told_as_such(entered, status):
    """What a proxy on the way says is not put into evidence as if AWS had said it."""
    with loopback.serving(loopback.Answer(status, b"<!doctype html><p>Sign in to the guest network</p>")) as proxy:
        (account, region) = entered(endpoint_url=proxy.url.removesuffix("/v1"), regions=REGIONS[:1])
    for place in (account, region):
        assert isinstance(place.cause, Unavailable)
        assert "something between this machine and AWS gave it" in place.cause.message
        assert "guest" not in place.cause.message


def test_credentials_refused_in_one_region_only_mean_that_it_is_off(run):
    """Good credentials that a region does not know mean that the region is not enabled; nobody is locked out."""
    error = {"status": 401, "code": "AuthFailure", "message": "AWS was not able to validate the credentials"}
    answers = [CALLER, {"call": "kms:ListKeys", "parameters": {"Limit": 1000}, "region": "ap-east-1", "error": error}]
    with replay(answers, {"regions": ["us-east-1", "ap-east-1"]}, run) as places:
        *_others, disabled = places
        with pytest.raises(NotEnabled):
            list(TYPES["aws_kms_key_rotation"](disabled))


@pytest.mark.parametrize("region", ["eu-central-1", "ap-east-1"])
def test_credentials_refused_in_a_region_that_is_on_are_at_fault(region, run):
    """Where AWS lists the region as enabled, credentials that it does not know are the fault, with a likely cause."""
    error = {"status": 403, "code": "UnrecognizedClientException", "message": "The security token is invalid."}
    listed = [{"RegionName": name, "OptInStatus": "opted-in"} for name in ("us-east-1", region)]
    answers = [
        CALLER,
        {"call": "ec2:DescribeRegions", "answer": {"Regions": listed}},
        {"call": "kms:ListKeys", "parameters": {"Limit": 1000}, "region": region, "error": error},
    ]
    with replay(answers, {}, run) as places:
        found = {place.region: place for place in places}
        with pytest.raises(Unauthenticated, match="session token"):
            list(TYPES["aws_kms_key_rotation"](found[region]))


@pytest.mark.parametrize(
    ("kind", "region", "attempts", "expected"),
    [
        ("aws_macie_sessions", "ap-southeast-3", 1, NotEnabled),
        ("aws_macie_sessions", "cn-north-1", 1, NotEnabled),
        ("aws_macie_sessions", "eu-central-1", 3, Unavailable),
        ("aws_iam_password_policy", "eu-central-1", 3, Unavailable),
    ],
)
def test_a_service_that_a_region_lacks_is_not_waited_for(kind, region, attempts, expected):
    """That a service which AWS does not list in a region has no endpoint there is a fact, found out by one try."""
    tries = []

    def lose(request, **_event):
        tries.append(1)
        raise EndpointConnectionError(endpoint_url=request.url)

    handlers = {
        "before-call.sts.GetCallerIdentity": lambda **_event: (Response(200), CALLER["answer"]),
        "before-send.macie2": lose,
        "before-send.iam": lose,
    }
    with running(cancelled=Hasty()) as run, contextlib.ExitStack() as places:
        found = enter(places, run, handlers, {"regions": [region]})
        (place,) = [place for place in found if type(place) is TYPES[kind].target]
        with pytest.raises(expected):
            observed(kind, place)
    assert len(tries) == attempts


EMPTY_BUCKETS = {"call": "s3:ListBuckets", "parameters": {"MaxBuckets": 1000}, "answer": {"Buckets": []}}


def home(run, settings, answers):
    """Where an account is found to be at home, once its buckets are asked for."""
    with replay([*answers, EMPTY_BUCKETS], settings, run) as places:
        account = next(places)
        assert not observed("aws_s3_bucket_encryption", account)
        return account.region


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        (["ap-east-1", "eu-central-1"], "eu-central-1"),
        (["me-central-1", "ap-east-1"], "me-central-1"),
        (["cn-northwest-1", "cn-north-1"], "cn-northwest-1"),
    ],
)
def test_account_is_entered_in_a_region_that_it_has(regions, expected, run):
    """What is global is asked for in the first configured region that each account has, or else in the first."""
    assert home(run, {"regions": regions}, [{**CALLER, "region": expected}]) == expected


def test_account_is_entered_elsewhere_where_its_only_region_is_off(run):
    """Not to have opted in to the one configured region costs an account that region only."""
    error = {"status": 403, "code": "InvalidClientTokenId", "message": "The security token is invalid"}
    refused = {"call": "sts:GetCallerIdentity", "region": "ap-east-1", "error": error}
    answers = [refused, {**CALLER, "region": "us-east-1"}]
    assert home(run, {"regions": ["ap-east-1"]}, answers) == "us-east-1"


def sts_is_off(context, **_event):
    """What STS answers in all regions but the first, whose switch an account does not have."""
    error = {"Code": "RegionDisabledException", "Message": "STS is not activated in this region"}
    answer = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403}}
    return None if context["client_region"] == "us-east-1" else (Response(403), answer)


def test_role_is_assumed_elsewhere_where_sts_is_off(endpoint, entered):
    """Where an account has switched STS off, a role's credentials come from the region where none can."""
    handlers = {"before-call.sts.AssumeRole": sts_is_off}
    settings = {"accounts": [{"role_arn": ROLE}], "regions": ["eu-central-1"]}
    account = entered(handlers, endpoint_url=endpoint, **settings)[0]
    assert account.identity() == f"arn:aws:sts::{SECOND_ACCOUNT}:assumed-role/chequr-evidence/chequr-agent"
    assert account.region == "eu-central-1"


def test_an_account_that_is_not_entered_is_no_feature_that_is_off(endpoint, entered):
    """A role that no region gives out is a failure of the credentials, not something that may be off on purpose."""
    handlers = {"before-call.sts.AssumeRole": lambda **_event: sts_is_off({"client_region": None})}
    account = entered(handlers, endpoint_url=endpoint, accounts=[{"role_arn": ROLE}], regions=["eu-central-1"])[0]
    with pytest.raises(Unauthenticated, match="STS is not activated"):
        observed("aws_iam_password_policy", account)


@pytest.mark.parametrize(
    ("kind", "case", "call", "resource"),
    [
        ("aws_backup_plans", "empty", "backup:ListBackupPlans", "BackupPlansList"),
        ("aws_cloudtrail_privileged_events", "empty", "cloudtrail:LookupEvents", "ConsoleLogin in us-east-1"),
        ("aws_cloudtrail_trails", "empty", "cloudtrail:DescribeTrails", "us-east-1"),
        ("aws_ebs_encryption", "empty", "ec2:GetEbsEncryptionByDefault", "defaults"),
        ("aws_ec2_instance_metadata", "empty", "ec2:GetInstanceMetadataDefaults", "defaults"),
        ("aws_organizations_environments", "empty", "ec2:DescribeVpcs", "eu-central-1"),
        ("aws_organizations_guardrails", "usual", "organizations:ListAccounts", "Accounts"),
        ("aws_organizations_guardrails", "usual", "organizations:ListRoots", "arn:aws:organizations"),
        ("aws_waf_web_acls", "empty", "wafv2:ListWebACLs", "eu-central-1"),
    ],
)
def test_a_listing_that_is_not_found_is_a_gap(kind, case, call, resource, run):
    """A resource may go away while it is read; a whole listing may not: not to find that is not to find nothing."""
    example = example_of(kind, case)
    asked = next(each for each in example["answers"] if each["call"] == call)
    del asked["answer"]
    asked["error"] = {"status": 404, "code": "ResourceNotFoundException", "message": "AWS's own words"}
    seen = replayed(kind, example, run, whole=False)
    (gap,) = [each for each in seen if isinstance(each, Gap)]
    assert (gap.kind, gap.operation) == ("not_found", call)
    assert gap.resource.startswith(resource)


def test_waiting_for_the_report_ends_with_the_run(run):
    """A run that is asked to stop does not wait for the credential report, and says while it waits why."""
    waits = []
    run = Run("aws", STARTED, run.pool, run.workers, run.cancelled, lambda reason, _seconds: waits.append(reason))
    run.cancelled.set()
    answers = [CALLER, {"call": "iam:GenerateCredentialReport", "answer": {"State": "STARTED"}}]
    with replay(answers, {"regions": ["us-east-1"]}, run) as places, pytest.raises(Cancelled):
        list(TYPES["aws_iam_user_mfa"](next(places)))
    assert waits == ["AWS draws up the credential report"]


def test_instants_are_in_utc():
    """A record's times do not depend on the time zone of the machine that read them."""
    elsewhere = datetime(2026, 4, 15, 11, 14, 22, tzinfo=timezone(timedelta(hours=2)))
    assert TypeAdapter(Instant).validate_python(elsewhere).isoformat() == STARTED.isoformat()


# ── People ─────────────────────────────────────────────────────────────────────────────────────────────────────────

PEOPLE = {
    "aws_cloudtrail_privileged_events": ("ada", "grace"),
    "aws_iam_access_keys": ("bob.lindqvist", "deploy-pipeline"),
    "aws_iam_admin_privileges": ("alice.moreau", "bob.lindqvist", "deploy-pipeline"),
    "aws_iam_inactive_users": ("alice.moreau",),
    "aws_iam_user_mfa": ("alice.moreau", "bob.lindqvist"),
    "aws_identitycenter_assignments": ("ada", "grace"),
}
OTHERS = {"aws_iam_admin_privileges": ("admins", "on-call"), "aws_identitycenter_assignments": ("platform",)}


def pseudonym(name):
    return f"person-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def written(seen, context=None):
    return [each.model_dump(mode="json", context=context) for each in seen]


@pytest.mark.parametrize("kind", PEOPLE)
def test_people_can_be_pseudonyms(kind, run):
    """Where people are pseudonyms no user is named, by name or in an ARN; groups, roles and root are, as ever."""
    seen = replayed(kind, example_of(kind, "usual"), run)
    plain, told = json.dumps(written(seen)), json.dumps(written(seen, pseudonym))
    for name in PEOPLE[kind]:
        assert name in plain
        assert name not in told
        assert pseudonym(name) in told
    for name in OTHERS.get(kind, ()):
        assert name in told


def test_a_gap_on_a_user_names_nobody(endpoint, entered):
    """A denied user is a gap whose resource and reason have the pseudonym that the user's records have."""
    error = {
        "Code": "AccessDenied",
        "Message": "not authorized to perform: iam:ListMFADevices on resource: user alice.",
    }
    answer = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403}}

    def deny(params, **_event):
        return (Response(403), answer) if params["body"].get("UserName") == "alice" else None

    account = entered({"before-call.iam.ListMFADevices": deny}, endpoint_url=endpoint, regions=REGIONS)[0]
    (gap,) = [seen for seen in TYPES["aws_iam_user_mfa"](account) if isinstance(seen, Gap)]
    arn = f"arn:aws:iam::{ACCOUNT}:user/"
    assert (gap.resource, "user alice." in gap.message) == (f"{arn}alice", True)
    (told,) = written([gap], pseudonym)
    assert told["resource"] == f"{arn}{pseudonym('alice')}"
    assert "alice" not in told["message"]
    assert f"user {pseudonym('alice')}." in told["message"]


# ── Settings, grants, imports ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accounts": [{"id": "12345"}]}, "12 digits in quotes"),
        ({"accounts": [{"id": 123456789012}]}, "12 digits in quotes"),
        ({"accounts": [{"role_arn": "arn:aws:iam::123456789012:user/x"}]}, "role ARN is written"),
        ({"accounts": [{"id": ACCOUNT, "role_arn": ROLE}]}, f"the role is in account {SECOND_ACCOUNT}"),
        ({"accounts": [{"external_id": "acme"}]}, "name the role_arn"),
        ({"accounts": [{"role_arn": ROLE, "external_id": "x y"}]}, "2 to 1224"),
        ({"accounts": [{"id": ACCOUNT}, {"id": ACCOUNT}]}, f"{ACCOUNT} is listed twice"),
        ({"accounts": [{}, {}]}, "the ambient account is listed twice"),
        ({"accounts": []}, "it is empty"),
        ({"regions": ["Frankfurt"]}, "'Frankfurt' is not a region"),
        ({"regions": []}, "at least 1 item"),
        ({"endpoint_url": "127.0.0.1:5000"}, "an endpoint is a scheme and a host"),
        ({"region": ["eu-central-1"]}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused_with_the_reason(settings, message):
    """Each wrong setting is refused, and the message says what is wrong and how it is written."""
    with pytest.raises(ValidationError, match=message):
        Settings.model_validate(settings)


def test_grants_are_the_least_policy():
    """The policy allows what the types declare, and discovering regions only where a type runs in them."""
    policy = SOURCE.grants([TYPES["aws_s3_bucket_encryption"]])
    (statement,) = policy["Statement"]
    assert statement["Action"] == [
        "s3:GetBucketLocation",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetEncryptionConfiguration",
        "s3:ListAllMyBuckets",
    ]
    (statement,) = SOURCE.grants([TYPES["aws_kms_key_rotation"]])["Statement"]
    assert "ec2:DescribeRegions" in statement["Action"]


def test_each_permission_is_an_operation_or_a_known_exception():
    """Every declared permission is an operation of AWS's own service model, or the action of a listed exception."""
    from botocore.session import Session

    session = Session()
    model = functools.cache(session.get_service_model)
    for permission in {permission for kind in TYPES.values() for permission in kind.permissions}:
        service, name = permission.split(":")
        assert permission in ACTIONS.values() or name in model(service).operation_names
    for operation in ACTIONS:
        service, name = operation.split(":")
        assert name in model(service).operation_names


def test_catalogue_costs_no_sdk():
    """Naming the source and its evidence types imports neither boto3 nor botocore."""
    code = (
        "import sys; from collectors.registry import evidence_types, source; "
        "source('aws'); assert len(evidence_types('aws')) >= 8; "
        "assert not {'boto3', 'botocore'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ── Memory ─────────────────────────────────────────────────────────────────────────────────────────────────────────

PASSING_THROUGH = """
import json, resource, sys, threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from collectors.aws.cloudwatch import log_retention
from collectors.aws.connection import Connection
from collectors.aws.settings import Settings
from collectors.contract import Run
from tests.replay_aws import Response

def caller(**_event):
    return Response(200), {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/auditor"}

def groups(params, **_event):
    first = int(json.loads(params["body"]).get("nextToken", 0))
    last = min(first + 50, wanted)
    names = [f"/acme/app-{number}" for number in range(first, last)]
    arn = "arn:aws:logs:eu-central-1:123456789012:log-group:"
    found = [{"logGroupName": name, "arn": arn + name, "creationTime": 1_700_000_000_000} for name in names]
    return Response(200), {"logGroups": found, **({"nextToken": str(last)} if last < wanted else {})}

def prepare(session):
    session.register("before-call.sts.GetCallerIdentity", caller)
    session.register("before-call.cloudwatch-logs.DescribeLogGroups", groups)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

with ThreadPoolExecutor(8) as pool:
    run = Run("aws", datetime.now(UTC), pool, 8, threading.Event(), remembered=frozenset())
    settings = Settings.model_validate({"regions": ["eu-central-1"]})
    _account, region = Connection(settings, run, prepare).places()
    wanted = 2_000
    assert sum(1 for _ in log_retention(region)) == wanted
    before, wanted = peak(), 40_000
    print(sum(1 for _ in log_retention(region)), peak() - before)
"""


def test_memory_does_not_grow_with_a_population_that_nobody_else_wants():
    """40,000 log groups pass through in the memory that 2,000 took."""
    done = subprocess.run([sys.executable, "-c", PASSING_THROUGH], capture_output=True, text=True, check=True)
    count, kilobytes = map(int, done.stdout.split())
    assert count == 40_000
    assert kilobytes < 4_000


@pytest.mark.parametrize(
    ("caller", "role", "arn"),
    [
        ("arn:aws:iam::123456789012:user/path/chequr", None, "arn:aws:iam::123456789012:user/path/chequr"),
        ("arn:aws:sts::123456789012:assumed-role/chequr/s", None, "arn:aws:iam::123456789012:role/chequr"),
        ("arn:aws-cn:sts::123456789012:assumed-role/chequr/s", "arn:aws-cn:iam::1:role/p/chequr", None),
        ("arn:aws:iam::123456789012:root", None, None),
        ("arn:aws:sts::123456789012:federated-user/me", None, None),
    ],
)
def test_whose_policies_are_simulated(caller, role, arn):
    """A user's own, or the role's behind a session; where the role is known its path is kept; root has no policies."""
    assert principal(caller, role) == (role or arn)


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ({}, "explicitDeny on all resources"),
        ({"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}}, "by a policy of the organization"),
        ({"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False}}, "permissions boundary"),
    ],
)
def test_who_refuses_in_a_simulation(detail, words):
    """What does not allow an action is told apart: the role's own policies, its boundary, the organization."""
    assert words in refusal({"EvalActionName": "kms:ListKeys", "EvalDecision": "explicitDeny", **detail})
    assert refusal({"EvalActionName": "kms:ListKeys", "EvalDecision": "allowed", **detail}) is None
