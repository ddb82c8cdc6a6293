"""The people of an account, where AWS names them: in names of users and sessions, and in ARNs that end with one."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

from pydantic import Field, PlainSerializer, SerializationInfo, field_serializer

from collectors.contract import PERSONAL, Gap, personal

T = TypeVar("T")

NOBODY = frozenset({"<root_account>", "root"})  # who signs in as root is not told
# A user, a user's device, a session of a role or of a federated user: what comes last is a name that people have.
_ARN = re.compile(
    r"(?P<begin>arn:aws[a-z-]*:(?:iam::\d*:(?:user|mfa|u2f|sms-mfa)/(?:[^\s/]+/)*"
    r"|sts::\d*:(?:assumed-role/(?:[^\s/]+/)+|federated-user/)))(?P<name>[^\s/]+)"
)


def named(name: str, info: SerializationInfo[Any]) -> str:
    """A user's name, or its pseudonym where whoever writes it down brings a function that makes one."""
    return name if name in NOBODY else personal(name, info)


def in_arns(text: str, info: SerializationInfo[Any]) -> str:
    """A text in which each ARN ends with a pseudonym where it would end with a person's name."""
    if not callable(info.context):
        return text
    return _ARN.sub(lambda arn: arn["begin"] + named(arn["name"], info), text)


_SAID = Field(json_schema_extra=PERSONAL)

UserName = Annotated[str, PlainSerializer(named, return_type=str), _SAID]
"""A user's or session's name. As a pseudonym it is the same as in an ARN."""

UserArn = Annotated[str, PlainSerializer(in_arns, return_type=str), _SAID]
"""An ARN, which may end with a person's name; only that becomes a pseudonym."""


class GapOfUser(Gap):
    """A gap on a user, whom AWS names in its reason as well."""

    @field_serializer("resource")
    def _resource(self, resource: str | None, info: SerializationInfo[Any]) -> str | None:
        return None if resource is None else in_arns(resource, info)

    @field_serializer("message")
    def _message(self, message: str, info: SerializationInfo[Any]) -> str:
        message = in_arns(message, info)
        for arn in _ARN.finditer(self.resource or ""):
            name = re.escape(arn["name"])
            message = re.sub(rf"(?<![\w+=,.@-]){name}(?![\w+=,@-]|\.\w)", named(arn["name"], info), message)
        return message


def gaps_of_users(seen: Iterator[T | Gap]) -> Iterator[T | Gap]:
    """What was seen of users, with gaps that can be told without naming them."""
    for each in seen:
        yield GapOfUser.model_validate(each.model_dump()) if isinstance(each, Gap) else each
