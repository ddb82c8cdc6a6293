"""What reading an Okta org costs: time, CPU and memory, beside a plain aiohttp loop and an agent without Okta.

    python -m benchmarks.okta [--users 10000]

The org is `tests.fakes.okta` on loopback. `chequr-agent collect --no-deliver` reads every user and each one's factors
into an empty outbox; the loop asks for the same with as many requests under way, parses the answers and keeps nothing.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL

from benchmarks.command import COMMAND, Process, started
from benchmarks.report import Report
from benchmarks.servers import first_line

TYPES = ("okta_user_lifecycle", "okta_user_mfa")
_MEMORY = 60e6  # bytes beyond an agent that reads a folder
_AT_ONCE = 4  # requests: what the agent has under way


@contextmanager
def org(home: Path, users: int) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.fakes.okta", "--users", str(users), "--deprovisioned", str(users // 30)]
    with started(home, command) as process:
        yield first_line(process.popen.stdout).split()[-1]


def agent(home: Path, collector: str, types: Sequence[str], token: str = "") -> Process:
    """A whole run of one collector."""
    with tempfile.TemporaryDirectory(dir=home) as place:
        mapped = [f'{name} = ["ctrl_ac_02"]' for name in types]
        head = ['state_dir = "state"', "[controls]", "discover = false", "[controls.map]"]
        Path(place, "config.toml").write_text("\n".join([*head, *mapped, collector]), encoding="utf-8")
        Path(place, "evidence", "ctrl_ac_02").mkdir(parents=True)
        Path(place, "evidence", "ctrl_ac_02", "one.csv").write_text("a,b\n1,2\n")
        command: list[str | Path] = [COMMAND, "collect", "--config", "config.toml", "--no-deliver"]
        return run(Path(place), command, {"OKTA_TOKEN": token})


def run(home: Path, command: Sequence[str | Path], environment: dict[str, str]) -> Process:
    with started(home, command, environment, stdout=DEVNULL) as process:
        process.watch()
    if process.popen.returncode:
        raise SystemExit(process.log.read_text(encoding="utf-8"))
    return process


async def loop(url: str, token: str) -> None:
    """Every user and each one's factors, and nothing else."""
    import aiohttp

    turns = asyncio.Semaphore(_AT_ONCE)
    async with aiohttp.ClientSession(headers={"Authorization": f"SSWS {token}"}) as session:

        async def factors(user: str) -> None:
            async with turns, session.get(f"{url}/api/v1/users/{user}/factors") as answer:
                json.loads(await answer.read())

        for query in ("", "&search=status%20eq%20%22DEPROVISIONED%22"):
            following: str | None = f"{url}/api/v1/users?limit=200{query}"
            while following:
                async with session.get(following) as answer:
                    users = json.loads(await answer.read())
                    following = str(answer.links["next"]["url"]) if "next" in answer.links else None
                if not query:
                    await asyncio.gather(*(factors(user["id"]) for user in users))


def main() -> None:
    told = arguments()
    if told.loop:
        asyncio.run(loop(told.loop, told.token))
        return
    report = Report("Reading Okta", f"{told.users:,} users and the factors of each, on loopback without delay")
    with tempfile.TemporaryDirectory(prefix="chequr-okta-") as place, org(Path(place), told.users) as url:
        home = Path(place)
        idle = agent(home, '[collectors.manual]\npath = "evidence"', ())
        ours = agent(home, f'[collectors.okta]\norg_url = "{url}"\ntypes = {json.dumps(TYPES)}', TYPES, told.token)
        command = [sys.executable, "-m", "benchmarks.okta", "--loop", url, "--token", told.token]
        bare = run(home, command, {})
    named = (("chequr-agent collect okta", ours), ("aiohttp loop", bare), ("chequr-agent collect manual", idle))
    report.table(
        ("subject", "wall s", "CPU s", "peak MB", "CPU against loop"),
        [
            (name, f"{each.seconds:.1f}", f"{each.cpu:.1f}", f"{each.peak / 1e6:.0f}", f"{each.cpu / bare.cpu:.2f}")
            for name, each in named
        ],
    )
    more = ours.peak - idle.peak
    report.target("memory beyond an agent without Okta at most 60 MB", f"{more / 1e6:.0f} MB", met=more <= _MEMORY)
    report.end()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--token", default="00demoOktaToken", help=argparse.SUPPRESS)
    parser.add_argument("--loop", metavar="URL", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
