"""CloudTrail's history of events, as far as they give away rights, weaken guards, or are the root user's sign-ins."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import Field, SerializationInfo, field_serializer

from collectors.aws.access import FIRST_REGIONS
from collectors.aws.moment import Instant
from collectors.aws.people import UserArn, UserName, in_arns, named
from collectors.aws.targets import Account, Answer
from collectors.contract import PERSONAL, Period, Record
from collectors.errors import Invalid

LOOKUP = "cloudtrail:LookupEvents"
PAGE = 50
SIGN_IN = ("signin.amazonaws.com", "ConsoleLogin")
GLOBAL_SOURCE = "iam.amazonaws.com"  # whose events are kept in the partition's first region
GLOBAL_EVENTS = (
    "AddUserToGroup",
    "AttachGroupPolicy",
    "AttachRolePolicy",
    "AttachUserPolicy",
    "CreateAccessKey",
    "CreateLoginProfile",
    "CreatePolicyVersion",
    "CreateUser",
    "DeactivateMFADevice",
    "PutGroupPolicy",
    "PutRolePolicy",
    "PutUserPolicy",
    "SetDefaultPolicyVersion",
    "UpdateAssumeRolePolicy",
    "UpdateLoginProfile",
)
REGIONAL_EVENTS = (
    SIGN_IN,
    ("cloudtrail.amazonaws.com", "DeleteTrail"),
    ("cloudtrail.amazonaws.com", "PutEventSelectors"),
    ("cloudtrail.amazonaws.com", "StopLogging"),
    ("cloudtrail.amazonaws.com", "UpdateTrail"),
    ("config.amazonaws.com", "DeleteConfigurationRecorder"),
    ("config.amazonaws.com", "StopConfigurationRecorder"),
    ("ec2.amazonaws.com", "DeleteFlowLogs"),
    ("guardduty.amazonaws.com", "DeleteDetector"),
    ("kms.amazonaws.com", "DisableKey"),
    ("kms.amazonaws.com", "ScheduleKeyDeletion"),
    ("securityhub.amazonaws.com", "DisableSecurityHub"),
    ("sso.amazonaws.com", "CreateAccountAssignment"),
)


class EventResource(Record):
    """Something that an event was about."""

    type: str | None = Field(description="Its type, as in `AWS::IAM::User`; null where AWS does not say.")
    name: str | None = Field(
        description="Its name, id or ARN; null where AWS does not say.", json_schema_extra=PERSONAL
    )

    @field_serializer("name")
    def _of_a_user(self, name: str | None, info: SerializationInfo[Any]) -> str | None:
        if name is None or name.startswith("arn:"):
            return name and in_arns(name, info)
        return named(name, info) if self.type == "AWS::IAM::User" else name


class PrivilegedEvent(Record):
    """One event: who did what, when, from where, and whether it was let through."""

    event: str = Field(description="The event's id.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region whose history has the event.")
    name: str = Field(description="What was done, as in `CreateAccessKey`.")
    source: str = Field(description="The service, as in `iam.amazonaws.com`.")
    time: Instant = Field(description="When it was done.")
    actor_type: str | None = Field(
        description="Who did it, as in `Root`, `IAMUser`, `AssumedRole` or `AWSService`; null where AWS does not say."
    )
    actor: UserArn | None = Field(description="The ARN of who did it; null where AWS does not say.")
    username: UserName | None = Field(description="The name of the user or session; null where AWS does not say.")
    mfa: bool | None = Field(
        description="Whether AWS saw a second factor; one that only an identity provider saw is none. Null if not said."
    )
    source_ip: str | None = Field(
        description="The address that it was done from, or the AWS service that did it; null where AWS does not say."
    )
    succeeded: bool = Field(description="Whether it was let through.")
    error_code: str | None = Field(description="Why it was not, as in `AccessDenied`; null where AWS does not say.")
    resources: tuple[EventResource, ...] = Field(description="What it was about, other than access keys.")


class Lookup(NamedTuple):
    """One name of events to look up in a region, of one service."""

    region: str
    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} in {self.region}"


def lookups(account: Account) -> Iterator[Lookup]:
    """All that is looked up: IAM's events and sign-ins where they are kept, the others in each region that is read."""
    first = FIRST_REGIONS[account.partition]
    regions = account.regions()
    for region in regions:
        yield from (Lookup(region, *event) for event in REGIONAL_EVENTS)
    if first not in regions:
        yield Lookup(first, *SIGN_IN)
    yield from (Lookup(first, GLOBAL_SOURCE, name) for name in GLOBAL_EVENTS)


def events(account: Account, period: Period, lookup: Lookup) -> tuple[PrivilegedEvent, ...]:
    """The events of one name in the period. Raises CollectionError."""
    asked: dict[str, Any] = {
        "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": lookup.name}],
        "StartTime": period.since,
        "EndTime": period.until,
        "MaxResults": PAGE,
    }
    found = account.pages(LOOKUP, "Events", region=lookup.region, **asked)
    # AWS looks up whole seconds, both ends included
    timely = (event for event in found if period.since <= event["EventTime"] < period.until)
    read = (_event(account, lookup, event) for event in timely if event["EventSource"] == lookup.source)
    return tuple(event for event in read if event.name != SIGN_IN[1] or event.actor_type == "Root")


def _event(account: Account, lookup: Lookup, event: Answer) -> PrivilegedEvent:
    details = _details(event)
    actor = details.get("userIdentity") or {}
    return PrivilegedEvent(
        event=event["EventId"],
        account=account.account,
        region=lookup.region,
        name=event["EventName"],
        source=event["EventSource"],
        time=event["EventTime"],
        actor_type=actor.get("type"),
        actor=actor.get("arn"),
        username=event.get("Username"),
        mfa=_mfa(details, actor),
        source_ip=details.get("sourceIPAddress"),
        succeeded=_is_let_through(details),
        error_code=details.get("errorCode"),
        resources=tuple(_resources(event)),
    )


def _details(event: Answer) -> dict[str, Any]:
    try:
        details: dict[str, Any] = json.loads(event["CloudTrailEvent"])
    except ValueError as error:
        raise Invalid(f"event {event['EventId']} is not a JSON document", operation=LOOKUP) from error
    return details


def _mfa(details: dict[str, Any], actor: dict[str, Any]) -> bool | None:
    """A sign-in tells of the factor itself, other events of the session that they were done in."""
    said = (details.get("additionalEventData") or {}).get("MFAUsed")
    if said is None:
        said = (actor.get("sessionContext") or {}).get("attributes", {}).get("mfaAuthenticated")
    return None if said is None else said in ("Yes", "true")


def _is_let_through(details: dict[str, Any]) -> bool:
    answer = details.get("responseElements") or {}
    return "errorCode" not in details and answer.get(SIGN_IN[1]) != "Failure"


def _resources(event: Answer) -> Iterator[EventResource]:
    for resource in event.get("Resources") or ():
        if resource.get("ResourceType") != "AWS::IAM::AccessKey":
            yield EventResource(type=resource.get("ResourceType"), name=resource.get("ResourceName"))
