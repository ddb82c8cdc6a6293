"""Completions for bash, zsh and fish: all words are in them, so that a tab starts no Python."""

from typing import Any

from agent.reference.commands import command_tree
from agent.reference.text import GENERATED

_BASH = """\
# {generated}
_chequr_agent() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" at="" word i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${{COMP_WORDS[i]}}"
        case "$at $word" in
            {commands}) at="$at $word" ;;
        esac
    done
    case "$at" in
{cases}
    esac
}}
complete -o default -F _chequr_agent chequr-agent
"""
_ZSH = """\
#compdef chequr-agent
# {generated}
_chequr_agent() {{
    local at="" word
    for word in ${{words[2,CURRENT-1]}}; do
        case "$at $word" in
            {commands}) at="$at $word" ;;
        esac
    done
    case "$at" in
{cases}
    esac
    _files
}}
# Loaded by its first use, this file is the function that is to answer; sourced, it has to be made known.
if [ "$funcstack[1]" = "_chequr-agent" ]; then _chequr_agent "$@"; else compdef _chequr_agent chequr-agent; fi
"""
_FISH = """\
# {generated}
function __chequr_agent_at
    set -l at ""
    for word in (commandline -opc)[2..]
        switch "$at $word"
            case {commands}
                set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
{lines}
"""


def completions() -> dict[str, str]:
    """The scripts by the paths at which shells look for them below `share`."""
    words = _words(command_tree(), "")
    paths = [path for path in words if path]
    quoted = "|".join(f'"{path}"' for path in paths)
    bash = "\n".join(
        f'        "{path}") COMPREPLY=($(compgen -W "{" ".join(told)}" -- "$cur")) ;;' for path, told in words.items()
    )
    zsh = "\n".join(f'        "{path}") compadd -- {" ".join(told)} ;;' for path, told in words.items())
    fish = "\n".join(_fish(path, told) for path, told in words.items())
    return {
        "bash-completion/completions/chequr-agent": _BASH.format(generated=GENERATED, commands=quoted, cases=bash),
        "zsh/site-functions/_chequr-agent": _ZSH.format(generated=GENERATED, commands=quoted, cases=zsh),
        "fish/vendor_completions.d/chequr-agent.fish": _FISH.format(
            generated=GENERATED, commands=" ".join(f'"{path}"' for path in paths), lines=fish
        ),
    }


def _fish(path: str, told: list[str]) -> str:
    return f"""complete -c chequr-agent -n '__chequr_agent_at "{path}"' -a '{" ".join(told)}'"""


def _words(command: Any, path: str) -> dict[str, list[str]]:
    """What may follow each command: those below it, and its options. Keys begin with a space, but for the first."""
    inner = getattr(command, "commands", {})
    options = [name for each in command.params if each.param_type_name == "option" for name in each.opts]
    found = {path: [*inner, *options, "--help"]}
    for name, each in inner.items():
        found |= _words(each, f"{path} {name}")
    return found
