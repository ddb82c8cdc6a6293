"""What is in the default branches: code owners, security policies, and what the code is made of."""

from typing import TYPE_CHECKING

from tests.fakes.github.answers import Answer, digits, not_found, time
from tests.fakes.github.routes import route

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

OWNERS = "# Who looks at what\n*       @acme/platform\n/docs/  @dev-001 docs@acme.example\n"


def _place(number: int) -> str | None:
    """Where the file of code owners is: in no place in every fourth repository."""
    return (None, ".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")[number % 4]


def file(number: int, path: str) -> dict | None:
    if path != _place(number):
        return None
    return {"__typename": "Blob", "oid": digits(number, kind=3), "text": OWNERS, "isTruncated": False}


def codeowners(number: int) -> dict | None:
    if _place(number) is None:
        return None
    return {"errors": [{"line": 3, "column": 9, "kind": "Unknown owner"}] if number % 10 == 5 else []}


def has_policy(number: int) -> bool:
    return number % 2 == 0


@route("/{repo}/private-vulnerability-reporting", "metadata")
def reporting(_github: "GitHub", _query: dict, repo: int) -> dict:
    return {"enabled": repo % 4 == 2}


def packages(number: int) -> int:
    return 3 + number % 4


def has_graph(number: int) -> bool:
    """Whether the repository has a dependency graph."""
    return number % 10 != 9


@route("/{repo}/dependency-graph/sbom", "contents")
def bill(github: "GitHub", _query: dict, repo: int) -> dict | Answer:
    if not has_graph(repo):
        return not_found()
    itself = {"SPDXID": "SPDXRef-itself", "name": f"com.github.acme/service-{repo:03d}", "versionInfo": "main"}
    described = {"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": "SPDXRef-itself"}
    return {
        "sbom": {
            "spdxVersion": "SPDX-2.3",
            "SPDXID": "SPDXRef-DOCUMENT",
            "creationInfo": {"created": time(github.until), "creators": ["Tool: GitHub.com-Dependency-Graph"]},
            "packages": [*(_package(index) for index in range(packages(repo))), itself],
            "relationships": [{**described, "relationshipType": "DESCRIBES"}],
        }
    }


def _package(index: int) -> dict:
    locator = f"pkg:{('npm', 'pypi')[index % 2]}/part-{index}@1.0.{index}"
    return {
        "SPDXID": f"SPDXRef-part-{index}",
        "name": f"part-{index}",
        "versionInfo": f"1.0.{index}",
        "licenseConcluded": "MIT" if index else "NOASSERTION",
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator}
        ],
    }
