"""Whether all repositories of an organization are shown. GitHub leaves those that an identity was not given out of its
lists without a word, so that a shorter list would read as the whole.

    an App       its installation says whose it is, and whether it was given all repositories or selected ones
    a token      nothing; whoever may see the organization's settings is told how many repositories it has
    exact names  what the configuration names exactly is whole where each name is shown
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from collectors.contract import Gap
from collectors.errors import AccessDenied, CollectionError, NotFound
from collectors.github.answer import listed
from collectors.github.links import last_page
from collectors.github.queries import METADATA

if TYPE_CHECKING:
    from collectors.github.targets import Organization

INSTALLATION = "GET /app/installations/{installation_id}"
GIVEN = "GET /installation/repositories"
PROFILE = "GET /orgs/{org}"
LISTED = "GET /orgs/{org}/repos"


class PartlyShown(AccessDenied):
    remedy = "Read with an identity that may see all of them, as an owner of the organization may."


class SelectedOnly(AccessDenied):
    remedy = (
        "Install the App for all repositories of the organization; or, if fewer are meant, name each of them in the "
        "collector's `repositories`."
    )


class InstalledElsewhere(AccessDenied):
    remedy = "Install the App in the organization, and read it by a collector of its own with that `installation_id`."


class NotShown(NotFound):
    remedy = "Mend the name in the collector's `repositories`, or give the repository to the App or the token."


def unseen(organization: "Organization") -> Iterator[Gap]:
    """A gap for what GitHub's lists of repositories leave out, or where whether they do could not be learned."""
    try:
        yield from _absent(organization)
        if not organization.selection.is_exact:
            _require_whole(organization)
    except CollectionError as error:
        yield error.gap(f"{organization.login}/repositories")


def _absent(organization: "Organization") -> Iterator[Gap]:
    """Each repository that is named exactly, and is not listed."""
    names = organization.selection.names
    shown = {found["name"].lower() for found in organization.all_repositories()} if names else set()
    for name in names:
        if name.lower() not in shown:
            message = "it is named in the configuration, and is not there or not shown to this identity"
            yield NotShown(message, operation=LISTED).gap(f"{organization.login}/{name}")


def _require_whole(organization: "Organization") -> None:
    installation = organization.installation()
    if installation is None:
        _require_counted(organization)
    else:
        _require_all_given(organization, installation)


def _require_all_given(organization: "Organization", installation: Mapping[str, Any]) -> None:
    name = f"installation {installation.get('id')} of the App {installation.get('app_slug')}"
    account = (installation.get("account") or {}).get("login")
    if str(account).lower() != organization.login.lower():
        message = f"{name} is in {account}, not in {organization.login}, of which it is shown what is public at most"
        raise InstalledElsewhere(message, operation=INSTALLATION)
    if installation.get("repository_selection") != "all":
        given = organization.get(GIVEN, {"per_page": "1"}, permission=None).get("total_count")
        message = f"{name} was given {given} selected repositories of {organization.login}; others are not seen"
        raise SelectedOnly(message, operation=INSTALLATION)


def _require_counted(organization: "Organization") -> None:
    """Raises where the organization says that it has more repositories than are listed. Not everybody is told."""
    profile = organization.get(PROFILE, permission=None, org=organization.login)
    public, private = profile.get("public_repos"), profile.get("owned_private_repos")
    if not isinstance(public, int) or not isinstance(private, int):
        return
    counted, shown = public + private, _count(organization)
    if shown < counted:
        message = f"{organization.login} has {counted} repositories, of which {shown} are shown to this token"
        raise PartlyShown(message, operation=LISTED)


def _count(organization: "Organization") -> int:
    """How many repositories are listed: with one on each page, as many as there are pages."""
    reply = organization.reply(LISTED, {"type": "all", "per_page": "1"}, permission=METADATA, org=organization.login)
    return last_page(reply.headers, LISTED) if listed(reply, None, LISTED, METADATA) else 0
