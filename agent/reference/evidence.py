"""`docs/evidence.md`: the catalogue of what can be collected."""

import inspect
from datetime import timedelta
from typing import Any

from agent.reference.text import paragraphs, table, type_name
from collectors import registry
from collectors.contract import EvidenceType
from collectors.errors import CollectionError, Gap

_BEGINNING = """\
# Evidence

What the agent can collect. An evidence type's id is what a control's test policy names as its `evaluator`, and what
`types` and `[controls.map]` take in the [configuration](configuration.md). `chequr-agent types` lists them with the
controls that they are for here; `chequr-agent types show TYPE` tells about one.

No record means that the agent looked, and there was nothing. What could not be seen is a [gap](#gaps), never a record
with `false` in it. [design.md](design.md#the-payload) shows a payload as a whole.
"""

_GAPS = """\
## Gaps

A gap stands in `gaps` beside the records of the same snapshot, and `collection.complete` is `false` then.

"""

_KINDS = """
Its kind is one of these; `failed` says that the evidence type itself broke.

"""


def evidence_markdown() -> str:
    """Per source and evidence type: documentation, target, permissions, fields, version, period; then gaps."""
    names = registry.source_names()
    kinds = registry.all_evidence_types()
    contents = table(
        ("evidence type", "what it is"), ((f"[`{kind.id}`](#{kind.id})", summary(kind.documentation)) for kind in kinds)
    )
    sources = (_source(name) for name in names)
    return "\n".join([_BEGINNING, contents, *sources, _gaps()])


def summary(documentation: str) -> str:
    """The first sentence of a docstring."""
    return paragraphs(documentation).split("\n", 1)[0].split(". ")[0].rstrip(".")


def _source(name: str) -> str:
    types = (_type(kind) for kind in registry.evidence_types(name))
    permissions = f"All permissions together, ready to paste: [permissions/{name}.md](permissions/{name}.md).\n"
    return "\n".join([f"## {name}\n", permissions, *types])


def _type(kind: EvidenceType[Any]) -> str:
    schema = kind.record.model_json_schema(mode="serialization")
    facts = [
        ("target", summary(inspect.getdoc(kind.target) or kind.target.__name__)),
        ("permissions", ", ".join(f"`{permission}`" for permission in kind.permissions)),
        ("version", f"{kind.version} ([JSON Schema](schema/{kind.id}.json))"),
    ]
    if kind.window is not None:
        facts.append(("period", _period(kind.window, kind.retention)))
    written = "".join(f"- **{name}:** {fact}\n" for name, fact in facts)
    inner = "".join(f"\n`{name}`: {_about(part)}\n\n{_fields(part)}" for name, part in schema.get("$defs", {}).items())
    return f"### {kind.id}\n\n{paragraphs(kind.documentation)}\n\n{written}\n{_fields(schema)}{inner}"


def _period(window: timedelta, retention: timedelta | None) -> str:
    kept = f"; the source keeps {_days(retention)}" if retention else ""
    return f"since the last complete read, {_days(window)} back at first{kept}"


def _days(span: timedelta) -> str:
    return f"{span.days} day{'' if span.days == 1 else 's'}"


def _about(schema: dict[str, Any]) -> str:
    if "properties" in schema:
        return summary(schema.get("description", "")) + "."
    return type_name(schema) + "."


def _fields(schema: dict[str, Any]) -> str:
    properties = schema.get("properties")
    if not properties:
        return ""
    rows = ((f"`{name}`", type_name(field), field.get("description", "")) for name, field in properties.items())
    return table(("field", "type", "what it says"), rows)


def _gaps() -> str:
    fields = _fields(Gap.model_json_schema())
    kinds = [
        (f"`{kind.kind}`", kind.__name__, _reason(kind), kind.remedy)
        for kind in sorted(CollectionError.__subclasses__(), key=lambda kind: kind.kind)
        if kind.__module__ == CollectionError.__module__
    ]
    return _GAPS + fields + _KINDS + table(("kind", "state", "which means", "remedy"), kinds)


def _reason(kind: type[CollectionError]) -> str:
    """What the tree at the top of the module says of this error."""
    tree = inspect.getdoc(inspect.getmodule(CollectionError)) or ""
    lines = (line.lstrip("├└─ ").split(None, 1) for line in tree.splitlines())
    return next((line[1] for line in lines if len(line) > 1 and line[0] == kind.__name__), "")
