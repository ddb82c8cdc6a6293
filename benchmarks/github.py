"""What reading a GitHub organization costs: requests, time, CPU and memory, beside one REST call at a time.

    python -m benchmarks.github [--repositories 500] [--pulls 10000]

The organization is `tests.fakes.github` on loopback, behind so many milliseconds. `chequr-agent collect --no-deliver`
reads the protection of every default branch, two-factor authentication, and every pull request that was merged in a
month, into an empty outbox. The loop asks for as much by REST with one connection, four requests for a repository and
four for a pull request, and keeps nothing; where that is too long it is stopped, and the rest is reckoned.
"""

import argparse
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL
from urllib.parse import urlsplit

from benchmarks.command import COMMAND, Process, started
from benchmarks.report import Report
from benchmarks.servers import first_line

TYPES = ("github_branch_protection", "github_org_two_factor", "github_pull_request_reviews")
_REPOSITORY = ("", "/branches/main/protection", "/rules/branches/main", "/rulesets")
_PULL = ("/pulls/{0}", "/pulls/{0}/reviews", "/commits/{0}/check-runs", "/commits/{0}/status")
_REQUESTS = 60  # for what GraphQL answers, of 500 repositories


@contextmanager
def organization(home: Path, told: argparse.Namespace) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.fakes.github", "--delay", str(told.delay)]
    command += ["--repositories", str(told.repositories), "--pulls", str(told.pulls)]
    with started(home, command) as process:
        yield first_line(process.popen.stdout).split()[-1]


def agent(home: Path, url: str, kind: str) -> Process:
    """A whole run of one evidence type."""
    with tempfile.TemporaryDirectory(dir=home) as place:
        collector = f'[collectors.github]\norganizations = ["acme"]\nbase_url = "{url}"\ntypes = ["{kind}"]\n'
        mapping = f'[controls]\ndiscover = false\n[controls.map]\n{kind} = ["ctrl_cm_01"]\n'
        Path(place, "config.toml").write_text(f'state_dir = "state"\n{mapping}{collector}', encoding="utf-8")
        command: list[str | Path] = [COMMAND, "collect", "--config", "config.toml", "--no-deliver"]
        with started(Path(place), command, {"GITHUB_TOKEN": "ghfake"}, stdout=DEVNULL) as process:
            process.watch()
        if process.popen.returncode:
            raise SystemExit(process.log.read_text(encoding="utf-8"))
        return process


def asked(url: str) -> int:
    """How many requests there were since this was asked last."""
    return int(get(url, "/_fake/asked"))


def get(url: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("GET", path)
    return connection.getresponse().read()


def loop(url: str, told: argparse.Namespace) -> tuple[float, float]:
    """Seconds for a repository, and for a pull request, read one call after another."""
    return measured(url, _REPOSITORY, min(told.repositories, 50)), measured(url, _PULL, min(told.pulls, 100))


def measured(url: str, paths: tuple[str, ...], number: int) -> float:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    begun = time.perf_counter()
    for each in range(number):
        for path in paths:
            connection.request("GET", f"/repos/acme/service-{each:03d}{path.format(each)}")
            json.loads(connection.getresponse().read())
    return (time.perf_counter() - begun) / number


def main() -> None:
    told = arguments()
    report = Report(
        "Reading GitHub",
        f"{told.repositories:,} repositories and {told.pulls:,} merged pull requests, {told.delay * 1000:.0f} ms away",
    )
    with tempfile.TemporaryDirectory(prefix="chequr-github-") as place, organization(Path(place), told) as url:
        home, rows, spent = Path(place), [], {}
        each, pull = loop(url, told)
        rest = {
            TYPES[0]: (len(_REPOSITORY) * told.repositories, each * told.repositories),
            TYPES[2]: (len(_PULL) * told.pulls, pull * told.pulls),
        }
        for kind in TYPES:
            asked(url)
            process, calls = agent(home, url, kind), asked(url)
            spent[kind] = calls
            by_rest, seconds = rest.get(kind, (0, 0.0))
            rows.append(
                (
                    kind,
                    f"{calls:,}",
                    f"{process.seconds:.1f}",
                    f"{process.cpu:.1f}",
                    f"{process.peak / 1e6:.0f}",
                    f"{by_rest:,}" if by_rest else "",
                    f"{seconds:.0f}" if by_rest else "",
                )
            )
    heads = ("evidence type", "requests", "wall s", "CPU s", "peak MB", "by REST: requests", "seconds, reckoned")
    report.table(heads, rows)
    graph = spent[TYPES[0]] + spent[TYPES[1]]
    report.target(f"at most {_REQUESTS} requests for the repositories", str(graph), met=graph <= _REQUESTS)
    report.end()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repositories", type=int, default=500)
    parser.add_argument("--pulls", type=int, default=10_000)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds before each answer")
    return parser.parse_args()


if __name__ == "__main__":
    main()
