"""The configuration in force, key by key: each value, and where it comes from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.config import Loaded, variable_of
from agent.redaction import redact


@dataclass(frozen=True)
class Setting:
    """One key. `origin` is `default`, `file`, or the variable that it comes from."""

    key: str
    value: Any
    origin: str


def resolved(loaded: Loaded, written: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[Setting]:
    """Every key of the agent and of each collector. `written` is what stands in the file.

    Secrets are no keys of the configuration; what looks like one all the same is masked.
    """
    own = loaded.config.model_dump(mode="json", exclude={"collectors"})
    for path, value in _leaves(own, ()):
        yield _setting(path, value, written, environment)
    for name, collector in loaded.collectors.items():
        keys = {**collector.common.model_dump(mode="json"), **collector.settings.model_dump(mode="json")}
        keys["source"] = collector.source_name
        for key, value in keys.items():
            yield _setting(("collectors", name, key), value, written, environment)


def _leaves(table: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _setting(path: tuple[str, ...], value: Any, written: Mapping[str, Any], environment: Mapping[str, str]) -> Setting:
    masked = redact({path[-1]: value})[0][path[-1]]
    return Setting(".".join(path), masked, _origin(path, written, environment))


def _origin(path: tuple[str, ...], written: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """A variable wins over the file; one may hold a whole table."""
    if variable := variable_of(path, environment):
        return f"${variable}"
    inner: Any = written
    for key in path:
        if not isinstance(inner, dict) or key not in inner:
            return "default"
        inner = inner[key]
    return "file"
