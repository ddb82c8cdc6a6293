"""The settings of an org that hold for everybody in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.okta.parts import in_turn
from collectors.okta.targets import Tenant, id_of, part

_READ_ORG = "okta.orgs.read"
_READ_BRANDS = "okta.brands.read"
_BRANDS = "GET /api/v1/brands"
_SIGN_IN_PAGE = "GET /api/v1/brands/{brandId}/pages/sign-in"


@dataclass(frozen=True)
class _Switch:
    """A setting that is on or off: what we call it, where it is read, and as what it is answered."""

    name: str
    operation: str
    answer: str
    identity_engine: bool = False


_SWITCHES = (
    _Switch("third_party_admin", "GET /api/v1/org/orgSettings/thirdPartyAdminSetting", "thirdPartyAdmin"),
    _Switch("client_privileges_setting", "GET /api/v1/org/settings/clientPrivilegesSetting", "clientPrivilegesSetting"),
    _Switch(
        "prevent_brute_force_lockout_from_unknown_devices",
        "GET /attack-protection/api/v1/user-lockout-settings",
        "preventBruteForceLockoutFromUnknownDevices",
        identity_engine=True,
    ),
    _Switch(
        "verify_knowledge_second_when_2fa_required",
        "GET /attack-protection/api/v1/authenticator-settings",
        "verifyKnowledgeSecondWhen2faRequired",
        identity_engine=True,
    ),
)


class Brand(Record):
    """A brand of the org, and what its sign-in page says before somebody signs in."""

    id: str = Field(description="Okta's id of the brand.")
    name: str | None = Field(description="The brand's name; null where Okta does not say.")
    is_default: bool | None = Field(description="Whether it is the brand of the org's own Okta domain.")
    custom_privacy_policy_url: str | None = Field(description="The privacy policy that it links; null for Okta's own.")
    sign_in_page_customized: bool = Field(description="Whether it has a sign-in page of its own; else it is Okta's.")
    sign_in_label: str | None = Field(description="The heading of its own sign-in page; null where it has none.")
    page_content: str | None = Field(
        description="The HTML of its own sign-in page, where a notice would stand; null where it has none."
    )


class OrgSetting(Record):
    """One setting of the org, or one of its brands."""

    setting: str = Field(
        description="`third_party_admin` (outsiders may be administrators), `client_privileges_setting` (new public "
        "client apps become super administrators), `prevent_brute_force_lockout_from_unknown_devices` (guesses from "
        "unknown devices lock nobody out), `verify_knowledge_second_when_2fa_required` (a possession factor comes "
        "before the password) or `brand`."
    )
    enabled: bool | None = Field(description="Whether it is on; null of a brand, and where Okta does not say.")
    brand: Brand | None = Field(description="The brand; null of the other settings.")


@evidence(_READ_BRANDS, _READ_ORG)
def settings(tenant: Tenant) -> Iterator[OrgSetting | Gap]:
    """The org's settings on administrators, clients and password attacks, and each brand's sign-in page."""
    switches = {switch.name: _switched(tenant, switch) for switch in _SWITCHES}
    yield from in_turn({**switches, "brands": _brands(tenant)})


def _switched(tenant: Tenant, switch: _Switch) -> Iterator[OrgSetting | Gap]:
    found = tenant.one(switch.operation, {}, permission=_READ_ORG, identity_engine=switch.identity_engine)
    yield OrgSetting.model_validate({"setting": switch.name, "enabled": found.get(switch.answer), "brand": None})


def _brands(tenant: Tenant) -> Iterator[OrgSetting | Gap]:
    def look(brand: dict[str, Any]) -> OrgSetting:
        # Okta's page is asked for as well: it always comes, so where only it comes, the brand has none of its own.
        parameters = {"brandId": id_of(brand), "expand": "default,customized"}
        return _brand(brand, tenant.one(_SIGN_IN_PAGE, parameters, permission=_READ_BRANDS))

    found = tenant.pages(_BRANDS, {"limit": "200"}, permission=_READ_BRANDS)
    yield from tenant.each(found, look, resource=lambda brand: f"brand {brand.get('name')}")


def _brand(found: dict[str, Any], pages: dict[str, Any]) -> OrgSetting:
    embedded = part(pages, "_embedded")
    page = part(embedded, "customized")
    told = {
        "id": found.get("id"),
        "name": found.get("name"),
        "is_default": found.get("isDefault"),
        "custom_privacy_policy_url": found.get("customPrivacyPolicyUrl"),
        "sign_in_page_customized": bool(page) if page or embedded.get("default") else None,
        "sign_in_label": part(page, "widgetCustomizations").get("signInLabel"),
        "page_content": page.get("pageContent"),
    }
    return OrgSetting.model_validate({"setting": "brand", "enabled": None, "brand": told})
