"""References that follow from the code: the configuration's keys, the evidence types, the commands.

All are pure functions of what is installed. `python -m agent.reference` writes them; tests compare what is committed.
"""

import json
from typing import Any

from agent.reference.commands import cli_markdown
from agent.reference.configuration import configuration_markdown
from agent.reference.evidence import evidence_markdown
from agent.reference.example import config_example
from agent.reference.figures import metrics_markdown
from agent.reference.manual import manual_page
from agent.reference.permissions import permissions_markdown
from agent.reference.schema import config_schema, record_schema
from agent.reference.shell import completions
from agent.reference.text import GENERATED, headed
from collectors import registry


def files() -> dict[str, str]:
    """The content of every generated file by its path in the repository."""
    return {
        "config.example.toml": f"# {GENERATED}\n#\n{config_example()}",
        "docs/cli.md": headed(cli_markdown()),
        "packaging/share/man/man1/chequr-agent.1": manual_page(),
        **{f"packaging/share/{path}": script for path, script in completions().items()},
        "docs/configuration.md": headed(configuration_markdown()),
        "docs/evidence.md": headed(evidence_markdown()),
        "docs/metrics.md": headed(metrics_markdown()),
        **{f"docs/permissions/{name}.md": headed(permissions_markdown(name)) for name in registry.source_names()},
        "docs/schema/config.json": _json(config_schema()),
        **{f"docs/schema/{kind.id}.json": _json(record_schema(kind)) for kind in registry.all_evidence_types()},
    }


def _json(schema: dict[str, Any]) -> str:
    return json.dumps({"$comment": GENERATED, **schema}, indent=2, ensure_ascii=False) + "\n"


__all__ = [
    "cli_markdown",
    "config_example",
    "config_schema",
    "configuration_markdown",
    "evidence_markdown",
    "files",
    "metrics_markdown",
    "permissions_markdown",
    "record_schema",
]
