"""Limits on calls: exact, told in headers, shared by Redis, and held without it."""

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as configured
from django.core.cache import caches
from django.test import Client

from accounts import services as accounts
from config import caches as steady
from config import limits

NOWHERE = "unix:///nowhere/redis.sock"


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture(autouse=True)
def fresh_counts():
    limits.own.forget()
    yield
    limits.own.forget()


@pytest.fixture
def no_redis(monkeypatch):
    """Redis does not answer, neither for limits nor for the cache."""
    monkeypatch.setattr(limits, "shared", limits.SharedCount(NOWHERE))
    away = {"default": {**configured.CACHES["default"], "LOCATION": NOWHERE}}
    monkeypatch.setattr(caches, "settings", caches.configure_settings(away))
    monkeypatch.delattr(caches._connections, "default", raising=False)
    yield
    if hasattr(caches._connections, "default"):
        del caches._connections.default


@pytest.fixture
def token_of():
    def make(membership, now):
        _, secret = accounts.issue_api_token(membership=membership, name="program", scopes=["jobs:read"], now=now)
        return {"Authorization": f"Bearer {secret}"}

    return make


def refused(count, calls, quota=4):
    return [count.ahead("who", quota) > limits.WINDOW_SECONDS for _ in range(calls)]


def test_a_window_holds_its_quota_and_no_more():
    assert refused(limits.OwnCount(Clock()), 6) == [False] * 4 + [True] * 2


def test_time_gives_back_one_call_after_the_other():
    clock = Clock()
    count = limits.OwnCount(clock)
    refused(count, 5)

    clock.seconds += 15.001

    assert refused(count, 2) == [False, True]


def test_refused_calls_do_not_make_the_wait_longer():
    clock = Clock()
    count = limits.OwnCount(clock)
    refused(count, 500)

    clock.seconds += 15.001

    assert refused(count, 1) == [False]


def test_callers_are_counted_apart_and_the_oldest_is_forgotten(monkeypatch):
    monkeypatch.setattr(limits, "MOST_KEYS", 2)
    count = limits.OwnCount(Clock())
    refused(count, 4)
    others = [count.ahead(name, 4) <= limits.WINDOW_SECONDS for name in ("a", "b")]

    assert others == [True, True]
    assert refused(count, 1) == [False]


def test_two_processes_share_one_quota_through_redis():
    first, second = (limits.SharedCount(configured.CACHES["default"]["LOCATION"]) for _ in range(2))

    found = [count.ahead("two processes", 4) <= limits.WINDOW_SECONDS for count in (first, second) * 3]

    assert found == [True] * 4 + [False] * 2


def test_a_verdict_tells_what_is_left_and_when_to_come_back():
    half, full = limits.Verdict("read", 60, 30.0), limits.Verdict("read", 60, 61.5)

    assert (half.is_allowed, half.remaining, half.retry_seconds, half.reset_seconds) == (True, 30, 0, 30)
    assert (full.is_allowed, full.remaining, full.retry_seconds, full.reset_seconds) == (False, 0, 2, 2)


def calls(client, headers, count):
    return [client.get("/api/v1/jobs", headers=headers) for _ in range(count)]


def is_a_refusal(answer):
    problem = answer.json()
    return (answer.status_code, problem["code"]) == (429, "too_many_requests") and int(answer["Retry-After"]) > 0


def test_beyond_the_quota_calls_are_refused_with_the_time_to_wait(alice, olga, token_of, settings, now):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"read": 3}
    client, of_alice, of_olga = Client(), token_of(alice, now), token_of(olga, now)

    answers = calls(client, of_alice, 4)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0]["RateLimit-Policy"] == '"read";q=3;w=60'
    assert [answer["RateLimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
    assert is_a_refusal(answers[-1])
    assert calls(client, of_olga, 1)[0].status_code == 200


def test_limits_hold_without_redis(no_redis, alice, token_of, settings, now):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"read": 3}

    answers = calls(Client(), token_of(alice, now), 4)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert is_a_refusal(answers[-1])


def test_reading_and_writing_are_counted_apart(alice, token_of, settings, now):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"read": 1}
    client, headers = Client(), token_of(alice, now)
    calls(client, headers, 2)

    assert client.post("/api/v1/jobs", {}, "application/json", headers=headers).status_code != 429


def test_zero_is_no_limit(alice, token_of, settings, now):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"read": 0}

    (answer,) = calls(Client(), token_of(alice, now), 1)

    assert (answer.status_code, answer.has_header("RateLimit")) == (200, False)


def test_a_stranger_is_counted_by_address(db, settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"anonymous": 1}
    here, there = Client(), Client(REMOTE_ADDR="192.0.2.7")
    statuses = [client.post("/api/v1/nodes/join", {}, "application/json").status_code for client in (here, here, there)]

    assert statuses == [422, 429, 422]


def log_in(password):
    person = {"login": "alice@example.org", "password": password}
    return Client().post("/account/login/", person)


def test_guessing_passwords_is_limited_without_redis(alice, no_redis):
    EmailAddress.objects.create(user=alice.user, email=alice.user.email, verified=True, primary=True)
    right = log_in("correct horse battery")

    wrong = [log_in(f"guess {number}").status_code for number in range(5)]
    late = log_in("correct horse battery")

    assert right.status_code == 302
    assert wrong == [200] * 5
    assert late.status_code in (200, 429)
    assert "_auth_user_id" not in late.client.session


def test_the_cache_goes_on_by_itself_and_takes_redis_up_again(no_redis):
    cache = caches["default"]
    assert isinstance(cache, steady.SteadyCache)

    assert cache.add("one", 1, 30)
    assert not cache.add("one", 2, 30)
    cache.set("two", 2)
    assert (cache.get("one"), cache.get("two"), cache.get("three", 3)) == (1, 2, 3)
    assert cache.delete("two")
    assert cache.get("two") is None
