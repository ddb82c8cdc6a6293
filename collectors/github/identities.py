"""What is shared by evidence of members and of single sign-on: who is a member, and who is linked to which identity."""

from collections.abc import Iterator, Mapping
from typing import Any

from collectors.contract import Gap
from collectors.errors import AccessDenied, NotFound
from collectors.github.graphql import Path, Query
from collectors.github.member_queries import EXTERNAL_IDENTITIES, IDENTITY_PROVIDER, ORGANIZATION_MEMBERS
from collectors.github.population import PartlyShown
from collectors.github.refusals import OWNERSHIP
from collectors.github.targets import Organization

PAGE = 100
APP = "[bot]"  # how the login of a GitHub App ends


def identity_provider(organization: Organization) -> Mapping[str, Any] | None:
    """The organization's own SAML identity provider; None where it has none. Raises what hides it.

    GitHub shows it to owners and to Apps that may read members; to others it says that there is none.
    """
    answer = organization.ask(IDENTITY_PROVIDER)
    found = answer.get("organization")
    if found is None:
        raise NotFound("the organization is not shown", operation=IDENTITY_PROVIDER.operation)
    provider: Mapping[str, Any] | None = found["samlIdentityProvider"]
    if provider is None and not (found["viewerCanAdminister"] or answer["viewer"]["login"].endswith(APP)):
        message = "whether there is an identity provider is shown to owners only"
        raise AccessDenied(message, operation=IDENTITY_PROVIDER.operation, permission=OWNERSHIP)
    return provider


def external_identities(organization: Organization) -> Iterator[Mapping[str, Any] | Gap]:
    """Each identity that the organization's provider has sent, whether an account has claimed it or not."""
    path = ("organization", "samlIdentityProvider", "externalIdentities")
    place = f"{organization.login}/external identities"
    return listed(organization, EXTERNAL_IDENTITIES, path, {"login": organization.login}, place)


def members(organization: Organization) -> Iterator[Mapping[str, Any] | Gap]:
    """Each member, as the edge that leads to them. Raises where none is shown: an organization always has an owner."""
    query, seen = ORGANIZATION_MEMBERS, False
    variables, place = {"login": organization.login}, f"{organization.login}/members"
    for edge in listed(organization, query, ("organization", "membersWithRole"), variables, place):
        seen = True
        yield edge
    if not seen:
        message = "no member is shown, and an organization always has an owner"
        raise AccessDenied(message, operation=query.operation, permission=query.permission)


def listed(
    organization: Organization, query: Query, path: Path, variables: Mapping[str, Any], place: str
) -> Iterator[Mapping[str, Any] | Gap]:
    """What is in a connection of nodes or edges, over all its pages; a gap at `place` for each thing not shown, and
    where GitHub counts more than its pages hold.
    """
    counted = held = 0
    for page in organization.pages(query, path, variables, size=PAGE):
        counted = page.connection.get("totalCount", 0)  # which not every query asks for
        held += len(page.nodes)
        yield from (fault.error.gap(place) for fault in page.faults)
        for node in page.nodes:
            yield from (fault.error.gap(place) for fault in node.faults)
            if node.value is not None and node.value.get("node", node) is not None:
                yield node.value
            elif not node.faults:
                message = "one that GitHub counts is not shown"
                yield AccessDenied(message, operation=query.operation, permission=query.permission).gap(place)
    if held < counted:
        message = f"GitHub counts {counted}, of which {held} were shown"
        yield PartlyShown(message, operation=query.operation).gap(place)
