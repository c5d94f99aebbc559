"""Digests of secrets and what is shown of them."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from accounts.core import tokens

secrets = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=9, max_size=100).map("cgt_".__add__)


@given(st.text())
def test_the_digest_is_the_sha256_of_the_secret(secret):
    assert tokens.digest(secret) == "sha256:" + hashlib.sha256(secret.encode()).hexdigest()


@given(secrets)
def test_at_most_twelve_characters_stay_readable(secret):
    assert tokens.prefix(secret) == secret[:12]
    assert secret not in tokens.digest(secret)


@given(secrets)
def test_a_token_is_recognised_by_its_beginning(secret):
    assert tokens.may_be_api_token(secret)
    assert not tokens.may_be_api_token(secret[1:])


def test_what_is_too_short_or_too_long_is_not_asked_for():
    assert not tokens.may_be_api_token("cgt_" + "a" * 8)
    assert not tokens.may_be_api_token("cgt_" + "a" * 400)
