"""What an org does about addresses that Okta has seen attacking."""

from collections.abc import Iterator

from pydantic import Field

from collectors.contract import Record, evidence
from collectors.okta.targets import Tenant

_READ = "okta.threatInsights.read"
_CONFIGURATION = "GET /api/v1/threats/configuration"


class ThreatInsight(Record):
    """The org's ThreatInsight setting. Every org has one."""

    action: str = Field(description="What is done about suspicious addresses: `none`, `audit` or `block`.")
    exclude_zones: tuple[str, ...] | None = Field(
        description="Ids of the network zones that are never suspected; null where Okta does not say."
    )
    created: str | None = Field(description="When the setting was made, UTC; null where Okta does not say.")
    last_updated: str | None = Field(description="When it was last changed, UTC; null where Okta does not say.")


@evidence(_READ)
def insight(tenant: Tenant) -> Iterator[ThreatInsight]:
    """What ThreatInsight does about suspicious addresses, and the zones that it leaves alone."""
    found = tenant.one(_CONFIGURATION, {}, permission=_READ)
    yield ThreatInsight.model_validate(
        {
            "action": found.get("action"),
            "exclude_zones": found.get("excludeZones"),
            "created": found.get("created"),
            "last_updated": found.get("lastUpdated"),
        }
    )
