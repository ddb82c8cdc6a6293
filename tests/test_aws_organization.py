"""A whole organization of AWS accounts, from answers as AWS writes them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from collectors.aws.settings import Settings
from collectors.aws.targets import Account, Region
from collectors.contract import Run, Unreachable
from collectors.errors import CollectionError, NotEnabled, NotFound
from tests.replay_aws import replay

HOME, PROD, DATA, SANDBOX, GONE = "111111111111", "222222222222", "333333333333", "444444444444", "555555555555"
NAMES = {HOME: "management", PROD: "prod-web", DATA: "prod-data", SANDBOX: "sandbox-alice", GONE: "old"}
OU, INNER = "ou-ab12-11111111", "ou-ab12-22222222"


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch, tmp_path):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


def _caller(account, partition="aws"):
    arn = f"arn:{partition}:sts::{account}:assumed-role/chequr-evidence/chequr-agent"
    return {"call": "sts:GetCallerIdentity", "answer": {"Account": account, "Arn": arn, "UserId": "AROA"}}


def _listed(*accounts, partition="aws"):
    told = [
        {
            "Id": account,
            "Arn": f"arn:{partition}:organizations::{HOME}:account/o-acme7exam/{account}",
            "Name": NAMES[account],
            "Status": "SUSPENDED" if account == GONE else "ACTIVE",
        }
        for account in accounts
    ]
    return {"call": "organizations:ListAccounts", "answer": {"Accounts": told}}


def _unit(unit, accounts=(), within=()):
    asked = {"parameters": {"ParentId": unit}}
    return [
        {
            "call": "organizations:ListAccountsForParent",
            **asked,
            "answer": {"Accounts": [{"Id": account} for account in accounts]},
        },
        {
            "call": "organizations:ListOrganizationalUnitsForParent",
            **asked,
            "answer": {"OrganizationalUnits": [{"Id": inner} for inner in within]},
        },
    ]


def places(answers, organization=None, *, parallel=False, **settings):
    """The places of an organization, and why some are closed."""
    chosen = {"accounts": "organization", "regions": ["eu-central-1"], **settings}
    if organization:
        chosen["organization"] = organization
    with ThreadPoolExecutor(4) as pool:
        run = Run("aws", datetime(2026, 4, 15, tzinfo=UTC), pool if parallel else None, 4, threading.Event())
        with replay(answers, chosen, run) as found:
            entered = []
            for place in found:
                entered.append(place)
                if isinstance(place, Account | Region):
                    with closing(place):
                        assert place.identity().split(":")[4] == place.account
    return entered


def _ids(entered, kind=Account):
    return [place.id for place in entered if isinstance(place, kind)]


@pytest.mark.parametrize("parallel", [False, True])
def test_every_member_is_entered_by_the_same_role(parallel):
    """Each active account is entered by the role's name, the agent's own without; a suspended one is told as such."""
    # The agent's own account is asked for twice: to list the others, and as one of them.
    answers = [_caller(HOME), _listed(HOME, PROD, DATA, GONE), *map(_caller, (HOME, PROD, DATA))]
    entered = places(answers, parallel=parallel)
    assert _ids(entered) == [HOME, PROD, DATA]
    roles = [place.access.settings.role_arn for place in entered if isinstance(place, Account)]
    assert roles == [None, *(f"arn:aws:iam::{account}:role/chequr-evidence" for account in (PROD, DATA))]
    assert _ids(entered, Region) == [f"{account}/eu-central-1" for account in (HOME, PROD, DATA)]
    closed = [place for place in entered if isinstance(place, Unreachable)]
    assert [(place.kind, place.id, type(place.cause)) for place in closed] == [
        (Account, GONE, NotEnabled),
        (Region, GONE, NotEnabled),
    ]
    assert "SUSPENDED" in str(closed[0].cause)


def test_accounts_are_chosen_by_id_name_and_unit():
    """Those that are named in any way are read, units with all that is within them, and the excluded ones are not."""
    answers = [
        _caller(HOME),
        _listed(HOME, PROD, DATA, SANDBOX),
        *_unit(OU, [SANDBOX], [INNER]),
        *_unit(INNER, [DATA]),
        _caller(PROD),
        _caller(DATA),
    ]
    chosen = {
        "role": "/audit/reader",
        "external_id": "chequr-7f3a",
        "include": [PROD, OU],
        "exclude": ["sandbox-*"],
    }
    entered = places(answers, chosen)
    assert _ids(entered) == [PROD, DATA]
    settings = entered[0].access.settings
    assert (settings.role_arn, settings.external_id) == (f"arn:aws:iam::{PROD}:role/audit/reader", "chequr-7f3a")


def test_an_account_that_is_not_a_member_is_told():
    """An id that is included and is none of the organization's is a place that cannot be entered, with the reason."""
    answers = [_caller(HOME), _listed(HOME, PROD), _caller(PROD)]
    entered = places(answers, {"include": [PROD, DATA]})
    closed = [place for place in entered if isinstance(place, Unreachable)]
    assert {place.id for place in closed} == {DATA}
    assert isinstance(closed[0].cause, NotFound)


def test_a_choice_of_nobody_is_a_mistake():
    """Where include and exclude leave no account, that is an error, and not an empty organization."""
    with pytest.raises(CollectionError, match="none of the 2 accounts"):
        places([_caller(HOME), _listed(HOME, PROD)], {"include": ["nobody-*"]})


def test_an_organization_that_may_not_be_listed():
    """A denied list is an error that names the permission; no account is read as if it were all."""
    denied = {"status": 400, "code": "AccessDeniedException", "message": "You don't have permissions"}
    with pytest.raises(CollectionError) as refused:
        places([_caller(HOME), {"call": "organizations:ListAccounts", "error": denied}])
    assert refused.value.permission == "organizations:ListAccounts"


def test_another_partition():
    """Roles are named in the partition that the agent's own identity is in."""
    answers = [
        _caller(HOME, "aws-us-gov"),
        _listed(PROD, partition="aws-us-gov"),
        _caller(PROD, "aws-us-gov"),
    ]
    entered = places(answers, regions=["us-gov-west-1"])
    assert entered[0].access.settings.role_arn == f"arn:aws-us-gov:iam::{PROD}:role/chequr-evidence"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accounts": "organisation"}, 'or "organization"'),
        ({"organization": {"role": "audit"}}, 'accounts = "organization"'),
        ({"accounts": "organization", "organization": {"role": "arn:aws:iam::1:role/x"}}, "a path and a name"),
        ({"accounts": "organization", "organization": {"external_id": "x"}}, "2 to 1224"),
        ({"accounts": "organization", "organization": {"roles": "x"}}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    """What cannot be meant is refused, and the message says how it is written."""
    with pytest.raises(ValidationError, match=message):
        Settings.model_validate(settings)
