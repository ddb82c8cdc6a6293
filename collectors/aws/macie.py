"""Amazon Macie: whether sensitive data in S3 is looked for."""

from collections.abc import Iterator

from pydantic import Field

from collectors.aws.moment import Instant
from collectors.aws.targets import Region
from collectors.contract import Record, evidence


class Session(Record):
    """Macie in one region of one account. It has no ARN."""

    account: str = Field(description="The account.")
    region: str = Field(description="The region.")
    status: str = Field(description="`ENABLED`, or `PAUSED` where Macie is set up but does not run.")
    created_at: Instant = Field(description="When Macie was switched on.")
    updated_at: Instant | None = Field(description="When its status was last changed; null where AWS does not say.")
    finding_publishing_frequency: str | None = Field(
        description="How often updates of findings are published, as in `SIX_HOURS`; null where AWS does not say."
    )
    service_role: str | None = Field(description="The ARN of the role that Macie reads with; null where none is named.")


@evidence("macie2:GetMacieSession")
def sessions(region: Region) -> Iterator[Session]:
    """Macie's status in the region. Where it was never switched on there is no record, but a gap that says so."""
    session = region.read("macie2:GetMacieSession")
    yield Session(
        account=region.account,
        region=region.region,
        status=session.get("status"),
        created_at=session.get("createdAt"),
        updated_at=session.get("updatedAt"),
        finding_publishing_frequency=session.get("findingPublishingFrequency"),
        service_role=session.get("serviceRole"),
    )
