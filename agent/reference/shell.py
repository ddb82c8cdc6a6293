"""Completions for bash, zsh and fish: all words are in them, so that a tab starts no Python.

    chequr-agent ledger export --from 2026 --ou⇥
                 └───── at ──┘        value └ a word of `at`: a command below it, or an option

After an option that takes a value come files, and where there are no other words, too.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from agent.reference.commands import command_tree
from agent.reference.text import GENERATED

_BASH = """\
# {generated}
_chequr_agent() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
    local at="" word i commands="" options="" values=""
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${{COMP_WORDS[i]}}"
        case "$at $word" in
            {paths}) at="$at $word" ;;
        esac
    done
    case "$at" in
{cases}
    esac
    COMPREPLY=()
    if [[ " $values " == *" $before "* ]]; then return; fi
    if [[ -z "$commands" || "$cur" == -* ]]; then commands="$options"; fi
    COMPREPLY=($(compgen -W "$commands" -- "$cur"))
}}
complete -o default -F _chequr_agent chequr-agent
"""
_ZSH = """\
#compdef chequr-agent
# {generated}
local at="" word
local -a commands options values
for word in ${{words[2,CURRENT-1]}}; do
    case "$at $word" in
        {paths}) at="$at $word" ;;
    esac
done
case "$at" in
{cases}
esac
if (( ${{values[(Ie)${{words[CURRENT-1]}}]}} )); then
    _files
elif (( $#commands )) && [[ $PREFIX != -* ]]; then
    _describe command commands
else
    _describe option options || _files
fi
"""
_FISH = """\
# {generated}
function __chequr_agent_at
    set -l at ""
    for word in (commandline -opc)[2..]
        switch "$at $word"
            case {paths}
                set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
complete -c chequr-agent -f
{lines}
"""
_HELP = "Show all that there is to say about it"
_ZSH_ESCAPES = {"\\": r"\\", ":": r"\:", "'": r"'\''"}  # a colon ends the word that is described
_FISH_ESCAPES = {"\\": r"\\", "'": r"\'"}


@dataclass(frozen=True)
class Place:
    """What may follow some words: commands and options, each with what it says."""

    at: str
    commands: dict[str, str]
    options: list[Any]

    @property
    def spellings(self) -> dict[str, str]:
        """Each way to write an option."""
        return {name: _short(option.help) for option in self.options for name in option.opts} | {"--help": _HELP}

    @property
    def values(self) -> list[str]:
        """The options that a value follows."""
        return [name for option in self.options if not option.is_flag for name in option.opts]


def completions() -> dict[str, str]:
    """The scripts by the paths at which shells look for them below `share`."""
    places = list(_places(command_tree(), ""))
    paths = [f'"{place.at}"' for place in places if place.at]
    return {
        "bash-completion/completions/chequr-agent": _BASH.format(
            generated=GENERATED, paths="|".join(paths), cases=_lines(map(_bash, places))
        ),
        "zsh/site-functions/_chequr-agent": _ZSH.format(
            generated=GENERATED, paths="|".join(paths), cases=_lines(map(_zsh, places))
        ),
        "fish/vendor_completions.d/chequr-agent.fish": _FISH.format(
            generated=GENERATED, paths=" ".join(paths), lines=_lines(map(_fish, places))
        ),
    }


def _places(command: Any, at: str) -> Iterator[Place]:
    """The command, and all below it; `at` begins with a space, but for the first."""
    inner = getattr(command, "commands", {})
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    yield Place(at, {name: _short(each.help) for name, each in inner.items()}, options)
    for name, each in inner.items():
        yield from _places(each, f"{at} {name}")


def _bash(place: Place) -> str:
    told = {"commands": list(place.commands), "options": list(place.spellings), "values": place.values}
    words = " ".join(f'{name}="{" ".join(some)}"' for name, some in told.items() if some)
    return f'        "{place.at}") {words} ;;'


def _zsh(place: Place) -> str:
    told = {"commands": place.commands, "options": place.spellings}
    lines = [f'    "{place.at}")', f"        values=({' '.join(place.values)})"]
    for name, words in told.items():
        described = (f"            '{word}:{_within(says, _ZSH_ESCAPES)}'" for word, says in words.items())
        lines += [f"        {name}=(", *described, "        )"]
    return _lines([*lines, "        ;;"])


def _fish(place: Place) -> str:
    here = f"complete -c chequr-agent -n '__chequr_agent_at \"{place.at}\"'"
    lines = [f"{here} -a {name} -d '{_within(says, _FISH_ESCAPES)}'" for name, says in place.commands.items()]
    for option in place.options:
        names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.opts)
        kind = "" if option.is_flag else " -r -F"
        lines.append(f"{here} {names}{kind} -d '{_within(_short(option.help), _FISH_ESCAPES)}'")
    return _lines([*lines, f"{here} -l help -d '{_HELP}'"])


def _within(text: str, escapes: dict[str, str]) -> str:
    """The text as it stands between quotes."""
    return "".join(escapes.get(character, character) for character in text)


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _short(text: str | None) -> str:
    """The first sentence of a help text, without marks of bold."""
    told = re.sub(r"\[/?bold\]", "", text or "").strip().split("\n")[0]
    return told.split(". ")[0].removesuffix(".")
