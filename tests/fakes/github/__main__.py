"""`python -m tests.fakes.github` serves a small GitHub until it is stopped."""

import argparse
import threading

from tests.fakes.github.server import GitHub


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves a small GitHub on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--repositories", type=int, default=40)
    parser.add_argument("--pulls", type=int, default=120)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    options = parser.parse_args()
    told = {name: getattr(options, name) for name in ("repositories", "pulls", "delay", "port")}
    with GitHub(**told) as github:
        print(f"github ready {github.url}", flush=True)  # noqa: T201 - what starts it waits for this line
        threading.Event().wait()


if __name__ == "__main__":
    main()
