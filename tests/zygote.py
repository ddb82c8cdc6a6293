"""Runs `chequr-agent` again and again without paying for its imports each time: a process that has them forks.

It reads one JSON line a command, {"arguments", "cwd", "environment", "out", "err"}, and answers with its exit code.
"""

import contextlib
import json
import os
import sys
from typing import Any


def main() -> None:
    from agent import cli, connect, doctor, load, run  # noqa: F401 - what commands need, so that forks have it
    from agent.cli import app, deliver, output, summary  # noqa: F401
    from collectors import registry

    registry.all_evidence_types()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            _obey(order, cli.main)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201 - the answer


def _obey(order: dict[str, Any], command: Any) -> None:
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    for stream, path in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), stream)
    sys.argv = ["chequr-agent", *order["arguments"]]
    code: Any = 0
    try:
        command()
    except SystemExit as exit_:
        code = exit_.code or 0
    for output in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            output.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
