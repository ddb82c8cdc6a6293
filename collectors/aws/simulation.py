"""What IAM itself says of a principal's permissions, without any of them being tried."""

from collections.abc import Mapping
from typing import Any

Answer = Mapping[str, Any]


def principal(caller: str, role: str | None) -> str | None:
    """The ARN that the policies of a caller, known by its own ARN, are attached to; None where it has none, as root.

    An assumed role's ARN lacks the path of the role, so `role` is better where it is known.
    """
    kind, _, name = caller.partition(":iam::")[2].partition(":")[2].partition("/")
    if kind == "user" and name:
        return caller
    _, partition, service, _, account, resource = caller.split(":", 5)
    if service != "sts" or not resource.startswith("assumed-role/"):
        return None
    return role or f"arn:{partition}:iam::{account}:role/{resource.split('/')[1]}"


def refusal(result: Answer) -> str | None:
    """Why an action is not allowed, of what IAM says about it; None where it is."""
    decision = result["EvalDecision"]
    if decision == "allowed":
        return None
    if not result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True):
        return f"{decision}, by a policy of the organization"
    if not result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary", True):
        return f"{decision}, by the permissions boundary"
    return f"{decision} on all resources"
