"""DATABASE_URL and REDIS_URL are parsed strictly and told to each library in its own words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.env import ConfigurationError
from config.servers.addresses import DatabaseAddress, RedisAddress

letters = st.characters(categories=("Lu", "Ll", "Nd", "Po", "Sm"))


@given(
    name=st.text(letters, min_size=1).filter(lambda text: "/" not in text),
    user=st.text(letters),
    password=st.text(letters),
    host=st.sampled_from(["db.example", "10.0.0.7", "::1", "/var/run/postgresql"]),
    port=st.none() | st.integers(1, 65535),
)
def test_a_database_address_survives_its_own_url(name, user, password, host, port):
    address = DatabaseAddress(host, name, user, password, port, (("sslmode", "require"),))

    assert DatabaseAddress.parse(address.url) == address


def test_django_and_psycopg_are_told_the_same_place():
    address = DatabaseAddress.parse("postgres://ann:p%40ss@db.example:5433/grid?sslmode=require")

    assert address.django() == {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "db.example",
        "PORT": "5433",
        "NAME": "grid",
        "USER": "ann",
        "PASSWORD": "p@ss",
        "CONN_MAX_AGE": 0,
        "OPTIONS": {"sslmode": "require"},
    }
    assert address.psycopg() == {
        "host": "db.example",
        "port": 5433,
        "dbname": "grid",
        "user": "ann",
        "password": "p@ss",
        "sslmode": "require",
    }


def test_a_unix_socket_is_a_host_in_the_query():
    address = DatabaseAddress.parse("postgresql:///grid?host=/var/run/postgresql")

    assert (address.host, address.name, address.port) == ("/var/run/postgresql", "grid", None)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://h/grid", "scheme 'mysql'"),
        ("sqlite:///grid.db", "scheme 'sqlite'"),
        ("postgresql:///grid", "exactly one host"),
        ("postgresql://a,b/grid", "exactly one host"),
        ("postgresql://h/", "name of a database"),
        ("postgresql://h", "name of a database"),
        ("postgresql://h:99999/grid", "cannot be parsed"),
        ("postgresql://h/grid?fsync=off", "unknown option 'fsync'"),
        ("postgresql://h/grid?sslmode=a&sslmode=b", "names an option twice"),
    ],
)
def test_a_database_url_that_cannot_be_used_is_refused(url, words):
    with pytest.raises(ConfigurationError, match=words):
        DatabaseAddress.parse(url)


def test_a_password_is_never_shown():
    address = DatabaseAddress.parse("postgresql://ann:topsecret@h/grid")

    assert "topsecret" not in repr(address)
    with pytest.raises(ConfigurationError) as caught:
        DatabaseAddress.parse("postgresql://ann:topsecret@h/grid?nonsense=1")
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "plain", "broker"),
    [
        ("redis://h", "redis://h:6379/2", "redis://h:6379/3"),
        ("redis://:s%2F@h:7/0", "redis://:s%2F@h:7/2", "redis://:s%2F@h:7/3"),
        ("rediss://h", "rediss://h:6379/2", "rediss://h:6379/3?ssl_cert_reqs=required"),
        ("unix:///a/r.sock", "unix:///a/r.sock?db=2", "redis+socket:///a/r.sock?virtual_host=3"),
    ],
)
def test_each_library_gets_its_spelling_of_a_redis_address(url, plain, broker):
    address = RedisAddress.parse(url)

    assert address.url(2) == plain
    assert address.broker_url(3) == broker


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://h", "scheme 'http'"),
        ("redis://", "needs a host"),
        ("redis://h/5", "databases 1 to 3"),
        ("unix:///r.sock?db=4", "databases 1 to 3"),
        ("unix://relative/r.sock", "unix:///absolute/path"),
    ],
)
def test_a_redis_url_that_cannot_be_used_is_refused(url, words):
    with pytest.raises(ConfigurationError, match=words):
        RedisAddress.parse(url)
