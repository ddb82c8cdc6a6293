"""The places that an org tells apart."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.okta.targets import Tenant, part

_READ = "okta.networkZones.read"
_ZONES = "GET /api/v1/zones"

Texts = tuple[str, ...]


class NetworkZone(Record):
    """A network zone. Null stands for what a zone of this kind does not have, or has not set."""

    id: str = Field(description="Okta's id of the zone, which policies and ThreatInsight name it by.")
    name: str = Field(description="The zone's name.")
    type: str = Field(description="`IP`, `DYNAMIC` or `DYNAMIC_V2` (enhanced dynamic).")
    status: str | None = Field(description="`ACTIVE` or `INACTIVE`; null where Okta does not say.")
    usage: str | None = Field(
        description="`POLICY`, or `BLOCKLIST` where who comes from it is refused; null if not told."
    )
    system: bool | None = Field(description="Whether Okta made the zone; null where Okta does not say.")
    created: str | None = Field(description="When the zone was created, UTC; null where Okta does not say.")
    last_updated: str | None = Field(description="When the zone was last changed, UTC; null where Okta does not say.")
    gateways: Texts | None = Field(description="The addresses that are the zone, as CIDR or range; null for none.")
    proxies: Texts | None = Field(description="The addresses trusted to forward for the gateways; null for none.")
    use_as_exempt_list: bool | None = Field(
        description="Whether the zone is the one that is never blocked; null where Okta does not say."
    )
    proxy_type: str | None = Field(
        description="The proxies that the zone is, as in `TorAnonymizer`; null where it does not go by that."
    )
    ip_service_categories: Texts | None = Field(
        description="The anonymizers, proxies and VPNs that the zone is, as in `ALL_ANONYMIZERS`; null for none."
    )
    excluded_ip_service_categories: Texts | None = Field(description="Those that it is not; null for none.")
    locations: Texts | None = Field(
        description="The countries and regions that the zone is, as in `US` or `AF-BGL`; null for none."
    )
    excluded_locations: Texts | None = Field(description="The countries and regions that it is not; null for none.")
    asns: Texts | None = Field(description="The autonomous systems that the zone is; null for none.")
    excluded_asns: Texts | None = Field(description="The autonomous systems that it is not; null for none.")


@evidence(_READ)
def zones(tenant: Tenant) -> Iterator[NetworkZone | Gap]:
    """Every network zone of the org: its addresses, places and anonymizers, and whether they are blocked."""
    listed = tenant.pages(_ZONES, {}, permission=_READ)
    yield from tenant.each(listed, _zone, resource=lambda found: f"zone {found.get('name')}")


def _zone(found: dict[str, Any]) -> NetworkZone:
    categories, locations, asns = (_sides(found, name) for name in ("ipServiceCategories", "locations", "asns"))
    return NetworkZone.model_validate(
        {
            **{name: found.get(name) for name in ("id", "name", "type", "status", "usage", "system", "created")},
            "last_updated": found.get("lastUpdated"),
            "gateways": _texts(found.get("gateways")),
            "proxies": _texts(found.get("proxies")),
            "use_as_exempt_list": found.get("useAsExemptList"),
            "proxy_type": found.get("proxyType"),
            "ip_service_categories": _texts(categories.get("include")),
            "excluded_ip_service_categories": _texts(categories.get("exclude")),
            "locations": _texts(locations.get("include")),
            "excluded_locations": _texts(locations.get("exclude")),
            "asns": _texts(asns.get("include")),
            "excluded_asns": _texts(asns.get("exclude")),
        }
    )


def _sides(found: dict[str, Any], name: str) -> dict[str, Any]:
    """What the zone takes in and leaves out. A dynamic zone has a plain list, an enhanced one both sides."""
    return {"include": found.get(name)} if isinstance(found.get(name), list) else part(found, name)


def _texts(values: list[Any] | None) -> list[Any] | None:
    return None if values is None else [_text(value) for value in values]


def _text(value: Any) -> Any:
    """An address by its value and a place by its region, whose code begins with the country; numbers as text."""
    if isinstance(value, dict):
        return value.get("value") or value.get("region") or value.get("country")
    return str(value) if isinstance(value, int) else value
