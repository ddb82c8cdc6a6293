"""Policy documents, of IAM and of resources: their statements, and what these speak of."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from collectors.errors import Invalid


def statements(document: Any, operation: str) -> tuple[dict[str, Any], ...]:
    """The statements of a policy as `operation` told it: as text, or as botocore reads IAM's. Raises Invalid."""
    try:
        policy = json.loads(document) if isinstance(document, str) else document
        found = policy["Statement"]
        return tuple(dict(statement) for statement in ([found] if isinstance(found, dict) else found))
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid("the policy is not a policy document", operation=operation) from error


def listed(element: Any) -> tuple[str, ...]:
    """An element of a statement, which may be one text, several or none."""
    if element is None:
        return ()
    return tuple(map(str, element)) if isinstance(element, list) else (str(element),)


def is_every_action(actions: Iterable[str]) -> bool:
    """Whether all actions of all services are among the actions named."""
    return any(action in ("*", "*:*") for action in actions)


def is_every_principal(principal: Any) -> bool:
    """Whether a statement's principal is everyone."""
    return "*" in listed(principal.get("AWS") if isinstance(principal, dict) else principal)


def open_statements(policy: str, operation: str) -> Iterator[dict[str, Any]]:
    """The statements of a policy, as `operation` told it, that allow every principal something, or all but some.

    Raises Invalid.
    """
    for statement in statements(policy, operation):
        is_open = "NotPrincipal" in statement or is_every_principal(statement.get("Principal"))
        if is_open and statement.get("Effect") == "Allow":
            yield statement
