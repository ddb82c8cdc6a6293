"""`docs/configuration.md`: every key, as tables."""

from pydantic import BaseModel

from agent.config import PREFIX, Common, Config
from agent.reference.keys import Key, keys_of
from agent.reference.text import paragraphs, table
from collectors import registry

_BEGINNING = f"""\
# Configuration

The agent reads one TOML file: the one that `--config` names, else the one that `$CHEQUR_AGENT_CONFIG` names, else
`config.toml` in the current folder, else `/etc/chequr-agent/config.toml`.
[config.example.toml](../config.example.toml) has every key with its description; `chequr-agent config example` prints
it. [schema/config.json](schema/config.json) is the JSON Schema, for editors; `chequr-agent config schema` prints it.

- **Checked as a whole, before anything starts.** `chequr-agent config check` names every problem, those of the
  agent's own keys before the collectors': a key that does not exist with the nearest one that does, a TOML error with
  its line and column. The exit code is 78.
- **The environment wins over the file.** A variable is `{PREFIX}`, then tables and key in capitals, with two
  underscores between them: `{PREFIX}CHEQUR__BASE_URL` is `base_url` in `[chequr]`. A list or a whole table is
  written as JSON.
- **Relative paths** count from the file's folder, wherever the agent is started.
- **Durations** are seconds, or text with a unit: `"30s"`, `"15m"`, `"24h"`, `"7d"`.
- **Secrets are never in it.** Each is read from the file that a `*_file` key names, else from the systemd credential,
  else from the environment variable of the same name in capitals. A file that is named but cannot be read is an
  error; nothing else is tried then. Secrets are read again as they are needed, so a rotated one needs no restart.
- **`SIGHUP`** makes a running agent read the file again. One that cannot be used changes nothing. Collectors,
  `[controls]` and `[ledger]` take effect at once, all else at the next start; what waits for that is logged.
"""

_COLLECTORS = """\
## [collectors.&lt;name&gt;]

Each such table is a collector: a source, and when and how it is looked at. The name has letters, digits, `-` and `_`.
It is the source's, unless `source` says what it looks at; so one source may have several collectors:

```toml
[collectors.okta]
org_url = "https://acme.okta.com"

[collectors.okta-subsidiary]
source = "okta"
org_url = "https://acme-labs.okta.com"
token_file = "okta-subsidiary.token"
schedule = "30 4 * * 1-5"
timezone = "Europe/Berlin"
```

`hourly` is a minute of each hour, `daily` a minute between midnight and six, `weekly` such a minute of one day. Which
one follows from the names of collector and machine: always the same, and not the same for all. A cron expression has
five fields, and restricts the day of the month or the day of the week, not both. A run that was missed while the agent
was off is made up once at its start.

"""

_MAP = """\
### [controls.map]

Each key is an evidence type, its value the list of controls that its evidence goes to. What is named here wins over
what the API says for this type; all other types follow the API.

```toml
[controls.map]
aws_iam_user_mfa = ["ctrl_ac_02", "ctrl_ac_07"]
```

An evidence type for no control is not collected. A folder of files needs no mapping: each file names its control.
"""


def configuration_markdown() -> str:
    """Every key of every table."""
    tables = [
        _table(f"## [{name}]", field.default_factory)
        for name, field in Config.model_fields.items()
        if isinstance(field.default_factory, type) and issubclass(field.default_factory, BaseModel)
    ]
    sources = [_table(f"### Source `{name}`", registry.source(name).settings) for name in registry.source_names()]
    common = f"{_COLLECTORS}{paragraphs(Common.__doc__ or '')}\n\n{_keys(keys_of(Common))}"
    return "\n".join([_BEGINNING, _keys(keys_of(Config)), *tables, common, *sources])


def _table(heading: str, model: type[BaseModel]) -> str:
    written = f"{heading}\n\n{paragraphs(model.__doc__ or '')}\n\n{_keys(keys_of(model))}"
    return f"{written}\n{_MAP}" if "map" in model.model_fields else written


def _keys(keys: tuple[Key, ...]) -> str:
    rows = [row for key in keys for row in (_row(key), *(_row(inner, key.name) for inner in key.keys))]
    return table(("key", "type", "default", "what it says"), rows)


def _row(key: Key, within: str = "") -> tuple[str, str, str, str]:
    name = f"{within}[].{key.name}" if within else key.name
    default = "required" if key.required else "" if key.default is None else f"`{key.default}`"
    return f"`{name}`", key.type, default, key.description
