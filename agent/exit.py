"""Exit codes: documented, stable, used by unit files and manifests."""

from enum import IntEnum


class Exit(IntEnum):
    """What a command came to. Where several hold, the first of refused, undelivered, failure and gaps is told."""

    WELL = 0
    FAILURE = 1
    USAGE = 2
    GAPS = 3
    DIFFERENCE = 4
    UNDELIVERED = 75
    REFUSED = 77
    CONFIGURATION = 78
    STOPPED = 130


MEANING = {
    Exit.WELL: "all well",
    Exit.FAILURE: "internal failure",
    Exit.USAGE: "the command was not understood",
    Exit.GAPS: "collected with gaps: delivered, but incomplete",
    Exit.DIFFERENCE: "a check found a difference",
    Exit.UNDELIVERED: "not everything was delivered; it is safe in the outbox: try again",
    Exit.REFUSED: "the API refuses the token",
    Exit.CONFIGURATION: "the configuration cannot be used",
    Exit.STOPPED: "stopped by Ctrl-C or SIGTERM before it was done; what was queued is safe in the outbox",
}
