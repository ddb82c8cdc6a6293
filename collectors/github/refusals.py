"""What GitHub's refusals mean, in the words of `collectors.errors`. The one place where they are translated."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from collectors.errors import (
    AccessDenied,
    CollectionError,
    Invalid,
    NotEnabled,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from collectors.github.patience import Overloaded, Reply

FORBIDDEN_TOKEN = "forbids access via a personal access token"  # noqa: S105 - GitHub's words
ALLOW_LIST = "IP allow list"
OWNERSHIP = "organization ownership"
NOT_ON_PLAN = (
    "upgrade to ",
    "not available for",
    "must be enabled",
    "is not enabled",
    "advanced security",
    "disabled for this repository",
    "disabled on this repository",
)
GAVE_UP = ("INTERNAL", "SERVICE_UNAVAILABLE", "LOADING", "RESOURCE_LIMITS_EXCEEDED", "MAX_NODE_LIMIT_EXCEEDED")


class SingleSignOn(AccessDenied):
    is_mended_by_grant = False
    remedy = "Authorize the token for single sign-on to the organization, in the token's settings on GitHub."


class AllowListed(AccessDenied):
    remedy = "Read from an address that the organization's IP allow list has."
    is_mended_by_grant = False


class ForbiddenByOrganization(AccessDenied):
    remedy = "The organization's policy refuses this kind of token: read with a fine-grained one, or as a GitHub App."
    is_mended_by_grant = False


def refusal(
    reply: Reply, operation: str, permission: str | None, absent: type[CollectionError] = NotFound
) -> CollectionError | None:
    """What a final REST reply means where it is not an answer; None where it is one.

    `absent` is the meaning of a 404: GitHub hides what the identity may not see, so on a call that only
    administrators may make, "Not Found" is a missing permission.
    """
    if reply.status == HTTPStatus.OK:
        return None if reply.body is not None else _not_json(operation)
    kind = _kind(reply, absent)
    grant = _grant(reply, permission) if issubclass(kind, AccessDenied) and kind.is_mended_by_grant else None
    return kind(_reason(reply), operation=operation, permission=grant)


def fault(error: Mapping[str, Any], operation: str, permission: str | None) -> CollectionError:
    """What one entry of a GraphQL answer's `errors` means."""
    message = str(error.get("message") or "no reason given")[:300]
    extensions = error.get("extensions")
    code = error.get("type") or (extensions.get("code") if isinstance(extensions, dict) else None)
    if code == "NOT_FOUND" and _is_below_an_element(error.get("path")):  # which is there: what lacks is not shown
        return AccessDenied(message, operation=operation, permission=permission)
    if code == "NOT_FOUND":
        return NotFound(message, operation=operation)
    if code in ("FORBIDDEN", "INSUFFICIENT_SCOPES"):
        is_sso = isinstance(extensions, dict) and bool(extensions.get("saml_failure"))
        kind = _denial(message, is_sso=is_sso)
        return kind(message, operation=operation, permission=permission if kind.is_mended_by_grant else None)
    if code == "undefinedField":  # an older Enterprise Server
        return NotEnabled(message, operation=operation)
    if code in GAVE_UP or message.startswith("Something went wrong while executing your query"):
        return Overloaded(message, operation=operation)
    return Unavailable(message, operation=operation)


def _is_below_an_element(path: Any) -> bool:
    """Whether a path leads into an element of a list, and further."""
    return isinstance(path, list) and any(isinstance(step, int) for step in path[:-1])


def _kind(reply: Reply, absent: type[CollectionError]) -> type[CollectionError]:
    message = reply.message.lower()
    if reply.status == HTTPStatus.UNAUTHORIZED:
        return Unauthenticated
    if reply.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY) and any(
        words in message for words in NOT_ON_PLAN
    ):
        return NotEnabled
    if reply.status == HTTPStatus.FORBIDDEN:
        return _denial(reply.message, is_sso="x-github-sso" in reply.headers)
    if reply.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return AccessDenied if "owners" in message else Invalid
    if 300 <= reply.status < HTTPStatus.BAD_REQUEST:  # noqa: PLR2004 - the class of redirects has no name
        return Unavailable
    others: dict[int, type[CollectionError]] = {
        HTTPStatus.NOT_FOUND: absent,
        HTTPStatus.GONE: NotEnabled,
        HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: AccessDenied,
    }
    return others.get(reply.status, Invalid)


def _denial(message: str, *, is_sso: bool) -> type[AccessDenied]:
    """What is to be done about a denial: most often to grant something."""
    if is_sso:
        return SingleSignOn
    if FORBIDDEN_TOKEN in message:
        return ForbiddenByOrganization
    return AllowListed if ALLOW_LIST in message else AccessDenied


def _reason(reply: Reply) -> str:
    if 300 <= reply.status < HTTPStatus.BAD_REQUEST:  # noqa: PLR2004 - as above
        return "it has moved to another name, which a read does not follow"
    return reply.message or f"refused with status {reply.status}"


def _grant(reply: Reply, permission: str | None) -> str | None:
    """What would mend a refusal: GitHub names it where a permission lacks, in the words `members=read`."""
    if "owners" in reply.message.lower():
        return OWNERSHIP
    accepted = reply.headers.get("x-accepted-github-permissions", "")
    return accepted.replace("=", ":") or permission


def _not_json(operation: str) -> Unavailable:
    return Unavailable(
        "the answer is not JSON: something between here and GitHub answers in its place", operation=operation
    )
