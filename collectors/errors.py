"""Why something could not be observed.

CollectionError
├── AccessDenied      the identity lacks a permission, or a policy forbids the read
├── Unauthenticated   the credentials themselves are missing, wrong or expired
├── NotEnabled        the feature is off, or not part of this plan, edition or region
├── NotFound          the resource went away between the listing and the read
├── Unavailable       no usable answer: throttled out, timed out, broken, half-way
├── Invalid           an answer or a file that cannot be understood
└── Omitted           seen, and left out on purpose: too large, or past its retention

Each source translates its SDK's errors into these in one place, with `raise … from error`.
"""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

GapKind = Literal[
    "denied", "unauthenticated", "not_enabled", "not_found", "unavailable", "invalid", "omitted", "failed"
]


class Gap(BaseModel):
    """One thing that could not be observed, and why. A gap is delivered; it never reads as a pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: GapKind = Field(description="Which of the different ways of not seeing this is.")
    resource: str | None = Field(description="What was not seen; null where the whole read failed.")
    operation: str | None = Field(description="The call that failed, as in `s3:GetBucketEncryption`.")
    permission: str | None = Field(description="The grant that would mend it, where one would.")
    message: str = Field(description="The reason, in the source's own words, without secrets.")
    remedy: str = Field(description="What to do about it.")


class CollectionError(Exception):
    """A read that failed.

    `message` is the source's own reason, without secrets. `operation` names the call, as in
    `s3:GetBucketEncryption`. `permission` is the grant that would mend it, where one would.
    """

    kind: ClassVar[GapKind]
    remedy: ClassVar[str]
    is_mended_by_grant: ClassVar[bool] = True  # where a permission is named

    def __init__(self, message: str, *, operation: str | None = None, permission: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.permission = permission

    def __str__(self) -> str:
        return f"{self.operation}: {self.message}" if self.operation else self.message

    def gap(self, resource: str | None = None) -> Gap:
        """The gap that this failure leaves, on one resource or, without one, on the whole read."""
        remedy = f"Grant {self.permission}." if self.permission and self.is_mended_by_grant else self.remedy
        return Gap(
            kind=self.kind,
            resource=resource,
            operation=self.operation,
            permission=self.permission,
            message=self.message,
            remedy=remedy,
        )


class AccessDenied(CollectionError):
    kind = "denied"
    remedy = "Grant the identity the permissions that `chequr-agent permissions` prints."


class Unauthenticated(CollectionError):
    kind = "unauthenticated"
    remedy = "Renew the collector's credentials, then run `chequr-agent doctor`."


class NotEnabled(CollectionError):
    kind = "not_enabled"
    remedy = "Nothing to mend if this is off on purpose; otherwise switch the feature on at the source."


class NotFound(CollectionError):
    kind = "not_found"
    remedy = "Check that the configured place still exists."


class Unavailable(CollectionError):
    kind = "unavailable"
    remedy = "It is tried again at the next run; if it stays, check the network and the source's status."


class Invalid(CollectionError):
    kind = "invalid"
    remedy = "Mend what the message names; it is read again at the next run."


class Omitted(CollectionError):
    kind = "omitted"
    remedy = "Nothing to mend if this is intended; otherwise raise the limit that the message names."
