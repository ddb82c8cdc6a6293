from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.exit import Exit
from agent.shard import WHOLE, Shard
from tests.command import Agent

PLACES = [f"{account:012}/{region}" for account in range(300) for region in ("eu-west-1", "us-east-1", "ap-south-1")]


def owners(count):
    """The shard of each place."""
    return {place: [index for index in range(count) if Shard(index, count).has("aws", place)] for place in PLACES}


@given(st.text(), st.text(), st.integers(1, 50))
def test_each_place_is_on_one_shard(collector, place, count):
    """Whatever a place is called, exactly one shard has it."""
    assert sum(Shard(index, count).has(collector, place) for index in range(count)) == 1


def test_places_are_spread():
    """Of 900 places, each of eight shards has its share, a quarter more or less."""
    shares = Counter(index for (index,) in owners(8).values())
    assert all(900 / 8 * 0.75 < shares[index] < 900 / 8 * 1.25 for index in range(8))


def test_few_places_move():
    """Where a shard is added, only those places move that it gets."""
    before, after = owners(8), owners(9)
    moved = {place for place in PLACES if before[place] != after[place]}
    assert moved == {place for place in PLACES if after[place] == [8]}
    assert 0 < len(moved) < 900 / 9 * 1.5


def test_collectors_are_spread_apart():
    """The same place of two collectors need not be on the same shard."""
    assert any(Shard(0, 4).has("aws", place) != Shard(0, 4).has("aws_eu", place) for place in PLACES)


def test_all_places_without_shards():
    """Where nothing is said there is one shard, and it has all."""
    assert all(WHOLE.has("aws", place) for place in PLACES)


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        ("0/8", {}, Shard(0, 8)),
        ("7/8", {"JOB_COMPLETION_INDEX": "2"}, Shard(7, 8)),
        ("8", {"JOB_COMPLETION_INDEX": "2"}, Shard(2, 8)),
        ("1", {"JOB_COMPLETION_INDEX": "0"}, Shard(0, 1)),
    ],
)
def test_named(text, environment, shard):
    """A shard is named by its index and their number; Kubernetes knows the index, too."""
    assert Shard.parse(text, environment) == shard


@pytest.mark.parametrize(
    ("text", "environment", "told"),
    [
        ("8", {}, "8 names no shard, and JOB_COMPLETION_INDEX is not set; name one, as in 0/8"),
        ("x", {}, "x names no shard, and JOB_COMPLETION_INDEX is not set; name one, as in 0/8"),
        ("8/8", {}, "there is no shard 8/8; the first is 0/8"),
        ("8", {"JOB_COMPLETION_INDEX": "8"}, "there is no shard 8/8"),
        ("-1/8", {}, "there is no shard -1/8"),
        ("0/0", {}, "there is no shard 0/0; the first is 0/1"),
        ("a/8", {}, "a/8 is no shard; the first of eight is 0/8, the last 7/8"),
        ("1/2/3", {}, "1/2/3 is no shard"),
        ("", {"JOB_COMPLETION_INDEX": "0"}, "0/ is no shard"),
    ],
)
def test_refused(text, environment, told):
    """What names no shard is refused, and says how one is named."""
    with pytest.raises(ValueError, match="^" + told):
        Shard.parse(text, environment)


def test_shards_beside_each_other(sandbox, tmp_path):
    """Agents that each read their share deliver everything once; one that fails is run again by itself."""
    folder = Agent(tmp_path, sandbox.url)
    files = [f"ctrl_ac_02/list-{number}.csv" for number in range(9)]
    for name in files:
        folder.put(name)
    agents = []
    for index in range(3):
        home = tmp_path / f"shard-{index}"
        home.mkdir()
        agents.append(Agent(home, sandbox.url, {"CHEQUR_TOKEN": sandbox.write, "JOB_COMPLETION_INDEX": str(index)}))
        agents[-1].configure(f'[collectors.manual]\npath = "{tmp_path / "evidence"}"\n')
    places = []
    for agent in agents:
        if agent is agents[1]:  # without a token it fails, and what it read stays with it
            assert agent.run("collect", "--shard=3", "--json", "--wait=0", CHEQUR_TOKEN="none").code == Exit.REFUSED
        done = agent.run("collect", "--shard=3", "--json")
        assert done.code == Exit.WELL, done.told
        (collector,) = done.json["collectors"]
        places += [observed["target"] for observed in collector["observed"]]
        assert collector["elsewhere"] == 9 - len(collector["observed"])
    assert sorted(places) == sorted(files)
    told = agents[0].run("collect", "--shard=3").out
    assert "places left to other shards" in told


def test_a_shard_that_is_none_is_told(sandbox, tmp_path):
    """A shard that there is not is a mistake of the command."""
    agent = Agent(tmp_path, sandbox.url)
    agent.configure()
    done = agent.run("collect", "--shard=3/3")
    assert (done.code, "there is no shard 3/3; the first is 0/3" in done.told) == (Exit.USAGE, True)
