"""Evidence of code owners: who must look at a change of which files."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from collectors.contract import Gap, Personal, Record, evidence
from collectors.errors import Invalid, Omitted
from collectors.github import listing
from collectors.github.change_queries import CODE_OWNERS
from collectors.github.queries import CONTENTS
from collectors.github.selected import RepositoryRecord
from collectors.github.targets import METADATA, Organization

PLACES = {"github": ".github/CODEOWNERS", "root": "CODEOWNERS", "docs": "docs/CODEOWNERS"}  # the first one counts
PAGE = 50
EVERY_FILE = {"*", "**", "/**", "**/*", "/**/*"}
COMMENT = re.compile(r"(^|\s)#.*")
SPACE = re.compile(r"(?<!\\)\s+")


class CodeOwnersRule(Record):
    """One line of the file."""

    pattern: str = Field(description="Which files it is for.")
    owners: list[Personal] = Field(
        description="Their owners: logins and teams with `@`, or e-mail addresses; empty where the files have none."
    )


class CodeOwnersError(Record):
    """A line that GitHub does not understand, and passes over."""

    line: int = Field(description="Its number.")
    column: int = Field(description="Where in the line the fault is.")
    kind: str = Field(description="What is wrong, as in `Unknown owner`.")


class CodeOwners(RepositoryRecord):
    """The code owners of one repository, as its default branch names them."""

    branch: str | None = Field(description="The default branch; null where the repository is empty.")
    on_plan: bool = Field(description="Whether GitHub's plan has code owners for this repository.")
    present: bool = Field(description="Whether there is a file of code owners in one of the places that count.")
    where: str | None = Field(description="Its path; null where there is none.")
    rules: list[CodeOwnersRule] | None = Field(
        description="Its lines in their order; for a file, the last one that fits it counts. Null where there is none."
    )
    covers_all: bool | None = Field(
        description="Whether a line with owners is for every file, as `*` is; a later one can still take some out. "
        "Null where there is no file."
    )
    errors: list[CodeOwnersError] | None = Field(
        description="The lines that GitHub does not understand; null where it does not say."
    )


@evidence(METADATA, CONTENTS)
def codeowners(organization: Organization) -> Iterator[CodeOwners | Gap]:
    """Whether each repository names code owners, where, for which files, and what GitHub does not understand of it.

    Whether their review is required is in `github_branch_protection`.
    """
    return listing.each(organization, CODE_OWNERS, {}, _look, size=PAGE)


def _look(repository: Mapping[str, Any]) -> Iterator[CodeOwners]:
    found = next((place for place in PLACES if _is_file(repository[place])), None)
    rules = None if found is None else _rules(repository[found], PLACES[found])
    parsed = repository["codeowners"]
    yield CodeOwners(
        **listing.described(repository),
        branch=(repository["defaultBranchRef"] or {}).get("name"),
        on_plan=repository["planFeatures"]["codeowners"],
        present=found is not None,
        where=PLACES[found] if found else None,
        rules=rules,
        covers_all=None if rules is None else any(rule.owners and rule.pattern in EVERY_FILE for rule in rules),
        errors=None if parsed is None else [_error(each) for each in parsed["errors"]],
    )


def _is_file(found: Mapping[str, Any] | None) -> bool:
    return found is not None and found["__typename"] == "Blob"


def _rules(blob: Mapping[str, Any], path: str) -> list[CodeOwnersRule]:
    if blob["isTruncated"]:
        raise Omitted(f"{path} is too long for GitHub to show all of it", operation=CODE_OWNERS.operation)
    if blob["text"] is None:
        raise Invalid(f"{path} is no text", operation=CODE_OWNERS.operation)
    lines = (SPACE.split(COMMENT.sub("", line).strip()) for line in blob["text"].splitlines())
    return [CodeOwnersRule(pattern=line[0], owners=line[1:]) for line in lines if line[0]]


def _error(error: Mapping[str, Any]) -> CodeOwnersError:
    """Where and what it is. The message would repeat the line, and with it the names of owners."""
    return CodeOwnersError(line=error["line"], column=error["column"], kind=error["kind"])
