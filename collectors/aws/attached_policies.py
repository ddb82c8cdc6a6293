"""IAM's policies as they are attached: to which users, groups and roles, and how far they reach."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, SerializationInfo, field_serializer

from collectors.aws.people import UserArn, UserName, named
from collectors.aws.policies import is_every_action, listed, statements
from collectors.aws.targets import Account, Answer
from collectors.contract import PERSONAL, Record
from collectors.errors import Invalid

DETAILS = "iam:GetAccountAuthorizationDetails"
PAGE = 1000
AWS_OWNED = "aws"  # stands in ARNs of AWS's own policies where others have their account

PrincipalKind = Literal["user", "group", "role"]
PolicyKind = Literal["aws_managed", "customer_managed", "inline"]
PRINCIPALS: tuple[PrincipalKind, ...] = ("user", "group", "role")


class Principal(Record):
    """A user, group or role that a policy is attached to."""

    kind: PrincipalKind = Field(description="What it is.")
    name: str = Field(description="Its name.", json_schema_extra=PERSONAL)
    arn: UserArn = Field(description="Its ARN.")
    members: tuple[UserName, ...] = Field(description="The names of the users in the group; empty for users and roles.")
    permissions_boundary: str | None = Field(
        description="The ARN of the policy that bounds what it may do; null where none does."
    )

    @field_serializer("name")
    def _of_a_user(self, name: str, info: SerializationInfo[Any]) -> str:
        return named(name, info) if self.kind == "user" else name


class AttachedPolicy(Record):
    """One attached policy: how far it reaches, and to whom it is attached."""

    policy: str = Field(description="The policy's name.")
    arn: UserArn = Field(
        description="The policy's ARN; of an inline policy, that of the user, group or role that holds it."
    )
    account: str = Field(description="The account that it is attached in.")
    kind: PolicyKind = Field(description="AWS's own, one of the account, or one written into its user, group or role.")
    star_star: bool = Field(
        description="Whether a statement allows every action (`*`) on every resource (`*`), without condition."
    )
    star_star_on_condition: bool = Field(
        description="Whether a statement allows the same under conditions, not judged here."
    )
    all_actions_except: tuple[tuple[str, ...], ...] = Field(
        description="Of each statement that allows all actions but some (`NotAction`) on every resource, or on all but "
        "some, without condition, the actions that it leaves out."
    )
    all_resources_except: tuple[tuple[str, ...], ...] = Field(
        description="Of each statement that allows every action, or all but some, on all resources but some "
        "(`NotResource`), without condition, the resources that it leaves out."
    )
    attached_principals: tuple[Principal, ...] = Field(description="Whom it is attached to directly.")


@dataclass(frozen=True)
class Attached:
    """A policy's document, as AWS told it, and its principals."""

    kind: PolicyKind
    name: str
    arn: str
    document: Any
    principals: list[Principal]

    @property
    def resource(self) -> str:
        """What a gap names it by."""
        return f"{self.arn} {self.name}" if self.kind == "inline" else self.arn


def attached(account: Account) -> tuple[Attached, ...]:
    """The account's attached policies, managed ones first. Raises CollectionError."""
    details = _details(account)
    documents = {policy["Arn"]: _document(policy) for policy in details["Policies"]}
    managed: dict[str, Attached] = {}
    inline: list[Attached] = []
    for principal, detail in _principals(details):
        for policy in detail.get("AttachedManagedPolicies") or ():
            name, arn = policy["PolicyName"], policy["PolicyArn"]
            first = Attached(_owner(arn), name, arn, documents.get(arn), [])
            managed.setdefault(arn, first).principals.append(principal)
        for policy in detail.get(f"{principal.kind.title()}PolicyList") or ():
            document = policy["PolicyDocument"]
            inline.append(Attached("inline", policy["PolicyName"], principal.arn, document, [principal]))
    return (*managed.values(), *inline)


def reach(account: Account, policy: Attached) -> AttachedPolicy:
    """How far a policy reaches, by its document. Raises Invalid."""
    if policy.document is None:
        raise Invalid("AWS did not tell the policy's document", operation=DETAILS)
    allowed = [its for its in statements(policy.document, DETAILS) if its.get("Effect") == "Allow"]
    everywhere = [its for its in allowed if "*" in listed(its.get("Resource"))]
    conditions = [bool(its.get("Condition")) for its in everywhere if is_every_action(listed(its.get("Action")))]
    wide = [its for its in allowed if _is_nearly_everywhere(its) and not its.get("Condition")]
    return AttachedPolicy(
        policy=policy.name,
        arn=policy.arn,
        account=account.account,
        kind=policy.kind,
        star_star=not all(conditions),
        star_star_on_condition=any(conditions),
        all_actions_except=tuple(listed(its["NotAction"]) for its in wide if its.get("NotAction")),
        all_resources_except=tuple(
            listed(its["NotResource"]) for its in wide if its.get("NotResource") and _is_nearly_every_action(its)
        ),
        attached_principals=tuple(policy.principals),
    )


def _principals(details: dict[str, list[Answer]]) -> Iterator[tuple[Principal, Answer]]:
    members: dict[str, list[str]] = {}
    for user in details[_detail_list("user")]:
        for group in user.get("GroupList") or ():
            members.setdefault(group, []).append(user["UserName"])
    for kind in PRINCIPALS:
        for detail in details[_detail_list(kind)]:
            name = detail[f"{kind.title()}Name"]
            yield (
                Principal(
                    kind=kind,
                    name=name,
                    arn=detail["Arn"],
                    members=tuple(members.get(name, ())) if kind == "group" else (),
                    permissions_boundary=detail.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
                ),
                detail,
            )


def _details(account: Account) -> dict[str, list[Answer]]:
    """All policies and principals, each list in its own key."""
    details: dict[str, list[Answer]] = {key: [] for key in ("Policies", *map(_detail_list, PRINCIPALS))}
    for page in account.answers(DETAILS, MaxItems=PAGE):
        for key, found in details.items():
            found.extend(page.get(key) or ())
    return details


def _detail_list(kind: PrincipalKind) -> str:
    return f"{kind.title()}DetailList"


def _document(policy: Answer) -> Any:
    """The document of the version that holds; None where AWS does not tell it."""
    versions = policy.get("PolicyVersionList") or ()
    return next((version.get("Document") for version in versions if version["IsDefaultVersion"]), None)


def _owner(arn: str) -> PolicyKind:
    return "aws_managed" if arn.split(":")[4] == AWS_OWNED else "customer_managed"


def _is_nearly_everywhere(statement: dict[str, Any]) -> bool:
    return "*" in listed(statement.get("Resource")) or bool(statement.get("NotResource"))


def _is_nearly_every_action(statement: dict[str, Any]) -> bool:
    return is_every_action(listed(statement.get("Action"))) or bool(statement.get("NotAction"))
