"""AWS Backup: what is backed up, and where it is kept."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from collectors.aws.listings import Listing, look_at
from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region
from collectors.contract import Gap, Record, evidence
from collectors.errors import NotFound

PAGE: dict[str, Any] = {"MaxResults": 1000}
PLANS = Listing("plan", "backup:ListBackupPlans", "BackupPlansList", "BackupPlanArn", PAGE)
VAULTS = Listing("vault", "backup:ListBackupVaults", "BackupVaultList", "BackupVaultArn", PAGE)
PROTECTED = Listing("protected_resource", "backup:ListProtectedResources", "Results", "ResourceArn", PAGE)


class Copy(Record):
    """Where a rule copies backups to."""

    vault: str = Field(description="The ARN of the vault that backups are copied to.")
    retention_days: int | None = Field(description="Days that a copy is kept; null where it never expires.")


class Rule(Record):
    """When a plan makes backups, and how long it keeps them."""

    name: str = Field(description="The rule's name.")
    vault: str = Field(description="The name of the vault that backups go to.")
    schedule: str | None = Field(description="When backups are made, as a cron expression; null where none is named.")
    timezone: str | None = Field(description="The time zone of the schedule; null where AWS names none.")
    retention_days: int | None = Field(description="Days that a backup is kept; null where it never expires.")
    cold_storage_after_days: int | None = Field(
        description="Days until a backup moves to cold storage; null where it never does."
    )
    continuous: bool = Field(description="Whether backups are continuous, so that any instant can be restored.")
    copies: tuple[Copy, ...] = Field(description="Where backups are copied to.")


class TagCondition(Record):
    """A tag that a selection asks for."""

    operator: str = Field(description="How the values are compared, as in `StringEquals` or `StringNotLike`.")
    key: str = Field(description="The tag's key, as the selection writes it.")
    value: str = Field(description="The value that it is compared with.")


class Selection(Record):
    """Which resources a plan backs up."""

    name: str = Field(description="The selection's name.")
    resources: tuple[str, ...] = Field(description="ARNs and patterns of ARNs that are taken in.")
    not_resources: tuple[str, ...] = Field(description="ARNs and patterns of ARNs that are left out.")
    any_tag: tuple[TagCondition, ...] = Field(description="Tags of which one is enough for a resource to be taken in.")
    every_tag: tuple[TagCondition, ...] = Field(description="Tags of which a resource needs all.")


class Plan(Record):
    """What a backup plan does."""

    rules: tuple[Rule, ...] = Field(description="The plan's rules.")
    selections: tuple[Selection, ...] = Field(description="What it backs up; empty where nothing was assigned.")
    last_run: Instant | None = Field(description="When it last made backups; null where it never did.")


class Vault(Record):
    """How a vault keeps backups."""

    type: str | None = Field(description="The kind of vault, as in `BACKUP_VAULT`; null where AWS does not say.")
    locked: bool | None = Field(description="Whether a vault lock keeps backups; null where AWS does not say.")
    lock_date: Instant | None = Field(
        description="When the lock becomes, or became, unchangeable; null where it can always be taken off."
    )
    min_retention_days: int | None = Field(description="The least days that a backup must be kept; null where none.")
    max_retention_days: int | None = Field(description="The most days that a backup may be kept; null where none.")
    kms: str | None = Field(description="The ARN of the key that encrypts backups; null where none is named.")
    recovery_points: int | None = Field(description="The number of backups in it; null where AWS does not say.")


class ProtectedResource(Record):
    """The last backup of a resource."""

    type: str = Field(description="The kind of resource, as in `EBS` or `RDS`.")
    last_backup: Instant | None = Field(description="When it was last backed up; null where AWS does not say.")
    vault: str | None = Field(description="The ARN of the vault of the last backup; null where AWS does not say.")
    recovery_point: str | None = Field(description="The ARN of the last backup; null where AWS does not say.")


class BackupPlans(Record):
    """One plan, one vault, or one resource that has backups."""

    kind: Literal["plan", "vault", "protected_resource"] = Field(description="Which of the three it is.")
    name: str | None = Field(description="Its name; null where AWS names none.")
    arn: str = Field(description="Its ARN.")
    account: str = Field(description="The account that it is seen in.")
    region: str = Field(description="The region that it is in.")
    plan: Plan | None = Field(description="What the plan does; null for the other kinds.")
    vault: Vault | None = Field(description="How the vault keeps backups; null for the other kinds.")
    protected_resource: ProtectedResource | None = Field(
        description="The last backup of the resource; null for the other kinds."
    )


@evidence(
    "backup:GetBackupPlan",
    "backup:GetBackupSelection",
    "backup:ListBackupPlans",
    "backup:ListBackupSelections",
    "backup:ListBackupVaults",
    "backup:ListProtectedResources",
)
def plans(region: Region) -> Iterator[BackupPlans | Gap]:
    """Every backup plan with its rules and selections, every vault with its lock, every resource that has backups.

    Which resources no plan selects is not told: that takes the selections, and the resources of the other services.
    """
    yield from look_at(region, (PLANS, VAULTS, PROTECTED), _backup)


def _backup(region: Region, listing: Listing, listed: Answer) -> BackupPlans:
    return BackupPlans(
        kind=listing.kind,
        name=listed.get("BackupPlanName") or listed.get("BackupVaultName") or listed.get("ResourceName"),
        arn=listing.name(listed),
        account=region.account,
        region=region.region,
        plan=_plan(region, listed) if listing is PLANS else None,
        vault=_vault(listed) if listing is VAULTS else None,
        protected_resource=_protected_resource(listed) if listing is PROTECTED else None,
    )


def _plan(region: Region, listed: Answer) -> Plan:
    asked = {"BackupPlanId": listed["BackupPlanId"]}
    plan = region.read("backup:GetBackupPlan", **asked)["BackupPlan"]
    selections = region.pages("backup:ListBackupSelections", "BackupSelectionsList", **asked, **PAGE)
    return Plan(
        rules=tuple(_rule(rule) for rule in plan["Rules"]),
        selections=tuple(filter(None, (_selection(region, its["SelectionId"], asked) for its in selections))),
        last_run=listed.get("LastExecutionDate"),
    )


def _rule(rule: Answer) -> Rule:
    lifecycle = rule.get("Lifecycle") or {}
    return Rule(
        name=rule["RuleName"],
        vault=rule["TargetBackupVaultName"],
        schedule=rule.get("ScheduleExpression"),
        timezone=rule.get("ScheduleExpressionTimezone"),
        retention_days=lifecycle.get("DeleteAfterDays"),
        cold_storage_after_days=lifecycle.get("MoveToColdStorageAfterDays"),
        continuous=rule.get("EnableContinuousBackup", False),
        copies=tuple(
            Copy(
                vault=copy["DestinationBackupVaultArn"],
                retention_days=(copy.get("Lifecycle") or {}).get("DeleteAfterDays"),
            )
            for copy in rule.get("CopyActions") or ()
        ),
    )


def _selection(region: Region, selection_id: str, plan: dict[str, Any]) -> Selection | None:
    """One of a plan's selections; None where it went away meanwhile, which the plan need not have."""
    try:
        answer = region.read("backup:GetBackupSelection", SelectionId=selection_id, **plan)["BackupSelection"]
    except NotFound:
        return None
    every = ((operator, tag) for operator, tags in (answer.get("Conditions") or {}).items() for tag in tags)
    return Selection(
        name=answer["SelectionName"],
        resources=answer.get("Resources") or (),
        not_resources=answer.get("NotResources") or (),
        any_tag=tuple(_tag("StringEquals", tag) for tag in answer.get("ListOfTags") or ()),
        every_tag=tuple(_tag(operator, tag) for operator, tag in every),
    )


def _tag(operator: str, tag: Answer) -> TagCondition:
    return TagCondition(operator=operator, key=tag["ConditionKey"], value=tag["ConditionValue"])


def _vault(vault: Answer) -> Vault:
    return Vault(
        type=vault.get("VaultType"),
        locked=vault.get("Locked"),
        lock_date=vault.get("LockDate"),
        min_retention_days=vault.get("MinRetentionDays"),
        max_retention_days=vault.get("MaxRetentionDays"),
        kms=vault.get("EncryptionKeyArn"),
        recovery_points=vault.get("NumberOfRecoveryPoints"),
    )


def _protected_resource(resource: Answer) -> ProtectedResource:
    return ProtectedResource(
        type=resource["ResourceType"],
        last_backup=resource.get("LastBackupTime"),
        vault=resource.get("LastBackupVaultArn"),
        recovery_point=resource.get("LastRecoveryPointArn"),
    )
