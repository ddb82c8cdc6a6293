"""What a reply holds: the object or the list that it should be, or the error that stands in its place."""

from typing import Any

from collectors.errors import CollectionError, NotFound, Unavailable
from collectors.github.patience import Reply
from collectors.github.refusals import refusal


def checked(
    kind: type[Any], reply: Reply, operation: str, permission: str | None, absent: type[CollectionError] = NotFound
) -> Any:
    """The body of a reply, if it is an answer, and of this kind: a proxy's answers can be of another."""
    error = refusal(reply, operation, permission, absent)
    if error is not None:
        raise error
    if not isinstance(reply.body, kind):
        raise Unavailable(f"the answer is not the {kind.__name__} that it should be", operation=operation)
    return reply.body


def listed(
    reply: Reply, within: str | None, operation: str, permission: str | None, absent: type[CollectionError] = NotFound
) -> list[dict[str, Any]]:
    """The list that a reply is, or that is `within` a field of it."""
    if within is None:
        found: list[dict[str, Any]] = checked(list, reply, operation, permission, absent)
        return found
    inner = checked(dict, reply, operation, permission, absent).get(within)
    if not isinstance(inner, list):
        raise Unavailable(f"the answer has no list of {within}", operation=operation)
    return inner
