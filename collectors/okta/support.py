"""What Okta's own support staff may do in an org."""

from collections.abc import Iterator

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.okta.targets import Tenant

_READ = "okta.orgs.read"
_SUPPORT = "GET /api/v1/org/privacy/oktaSupport"


class SupportAccess(Record):
    """Whether Okta's support staff may sign in to the org as an administrator."""

    support: str = Field(description="`ENABLED` where Okta's support staff may sign in, or `DISABLED`.")
    expiration: str | None = Field(description="When the access ends, UTC; null where there is none, or no end.")
    case_number: str | None = Field(
        description="The support case that the access was granted for; null where Okta names none."
    )


@evidence(_READ)
def access(tenant: Tenant) -> Iterator[SupportAccess | Gap]:
    """The org's grant to Okta's support staff, given or not."""
    found = tenant.one(_SUPPORT, {}, permission=_READ)
    yield SupportAccess.model_validate(
        {
            "support": found.get("support"),
            "expiration": found.get("expiration"),
            "case_number": found.get("caseNumber"),
        }
    )
