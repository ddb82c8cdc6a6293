"""AWS Backup: restores, among them those that only test whether a backup is any good."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Answer, Region
from collectors.contract import Gap, Period, Record, evidence

PAGE = 1000
KEPT = timedelta(days=30)  # how long AWS lists backup jobs; of restore jobs it does not say
SETTLED = timedelta(days=1)  # by which a restore that ended is listed, and mostly validated
SECOND = timedelta(seconds=1)


class RestoreJob(Record):
    """One restore that ended: of what, how, and whether the result was tested."""

    job: str = Field(description="The job's id.")
    account: str = Field(description="The account that the job ran in.")
    region: str = Field(description="The region that the job ran in.")
    resource_type: str | None = Field(description="The kind of resource, as in `RDS`; null where AWS does not say.")
    source: str | None = Field(description="The ARN of the resource that was backed up; null where AWS does not say.")
    recovery_point: str = Field(description="The ARN of the backup that was restored.")
    recovery_point_created_at: Instant | None = Field(
        description="When the backup was made; null where AWS does not say."
    )
    restored: str | None = Field(description="The ARN of what was restored; null where nothing was.")
    status: str = Field(description="`COMPLETED`, `FAILED` or `ABORTED`.")
    message: str | None = Field(description="Why it ended so; null where AWS does not say.")
    created_at: Instant = Field(description="When the job was made.")
    completed_at: Instant = Field(description="When the job ended.")
    duration_seconds: int = Field(description="Whole seconds from the one to the other.")
    restore_testing_plan: str | None = Field(
        description="The ARN of the restore testing plan that started it; null where none did."
    )
    validation: str | None = Field(
        description="`SUCCESSFUL`, `FAILED`, `TIMED_OUT` or, when it was read, `VALIDATING`; null where not validated."
    )
    parent: str | None = Field(description="The id of the job that this one is a part of; null where of none.")


@evidence("backup:ListRestoreJobs", window=KEPT - SETTLED, retention=KEPT, lag=SETTLED)
def jobs(region: Region, period: Period) -> Iterator[RestoreJob | Gap]:
    """Every restore that ended in the period, with its outcome, duration and validation.

    A restore is validated after it ended, and read once: a period ends a day before it is read.
    """
    look = partial(_job, region, period)
    yield from region.each(_around(region, period), look, resource=lambda job: str(job["RestoreJobId"]))


def _around(region: Region, period: Period) -> Iterator[Answer]:
    """A little more than the period, as AWS does not say whether its ends are included, or cut to whole seconds."""
    since, until = (end.replace(microsecond=0) for end in (period.since, period.until))
    ends: dict[str, Any] = {"ByCompleteAfter": since - SECOND, "ByCompleteBefore": until + SECOND}
    return region.pages("backup:ListRestoreJobs", "RestoreJobs", MaxResults=PAGE, **ends)


def _job(region: Region, period: Period, job: Answer) -> RestoreJob | None:
    ended = job.get("CompletionDate")
    if ended is None or not period.since <= ended < period.until:
        return None
    return RestoreJob(
        job=job["RestoreJobId"],
        account=job["AccountId"],
        region=region.region,
        resource_type=job.get("ResourceType"),
        source=job.get("SourceResourceArn"),
        recovery_point=job["RecoveryPointArn"],
        recovery_point_created_at=job.get("RecoveryPointCreationDate"),
        restored=job.get("CreatedResourceArn"),
        status=job["Status"],
        message=job.get("StatusMessage"),
        created_at=job["CreationDate"],
        completed_at=ended,
        duration_seconds=int((ended - job["CreationDate"]).total_seconds()),
        restore_testing_plan=(job.get("CreatedBy") or {}).get("RestoreTestingPlanArn"),
        validation=job.get("ValidationStatus"),
        parent=job.get("ParentJobId"),
    )
