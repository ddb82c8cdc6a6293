"""The accounts of an organization: which there are, and which of them are wanted."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from collectors.aws.settings import ACCOUNT, AccountSettings, Organization
from collectors.aws.targets import Account, Answer
from collectors.contract import Unreachable
from collectors.errors import CollectionError, Invalid, NotEnabled, NotFound

_UNIT = re.compile(r"(ou|r)-[a-z0-9-]+")
_ACTIVE = "ACTIVE"


def members(ambient: Account, organization: Organization) -> Iterator[AccountSettings | Unreachable]:
    """Each account that is wanted, as if it were configured; those that cannot be entered, with the reason.

    Listed once, as the ambient identity, which is in the management account or in one that it delegates this to.
    Raises CollectionError.
    """
    listed = {str(account["Id"]): account for account in ambient.pages("organizations:ListAccounts", "Accounts")}
    included = _chosen(ambient, listed, organization.include) if organization.include else set(listed)
    wanted = included - _chosen(ambient, listed, organization.exclude)
    if not wanted:
        message = f"none of the {len(listed)} accounts of the organization is chosen by include and exclude"
        raise Invalid(message, operation="organizations:ListAccounts")
    for account_id in sorted(listed.keys() & wanted):
        yield _member(ambient, organization, listed[account_id])
    for account_id in sorted(wanted - listed.keys()):
        yield _closed(account_id, NotFound(f"the organization has no account {account_id}"))


def _member(ambient: Account, organization: Organization, account: Answer) -> AccountSettings | Unreachable:
    account_id, state = str(account["Id"]), str(account.get("State") or account.get("Status"))
    if state != _ACTIVE:
        return _closed(account_id, NotEnabled(f"the account is not active: {state}"))
    if account_id == ambient.account:  # where the agent is at home there may be no such role
        return AccountSettings(id=account_id)
    role = f"arn:{ambient.partition}:iam::{account_id}:role/{organization.role}"
    return AccountSettings(role_arn=role, external_id=organization.external_id)


def _closed(account_id: str, error: CollectionError) -> Unreachable:
    return Unreachable(Account, account_id, {"account": account_id}, error)


def _chosen(ambient: Account, listed: dict[str, Answer], chosen: tuple[str, ...]) -> set[str]:
    """The ids of the accounts that are named by id, by organizational unit, or by a pattern of their name."""
    ids: set[str] = set()
    for one in chosen:
        if ACCOUNT.fullmatch(one):
            ids.add(one)
        elif _UNIT.fullmatch(one):
            ids.update(_beneath(ambient, one))
        else:
            ids.update(key for key, account in listed.items() if fnmatchcase(str(account.get("Name")), one))
    return ids


def _beneath(ambient: Account, unit: str) -> Iterator[str]:
    """The accounts in a unit and in all units within it."""
    for account in ambient.pages("organizations:ListAccountsForParent", "Accounts", ParentId=unit):
        yield str(account["Id"])
    within = ambient.pages("organizations:ListOrganizationalUnitsForParent", "OrganizationalUnits", ParentId=unit)
    for inner in within:
        yield from _beneath(ambient, str(inner["Id"]))
