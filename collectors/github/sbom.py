"""Evidence of software bills of materials: what each repository is made of, counted."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import Field

from collectors.contract import Gap, evidence
from collectors.errors import NotEnabled
from collectors.github.queries import CONTENTS
from collectors.github.selected import RepositoryRecord, counted, named, place
from collectors.github.targets import METADATA, Organization

EXPORT = "GET /repos/{owner}/{repo}/dependency-graph/sbom"
UNKNOWN = ("NOASSERTION", "NONE")


class SoftwareBill(RepositoryRecord):
    """The bill of materials of one repository, as its dependency graph has it. The bill itself is not kept."""

    format: str = Field(description="Its format, as in `SPDX-2.3`.")
    created_at: datetime = Field(description="When GitHub made it.")
    packages: int = Field(description="How many packages it lists, beside the repository itself.")
    by_ecosystem: dict[str, int] = Field(
        description="How many of each ecosystem, as in `npm`; `none` for those whose ecosystem is not said."
    )
    by_license: dict[str, int] = Field(
        description="How many under each licence, as an SPDX expression; `none` for those whose licence is not known."
    )
    digest: str = Field(
        description="A SHA-256 of the packages and their versions: it changes when they do, and not with the date."
    )


@evidence(CONTENTS, METADATA)
def sbom(organization: Organization) -> Iterator[SoftwareBill | Gap]:
    """The bill of materials of each repository: how many packages, of which ecosystems, under which licences.

    A repository whose dependency graph is off is a gap of its own kind.
    """
    return organization.each_repository(partial(_look, organization))


def _look(organization: Organization, repository: Mapping[str, Any]) -> SoftwareBill:
    found = organization.once(EXPORT, permission=CONTENTS, absent=NotEnabled, **place(repository))
    bill = found["sbom"]
    itself = _itself(bill)
    packages = [package for package in bill["packages"] if package.get("SPDXID") not in itself]
    return SoftwareBill(
        **named(repository),
        format=bill["spdxVersion"],
        created_at=bill["creationInfo"]["created"],
        packages=len(packages),
        by_ecosystem=counted(_ecosystem(package) for package in packages),
        by_license=counted(_license(package) for package in packages),
        digest=_digest(packages),
    )


def _itself(bill: Mapping[str, Any]) -> set[str]:
    """What the bill is of: it lists that as a package as well."""
    relations = bill.get("relationships") or ()
    described = {each["relatedSpdxElement"] for each in relations if each.get("relationshipType") == "DESCRIBES"}
    return described | set(bill.get("documentDescribes") or ())


def _locators(package: Mapping[str, Any]) -> list[str]:
    references = package.get("externalRefs") or ()
    return [each["referenceLocator"] for each in references if each["referenceType"] == "purl"]


def _ecosystem(package: Mapping[str, Any]) -> str | None:
    """Of a package URL, as in `pkg:npm/lodash@4.17.21`, the type."""
    return next((locator.removeprefix("pkg:").partition("/")[0] for locator in _locators(package)), None)


def _license(package: Mapping[str, Any]) -> str | None:
    said = (package.get("licenseConcluded"), package.get("licenseDeclared"))
    return next((each for each in said if each and each not in UNKNOWN), None)


def _digest(packages: list[dict[str, Any]]) -> str:
    lines = {
        f"{each.get('name') or ''}@{each.get('versionInfo') or ''} {' '.join(_locators(each))}" for each in packages
    }
    return "sha256:" + hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
