import json
import math

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from agent.canonical import canonical, carriable, digest, plain, widest

texts = st.text(st.characters(exclude_categories=()), max_size=12)  # lone surrogates too
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


@given(values)
def test_every_value_becomes_rfc_8785(value):
    """Whatever a record holds becomes RFC 8785 that a strict parser takes, and that parses to what was written."""
    mended = carriable(value)
    content = canonical(mended)
    assert content == rfc8785.dumps(mended)
    assert json.loads(content.decode(), parse_int=float, parse_constant=pytest.fail) == mended


@given(values)
def test_mending_once_is_enough(value):
    """What has been mended is mended no further."""
    mended = carriable(value)
    assert canonical(carriable(mended)) == canonical(mended)


@given(values)
def test_no_encoder_writes_more(value):
    """The widest form is no narrower than the bytes sent, nor than escaped, spaced or compact JSON."""
    value = carriable(value)
    forms = [
        json.dumps(value),
        json.dumps(value, ensure_ascii=False),
        json.dumps(value, separators=(",", ":")),
        json.dumps(value, ensure_ascii=False, separators=(",", ":")),
    ]
    assert widest(value) >= max(len(form.encode()) for form in forms)
    assert widest(value) >= len(canonical(value))
    assert widest(value) == widest(value, canonical(value))


@given(st.dictionaries(st.text(), values) | st.lists(values))
def test_the_quick_way_writes_the_same(value):
    """Where it writes at all, and then there was nothing to mend."""
    text = plain(value)
    assert text is None or text.encode() == canonical(carriable(value))
    assert text is None or carriable(value) == value


def test_the_quick_way_is_for_what_most_records_are():
    value = {"name": 'a\n\t"\x7f\\/', "days": 212, "on": True, "off": None, "tags": {"b": "1", "a": ["x", {}]}}
    assert plain(value).encode() == canonical(value)
    for unusual in ({"a": 0.5}, [1e20], {"a": 2**53}, {"a": float("nan")}, {"a": "é"}, {"é": 1}, {1: 2, "a": 3}):
        assert plain(unusual) is None


def test_a_number_may_be_longest_as_it_is_sent():
    """RFC 8785 writes 1e+20 with 21 digits: that counts, not Python's five characters."""
    assert widest([1e20] * 100) >= len(canonical([1e20] * 100)) > len(json.dumps([1e20] * 100))


@pytest.mark.parametrize(
    ("value", "mended"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (2**53 - 1, 2**53 - 1),
        (2**53, str(2**53)),
        (-(2**64), str(-(2**64))),
        (True, True),
        ("a\ud800b", "a\ufffdb"),
        ({1: (1, 2)}, {"1": [1, 2]}),
    ],
)
def test_what_json_cannot_carry(value, mended):
    """NaN, infinities, integers beyond a double and lone surrogates are written so that JSON carries them."""
    assert carriable(value) == mended
    assert type(carriable(value)) is type(mended)


def test_no_value_is_lost_to_a_name():
    """Names that become the same by mending keep a value each."""
    assert carriable({chr(0xD800): 1, chr(0xDFFF): 2, 1: 3, "1": 4}) == {"\ufffd": 1, "\ufffd'": 2, "1": 3, "1'": 4}


def test_what_has_no_place_in_json():
    """A value of another kind is an error that names the kind."""
    with pytest.raises(TypeError, match="bytes has no place in JSON"):
        carriable({"a": [b"x"]})


def test_digest():
    """A digest names its function."""
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
