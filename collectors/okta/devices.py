"""The devices that people sign in from, and what an org demands of them."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Record, evidence
from collectors.okta.parts import in_turn
from collectors.okta.targets import Tenant, part

_DEVICES, _READ_DEVICES = "GET /api/v1/devices", "okta.devices.read"
_POLICIES, _READ_POLICIES = "GET /api/v1/device-assurances", "okta.deviceAssurance.read"
# Without it Okta does not tell what a device's management says: that hangs on its users.
_WITH_USERS = {"expand": "userSummary", "limit": "200"}
_NO_DEMANDS = frozenset(
    {"_links", "createdBy", "createdDate", "id", "lastUpdate", "lastUpdatedBy", "name", "platform"},
)


class DeviceUser(Record):
    """Somebody who uses a device."""

    id: str = Field(description="Okta's id of the user.")
    management_status: str | None = Field(
        description="Whether the device is managed, as seen from this user's account on it: `MANAGED` or `NOT_MANAGED`."
    )
    screen_lock_type: str | None = Field(
        description="How the screen is unlocked: `NONE`, `PASSCODE` or `BIOMETRIC`; null where Okta does not say."
    )


class Device(Record):
    """What Okta knows of a device. Its name, serial number and the like are left out."""

    status: str = Field(description="As in `ACTIVE`, `SUSPENDED` or `DEACTIVATED`; others come through.")
    os_version: str | None = Field(description="The version of its operating system; null where Okta does not say.")
    registered: bool | None = Field(description="Whether it is registered with Okta; null where Okta does not say.")
    managed: bool | None = Field(description="Whether its profile says that it is managed; null where it says nothing.")
    disk_encryption_type: str | None = Field(
        description="What is encrypted, as in `ALL_INTERNAL_VOLUMES` or `NONE`; null where Okta does not say."
    )
    secure_hardware_present: bool | None = Field(
        description="Whether it has hardware that keeps keys; null where Okta does not say."
    )
    integrity_jailbreak: bool | None = Field(
        description="Whether it is jailbroken or rooted; null where Okta does not say, as of computers."
    )
    users: tuple[DeviceUser, ...] | None = Field(description="Its users; null where Okta does not say.")
    created: str | None = Field(description="When Okta first saw it, UTC; null where Okta does not say.")
    last_updated: str | None = Field(description="When Okta's record of it last changed, UTC; null where not said.")


class AssurancePolicy(Record):
    """A device assurance policy: what a device must have where an authentication policy asks for it."""

    name: str = Field(description="The policy's name.")
    demands: dict[str, Any] = Field(
        description="What a device must have, in Okta's words, as in `osVersion` or `diskEncryptionType`."
    )
    last_update: str | None = Field(description="When it was last changed, as Okta writes it; null where not said.")


class DeviceEvidence(Record):
    """A device, or a policy that devices must satisfy."""

    kind: str = Field(description="`device` or `device_assurance_policy`.")
    id: str = Field(description="Okta's id of the device or policy.")
    platform: str | None = Field(
        description="As in `WINDOWS`, `MACOS`, `IOS` or `ANDROID`; null where Okta does not say."
    )
    device: Device | None = Field(description="The device; null of a policy.")
    policy: AssurancePolicy | None = Field(description="The policy; null of a device.")


@evidence(_READ_POLICIES, _READ_DEVICES)
def devices(tenant: Tenant) -> Iterator[DeviceEvidence | Gap]:
    """Every device assurance policy of the org, and every device, whatever its status; Identity Engine only."""
    yield from in_turn({"device assurance policies": _policies(tenant), "devices": _devices(tenant)})


def _policies(tenant: Tenant) -> Iterator[DeviceEvidence | Gap]:
    found = tenant.pages(_POLICIES, {}, permission=_READ_POLICIES, identity_engine=True)
    yield from tenant.each(found, _policy, resource=lambda policy: f"device assurance policy {policy.get('name')}")


def _devices(tenant: Tenant) -> Iterator[DeviceEvidence | Gap]:
    found = tenant.pages(_DEVICES, _WITH_USERS, permission=_READ_DEVICES, identity_engine=True)
    yield from tenant.each(found, _device, resource=lambda device: f"device {device.get('id')}")


def _policy(found: dict[str, Any]) -> DeviceEvidence:
    return DeviceEvidence.model_validate(
        {
            "kind": "device_assurance_policy",
            "id": found.get("id"),
            "platform": found.get("platform"),
            "device": None,
            "policy": {
                "name": found.get("name"),
                "demands": {name: value for name, value in found.items() if name not in _NO_DEMANDS},
                "last_update": found.get("lastUpdate"),
            },
        }
    )


def _device(found: dict[str, Any]) -> DeviceEvidence:
    profile, users = part(found, "profile"), part(found, "_embedded").get("users")
    told = {
        "status": found.get("status"),
        "os_version": profile.get("osVersion"),
        "registered": profile.get("registered"),
        "managed": profile.get("managed"),
        "disk_encryption_type": profile.get("diskEncryptionType"),
        "secure_hardware_present": profile.get("secureHardwarePresent"),
        "integrity_jailbreak": profile.get("integrityJailbreak"),
        "users": None if users is None else [_user(user) for user in users],
        "created": found.get("created"),
        "last_updated": found.get("lastUpdated"),
    }
    return DeviceEvidence.model_validate(
        {
            "kind": "device",
            "id": found.get("id"),
            "platform": profile.get("platform"),
            "device": told,
            "policy": None,
        }
    )


def _user(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": part(found, "user").get("id"),
        "management_status": found.get("managementStatus"),
        "screen_lock_type": found.get("screenLockType"),
    }
