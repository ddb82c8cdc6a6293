"""What a bucket's policy refuses because of how a request comes in: without TLS, or with an old version of it."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from collectors.aws.policies import is_every_principal, listed, statements

OPERATION = "s3:GetBucketPolicy"
EVERY_ACTION = frozenset({"*", "s3:*"})
PLAIN_HTTP = ("bool", "aws:securetransport")
OLD_TLS = ("numericlessthan", "s3:tlsversion")


def refuses_plain_http(policy: str, arn: str) -> bool:
    """Whether everyone is denied everything without TLS, on the bucket and all its objects. Raises Invalid."""
    return "false" in _refused(policy, arn, PLAIN_HTTP)


def mentions_plain_http(policy: str) -> bool:
    """Whether a statement denies anything without TLS. Raises Invalid."""
    return any("false" in _values(its, PLAIN_HTTP) for its in _denials(policy))


def least_tls_version(policy: str, arn: str) -> str | None:
    """The version below which everyone is denied everything, as the policy writes it. Raises Invalid."""
    return max(_refused(policy, arn, OLD_TLS), default=None)


def _refused(policy: str, arn: str, condition: tuple[str, str]) -> Iterator[str]:
    """The values of a condition at which everyone is denied everything: several statements may cover the bucket."""
    resources: dict[str, set[str]] = {}
    for statement in filter(_is_whole, _denials(policy)):
        for value in _values(statement, condition):
            resources.setdefault(value, set()).update(listed(statement.get("Resource")))
    for value, patterns in resources.items():
        if all(any(fnmatchcase(part, pattern) for pattern in patterns) for part in (arn, f"{arn}/*")):
            yield value


def _denials(policy: str) -> Iterator[dict[str, Any]]:
    return (its for its in statements(policy, OPERATION) if its.get("Effect") == "Deny")


def _is_whole(statement: dict[str, Any]) -> bool:
    """Whether a statement is about everyone and every action of S3, on no more than one condition."""
    actions = {action.lower() for action in listed(statement.get("Action"))}
    everyone = is_every_principal(statement.get("Principal"))
    return everyone and bool(actions & EVERY_ACTION) and len(tuple(_conditions(statement))) == 1


def _values(statement: dict[str, Any], condition: tuple[str, str]) -> tuple[str, ...]:
    return next((values for its, values in _conditions(statement) if its == condition), ())


def _conditions(statement: dict[str, Any]) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    """Each operator and key of a statement's conditions, neither of which minds its case, and the values."""
    for operator, keys in (statement.get("Condition") or {}).items():
        for key, value in keys.items():
            values = tuple(text.lower() for text in listed(value))
            yield (operator.lower().removesuffix("ifexists"), key.lower()), values
