"""AWS Identity and Access Management: the root user, users, their keys, policies and passwords."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Literal

from pydantic import Field

from collectors.aws.access_keys import AccessKey, keys_of
from collectors.aws.attached_policies import AttachedPolicy, attached, reach
from collectors.aws.credential_report import KEYS, credential_report, days, keys_last_used, latest, moment
from collectors.aws.moment import Instant
from collectors.aws.people import UserArn, UserName, gaps_of_users
from collectors.aws.targets import Account, Answer
from collectors.contract import Gap, Record, evidence

REPORT = ("iam:GenerateCredentialReport", "iam:GetCredentialReport")

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

    user: UserName = Field(description="The user's name.")
    arn: UserArn = Field(description="The user's ARN.")
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


class UserActivity(Record):
    """When one IAM user was last active, as of the credential report."""

    user: UserName = Field(description="The user's name.")
    arn: UserArn = Field(description="The user's ARN.")
    account: str = Field(description="The account that the user belongs to.")
    created_at: Instant | None = Field(description="When the user was created; null where the report does not say.")
    age_days: int | None = Field(description="Days since then; null where the report does not say.")
    password_enabled: bool = Field(description="Whether the user has a password for the console.")
    password_last_used: Instant | None = Field(description="The last sign-in; null where AWS knows of none.")
    active_keys: int = Field(description="How many of the user's access keys are active.")
    keys_last_used: Instant | None = Field(
        description="The last use of the access keys that the user still has; null where AWS knows of none."
    )
    last_activity: Instant | None = Field(description="The later of both uses; null where AWS knows of none.")
    days_inactive: int | None = Field(description="Days since then; null where AWS knows of no activity.")
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
    yield from gaps_of_users(account.each(report.users(), look, resource=lambda row: row["arn"]))


@evidence(*REPORT, "iam:GetAccessKeyLastUsed", "iam:ListAccessKeys")
def access_keys(account: Account) -> Iterator[AccessKey | Gap]:
    """Every access key's state, age and last use; root's keys as far as the credential report tells of them."""
    report = credential_report(account)
    look = partial(keys_of, account, report.generated_at)
    for keys in gaps_of_users(account.each(report.rows(), look, resource=lambda row: row["arn"])):
        yield from [keys] if isinstance(keys, Gap) else keys


@evidence(*REPORT)
def inactive_users(account: Account) -> Iterator[UserActivity | Gap]:
    """Every IAM user's last activity, by password or access key, and the days since."""
    report = credential_report(account)
    look = partial(_activity, account, report.generated_at)
    yield from gaps_of_users(account.each(report.users(), look, resource=lambda row: row["arn"]))


@evidence("iam:GetAccountAuthorizationDetails")
def admin_privileges(account: Account) -> Iterator[AttachedPolicy | Gap]:
    """Every attached policy, managed or inline: whether it allows everything, and whom it is attached to."""
    seen = account.each(attached(account), partial(reach, account), resource=lambda policy: policy.resource)
    yield from gaps_of_users(seen)


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
        root_last_used=latest((moment(root.get("password_last_used")), keys_last_used(root))),
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


def _activity(account: Account, generated_at: datetime, row: dict[str, str]) -> UserActivity:
    created, signed_in, used = moment(row["user_creation_time"]), moment(row["password_last_used"]), keys_last_used(row)
    last = latest((signed_in, used))
    return UserActivity(
        user=row["user"],
        arn=row["arn"],
        account=account.account,
        created_at=created,
        age_days=days(created, account.run.started),
        password_enabled=row["password_enabled"] == "true",  # noqa: S105 - a column of the report
        password_last_used=signed_in,
        active_keys=sum(row[f"{key}_active"] == "true" for key in KEYS),
        keys_last_used=used,
        last_activity=last,
        days_inactive=days(last, account.run.started),
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
