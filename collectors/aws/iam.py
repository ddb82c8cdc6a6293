"""AWS Identity and Access Management: the root user, users and the password policy."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Literal

from pydantic import Field

from collectors.aws.credential_report import credential_report, moment
from collectors.aws.moment import Instant
from collectors.aws.targets import Account, Answer
from collectors.contract import Gap, Record, evidence

REPORT = ("iam:GenerateCredentialReport", "iam:GetCredentialReport")
ROOT_USES = ("password_last_used", "access_key_1_last_used_date", "access_key_2_last_used_date")

MfaType = Literal["virtual", "security_key", "hardware"]


class PasswordPolicy(Record):
    """The rules for IAM users' passwords in one account. Without a policy all but the first two are null."""

    account: str = Field(description="The account.")
    exists: bool = Field(description="Whether a policy was ever set; AWS's own default rules hold where not.")
    min_length: int | None = Field(description="The least number of characters.")
    require_symbols: bool | None = Field(description="Whether a symbol is required.")
    require_numbers: bool | None = Field(description="Whether a digit is required.")
    require_uppercase: bool | None = Field(description="Whether an upper-case letter is required.")
    require_lowercase: bool | None = Field(description="Whether a lower-case letter is required.")
    reuse: int | None = Field(description="How many earlier passwords are refused; null where none is.")
    max_age: int | None = Field(description="Days until a password expires; null where it never does.")
    hard_expiry: bool | None = Field(description="Whether only an administrator can renew an expired password.")
    users_may_change: bool | None = Field(description="Whether users may change their own password.")


class UserMfa(Record):
    """One IAM user's second factor, as of the credential report."""

    user: str = Field(description="The user's name.")
    arn: str = Field(description="The user's ARN.")
    account: str = Field(description="The account that the user belongs to.")
    created_at: Instant | None = Field(description="When the user was created.")
    console_access: bool = Field(description="Whether the user has a password for the console.")
    mfa_active: bool = Field(description="Whether the credential report says that a second factor is active.")
    mfa_type: tuple[MfaType, ...] = Field(
        description="The kinds of the user's devices now, each once: a virtual one, a security key or passkey, a token."
    )
    password_last_used: Instant | None = Field(description="The last sign-in; null where AWS knows of none.")
    report_generated_at: Instant = Field(description="When AWS drew up the credential report: up to four hours ago.")


class RootAccount(Record):
    """How the root user of one account is guarded, and when it was last used."""

    account: str = Field(description="The account.")
    arn: str = Field(description="The root user's ARN.")
    root_mfa: bool = Field(description="Whether root has a second factor.")
    virtual_mfa: bool = Field(description="Whether a virtual device is among root's second factors.")
    hardware_mfa: bool | None = Field(
        description="Whether root has a hardware device; null where a virtual one is there, as others do not show then."
    )
    root_access_keys: bool = Field(description="Whether root has access keys.")
    root_last_used: Instant | None = Field(
        description="The last use of root's password or keys; null where the credential report knows of none."
    )
    report_generated_at: Instant = Field(description="When AWS drew up the credential report: up to four hours ago.")


@evidence("iam:GetAccountPasswordPolicy")
def password_policy(account: Account) -> Iterator[PasswordPolicy]:
    """The account's password policy; a record that says so where none was ever set."""
    answer = account.find(("NoSuchEntity",), "iam:GetAccountPasswordPolicy")
    policy = answer["PasswordPolicy"] if answer else {}
    yield PasswordPolicy(
        account=account.account,
        exists=answer is not None,
        min_length=policy.get("MinimumPasswordLength"),
        require_symbols=policy.get("RequireSymbols"),
        require_numbers=policy.get("RequireNumbers"),
        require_uppercase=policy.get("RequireUppercaseCharacters"),
        require_lowercase=policy.get("RequireLowercaseCharacters"),
        reuse=policy.get("PasswordReusePrevention"),
        max_age=policy.get("MaxPasswordAge") or None,
        hard_expiry=policy.get("HardExpiry"),
        users_may_change=policy.get("AllowUsersToChangePassword"),
    )


@evidence(*REPORT, "iam:ListMFADevices")
def user_mfa(account: Account) -> Iterator[UserMfa | Gap]:
    """Every IAM user's second factor, from the credential report, and the kinds of the devices."""
    report = credential_report(account)
    look = partial(_user_mfa, account, report.generated_at)
    yield from account.each(report.users(), look, resource=lambda row: row["arn"])


@evidence(*REPORT, "iam:GetAccountSummary", "iam:ListVirtualMFADevices")
def root_account(account: Account) -> Iterator[RootAccount]:
    """The root user: its second factor, its access keys, and its last use."""
    report = credential_report(account)
    summary = account.read("iam:GetAccountSummary")["SummaryMap"]
    devices = account.pages("iam:ListVirtualMFADevices", "VirtualMFADevices", AssignmentStatus="Assigned")
    arn = f"arn:{account.partition}:iam::{account.account}:root"
    mfa, virtual = summary["AccountMFAEnabled"] == 1, any(_is_of(arn, device) for device in devices)
    root = report.root()
    yield RootAccount(
        account=account.account,
        arn=arn,
        root_mfa=mfa,
        virtual_mfa=virtual,
        hardware_mfa=None if virtual else mfa,
        root_access_keys=summary["AccountAccessKeysPresent"] > 0,
        root_last_used=max(filter(None, (moment(root.get(use)) for use in ROOT_USES)), default=None),
        report_generated_at=report.generated_at,
    )


def _user_mfa(account: Account, generated_at: datetime, row: dict[str, str]) -> UserMfa:
    active = row["mfa_active"] == "true"
    devices = account.pages("iam:ListMFADevices", "MFADevices", UserName=row["user"]) if active else ()
    return UserMfa(
        user=row["user"],
        arn=row["arn"],
        account=account.account,
        created_at=moment(row["user_creation_time"]),
        console_access=row["password_enabled"] == "true",  # noqa: S105 - a column of the report
        mfa_active=active,
        mfa_type=tuple(sorted({_mfa_type(device["SerialNumber"]) for device in devices})),
        password_last_used=moment(row["password_last_used"]),
        report_generated_at=generated_at,
    )


def _mfa_type(serial: str) -> MfaType:
    """AWS writes a virtual device's serial number as an ARN `…:mfa/…`, a key's as `…:u2f/…`, and a token's plainly."""
    if not serial.startswith("arn:"):
        return "hardware"
    return "security_key" if serial.split(":")[5].startswith("u2f/") else "virtual"


def _is_of(arn: str, device: Answer) -> bool:
    return bool(
        device.get("User", {}).get("Arn") == arn or device["SerialNumber"].endswith(":mfa/root-account-mfa-device")
    )
