"""`docs/cli.md`: every command, its arguments and options, and the exit codes."""

import importlib
import re
from collections.abc import Iterator
from typing import Any

import typer.main

from agent.exit import MEANING
from agent.reference.text import paragraphs, table

_EXITS = """\
## Exit codes

They are stable: unit files and schedulers may rely on them. 243 is none of the agent's: systemd ends a unit
with it that it cannot hand a secret to.

"""


def command_tree() -> Any:
    """The command `chequr-agent` with all below it, as click sees it."""
    # By name: two of its commands print references, so that an import would close a circle.
    return typer.main.get_command(importlib.import_module("agent.cli.app").app)


def cli_markdown() -> str:
    """The whole tree of commands."""
    root = command_tree()
    commands = list(walk(root, "chequr-agent"))
    rows = ((f"[`{path}`](#{_anchor(path)})", _summary(command)) for path, command in commands)
    codes = ((str(code.value), meaning) for code, meaning in MEANING.items())
    return "\n".join(
        [
            f"# The command\n\n{_told(root)}\n",
            table(("command", "what it does"), rows),
            _options(root),
            *(_section(path, command) for path, command in commands),
            _EXITS + table(("code", "meaning"), codes),
        ]
    )


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each command that does something, with the words that call it."""
    for name, inner in getattr(command, "commands", {}).items():
        if not hasattr(inner, "commands") or inner.invoke_without_command:
            yield f"{path} {name}", inner
        yield from walk(inner, f"{path} {name}")


def _section(path: str, command: Any) -> str:
    usage = " ".join([path, "[OPTIONS]", *map(placeholder, arguments(command))])
    return f"## {path}\n\n{_told(command)}\n\n```console\n{usage}\n```\n\n{_options(command)}"


def _options(command: Any) -> str:
    """Arguments first, then options; `--help`, which all have, is left out."""
    rows = [(f"`{placeholder(argument)}`", argument.help or "") for argument in arguments(command)]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    rows += [(_spelling(option), _meaning(option)) for option in options]
    return table(("argument or option", "what it says"), rows) if rows else ""


def arguments(command: Any) -> list[Any]:
    return [each for each in command.params if each.param_type_name == "argument" and not each.hidden]


def placeholder(argument: Any) -> str:
    name = argument.metavar or str(argument.name).upper()
    return str(name) if argument.required or name.startswith("[") else f"[{name}]"


def _spelling(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or str(option.name).upper()}"
    return ", ".join(f"`{spelling}{value}`" for spelling in option.opts)


def _meaning(option: Any) -> str:
    shown = option.show_default and option.default is not None and not option.is_flag
    return f"{option.help or ''}{f' [default: {option.default}]' if shown else ''}"


def _told(command: Any) -> str:
    """A help text as Markdown: what rich would write in bold is the name of a command."""
    return paragraphs(re.sub(r"\[/?bold\]", "`", command.help or ""))


def _summary(command: Any) -> str:
    return _told(command).split("\n", 1)[0]


def _anchor(path: str) -> str:
    return path.replace(" ", "-")
