"""What the agent tells to those who watch it: health and figures over HTTP, and in a file for jobs."""

import re
import threading
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from socket import SHUT_WR, create_server, gethostname

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.exit import Exit
from agent.sandbox.options import Options
from agent.sandbox.server import running
from tests import loopback
from tests.command import ROOT, eventually, make_agent


@pytest.fixture
def sandbox():
    with running(Options(rate=10_000)) as started:
        yield started


@pytest.fixture
def agent(tmp_path, sandbox):
    return make_agent(tmp_path, sandbox)


def figures(text):
    """The samples by name and labels."""
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}


def listening(daemon):
    daemon.saw("http.listening")
    return next(event["url"] for event in daemon.events if event["event"] == "http.listening")


def get(url):
    """Status and body."""
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


MANUAL = '[collectors.manual]\npath = "evidence"\n[http]\nlisten = "0"\n'


def test_health_and_figures(agent, sandbox):
    """A service that delivers is alive and ready, and counts what it read, sent and owes."""
    agent.configure(MANUAL)
    with agent.started("run") as daemon:
        url = listening(daemon)
        eventually(lambda: len(sandbox.evidence) == 2, "two files at the API")
        eventually(lambda: 'deliveries_total{outcome="accepted"} 2.0' in get(f"{url}/metrics")[1], "two counted")
        assert get(f"{url}/livez") == (200, '{"alive": true, "reasons": []}\n')
        assert get(f"{url}/readyz") == (200, '{"ready": true, "reasons": []}\n')
        eventually(lambda: "collection_duration_seconds_count" in get(f"{url}/metrics")[1], "a run")
        counted = figures(get(f"{url}/metrics")[1])
        assert daemon.stop() == Exit.WELL
    assert counted["chequr_agent_collections_total", "complete", "manual"] == 1
    records = sum(len(taken.payload["records"]) for taken in sandbox.evidence)
    assert counted["chequr_agent_records_total", "manual", "manual_files_content"] == records
    assert counted["chequr_agent_held",] == 0
    assert counted["chequr_agent_collector_last_success_timestamp_seconds", "manual"] > 1.7e9
    assert counted["chequr_agent_delivery_rate",] > 0
    assert counted["process_resident_memory_bytes",] > 1e6


def test_every_figure_is_documented(agent, tmp_path):
    """The documentation names each metric that there is, and none that there is not."""
    file = tmp_path / "chequr.prom"
    agent.run("collect", "--no-deliver", "--metrics-file", str(file))
    made = set(re.findall(r"# HELP (chequr_agent_\w+)", file.read_text()))
    told = set(re.findall(r"`(chequr_agent_\w+)`", Path(ROOT, "docs/metrics.md").read_text(encoding="utf-8")))
    assert told - {"chequr_agent_delivery_rate"} == made  # which only a service has


def test_what_never_happened_is_told_as_nothing(agent, tmp_path):
    """Outcomes and states that there were none of are 0, so that the first one is seen as an increase."""
    file = tmp_path / "chequr.prom"
    agent.run("deliver", "--metrics-file", str(file))
    counted = figures(file.read_text())
    for outcome in ("accepted", "deferred", "rejected", "lost"):
        assert counted["chequr_agent_deliveries_total", outcome] == 0
    for outcome in ("complete", "incomplete", "failed"):
        assert counted["chequr_agent_collections_total", outcome, "manual"] == 0
    for kind in ("denied", "failed", "invalid"):  # and all others
        assert counted["chequr_agent_gaps_total", kind, "manual"] == 0
    for state in ("pending", "in_flight", "deferred", "rejected", "discarded"):
        assert counted["chequr_agent_outbox_items", state] == counted["chequr_agent_outbox_bytes", state] == 0


def test_a_held_outbox_is_not_ready(agent):
    """While the token is refused it lives, but is not ready, and says why."""
    agent.configure(MANUAL)
    with agent.started("run", CHEQUR_TOKEN="wrong") as daemon:
        url = listening(daemon)
        eventually(lambda: get(f"{url}/readyz")[0] == 503, "not ready")
        assert "held: " in get(f"{url}/readyz")[1]
        assert get(f"{url}/livez")[0] == 200
        owed = 'chequr_agent_outbox_items{state="pending"}'
        eventually(lambda: owed in get(f"{url}/metrics")[1], "what is owed")
        assert "wrong" not in get(f"{url}/metrics")[1] + get(f"{url}/readyz")[1]


def test_an_address_that_is_taken(agent):
    """A port that somebody else has is told with its remedy, and is no fault that a later start may not find mended."""
    with closing(create_server(("127.0.0.1", 0))) as taken:
        agent.configure(MANUAL.replace('"0"', f'"127.0.0.1:{taken.getsockname()[1]}"'))
        done = agent.run("run")
    assert done.code == Exit.FAILURE
    assert "http.listen: nobody can listen at" in done.told
    assert "name another one" in done.told


@pytest.mark.parametrize(
    ("host", "code"),
    [("192.0.2.1", Exit.FAILURE), ("ä" * 64, Exit.CONFIGURATION)],
    ids=["not of this machine as yet", "no name"],
)
@pytest.mark.parametrize("table", ["http", "webhooks"])
def test_an_address_that_cannot_be_listened_at(agent, table, host, code):
    """An address that an interface may have later is tried again by who starts the service; what is none is not."""
    agent.configure(f'[collectors.manual]\npath = "evidence"\n[{table}]\nlisten = "{host}:9464"\n')
    done = agent.run("run")
    assert (done.code, f"{table}.listen: nobody can listen at" in done.told) == (code, True)


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1:", ":80", "99999"])
def test_no_address(agent, address):
    """What is no address is refused with an example of one."""
    agent.configure(MANUAL.replace('"0"', f'"{address}"'))
    done = agent.run("run")
    assert (done.code, "127.0.0.1:9464" in done.told) == (Exit.CONFIGURATION, True)


def test_a_job_writes_its_figures(agent, tmp_path):
    """A collection by hand writes a file that others may read, with gaps by kind and what the API took."""
    agent.put("stray.csv")
    file = tmp_path / "chequr.prom"
    assert agent.run("collect", "--metrics-file", str(file)).code == Exit.GAPS
    counted = figures(file.read_text())
    assert counted["chequr_agent_deliveries_total", "accepted"] >= 2
    assert counted["chequr_agent_collections_total", "incomplete", "manual"] == 1
    assert sum(value for name, value in counted.items() if name[0] == "chequr_agent_gaps_total") >= 1
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.glob(".chequr*")] == []


def test_a_file_of_figures_has_none_that_its_reader_has_too(agent, tmp_path):
    """node_exporter has `process_…` figures of its own, and tells none of both where a file has them as well."""
    file = tmp_path / "chequr.prom"
    agent.run("deliver", "--metrics-file", str(file))
    assert {name[0].partition("_")[0] for name in figures(file.read_text())} == {"chequr"}


def test_figures_that_cannot_be_told_are_named_one_by_one(agent):
    """A file that cannot be written is told with its own name and reason, and keeps nothing from the Pushgateway."""
    with loopback.serving(loopback.Answer(200)) as gateway:
        url = gateway.url.removesuffix("/v1")
        done = agent.run("deliver", "--metrics-file", "none/x.prom", "--pushgateway", url)
        assert len(gateway.requests) == 1
    assert done.code == Exit.WELL
    assert done.told.endswith("the metrics could not be told to none/x.prom: No such file or directory")


def test_a_job_pushes_its_figures(agent):
    """They go to a Pushgateway under the host's name, or one that is given; one that is away is a warning only."""
    with loopback.serving(loopback.Answer(200)) as gateway:
        assert agent.run("collect", "--pushgateway", gateway.url.removesuffix("/v1")).code == Exit.WELL
        agent.run("deliver", "--pushgateway", gateway.url.removesuffix("/v1"), "--instance", "shard-3")
        request, named = gateway.requests
    group = "/metrics/job/chequr-agent/instance/"
    assert (request.method, request.path, named.path) == ("PUT", group + gethostname(), f"{group}shard-3")
    assert b"chequr_agent_collections_total" in request.body
    done = agent.run("deliver", "--pushgateway", "http://127.0.0.1:9")
    assert (done.code, "could not be told" in done.told) == (Exit.WELL, True)


def test_who_is_no_pushgateway_changes_nothing(agent):
    """One that does not speak HTTP is a warning, too, and the job has done its work."""
    with create_server(("127.0.0.1", 0)) as server:

        def greet():
            with server.accept()[0] as client:
                client.recv(1)
                client.sendall(b"220 mail.acme.example\r\n")
                client.shutdown(SHUT_WR)
                while client.recv(65536):  # so that it is closed in order
                    pass

        greeting = threading.Thread(target=greet)
        greeting.start()
        done = agent.run("deliver", "--pushgateway", f"http://127.0.0.1:{server.getsockname()[1]}")
        greeting.join()
    assert done.code == Exit.WELL
    assert done.told.endswith("what answers there does not speak HTTP")


@pytest.mark.parametrize("address", ["http://gateway:port", "http://[", "http://a b"])
def test_no_pushgateway(agent, address):
    """What is no address is a warning that names it."""
    done = agent.run("deliver", "--pushgateway", address)
    assert (done.code, f"the metrics could not be told to {address}" in done.told) == (Exit.WELL, True)


@pytest.mark.parametrize("address", ["http://me:hunter2@gateway:9091", "me:hunter2@gateway:9091", "me:hunter2@gateway"])
def test_a_password_in_a_pushgateways_address_is_not_told(agent, address):
    """Neither the address nor what the libraries say of it is told with the password."""
    done = agent.run("deliver", "--pushgateway", address)
    assert (done.code, "hunter2" in done.err, "gateway" in done.told) == (Exit.WELL, False, True)
