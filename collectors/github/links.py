"""Where the next page of a REST list is, never anywhere else than on the configured host; and how many there are."""

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, urlsplit

from collectors.errors import Unavailable

LINK = re.compile(r"<([^<>]*)>([^<]*)")
LAST = re.compile(r"""\brel\s*=\s*"?last\b""", re.IGNORECASE)
NEXT = re.compile(r"""\brel\s*=\s*"?next\b""", re.IGNORECASE)


def next_page(headers: Mapping[str, str], base_url: str, operation: str) -> tuple[str, dict[str, str]] | None:
    """The path below `base_url` and the query of the next page; None on the last.

    Raises Unavailable where the link leaves the host: the token would go with it.
    """
    link = _link(headers, NEXT)
    if link is None:
        return None
    base, found = urlsplit(base_url), urlsplit(link)
    if _origin(found) != _origin(base) or not found.path.startswith(base.path + "/"):
        raise Unavailable(
            f"the next page is said to be at {found.hostname}, not at {base.hostname}", operation=operation
        )
    return found.path.removeprefix(base.path), dict(parse_qsl(found.query, keep_blank_values=True))


def last_page(headers: Mapping[str, str], operation: str) -> int:
    """The number of the last page of a list whose pages have numbers; 1 where there is no further one."""
    link = _link(headers, LAST)
    number = dict(parse_qsl(urlsplit(link).query)).get("page", "") if link else "1"
    if not number.isdecimal():
        raise Unavailable("the last page of the list has no number", operation=operation)
    return int(number)


def _link(headers: Mapping[str, str], relation: re.Pattern[str]) -> str | None:
    return next((url for url, rest in LINK.findall(headers.get("link", "")) if relation.search(rest)), None)


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"https": 443, "http": 80}.get(url.scheme)
