"""`chequr-agent.1`: the manual page, in roff."""

import re
from collections.abc import Iterator
from typing import Any

from agent import __version__
from agent.exit import MEANING
from agent.reference.commands import arguments, command_tree, placeholder, walk
from agent.reference.text import GENERATED

_FILES = (
    ("/etc/chequr-agent/config.toml", "the configuration, where no other is named"),
    ("/var/lib/chequr-agent", "the outbox, the ledger and all that must survive (state_dir)"),
)
_VARIABLES = (
    ("CHEQUR_AGENT_CONFIG", "the configuration file, where --config names none"),
    ("CHEQUR_TOKEN", "the API key, where no file and no systemd credential has it"),
    ("CHEQUR_AGENT__TABLE__KEY", "overrides a key of the configuration"),
    ("JOB_COMPLETION_INDEX", "which shard `collect --shard N` reads; Kubernetes sets it"),
)


def manual_page() -> str:
    """The whole page."""
    root = command_tree()
    parts = [
        f'.TH CHEQUR-AGENT 1 "" "chequr-agent {__version__}" "User Commands"',
        *(".SH NAME", r"chequr\-agent \- collects compliance evidence and delivers it to Chequr, once"),
        *(".SH SYNOPSIS", r".B chequr\-agent", r"\fICOMMAND\fR [\fIOPTIONS\fR]"),
        *(".SH DESCRIPTION", *_paragraphs(root.help)),
        ".SH COMMANDS",
    ]
    for path, command in walk(root, "chequr-agent"):
        usage = " ".join(f"\\fI{_plain(placeholder(each))}\\fR" for each in arguments(command))
        parts += [f".SS {_plain(path.removeprefix('chequr-agent '))} {usage}".rstrip(), *_paragraphs(command.help)]
        parts += _options(command)
    parts += [".SH EXIT STATUS", *_items((str(code.value), meaning) for code, meaning in MEANING.items())]
    parts += [".SH ENVIRONMENT", *_items(_VARIABLES), ".SH FILES", *_items(_FILES)]
    return "\n".join([rf".\" {GENERATED}", *parts]) + "\n"


def _options(command: Any) -> Iterator[str]:
    for each in command.params:
        if each.param_type_name == "option" and not each.hidden:
            value = "" if each.is_flag else f" \\fI{_plain(each.metavar or str(each.name).upper())}\\fR"
            names = ", ".join(f"\\fB{_plain(name)}\\fR" for name in each.opts)
            yield from (".TP", f"{names}{value}", _plain(each.help or ""))


def _items(told: Any) -> Iterator[str]:
    for name, meaning in told:
        yield from (".TP", f"\\fB{_plain(name)}\\fR", _plain(meaning))


def _paragraphs(text: str | None) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", (text or "").strip()):
        yield from (".PP", _plain(" ".join(paragraph.split())))


def _plain(text: str) -> str:
    """Text that roff takes for nothing else: no dot or quote begins a line of its own, and a dash stays one."""
    told = re.sub(r"\[/?bold\]", "", text).replace("\\", r"\e").replace("-", r"\-")
    told = "".join(character if character.isascii() else rf"\[u{ord(character):04X}]" for character in told)
    return rf"\&{told}" if told.startswith((".", "'")) else told
