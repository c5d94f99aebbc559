"""The grammar of addresses, and which of them may owe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core import addresses

NUMBERS = st.integers(min_value=1, max_value=2**63 - 1)


@given(NUMBERS, NUMBERS, st.sampled_from(["issuance", "treasury", "reserve", "assurance", "member:{}"]))
def test_every_place_of_a_cooperative_has_an_address(cooperative, member, place):
    address = f"coop:{cooperative}:{place.format(member)}"

    assert addresses.check(address) == address
    assert addresses.may_be_negative(address) == (place in {"issuance", "assurance"})
    assert not addresses.is_hold(address)


@given(NUMBERS, st.sampled_from(["job", "order", "lease", "task"]))
def test_a_hold_has_an_address_and_never_owes(number, purpose):
    address = f"hold:{purpose}:{number}"

    assert addresses.check(address) == address
    assert addresses.is_hold(address)
    assert not addresses.may_be_negative(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "coop:1",
        "coop:0:treasury",
        "coop:07:treasury",
        "coop:1:treasury\n",
        "coop:1:treasury ",
        "coop:1:member",
        "coop:1:member:",
        "coop:1:member:0",
        "coop:1:issuance:2",
        "Coop:1:treasury",
        "coop:١:treasury",
        "coop:-1:treasury",
        "coop:12345678901234567890:treasury",
        "hold:job:x",
        "hold:member:1",
        "xhold:job:1",
    ],
)
def test_anything_else_is_refused_and_owes_nothing(text):
    with pytest.raises(addresses.BadAddress, match="accepted are"):
        addresses.check(text)

    assert not addresses.may_be_negative(text)
