"""AWS Systems Manager: which machines it manages, and which patches they lack."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.aws.batches import batches
from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region, tags
from collectors.contract import Record, evidence

PAGE = 50
INSTANCES_PAGE = 1000
RUNNING = "running"
GONE = frozenset({"shutting-down", "terminated"})


class PatchCompliance(Record):
    """One machine and its patches. Where it is not managed or was never scanned, what a scan tells is null."""

    instance: str = Field(description="The instance's id, which begins with `mi-` outside EC2.")
    arn: str = Field(description="The ARN of the EC2 instance or of the managed node.")
    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    tags: dict[str, str] = Field(description="The EC2 instance's tags; empty for a machine outside EC2.")
    state: str | None = Field(description="The EC2 instance's state, as in `running`; null where EC2 lists none.")
    managed: bool | None = Field(
        description="Whether Systems Manager manages it; null of an EC2 instance that is not running, as it lists none."
    )
    ping_status: str | None = Field(
        description="Whether its agent answers: `Online`, `ConnectionLost` or `Inactive`; null where it is not listed."
    )
    last_ping: Instant | None = Field(description="When its agent was heard of last; null where it never was.")
    platform: str | None = Field(description="Its operating system and version; null where Systems Manager lists none.")
    scanned: bool = Field(description="Whether Patch Manager knows the state of its patches.")
    baseline: str | None = Field(description="The id of the patch baseline; null where it was not scanned.")
    patch_group: str | None = Field(description="Its patch group; null where it is in none, or was not scanned.")
    operation: str | None = Field(description="`Scan` or `Install`, whichever was last; null where neither was.")
    last_scan: Instant | None = Field(description="When that ended; null where there was none.")
    scan_age_days: int | None = Field(description="The days since then; null where there was none.")
    missing: int | None = Field(description="Patches of the baseline that are not installed; null without a scan.")
    failed: int | None = Field(description="Patches that could not be installed; null without a scan.")
    pending_reboot: int | None = Field(
        description="Patches that are installed and wait for a restart; null where AWS does not say."
    )
    missing_critical: int | None = Field(
        description="Patches that the baseline calls critical and that do not comply; null where AWS does not say."
    )
    missing_security: int | None = Field(
        description="Security patches, not called critical, that do not comply; null where AWS does not say."
    )
    missing_other: int | None = Field(description="Other patches that do not comply; null where AWS does not say.")


@evidence("ec2:DescribeInstances", "ssm:DescribeInstanceInformation", "ssm:DescribeInstancePatchStates")
def patch_compliance(region: Region) -> Iterator[PatchCompliance]:
    """Every EC2 instance and managed machine: whether Systems Manager manages it, and the patches that it lacks.

    Of instances that do not run, the patches are those that the last scan found.
    """
    nodes = {
        node["InstanceId"]: node
        for node in region.pages("ssm:DescribeInstanceInformation", "InstanceInformationList", MaxResults=PAGE)
    }
    instances = {instance["InstanceId"]: instance for instance in _instances(region)}
    for batch in batches({**instances, **nodes}, PAGE):
        states = _patch_states(region, batch)
        for name in batch:
            yield _compliance(region, name, instances.get(name, {}), nodes.get(name, {}), states.get(name, {}))


def _instances(region: Region) -> Iterator[Answer]:
    for reservation in region.pages("ec2:DescribeInstances", "Reservations", MaxResults=INSTANCES_PAGE):
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] not in GONE:
                yield instance


def _patch_states(region: Region, names: list[str]) -> dict[str, Answer]:
    """What Patch Manager knows, by instance; nothing of those that it never scanned."""
    asked: dict[str, Any] = {"InstanceIds": names, "MaxResults": PAGE}
    states = region.pages("ssm:DescribeInstancePatchStates", "InstancePatchStates", **asked)
    return {state["InstanceId"]: state for state in states}


def _compliance(region: Region, name: str, instance: Answer, node: Answer, state: Answer) -> PatchCompliance:
    platform = " ".join(filter(None, (node.get("PlatformName"), node.get("PlatformVersion"))))
    ended = state.get("OperationEndTime")
    return PatchCompliance(
        instance=name,
        arn=_arn(region, name),
        account=region.account,
        region=region.region,
        tags=tags(instance.get("Tags")),
        state=instance.get("State", {}).get("Name"),
        managed=_is_managed(instance, node),
        ping_status=node.get("PingStatus"),
        last_ping=node.get("LastPingDateTime"),
        platform=platform or None,
        scanned=bool(state),
        baseline=state.get("BaselineId"),
        patch_group=state.get("PatchGroup") or None,
        operation=state.get("Operation"),
        last_scan=ended,
        scan_age_days=(region.run.started - ended).days if ended else None,
        missing=state.get("MissingCount"),
        failed=state.get("FailedCount"),
        pending_reboot=state.get("InstalledPendingRebootCount"),
        missing_critical=state.get("CriticalNonCompliantCount"),
        missing_security=state.get("SecurityNonCompliantCount"),
        missing_other=state.get("OtherNonCompliantCount"),
    )


def _is_managed(instance: Answer, node: Answer) -> bool | None:
    """Nodes that are stopped are not listed, whether they are managed or not."""
    if node:
        return True
    return False if instance["State"]["Name"] == RUNNING else None


def _arn(region: Region, name: str) -> str:
    service, kind = ("ssm", "managed-instance") if name.startswith("mi-") else ("ec2", "instance")
    return region.arn(service, f"{kind}/{name}")
