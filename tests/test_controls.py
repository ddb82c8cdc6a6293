import os
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from loopback import Answer, serving

from agent import connect
from agent.client import Client
from agent.config import Chequr, Config, Controls, Loaded
from agent.controls import CACHE, ControlMap, Discovery, KnownControl
from agent.errors import NoAnswer, Unauthorized
from agent.sandbox.options import Options
from agent.sandbox.server import running
from agent.token import Token

TYPE = "aws_s3_bucket_encryption"


@pytest.fixture(scope="module")
def sandbox():
    with running(Options(rate=10_000)) as sandbox:
        yield sandbox


def _discovery(*controls, base_url="https://acme.io/v1", fetched_at=None):
    known = tuple(
        KnownControl(
            id=control, name="n", framework="soc2", code="CC1", evaluator=evaluator, cadence="daily", status="passing"
        )
        for control, evaluator in controls
    )
    return Discovery(base_url=base_url, fetched_at=time.time() if fetched_at is None else fetched_at, controls=known)


@contextmanager
def _configured(tmp_path, url, token, **controls):
    file = tmp_path / "token"
    file.write_text(token)
    (tmp_path / "state").mkdir(exist_ok=True)
    config = Config(
        state_dir=tmp_path / "state",
        chequr=Chequr(base_url=url, token_file=file, timeout=timedelta(seconds=2)),
        controls=Controls(**controls),
    )
    yield Loaded(config, {}, None), Token(file)


# ── Mapping ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_api_maps():
    """Each control whose evaluator has the type's name gets its evidence."""
    mapping = ControlMap({}, _discovery(("a", TYPE), ("b", "other"), ("c", TYPE), ("d", None)))
    assert mapping.controls_for(TYPE) == ("a", "c")
    assert mapping.controls_for("nobody_asks") == ()
    assert mapping.known == {"a", "b", "c", "d"}


def test_the_configuration_wins():
    """Where the configuration names controls, the API's are not used; one named twice gets its evidence once."""
    mapping = ControlMap({TYPE: ["x", "y", "x"], "other": []}, _discovery(("a", TYPE), ("b", "other")))
    assert mapping.controls_for(TYPE) == ("x", "y")
    assert mapping.controls_for("other") == ()
    assert mapping.known == {"a", "b", "x", "y"}


def test_nothing_is_known():
    """Where the API was never read, only what is configured is mapped, and no control is unknown."""
    mapping = ControlMap({TYPE: ["x"]}, None)
    assert (mapping.controls_for(TYPE), mapping.controls_for("other"), mapping.known) == (("x",), (), None)


# ── What is kept ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_kept_is_for_one_api(tmp_path):
    """What was read from an API is found again for that API and for no other."""
    kept = _discovery(("a", TYPE))
    kept.save(tmp_path)
    assert Discovery.load(tmp_path, kept.base_url) == kept
    assert Discovery.load(tmp_path, "https://other.io/v1") is None
    assert [path.name for path in tmp_path.iterdir()] == [CACHE]
    assert oct((tmp_path / CACHE).stat().st_mode & 0o777) == oct(0o600)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"base_url": "https://acme.io/v1"}', None])
def test_what_is_kept_may_be_damaged(tmp_path, content):
    """What cannot be read is as good as nothing."""
    if content is None:
        (tmp_path / CACHE).mkdir()
    else:
        (tmp_path / CACHE).write_bytes(content)
    assert Discovery.load(tmp_path, "https://acme.io/v1") is None


def test_kept_by_several_at_once(tmp_path):
    """Collectors that run side by side keep what they read without stepping on each other."""
    failures = []

    def save(number):
        try:
            for _ in range(50):
                _discovery((str(number), TYPE)).save(tmp_path)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert os.listdir(tmp_path) == [CACHE]  # noqa: PTH208 - names are all that counts
    assert Discovery.load(tmp_path, "https://acme.io/v1")


@pytest.mark.parametrize(("ago", "older"), [(0, False), (3500, False), (3700, True), (-60, True)])
def test_age(ago, older):
    """What is older than it may be is old; so is what a clock dated that has been set back since."""
    assert _discovery(fetched_at=time.time() - ago).is_older_than(timedelta(hours=1)) is older


# ── Reading it from the API ────────────────────────────────────────────────────────────────────────────────────────


def test_fetch(sandbox, tmp_path):
    """All controls are read with their test policies, over all pages."""
    with _configured(tmp_path, sandbox.url, sandbox.read) as (_, token), Client(token, base_url=sandbox.url) as client:
        found = Discovery.fetch(client, sandbox.url)
    assert len(found.controls) == 20
    assert ControlMap({}, found).controls_for(TYPE) == ("ctrl_ac_02",)


def test_a_control_that_goes_away_meanwhile(tmp_path):
    """A control that is deleted between the list and its retrieval is passed over."""
    control = {"framework": "soc2", "code": "CC1", "name": "n", "status": "passing"}

    def respond(request):
        if request.path.endswith("/gone"):
            return Answer(404, {"code": "not_found", "message": "no"})
        if request.path.endswith("/here"):
            return Answer(200, control | {"id": "here", "test_policy": {"evaluator": TYPE, "cadence": "daily"}})
        return Answer(200, {"data": [control | {"id": "gone"}, control | {"id": "here"}], "next_cursor": None})

    with (
        serving(respond) as server,
        _configured(tmp_path, server.url, "t") as (_, token),
        Client(token, base_url=server.url) as client,
    ):
        found = Discovery.fetch(client, server.url)
    assert [known.id for known in found.controls] == ["here"]


def test_the_mapping_in_force(sandbox, tmp_path):
    """The mapping is read once, used as long as it is fresh, and read again when it is not."""
    with _configured(tmp_path, sandbox.url, sandbox.read) as (loaded, token):
        first, error = connect.control_map(loaded, token)
        assert error is None
        assert first.controls_for(TYPE) == ("ctrl_ac_02",)
        before = sandbox.calls["GET /v1/controls"]
        assert connect.control_map(loaded, token) == (first, None)
        assert sandbox.calls["GET /v1/controls"] == before
    with _configured(tmp_path, sandbox.url, sandbox.read, refresh=timedelta(0)) as (loaded, token):
        again, _ = connect.control_map(loaded, token)
        assert again.discovery.fetched_at > first.discovery.fetched_at
        kept, _ = connect.control_map(loaded, token, refresh=False)
        assert kept == again


def test_each_daily_run_has_the_controls_of_its_day(sandbox, tmp_path):
    """What a run read yesterday is read again, though it is a moment less than a day old; two runs at once share it."""
    for age, expected in ((timedelta(hours=23, minutes=59), ("ctrl_ac_02",)), (timedelta(minutes=10), ("old",))):
        fetched_at = (datetime.now(UTC) - age).timestamp()
        _discovery(("old", TYPE), base_url=sandbox.url, fetched_at=fetched_at).save(_made(tmp_path / "state"))
        with _configured(tmp_path, sandbox.url, sandbox.read) as (loaded, token):
            mapping, _ = connect.control_map(loaded, token)
        assert mapping.controls_for(TYPE) == expected


def test_the_api_is_away(sandbox, tmp_path):
    """While the API is away what was read before holds, and the error is told; nothing read, nothing mapped."""
    _discovery(("a", TYPE), base_url="http://127.0.0.1:9/v1", fetched_at=0).save(_made(tmp_path / "state"))
    with _configured(tmp_path, "http://127.0.0.1:9/v1", "t") as (loaded, token):
        mapping, error = connect.control_map(loaded, token)
    assert mapping.controls_for(TYPE) == ("a",)
    assert isinstance(error, NoAnswer)
    with _configured(tmp_path, "http://127.0.0.1:9/v2", "t", map={}) as (loaded, token):
        mapping, error = connect.control_map(loaded, token)
    assert (mapping.discovery, mapping.controls_for(TYPE)) == (None, ())
    assert isinstance(error, NoAnswer)


def test_the_api_refuses_the_token(sandbox, tmp_path):
    """A refused token is told as such."""
    with _configured(tmp_path, sandbox.url, "wrong") as (loaded, token):
        _, error = connect.control_map(loaded, token)
    assert isinstance(error, Unauthorized)


def test_without_discovery_nothing_is_asked(tmp_path):
    """With `discover = false` the configuration alone maps, and the API is not asked."""
    _discovery(("a", TYPE), base_url="http://127.0.0.1:9/v1").save(_made(tmp_path / "state"))
    with _configured(tmp_path, "http://127.0.0.1:9/v1", "t", discover=False, map={TYPE: ["x"]}) as (loaded, token):
        mapping, error = connect.control_map(loaded, token)
    assert (mapping, error) == (ControlMap({TYPE: ["x"]}, None), None)


def _made(directory):
    directory.mkdir(exist_ok=True)
    return directory
