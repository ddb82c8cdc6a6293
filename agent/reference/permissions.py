"""`docs/permissions/`: the least privilege of each source, ready to paste."""

import json

from agent.reference.text import table
from collectors import registry

_BEGINNING = """\
# Permissions of {source}

The least that all evidence types of `{source}` need. `chequr-agent permissions {source}` prints it for the types that
your configuration chooses. The agent only reads; a permission that is missing leaves a gap that names it.

```json
{grants}
```

Which evidence needs which:

"""


def permissions_markdown(source: str) -> str:
    """What an administrator grants for all evidence types of a source, and what each permission is for."""
    kinds = registry.evidence_types(source)
    grants = json.dumps(registry.source(source).grants(kinds), indent=2, ensure_ascii=False)
    needed = sorted({permission for kind in kinds for permission in kind.permissions})
    rows = (
        (f"`{permission}`", ", ".join(_link(kind.id) for kind in kinds if permission in kind.permissions))
        for permission in needed
    )
    return _BEGINNING.format(source=source, grants=grants) + table(("permission", "evidence types"), rows)


def _link(type_id: str) -> str:
    return f"[{type_id}](../evidence.md#{type_id})"
