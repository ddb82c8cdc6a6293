"""What the organization's logs share: which repositories' entries are read, where an entry tells only the name."""

from collections.abc import Callable

from collectors.github.targets import Organization


def selected_names(organization: Organization) -> Callable[[str], bool]:
    """Whether the entries of a repository of this name, without its owner, are read.

    A repository that is gone is judged by its name alone: that it was deleted is an entry too.
    """
    selection = organization.selection
    left_out: set[str] = set()
    if not (selection.archived and selection.forks):
        left_out = {
            found["name"].lower()
            for found in organization.all_repositories()
            if not selection.has(found["name"], archived=found["archived"], fork=found["fork"])
        }

    def is_selected(name: str) -> bool:
        return name.lower() not in left_out and selection.has(name, archived=False, fork=False)

    return is_selected
