"""`config.example.toml`: every key with its description above it."""

from pydantic import BaseModel

from agent.config import PREFIX, Common, Config
from agent.reference.keys import Key, keys_of
from agent.reference.text import comment
from collectors import registry

READY = "manual"
"""The source that needs no account, so that the example does something as it is."""

_BEGINNING = f"""\
# Every key of the agent, with what it means above it. What is commented out shows its default; where a line ends in
# "for example", there is no default, and the key is not set.
#
# No secret belongs in here: each is read from the file that a *_file key names, or from the systemd credential or the
# environment variable that its description names. Relative paths count from this file's folder.
#
# The environment wins over this file. {PREFIX}CHEQUR__BASE_URL is base_url in [chequr], and so on: tables and
# keys in capitals, two underscores between them.
#
# Check it with `chequr-agent config check`, and all that it names with `chequr-agent doctor`.
"""

_COLLECTORS = """\
# Each [collectors.<name>] is a collector: a source, and when and how it is looked at. The name is free where `source`
# says what it looks at, so that one source may have several collectors. The keys that all collectors have come first.
"""

_MAP = """\
# Control ids by evidence type. What is named here wins over what the API says.
"""


def config_example() -> str:
    """A complete, commented configuration, which is valid as it is."""
    agent = [_table(name, field.default_factory) for name, field in Config.model_fields.items() if name != "collectors"]
    sources = sorted(registry.source_names(), key=lambda name: (name != READY, name))
    collectors = [_collector(name) for name in sources]
    return "\n".join([_BEGINNING, _keys(keys_of(Config)), *filter(None, agent), _COLLECTORS, *collectors])


def _table(name: str, model: object) -> str:
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return ""
    written = f"{comment(model.__doc__ or '')}[{name}]\n\n{_keys(keys_of(model))}"
    return f"{written}\n{_map()}" if "map" in model.model_fields else written


def _map() -> str:
    first = registry.all_evidence_types()[0].id
    return f'{_MAP}[controls.map]\n\n# {first} = ["ctrl_ac_02"]  # for example\n'


def _collector(name: str) -> str:
    """The table of a source that is ready stands as it is; all others are commented out."""
    settings = registry.source(name).settings
    heading = f"{comment(settings.__doc__ or '')}{'' if name == READY else '# '}[collectors.{name}]\n\n"
    own = _keys(keys_of(settings), ready=name == READY)
    common = _keys(keys_of(Common)) + "\n" if name == READY else ""
    return heading + common + own


def _keys(keys: tuple[Key, ...], *, ready: bool = False) -> str:
    return "\n".join(_key(key, ready=ready) for key in keys)


def _key(key: Key, *, ready: bool) -> str:
    described = comment(key.description) + "".join(comment(f"{each.name}: {each.description}") for each in key.keys)
    if key.required:
        return f"{described}{'' if ready else '# '}{key.name} = {key.example}  # required\n"
    told = f"# {key.name} = {key.default}\n" if key.default is not None else ""
    example = f"# {key.name} = {key.example}  # for example\n" if key.example is not None else ""
    return described + told + example
