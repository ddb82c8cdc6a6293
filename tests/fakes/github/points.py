"""What a query costs of GraphQL's limit, by the formula that GitHub publishes, and what is left of that."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from graphql import parse
from graphql.language import ast

from tests.fakes.github.answers import Answer
from tests.fakes.github.answers import time as written

if TYPE_CHECKING:
    from tests.fakes.github.server import GitHub

LIMIT = 5000
HOUR = 3600


def cost(body: dict) -> int:
    """The requests that fill each connection once, by the hundred: those below a connection count for each node."""
    document = parse(body["query"])
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, ast.FragmentDefinitionNode)}
    (query,) = [each for each in document.definitions if isinstance(each, ast.OperationDefinitionNode)]
    return max(1, round(_requests(query, 1, body["variables"], fragments) / 100))


def _requests(node: ast.Node, times: int, variables: dict, fragments: dict) -> int:
    if isinstance(node, ast.FragmentSpreadNode):
        return _requests(fragments[node.name.value], times, variables, fragments)
    size = _size(node, variables)
    below = getattr(node, "selection_set", None)
    found = [_requests(each, times * (size or 1), variables, fragments) for each in (below.selections if below else ())]
    return sum(found) + (times if size else 0)


def _size(node: ast.Node, variables: dict) -> int | None:
    for argument in getattr(node, "arguments", None) or ():
        if argument.name.value in ("first", "last"):
            value = argument.value
            return variables[value.name.value] if isinstance(value, ast.VariableNode) else int(value.value)
    return None


def spent(github: "GitHub", body: dict) -> dict | Answer:
    """What `rateLimit` shows after the query, or the refusal where it costs more than is left."""
    now, price = time.time(), cost(body)
    if now >= github.reset_at:
        github.points, github.reset_at = LIMIT, now + HOUR
    reset = datetime.fromtimestamp(github.reset_at, UTC)
    if price > github.points:
        limited = {"type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 99."}
        gone = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{github.reset_at:.0f}"}
        github.refused += 1
        return Answer(200, {"errors": [limited]}, gone)
    github.points -= price
    return {"cost": price, "remaining": github.points, "resetAt": written(reset)}
