"""What the service manager is told, in systemd's protocol (sd_notify(3)); nothing where there is none.

Ready, reloading and stopping are told when they come; a sign of life and a line of status now and then. Each is one
datagram: systemd takes RELOADING with its time only where both come together.
"""

import os
import socket
import time
from contextlib import suppress

_SECOND = 1_000_000  # microseconds


class ServiceManager:
    """systemd, as far as it started this process and wants to hear of it."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        asked = os.environ.get("WATCHDOG_USEC", "") if ours else ""
        self.watchdog = int(asked) / _SECOND if asked.isdecimal() and int(asked) else None
        """Seconds without a sign of life after which this process is killed; None where that is not watched."""

    @property
    def listens(self) -> bool:
        return bool(self._address)

    def ready(self, status: str) -> None:
        """At work, with the configuration that is in force."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str, *, within: float) -> None:
        """Ending what is under way: that may take so many seconds more."""
        self._send("STOPPING=1", f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={int(within * _SECOND)}")

    def alive(self, status: str) -> None:
        self._send("WATCHDOG=1", f"STATUS={status}")

    def _send(self, *facts: str) -> None:
        if not self._address:
            return
        text = "\n".join(fact.replace("\n", " ") for fact in facts).encode()
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto(text, self._address)
