"""The status page: what it tells, what it never does, and how a browser shows it."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from agent_fixtures import made

from agent.controls import Discovery, KnownControl
from agent.exit import Exit
from agent.items import Accept, Answer, Reject
from agent.ledger import Day
from agent.listen import listening
from agent.load import load
from agent.metrics import Metrics
from agent.outbox import Outbox
from agent.page import Page, chart
from agent.runs import Runs
from agent.store import Store
from agent.systemd import ServiceManager
from agent.vitals import Vitals
from tests.browser import browsing
from tests.command import eventually, make_agent

DAY = 86_400.0
URL = "http://127.0.0.1:1/v1"
TARGET = "<img src=x onerror=alert(1)>"


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """A configuration of two collectors, and a token."""
    monkeypatch.setenv("CHEQUR_TOKEN", "a-token")
    config = tmp_path / "config.toml"
    config.write_text(
        f'state_dir = "{tmp_path}/state"\n[chequr]\nbase_url = "{URL}"\n'
        '[collectors.manual]\npath = "."\n[collectors.aws]\nschedule = "hourly"\n'
    )
    idle = tmp_path / "idle.toml"
    idle.write_text(
        config.read_text()
        .replace("[collectors.manual]", "[collectors.manual]\nenabled = false")
        .replace("[collectors.aws]", "[collectors.aws]\nenabled = false")
    )
    return load(config)


@pytest.fixture
def used(loaded):
    """A state directory with a week of evidence, runs, and what the workspace has."""
    with Store(loaded.config.state_dir) as store:
        now = time.time()
        for day in reversed(range(7)):
            accept(store, day + 1, f"ctrl_{day % 2}", now - day * DAY - 60)
        runs = Runs(store)
        runs.finish(
            runs.start("manual", now=now - 300), "complete", now=now - 200, snapshots=1, records=12, gaps=0, items=1,
            message=None,
        )  # fmt: skip
        runs.finish(
            runs.start("aws", now=now - 300), "incomplete", now=now - 240, snapshots=1, records=1234, gaps=2, items=1,
            message="s3:ListBuckets: not authorized",
        )  # fmt: skip
        known = [
            KnownControl(
                id=f"ctrl_{n}",
                name=f"<b>Control {n}</b>",
                framework="soc2",
                code="C",
                evaluator=e,
                cadence=c,
                status="not_tested",
            )
            for n, c, e in ((0, "daily", None), (1, "hourly", None), (2, "weekly", "aws_iam_user_mfa"))
        ]
        Discovery(base_url=URL, fetched_at=now, controls=tuple(known)).save(store.directory)
        yield store


def accept(store, number, control, at):
    outbox = Outbox(store)
    evidence = replace(made(number, control_id=control), collected_at=datetime.fromtimestamp(at, UTC))
    (item,) = outbox.put("aws", TARGET, [evidence], None, now=at)
    outbox.claim(1, now=at)
    outbox.settle([Accept(item, f"ev_{number}", datetime.fromtimestamp(at, UTC), None)], now=at)


def serving(loaded, store, *, stuck=(), address="127.0.0.1:0"):
    page = Page(lambda: loaded, store, lambda: list(stuck), lambda: 100.0)
    return listening(address, stuck=list, unready=list, metrics=lambda: b"", page=page.html)


def read(loaded, store, **more):
    """The page's text, without its markup."""
    with serving(loaded, store, **more) as url:
        html = httpx.get(url).text
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", text)


def test_it_tells_how_things_stand(loaded, used):
    """Collectors with their runs, controls with the age of their evidence, the outbox, and the last deliveries."""
    text = read(loaded, used)
    assert "It works; look at this when there is time" in text
    assert "aws could not see everything: 2 gaps. chequr-agent doctor says which permission lacks." in text
    assert "not authorized" not in text  # the words of a gap name what was looked at
    assert re.search(
        r"manual daily [\d-]+ [\d:]+ UTC \(\d+ min ago\) complete 100 s 12 0 [\d-]+ [\d:]+ UTC \(in ", text
    )
    assert re.search(r"aws hourly [\d-]+ [\d:]+ UTC \(\d+ min ago\) incomplete 60 s 1,234 2 ", text)
    assert re.search(
        r"ctrl_1 &lt;b&gt;Control 1&lt;/b&gt; \w+ by aws [\d-]+ [\d:]+ UTC \(24 h ago\) stale hourly not tested", text
    )
    assert re.search(
        r"ctrl_0 &lt;b&gt;Control 0&lt;/b&gt; \w+ by aws [\d-]+ [\d:]+ UTC \(\d+ s ago\) fresh daily not tested", text
    )
    assert "ctrl_2 &lt;b&gt;Control 2&lt;/b&gt; aws_iam_user_mfa by aws never never weekly" in text
    assert re.search(r"At Chequr: as it was told [\d-]+ [\d:]+ UTC \(\d+ s ago\)\.", text)
    assert "1 control with stale evidence: ctrl_1." in text
    assert "It is empty: nothing is owed. Accepted so far: 7." in text
    assert "ev_1" in text
    assert "At most 100 requests a second." in text


def test_it_looks_at_no_verdict(loaded, used):
    """There may be very many: to look at each, as `status` does, would keep delivery waiting for the page."""
    asked = []
    used.read(lambda connection: connection.set_trace_callback(asked.append))
    read(loaded, used)
    assert any("FROM latest" in statement for statement in asked)
    assert not any("FROM signal" in statement for statement in asked)


@pytest.mark.parametrize("state", ["held", "rejected", "stuck", "no token"])
def test_somebody_has_to_act(loaded, used, state, monkeypatch):
    """Whatever keeps evidence from being delivered comes first, with what to do."""
    outbox, more = Outbox(used), {}
    match state:
        case "held":
            outbox.set_hold(401, "401 unauthorized", now=time.time() - 7200)
            told = r"Delivery is held since .* \(2 h ago\): 401 unauthorized The token is wrong, expired or revoked"
        case "rejected":
            outbox.put("aws", "x", [made(99)], None, now=time.time())
            (claimed,) = outbox.claim(1, now=time.time())
            outbox.settle([Reject(claimed.item.id, Answer(422, "bad", "no", None))], now=time.time())
            told = r"1 item rejected by the API\. chequr-agent outbox list --state rejected says why"
        case "stuck":
            more["stuck"] = ["the deliverer is stuck"]
            told = r"The deliverer is stuck\. The service manager ends it"
        case "no token":
            monkeypatch.delenv("CHEQUR_TOKEN")
            told = r"Nothing can be delivered\. Token: there is no chequr_token"
    text = read(loaded, used, **more)
    assert re.search(f"Somebody has to act {told}", text), text


def test_nothing_yet(loaded, tmp_path):
    """Before anything was collected it says what comes next, and not that all is well."""
    with Store(loaded.config.state_dir) as store:
        text = read(loaded, store)
    assert "manual never ran. It does when it is due; chequr-agent collect does now." in text
    assert "No evidence has a control yet. chequr-agent controls coverage says what lacks." in text
    assert "All is well" not in text


def test_nothing_to_do(loaded, tmp_path):
    """Where no collector is enabled it says so, and not that all is well."""
    idle = load(loaded.path.with_name("idle.toml"))
    with Store(idle.config.state_dir) as store:
        text = read(idle, store)
    assert "Nothing is collected: no collector is enabled. Add one to the configuration" in text
    assert "All is well" not in text


def test_a_state_that_cannot_be_read(loaded):
    """Where the state directory cannot be used, it says so, with what to do, and fails for programs as well."""
    with Store(loaded.config.state_dir) as store, serving(loaded, store) as url:
        store.close()
        answer = httpx.get(url)
    assert answer.status_code == 503
    assert "cannot be used: it was closed" in answer.text
    assert "set another state_dir" in answer.text


@pytest.mark.parametrize("path", ["readyz", "metrics"])
def test_programs_are_told_so_as_well(loaded, store, path):
    """A state that cannot be read is an answer, and no fault in the log at each probe."""
    vitals = Vitals(store, ServiceManager(), time.monotonic)
    metrics = Metrics(lambda: loaded, store)
    store.close()
    with listening(
        "127.0.0.1:0", stuck=vitals.stuck, unready=vitals.unready, metrics=metrics.text, page=lambda: ""
    ) as url:
        answer = httpx.get(f"{url}/{path}")
    assert (answer.status_code, "cannot be used: it was closed" in answer.text) == (503, True)


def test_all_is_well(loaded, used):
    """Where nothing is wrong it says so in three words."""
    runs = Runs(used)
    now = time.time()
    runs.finish(runs.start("aws", now=now), "complete", now=now, snapshots=1, records=1, gaps=0, items=1, message=None)
    accept(used, 50, "ctrl_1", now)
    assert "All is well" in read(loaded, used)


def test_it_is_only_text(loaded, used):
    """What was collected is never markup; the page loads nothing, runs nothing, and is shown in no other."""
    with serving(loaded, used) as url:
        answer = httpx.get(url)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert TARGET not in answer.text
    assert "&lt;img src=x onerror=alert(1)&gt;" in answer.text
    assert not re.search(r"<script|<img|<link|<iframe|url\(|https?://|style=|\son\w+=\"", answer.text)


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/metrics"])
def test_another_host_is_refused(loaded, used, path):
    """On loopback a name that somebody led here is not answered; this machine's own names are."""
    strangers = ("evil.example", "evil.example:9464", "", "[", "127.0.0.1.evil.example", "10.0.0.1")
    own = ("localhost:9464", "LOCALHOST", "127.0.0.1", "127.0.0.2", "[::1]:9464")
    with serving(loaded, used) as url:
        answers = [httpx.get(f"{url}{path}", headers={"Host": host}).status_code for host in (*strangers, *own)]
    assert answers == [421] * len(strangers) + [200] * len(own)


@pytest.mark.parametrize("address", ["127.0.0.2:0", "localhost:0"])
def test_it_is_reached_where_it_listens(loaded, used, address):
    """Whatever address of loopback it was told to listen at is one of its own names."""
    with serving(loaded, used, address=address) as url:
        assert httpx.get(url).status_code == 200


def test_it_is_read_only(loaded, used):
    """It answers to GET and HEAD, and to nothing else."""
    with serving(loaded, used) as url:
        assert httpx.head(url).status_code == 200
        assert {httpx.request(method, url).status_code for method in ("POST", "PUT", "DELETE")} == {405}


def test_the_chart():
    """Each of thirty days has its place, also one without evidence; the highest bar is the day with the most."""
    drawn = chart([Day(100, 4, 40, 0, 1), Day(129, 8, 80, 2, 1)], today=129)
    first, *_, last = drawn["bars"]
    assert len(drawn["bars"]) == 30
    assert (first["accepted"], first["height"], first["x"]) == (4, 50, 0)
    assert (last["accepted"], last["height"], last["gaps"]) == (8, 100, 2)
    assert drawn["text"] == "12 pieces of evidence accepted in 30 days, most on a day 8, on 28 days none"
    assert chart([], today=129)["bars"][0]["height"] == 0


def test_the_service_serves_it(tmp_path, sandbox):
    """A running service shows what it delivered."""
    agent = make_agent(tmp_path, sandbox)
    agent.configure('[collectors.manual]\npath = "evidence"\n[http]\nlisten = "0"\n')
    with agent.started("run") as daemon:
        daemon.saw("http.listening")
        url = next(event["url"] for event in daemon.events if event["event"] == "http.listening")
        eventually(lambda: "Accepted so far: 2." in httpx.get(url).text, "two files on the page")
        assert daemon.stop() == Exit.WELL


# ── In a browser ──


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


# On a phone rows are cards, which are tables to who cannot see them only where their roles say so.
ROLES = "return document.querySelectorAll('table:not([role]), tr:not([role]), th:not([role]), td:not([role])').length"
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
SMALLEST = """
    return Math.min(...[...document.querySelectorAll('p, td, th, li, span, code, a, text')]
        .filter(e => e.textContent.trim() && e.getClientRects().length).map(e => {
            const drawn = e.ownerSVGElement ? e.getScreenCTM().a : 1;
            return parseFloat(getComputedStyle(e).fontSize) * drawn; }));
"""
CONTRAST = """
    const channel = c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
    const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
        return .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b); };
    const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if (!/, 0\\)$/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
    return Math.min(...[...document.querySelectorAll('p, td, th, li, span, strong, h1, h2, code, a')]
        .filter(e => e.textContent.trim() && e.offsetParent).map(e => {
            const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
            return (a + .05) / (b + .05); }));
"""


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(browser, loaded, used, width, scheme):
    """On a phone and on a desk, light and dark: all fits, all can be read, and the browser does not complain."""
    browser.resize(width, 900)
    browser.prefer(scheme)
    with serving(loaded, used) as url:
        browser.open(url)
        assert browser.run("return document.title").startswith("It works; look at this when there is time")
        assert browser.run("return getComputedStyle(document.body).fontSize") == "15px"  # the policy lets the style in
        assert browser.run(OVERFLOW) <= 0
        assert browser.run(CONTRAST) >= 4.5
        assert browser.run(SMALLEST) >= 12
        assert browser.run(ROLES) == 0
        browser.click("summary")
        assert browser.run("return document.querySelector('details tbody tr').offsetHeight") > 0
        assert browser.run(OVERFLOW) <= 0
        browser.click("a[href=metrics]")
        assert browser.run("return location.pathname") == "/metrics"
        complaints = [each for each in browser.complaints() if "favicon" not in each]
    assert complaints == []
