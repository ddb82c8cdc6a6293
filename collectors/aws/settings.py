"""The keys of an AWS collector's table."""

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from collectors import contract

ROLE = re.compile(r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>\d{12}):role/[\w+=,.@/-]+")
REGION = re.compile(r"[a-z]{2,5}(-[a-z]+)+-\d{1,2}")
ACCOUNT = re.compile(r"\d{12}", re.ASCII)
ORGANIZATION = "organization"
EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}")


def _or_organization(schema: dict[str, Any]) -> None:
    """Says in JSON Schema that the list may be one word instead."""
    listed = {name: schema.pop(name) for name in ("items", "type") if name in schema}
    schema["anyOf"] = [listed, {"const": ORGANIZATION}]


def _external_id(value: str) -> str:
    if EXTERNAL_ID.fullmatch(value):
        return value
    raise ValueError("an external id has 2 to 1224 letters, digits or any of _+=,.@:/-")


ExternalId = Annotated[str, AfterValidator(_external_id)]


class AccountSettings(contract.Settings):
    """One account: by the role to assume in it, or by the ambient identity where no role is named."""

    id: str | None = Field(default=None, description="The account's 12 digits; the role's account if left out.")
    role_arn: str | None = Field(default=None, description="The role to assume; the ambient identity if left out.")
    external_id: ExternalId | None = Field(
        default=None, description="What the role's trust policy asks for as ExternalId."
    )

    @field_validator("id", mode="before")
    @classmethod
    def _twelve_digits(cls, value: object) -> object:
        if value is None or (isinstance(value, str) and ACCOUNT.fullmatch(value)):
            return value
        raise ValueError('an account id is 12 digits in quotes, as in "123456789012"')

    @field_validator("role_arn")
    @classmethod
    def _role(cls, value: str | None) -> str | None:
        if value is None or ROLE.fullmatch(value):
            return value
        raise ValueError("a role ARN is written arn:aws:iam::123456789012:role/NAME")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.external_id and not self.role_arn:
            raise ValueError("external_id is sent with a role: name the role_arn, or leave external_id out")
        if self.id and self.role_arn and self.account != self.id:
            raise ValueError(f"the role is in account {self.account}, not in {self.id}: correct the id or the role_arn")
        return self

    @property
    def account(self) -> str | None:
        """The account's id, as far as the settings tell."""
        role = self.role_arn and ROLE.fullmatch(self.role_arn)
        return role["account"] if role else self.id

    @property
    def partition(self) -> str | None:
        """The role's partition: `aws`, `aws-cn`, `aws-us-gov`."""
        role = self.role_arn and ROLE.fullmatch(self.role_arn)
        return role["partition"] if role else None


class Organization(contract.Settings):
    """The accounts of an organization, each entered by a role of the same name.

    The ambient identity lists them: `organizations:ListAccounts`, and for organizational units also
    `organizations:ListAccountsForParent` and `organizations:ListOrganizationalUnitsForParent`.
    """

    role: str = Field(default="chequr-evidence", description="The role to assume in each account: its path and name.")
    external_id: ExternalId | None = Field(
        default=None, description="What the roles' trust policies ask for as ExternalId."
    )
    include: tuple[str, ...] = Field(
        default=(),
        examples=[["ou-ab12-3456cdef", "prod-*"]],
        description="Accounts by id, by name as in prod-*, or by the id of an organizational unit; all by default.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), examples=[["sandbox-*"]], description="Accounts that are left out, named in the same ways."
    )

    @field_validator("role")
    @classmethod
    def _role(cls, value: str) -> str:
        if re.fullmatch(r"[\w+=,.@/-]{1,576}", value):
            return value.strip("/")
        raise ValueError("a role is a path and a name, as in chequr-evidence or audit/chequr-evidence")


class Settings(contract.Settings):
    """Which accounts and regions are read, and through which door."""

    accounts: tuple[AccountSettings, ...] = Field(
        default=(AccountSettings(),),
        examples=[[{"role_arn": "arn:aws:iam::123456789012:role/chequr-evidence", "external_id": "chequr-7f3a"}]],
        description='The accounts; the ambient identity\'s own by default. "organization": all that it has.',
        json_schema_extra=_or_organization,
    )
    organization: Organization = Field(
        default=Organization(), description='With accounts = "organization": which of them, and how they are entered.'
    )
    regions: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        examples=[["eu-central-1", "us-east-1"]],
        description="The regions; every region enabled in the account by default.",
    )
    endpoint_url: str | None = Field(
        default=None,
        examples=["http://127.0.0.1:5000"],
        description="Where all calls go instead of AWS's own endpoints.",
    )
    profile: str | None = Field(
        default=None, examples=["audit"], description="The profile of the shared AWS configuration to start from."
    )

    @field_validator("accounts", mode="before")
    @classmethod
    def _accounts(cls, value: object) -> object:
        if value == ORGANIZATION:
            return ()
        if isinstance(value, str):
            raise ValueError('accounts is a list of tables, or "organization"')  # noqa: TRY004 - pydantic tells of it
        if isinstance(value, list | tuple) and not value:
            raise ValueError("it is empty; leave the key out, or name at least one")
        return value

    @field_validator("accounts")
    @classmethod
    def _each_once(cls, value: tuple[AccountSettings, ...]) -> tuple[AccountSettings, ...]:
        seen = [account.account for account in value]
        for account in seen:
            if seen.count(account) > 1:
                raise ValueError(f"{account or 'the ambient account'} is listed twice: keep one entry")
        return value

    @property
    def is_organization(self) -> bool:
        """Whether the accounts are those of the organization: then none is named."""
        return not self.accounts

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if not self.is_organization and self.organization != Organization():
            raise ValueError('organization is for accounts = "organization": set that, or leave organization out')
        return self

    @field_validator("regions")
    @classmethod
    def _region_names(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for region in value or ():
            if not REGION.fullmatch(region):
                raise ValueError(f'{region!r} is not a region: write it as in "eu-central-1"')
        return value and tuple(dict.fromkeys(value))

    @field_validator("endpoint_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch(r"https?://[^/\s?#]+/?", value):
            return value
        raise ValueError('an endpoint is a scheme and a host, as in "http://127.0.0.1:5000"')
