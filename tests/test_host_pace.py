"""One pace for the processes of a host: real files, real locks, real processes, real HTTP."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loopback import Answer, serving

from agent.host_file import folders
from agent.host_pace import HostPace, file_name

BASE = "https://api.chequr.com/v1"
NOON = datetime(2026, 4, 15, 12, tzinfo=UTC)
PLENTY = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "120"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """Where the file is: a folder of the test's own, as systemd would name it."""
    place = tmp_path / "runtime"
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(place))
    yield place
    for other in folders(os.environ)[1:]:  # where one goes whose own folder cannot be used
        (other / file_name(BASE, "nowhere")).unlink(missing_ok=True)


def pace(token: str = "a1b2", base_url: str = BASE, **options: float) -> HostPace:
    return HostPace(base_url, lambda: token, **options)


def taught(*, until: float = 1000.0, **options: str) -> HostPace:
    """One that has learned that it may do 100 a second."""
    teacher = pace(**options)
    for second in range(10, 0, -1):
        teacher.learn(200, PLENTY, until - second, NOON)
    return teacher


def spread(one: HostPace, now: float, places: int = 50) -> float:
    """Seconds between the places that it gives, once it is busy."""
    waits = [one.reserve(now) for _ in range(places)]
    return waits[-1] - waits[-2]


# ── What is shared ──


def test_what_one_learns_all_know():
    """An agent that starts beside another one begins at the rate that the other one has learned."""
    assert taught().rate == 100
    other = pace()
    assert other.rate == 5
    other.reserve(1000.0)
    assert other.rate == 100


def test_places_are_given_once():
    """Two agents that take places in turn get them one interval apart, as one agent would."""
    one, other = taught(), pace()
    waits = [(one, other)[turn % 2].reserve(1000.0) for turn in range(100)]
    gaps = {round(later - sooner, 3) for sooner, later in pairwise(waits[40:])}
    assert gaps == {0.01}


def test_a_refusal_of_one_pauses_all():
    """A 429 cuts the rate of all agents once, and its Retry-After stops them all."""
    one, other = taught(), pace()
    other.reserve(1000.0)
    other.learn(429, {"retry-after": "2"}, 1000.1, NOON)
    assert one.reserve(1000.2) == pytest.approx(1.9)
    assert one.rate == pytest.approx(70)


@pytest.mark.parametrize("options", [{"token": "other"}, {"base_url": "https://chequr.acme.internal/v1"}])
def test_another_key_is_another_pace(options):
    """Neither another token nor another address shares anything."""
    taught()
    stranger = pace(**options)
    stranger.reserve(1000.0)
    assert stranger.rate == 5


def test_a_cap_binds_only_whom_it_is_for():
    """An agent with a cap keeps to it, and does not slow down the others."""
    one, capped = taught(), pace(cap=4)
    assert spread(capped, 1000.0, 10) == pytest.approx(0.25)
    assert spread(one, 1000.0) == pytest.approx(0.01, abs=1e-6)


def test_three_processes_are_one_agent_to_the_api(folder):
    """Three processes on one key use its whole limit between them, and hardly any request is refused."""
    limit, seconds = 30, 6
    with (
        serving(bucket(limit)) as server,
        ended([start(SENDER, server.url, str(seconds), folder=folder) for _ in range(3)]) as senders,
    ):
        counts = [tuple(map(int, sender.communicate(timeout=60)[0].split())) for sender in senders]
    accepted, refused = (sum(column) for column in zip(*counts, strict=True))
    assert refused <= 0.02 * accepted
    assert 0.8 * limit * seconds <= accepted <= limit * (seconds + 3)
    assert min(got for got, _ in counts) >= 0.15 * accepted


# ── What does not stop an agent ──


def test_a_stopped_holder_of_the_lock_stops_nobody(folder):
    """While a process that holds the lock is stopped, others go on, at a pace that they know, and soon together."""
    one, other = taught(), pace()
    other.reserve(1000.0)
    (file,) = folder.iterdir()
    with ended([start(HOLDER, str(file), folder=folder)]) as (holder,):
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        waits = [(one, other)[turn % 2].reserve(1001.0 + turn / 100) for turn in range(400)]
        assert time.monotonic() - started < 1
        assert max(waits) < 0.1
        assert len([wait for wait in waits[300:] if wait > 0.2]) == 0
    gaps = [one.reserve(1010.0) for _ in range(30)], [other.reserve(1010.0) for _ in range(30)]
    assert gaps[1][0] >= gaps[0][-1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.binary(max_size=200))
def test_garbage_is_void(folder, content):
    """Whatever the file holds, the agent goes on from what it knows, and the file is good again."""
    one, other = taught(), pace()
    (file,) = folder.iterdir()
    file.write_bytes(content)
    assert 0 <= one.reserve(1000.0) < 1
    other.reserve(1000.0)
    assert other.rate == 100


@pytest.mark.parametrize("damage", range(0, 120, 7))
def test_a_torn_file_is_void(folder, damage):
    """A file that was cut off, or has one byte changed, teaches nothing."""
    taught()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    for torn in (whole[: damage % len(whole)], flip(whole, damage % len(whole))):
        file.write_bytes(torn)
        fresh = pace()
        fresh.reserve(1000.0)
        assert fresh.rate == 5


def test_what_is_old_or_from_the_future_is_void():
    """What was learned long ago, or by a clock that has not come so far, does not count."""
    for now in (1e6, 10.0):
        taught()
        fresh = pace()
        assert 0 <= fresh.reserve(now) < 1
        assert fresh.rate == 5


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


# ── Where it is ──


def test_the_file_is_private_and_tells_nothing(folder):
    """Folder and file are their owner's alone, and neither name nor content holds token or address."""
    pace(token="sk_live_secret").reserve(1000.0)
    (file,) = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    assert "secret" not in file.name
    assert b"secret" not in file.read_bytes()
    assert file.name == file_name(BASE, "sk_live_secret")


@pytest.mark.parametrize("in_the_way", ["link", "fifo", "folder", "dangling"])
def test_what_is_in_the_way_is_not_used(folder, tmp_path, in_the_way):
    """A link, a pipe or a folder by the file's name is left alone, and the agent goes on."""
    folder.mkdir(mode=0o700)
    path, victim = folder / file_name(BASE, "nowhere"), tmp_path / "victim"
    victim.write_bytes(b"precious")
    {
        "link": lambda: path.symlink_to(victim),
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "dangling": lambda: path.symlink_to(tmp_path / "made"),
    }[in_the_way]()
    assert 0 <= pace("nowhere").reserve(1000.0) < 1
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "made").exists()


HOLDER = """
    import fcntl, sys, time
    with open(sys.argv[1], "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        print("held", flush=True)
        time.sleep(60)
"""

SENDER = """
    import asyncio, sys, time
    from datetime import UTC, datetime
    from agent.client import AsyncClient
    from agent.errors import RateLimited
    from agent.host_pace import HostPace
    from agent.token import Token

    async def main(url, seconds):
        token, counts = Token(), [0, 0]
        pace = HostPace(url, lambda: token.fingerprint)
        learn = lambda status, headers: pace.learn(status, headers, time.monotonic(), datetime.now(UTC))
        async with AsyncClient(token, base_url=url, observe=learn) as client, asyncio.TaskGroup() as group:
            end = time.monotonic() + seconds
            async def submit():
                try:
                    await client.submit(b"{}", "k")
                    counts[0] += 1
                except RateLimited:
                    counts[1] += 1
            while time.monotonic() < end:
                await asyncio.sleep(pace.reserve(time.monotonic()))
                group.create_task(submit())
        print(*counts)

    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
"""


def start(program: str, *arguments: str, folder: Path) -> subprocess.Popen:
    environment = os.environ | {"RUNTIME_DIRECTORY": str(folder), "CHEQUR_TOKEN": "sk_test_1"}
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@contextmanager
def ended(processes: list[subprocess.Popen]):
    """The processes, which do not outlive this."""
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def bucket(limit: float):
    """The API's own: a token bucket of `limit` a second and a burst of twice that."""
    level, at, lock = 2.0 * limit, time.monotonic(), threading.Lock()

    def answer(_request) -> Answer:
        nonlocal level, at
        with lock:
            now = time.monotonic()
            level, at = min(2 * limit, level + (now - at) * limit), now
            taken = level >= 1
            level -= taken
            headers = {"X-RateLimit-Limit": f"{limit}", "X-RateLimit-Remaining": f"{int(level)}"}
        if not taken:
            return Answer(429, {}, headers | {"Retry-After": "0.1"})
        return Answer(202, {"id": "ev_1", "status": "accepted", "created_at": "2026-04-15T09:14:23Z"}, headers)

    return answer
