"""The demo: what there is to see in it."""

from agent.cli.demo import available


def test_the_demo_of_a_checkout_has_every_source():
    """Each source that needs an account is there as a local service."""
    assert available() == ["aws", "okta", "github"]
