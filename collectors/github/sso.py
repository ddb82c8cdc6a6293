"""Evidence of single sign-on: the identity provider, who is linked to it, and the credentials that may go around it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Personal, Record, evidence
from collectors.errors import AccessDenied, CollectionError, NotEnabled
from collectors.github.identities import external_identities, identity_provider, members
from collectors.github.member_queries import IDENTITY_PROVIDER, MEMBERS
from collectors.github.targets import Organization

ADMINISTRATION = "organization_administration:read"


class IdentityProvider(Record):
    """The SAML identity provider of an organization."""

    issuer: str | None = Field(description="Its entity id; null where none was entered.")
    sso_url: str | None = Field(description="Where members are sent to sign in; null where GitHub does not say.")
    signature_method: str | None = Field(
        description="The algorithm that requests to it are signed with; null where GitHub does not say."
    )
    digest_method: str | None = Field(
        description="The digest algorithm of these signatures; null where GitHub does not say."
    )


class Identity(Record):
    """How an account and an identity of the provider belong together. One of the two may be missing."""

    linked: bool = Field(description="Whether both are there, and linked to each other.")
    member: bool | None = Field(
        description="Whether the account is a member; false also for an identity that no account has claimed. Null "
        "where the members could not be seen."
    )
    guid: str | None = Field(description="GitHub's id of the identity; null for a member without one.")
    name_id: Personal | None = Field(description="Its SAML NameID; null where there is none.")
    scim_username: Personal | None = Field(description="Its SCIM userName; null where it does not come by SCIM.")


class Credential(Record):
    """A token or key that its owner authorized for the organization. The credential itself is not read."""

    id: int = Field(description="GitHub's id of the authorization.")
    type: str = Field(description="`personal access token`, `SSH key`, `OAuth app token` or `GitHub app token`.")
    name: str | None = Field(description="The note on the token, or the key's title; null where GitHub does not say.")
    scopes: list[str] | None = Field(description="The token's scopes; null for what has none.")
    authorized_at: datetime = Field(description="When it was authorized.")
    last_accessed_at: datetime | None = Field(description="When it was used last; null where it never was.")
    expires_at: datetime | None = Field(description="When the token expires; null where it never does, or for a key.")


class SingleSignOn(Record):
    """The provider, an identity or a credential: one of the three parts is there, the others are null."""

    kind: str = Field(description="`provider`, `identity` or `credential`.")
    login: Personal | None = Field(
        description="The login of the account; null for the provider, and for an identity that no account has claimed."
    )
    provider: IdentityProvider | None = Field(description="The provider; null for the other kinds.")
    identity: Identity | None = Field(description="The identity; null for the other kinds.")
    credential: Credential | None = Field(description="The credential; null for the other kinds.")


@evidence(MEMBERS, ADMINISTRATION)
def saml(organization: Organization) -> Iterator[SingleSignOn | Gap]:
    """The organization's SAML identity provider, every identity of it and every member without one, and every
    credential that was authorized for single sign-on. Only GitHub Enterprise Cloud has this.

    GitHub does not say whether single sign-on is required. A provider of the enterprise is not the organization's, and
    is not seen here.
    """
    absent: type[CollectionError] = AccessDenied
    try:
        yield from _provider(organization)
    except CollectionError as error:
        absent = NotEnabled if isinstance(error, NotEnabled) else AccessDenied
        yield error.gap(f"{organization.login}/identity provider")
    try:
        yield from _credentials(organization, absent)
    except CollectionError as error:
        yield error.gap(f"{organization.login}/credential authorizations")


def _provider(organization: Organization) -> Iterator[SingleSignOn | Gap]:
    found = identity_provider(organization)
    if found is None:
        message = "the organization has no SAML identity provider of its own"
        raise NotEnabled(message, operation=IDENTITY_PROVIDER.operation)
    facts = IdentityProvider(
        issuer=found["issuer"],
        sso_url=found["ssoUrl"],
        signature_method=found["signatureMethod"],
        digest_method=found["digestMethod"],
    )
    yield _record("provider", None, provider=facts)
    yield from _identities(organization)


def _identities(organization: Organization) -> Iterator[SingleSignOn | Gap]:
    """Every identity, then the members without one: these only where both lists are whole."""
    logins, gaps = _logins(organization)
    yield from gaps
    linked: set[str] = set()
    whole = not gaps
    try:
        for found in external_identities(organization):
            if isinstance(found, Gap):
                whole = False
                yield found
            else:
                login = found["user"] and found["user"]["login"]
                linked.add(login)
                member = None if gaps and login is not None and login not in logins else login in logins
                yield _record("identity", login, identity=_identity(found, member=member))
    except CollectionError as error:
        whole = False
        yield error.gap(f"{organization.login}/external identities")
    if whole:
        yield from (_record("identity", login, identity=_WITHOUT) for login in logins if login not in linked)


def _logins(organization: Organization) -> tuple[dict[str, None], list[Gap]]:
    """The logins of the members in order, and what could not be seen of them."""
    logins: dict[str, None] = {}
    gaps: list[Gap] = []
    try:
        for edge in members(organization):
            if isinstance(edge, Gap):
                gaps.append(edge)
            else:
                logins[edge["node"]["login"]] = None
    except CollectionError as error:
        gaps.append(error.gap(f"{organization.login}/members"))
    return logins, gaps


_WITHOUT = Identity(linked=False, member=True, guid=None, name_id=None, scim_username=None)


def _identity(found: Mapping[str, Any], *, member: bool | None) -> Identity:
    return Identity(
        linked=found["user"] is not None,
        member=member,
        guid=found["guid"],
        name_id=(found["samlIdentity"] or {}).get("nameId"),
        scim_username=(found["scimIdentity"] or {}).get("username"),
    )


def _credentials(organization: Organization, absent: type[CollectionError]) -> Iterator[SingleSignOn]:
    """Each credential. `absent` is what a 404 means: without a provider there may be nothing to authorize for."""
    operation = "GET /orgs/{org}/credential-authorizations"
    found = organization.items(operation, {}, permission=ADMINISTRATION, absent=absent, org=organization.login)
    for each in found:
        facts = Credential(
            id=each["credential_id"],
            type=each["credential_type"],
            name=each.get("authorized_credential_note") or each.get("authorized_credential_title"),
            scopes=each.get("scopes"),
            authorized_at=each["credential_authorized_at"],
            last_accessed_at=each["credential_accessed_at"],
            expires_at=each.get("authorized_credential_expires_at"),
        )
        yield _record("credential", each["login"], credential=facts)


def _record(
    kind: str,
    login: str | None,
    *,
    provider: IdentityProvider | None = None,
    identity: Identity | None = None,
    credential: Credential | None = None,
) -> SingleSignOn:
    return SingleSignOn(kind=kind, login=login, provider=provider, identity=identity, credential=credential)
