"""How references are written: Markdown tables, wrapped comments, and the words for a JSON Schema's types."""

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

GENERATED = "Generated from the code by `python -m agent.reference`: do not edit; run `make docs`."

_WORDS = {
    "string": "text",
    "path": "path",
    "date-time": "instant",
    "date": "date",
    "duration": "duration",
    "object": "object",
}


def headed(markdown: str) -> str:
    """A Markdown file that begins by saying that it is generated."""
    return f"<!-- {GENERATED} -->\n\n{markdown}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, with a line feed at its end."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def paragraphs(documentation: str) -> str:
    """A docstring as Markdown: its paragraphs, each on one line."""
    return "\n\n".join(" ".join(part.split()) for part in documentation.split("\n\n"))


def comment(text: str, *, indent: str = "") -> str:
    """`text` as TOML comment lines."""
    prefix = f"# {indent}"
    return "".join(f"{prefix}{line}\n" for line in textwrap.wrap(text, 100 - len(prefix)))


def type_name(schema: dict[str, Any]) -> str:
    """A JSON Schema's type in words, as in `list of text or null`; a named object by its name."""
    match schema:
        case {"anyOf": options}:
            return " or ".join(dict.fromkeys(type_name(option) for option in options))
        case {"enum": values}:
            return " or ".join(f"`{value}`" for value in values)
        case {"$ref": reference}:
            return str(reference).rsplit("/", 1)[-1]
        case {"type": "array"}:
            return f"list of {type_name(schema.get('items', {}))}"
    kind = str(schema.get("type", "any JSON"))
    return _WORDS.get(str(schema.get("format", kind)), kind)
