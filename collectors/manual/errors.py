"""Why a file could not be read as evidence.

Invalid      ├── NoControl       it stands beside the controls' subfolders, not in one
             └── BadSidecar      its sidecar says something that cannot be understood
NotFound     ├── FolderMissing   the configured folder is not there
             └── FileMissing     a sidecar without the file that it describes, or a file that went away
Unavailable  └── StillChanging   it is being written
Omitted      ├── TooLarge        larger than `max_file_bytes`
             └── NotFollowed     a symbolic link out of the folder, or one that leads nowhere
"""

from collections.abc import Iterator
from contextlib import contextmanager

from collectors.errors import AccessDenied, Invalid, NotFound, Omitted, Unavailable

READ = "file:read"
LIST = "folder:list"


class NoControl(Invalid):
    remedy = "Move it into a subfolder named after its control."


class BadSidecar(Invalid):
    remedy = "Mend the sidecar, or remove it; the file is read again at the next run."


class FolderMissing(NotFound):
    remedy = "Create the folder, or mend the collector's `path`."


class FileMissing(NotFound):
    remedy = "Put the file back, or remove its sidecar."


class StillChanging(Unavailable):
    remedy = "It is read at the next run; a program that appends to it for ever should write elsewhere."


class TooLarge(Omitted):
    remedy = "Raise `max_file_bytes`, or split the file."


class NotFollowed(Omitted):
    remedy = "Put a copy of the file into the folder, or remove the link."


@contextmanager
def translated(name: str, user: str, operation: str = READ) -> Iterator[None]:
    """Turns the operating system's errors on the file or folder `name` into this source's."""
    try:
        yield
    except PermissionError as error:
        grant = f"read access to {name} for the user {user}"
        raise AccessDenied(f"{name} may not be read", operation=operation, permission=grant) from error
    except FileNotFoundError as error:
        raise FileMissing(f"{name} is not there any more", operation=operation) from error
    except OSError as error:
        raise Unavailable(f"{name} cannot be read: {error.strerror}", operation=operation) from error
