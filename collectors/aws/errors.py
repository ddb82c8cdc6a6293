"""botocore's errors, in the agent's words. Nowhere else are they looked at."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from collectors.errors import (
    AccessDenied,
    CollectionError,
    Invalid,
    NotEnabled,
    NotFound,
    Unauthenticated,
    Unavailable,
)

DENIED = frozenset({
    "AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AuthorizationError", "AuthorizationErrorException",
    "Client.UnauthorizedOperation", "Forbidden", "InvalidAccessException", "NotAuthorized", "UnauthorizedAccess",
    "UnauthorizedOperation",
})  # fmt: skip
# What AWS answers to credentials that it does not know: wrong ones, and good ones in a region that is not enabled.
UNKNOWN_CREDENTIALS = frozenset({
    "AuthFailure", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "UnrecognizedClientException",
})  # fmt: skip
UNAUTHENTICATED = UNKNOWN_CREDENTIALS | {
    "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidSignatureException",
    "MissingAuthenticationToken", "MissingAuthenticationTokenException", "RequestExpired", "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}  # fmt: skip
REGION_OFF = frozenset({"RegionDisabledException"})
NOT_ENABLED = REGION_OFF | {
    "AccountNotEnabled", "OptInRequired", "SubscriptionRequired", "SubscriptionRequiredException",
}  # fmt: skip
NOT_FOUND = frozenset({
    "AWS.SimpleQueueService.NonExistentQueue", "DBClusterSnapshotNotFoundFault", "DBSnapshotNotFound",
    "FileSystemNotFound", "LoadBalancerNotFound", "NoSuchBucket", "NoSuchConfigRuleException", "NoSuchDistribution",
    "NoSuchEntity", "NotFound", "NotFoundException", "PolicyNotFoundException", "QueueDoesNotExist",
    "ResourceNotFoundException", "TableNotFoundException", "TrailNotFoundException", "WAFNonexistentItemException",
})  # fmt: skip
ENTRY = "sts:"
# Denials by their code, but what they say is that the service is off.
OFF = frozenset({"Macie is not enabled"})

# How AWS says that no policy of the account can change it; its message goes on to name the policy.
OF_ORGANIZATION = ("service control policy", "resource control policy")

Place = Literal["home", "enabled", "optional"]
"""A region: the one where the credentials proved good, another that the account has, or one that it may not have."""

NOT_OFFERED = "AWS does not list this service in this region, and nothing answers for it there"
NOT_AWS = "the answer is not one of AWS's: something between this machine and AWS gave it"


class ForbiddenByOrganization(AccessDenied):
    remedy = "A policy of the organization forbids it: ask those who keep the policy that the message names."
    is_mended_by_grant = False


@contextmanager
def translation(
    operation: str, permission: str | None, *, place: Place = "home", is_offered: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Raises what botocore raises as a CollectionError, for the call `operation` that needs `permission`.

    `place` is the region that the call goes to, by what is known of it; `is_offered` says whether AWS lists the service
    there.
    """
    from botocore import exceptions as aws
    from botocore.parsers import ResponseParserError

    try:
        yield
    except aws.ClientError as error:
        if error.operation_name == "AssumeRole":  # made by botocore on its own, to sign the call that was asked for
            operation = permission = "sts:AssumeRole"
        raise _answered(error.response, operation, permission, place) from error
    except (
        aws.NoCredentialsError,
        aws.PartialCredentialsError,
        aws.CredentialRetrievalError,
        aws.MetadataRetrievalError,
        aws.ProfileNotFound,
        aws.SSOError,
        aws.TokenRetrievalError,
    ) as error:
        raise Unauthenticated(str(error), operation=operation) from error
    except aws.EndpointConnectionError as error:
        if is_offered():
            raise Unavailable(str(error), operation=operation) from error
        raise NotEnabled(f"{NOT_OFFERED}: {error}", operation=operation) from error
    except (aws.ConnectionError, aws.HTTPClientError, aws.IncompleteReadError) as error:
        raise Unavailable(str(error), operation=operation) from error
    except ResponseParserError as error:
        raise Unavailable(NOT_AWS, operation=operation) from error
    except aws.BotoCoreError as error:
        raise Invalid(str(error), operation=operation) from error


def code(error: BaseException | None) -> str:
    """AWS's own code of a translated failure, as in `NoSuchBucketPolicy`; empty where AWS gave none."""
    response = getattr(error and error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _answered(
    response: dict[str, dict[str, object]], operation: str, permission: str | None, place: Place
) -> CollectionError:
    fault, status = response.get("Error", {}), response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    name = str(fault.get("Code", ""))
    message = _words(name, str(fault.get("Message", "")))
    if name in NOT_ENABLED or any(off in message for off in OFF):
        return _off(message, operation)
    if name in UNKNOWN_CREDENTIALS and place == "optional":
        reason = f"the region refuses credentials that are good in another one, so it is not enabled: {message}"
        return NotEnabled(reason, operation=operation)
    if name in UNAUTHENTICATED or (status == 401 and name not in DENIED):  # noqa: PLR2004 - HTTP's own number
        return Unauthenticated(_refused(name, message, place), operation=operation)
    if name in NOT_FOUND or name.endswith(".NotFound"):
        return NotFound(message, operation=operation)
    if name in DENIED or status == 403:  # noqa: PLR2004 - HTTP's own number
        forbidden = any(policy in message for policy in OF_ORGANIZATION)
        kind = ForbiddenByOrganization if forbidden else AccessDenied
        return kind(message, operation=operation, permission=permission)
    return Unavailable(message, operation=operation)


def _off(message: str, operation: str) -> CollectionError:
    """A feature that is off; not so the way into the account, without which nothing is known of its features."""
    if operation.startswith(ENTRY):
        reason = f"the account is not entered by way of this region: name one that it has in `regions`: {message}"
        return Unauthenticated(reason, operation=operation)
    return NotEnabled(message, operation=operation)


def _refused(name: str, message: str, place: Place) -> str:
    if name not in UNKNOWN_CREDENTIALS or place != "enabled":
        return message
    return (
        "the account has the region, so the credentials were withdrawn meanwhile, or are a session token of STS's "
        f"global endpoint, which only regions know that are on by default: {message}"
    )


def _words(name: str, message: str) -> str:
    """The code and the reason, without the blob that EC2 appends, which only the account's owner can decode."""
    if message.lstrip().startswith("<"):
        return f"{name}: {NOT_AWS}"
    reason = message.partition("Encoded authorization failure message")[0].strip()
    return f"{name}: {reason}" if reason else name
