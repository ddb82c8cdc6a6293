"""The floor of an uploader: bodies, one a line of a file, POSTed by http.client from a few threads. Nothing is kept.

python -m benchmarks.sender URL BODIES --ca-file ca.pem [--rate 100]
"""

import argparse
import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

THREADS = 8  # as many requests at once as the agent has by default


class Turns:
    """Bodies for several threads, each with its number, and not before its time where there is a rate."""

    def __init__(self, bodies: Iterator[bytes], rate: float | None) -> None:
        self._bodies = enumerate(bodies)
        self._interval = 1 / rate if rate else 0.0
        self._begun = time.monotonic()
        self._lock = threading.Lock()

    def next(self) -> tuple[int, bytes] | None:
        with self._lock:
            number, body = next(self._bodies, (0, None))
        if body is None:
            return None
        time.sleep(max(0.0, self._begun + number * self._interval - time.monotonic()))
        return number, body


def send(url: str, trust: ssl.SSLContext, turns: Turns) -> None:
    where = urlsplit(url)
    connection = http.client.HTTPSConnection(where.hostname or "", where.port, context=trust)
    while turn := turns.next():
        number, body = turn
        headers = {
            "Authorization": "Bearer chequr-sandbox-write",
            "Content-Type": "application/json",
            "Idempotency-Key": f"floor-{number}",
        }
        connection.request("POST", f"{where.path}/evidence", body, headers)
        with connection.getresponse() as answer:
            json.load(answer)
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("bodies", type=Path)
    parser.add_argument("--ca-file", type=Path, required=True)
    parser.add_argument("--rate", type=float, help="requests a second; as fast as it goes without it")
    told = parser.parse_args()
    trust = ssl.create_default_context(cafile=told.ca_file)
    with told.bodies.open("rb") as stream:
        turns = Turns((line.rstrip(b"\n") for line in stream), told.rate)
        threads = [threading.Thread(target=send, args=(told.url, trust, turns)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
