"""Front, home, market, the form for a job run again, the list of jobs: what they say and what they never say."""

import csv
import io
import json
import re
import subprocess

import pytest
from django.core.cache import cache
from django.urls import reverse

from dashboard.queries import trends
from dashboard.queries.viewer import Viewer
from marketplace import queries as market
from marketplace import services
from marketplace.models import PoolSample, PriceBar, Trade
from scheduler.models import Job
from tests.dashboard import scenes
from tests.dashboard.test_new_job import a_wish, an_upload

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_figures():
    cache.clear()


def minute(now):
    return now.replace(second=0, microsecond=0)


def a_bar(book, at, *, price=800_000, last=None, lots=2):
    last = price if last is None else last
    return PriceBar.objects.create(
        book=book, minute_at=at, first_micro=price, high_micro=max(price, last), low_micro=min(price, last),
        last_micro=last, lots=lots, trades=1,
    )  # fmt: skip


def test_the_front_shows_the_grid_in_numbers_and_nobody_by_name(client_of, grid, alice, now):
    a_bar(grid.book, minute(now), price=830_000)
    services.sample_pools(now=now)

    text = client_of().get("/").text

    assert "0.83" in text
    assert "of 8 cores" in text
    for secret in (grid.job.name, grid.shed.name, grid.attic.name, alice.user.email, str(alice.user)):
        assert secret not in text


def test_the_front_tells_the_truth_before_the_first_sample(client_of, db):
    empty = client_of().get("/").text

    assert not PoolSample.objects.exists()
    assert '<p class="figure">0</p>' in empty
    assert "no node there at this moment" in empty


def test_the_front_counts_what_is_there_before_the_first_sample(client_of, grid):
    text = client_of().get("/").text

    assert not PoolSample.objects.exists()
    assert '<p class="figure">2</p>' in text
    assert re.search(r"25 % <span class=\"unit\">of 8 cores", text)


def test_the_front_reads_the_tables_once_for_many_strangers(client_of, grid, django_assert_max_num_queries):
    client_of().get("/")

    with django_assert_max_num_queries(0):
        client_of().get("/")


def test_trades_make_bars_that_charts_read(grid, now):
    trades = list(Trade.objects.order_by("pk"))
    trades[1].price_micro = 700_000

    services.add_to_bars(book=grid.book, trades=trades[:1])
    services.add_to_bars(book=grid.book, trades=trades[1:])
    services.add_to_bars(book=grid.book, trades=[])

    bar = PriceBar.objects.get()
    assert (bar.first_micro, bar.high_micro, bar.low_micro, bar.last_micro) == (800_000, 800_000, 700_000, 700_000)
    assert (bar.lots, bar.trades) == (2, 2)
    day = trends.price_day(now, grid.book)
    assert (day.last_micro, day.change_micro, day.lots) == (700_000, -100_000, 2)
    assert len(day.candles) == 1


def test_bars_are_folded_into_wider_ones_in_order(grid, now):
    start = now.replace(minute=0, second=0, microsecond=0) - trends.CANDLE * 4
    a_bar(grid.book, start + trends.CANDLE / 3, price=3, last=9)
    a_bar(grid.book, start, price=5, last=4, lots=1)
    a_bar(grid.book, start + trends.CANDLE, price=6)

    bars = market.bars([grid.book.pk], start, trends.CANDLE)[grid.book.pk]

    assert bars == [market.Bar(start, 5, 9, 3, 9, 3), market.Bar(start + trends.CANDLE, 6, 6, 6, 6, 2)]


def test_a_sample_says_what_is_there_and_sold_once_a_minute(grid, now):
    services.sample_pools(now=now)
    services.sample_pools(now=now)

    sample = PoolSample.objects.get(pool=grid.book.pool)
    assert (sample.nodes, sample.lots, sample.sold_lots) == (2, 8, 2)
    use = trends.use_day(now, [grid.book.pool_id])
    assert (use.now.sold_lots, use.percent) == (2, 25)


def test_the_pulse_is_that_of_the_own_pools(grid, alice, charlie, now):
    a_bar(grid.book, minute(now))
    services.sample_pools(now=now)

    assert len(trends.pulse(Viewer(alice, now))[1]) == 1
    use, prices = trends.pulse(Viewer(charlie, now))
    assert (use.samples, prices) == ([], [])


def test_a_need_gets_ways_with_price_and_time_and_a_button_to_the_form(client_of, grid, alice):
    text = client_of(alice).get(reverse("market-simple"), {"hours": "3", "within": "2", "assurance": "none"}).text

    assert "Cheapest" in text
    assert "2.40<small>0000</small>" in text
    assert "limit=0.80&amp;max_parallel=6&amp;assurance=none" in text


def test_a_quorum_is_offered_only_where_so_many_others_offer(client_of, grid, alice, olga):
    hers, need = client_of(alice), {"hours": "3", "within": "2"}
    two, three = (hers.get(reverse("market-simple"), need | {"assurance": f"quorum-{n}"}).text for n in (2, 3))
    own = client_of(olga).get(reverse("market-simple"), need | {"assurance": "quorum-2"}).text

    assert "assurance=quorum-2" in two
    assert "Each result needs lots of 3 different owners; of others than you 2 offer any now." in three
    assert "Fewer lots are free at present than this needs." in three
    assert "Fewer lots are free at present than this needs." in own, "nobody buys from themselves"


def test_a_need_that_is_none_is_refused_at_its_field(client_of, grid, alice):
    answer = client_of(alice).get(reverse("market-simple"), {"hours": "no"}, headers={"HX-Request": "true"})

    assert answer.status_code == 422
    assert "Computing time: Enter a number." in answer.text


def test_the_market_shows_price_depth_and_what_an_offer_would_earn(client_of, grid, olga, now):
    a_bar(grid.book, minute(now))
    client = client_of(olga)

    text = client.get(reverse("market")).text
    wish = {"book": grid.book.pk, "side": "SELL", "lots": 1, "price": "1.00", "time_in_force": "GTC"}
    preview = client.get(reverse("order-preview"), wish | {"node": grid.shed.pk}).text

    assert 'class="sells" d="M' in text
    assert '<g class="is-up">' in text
    assert "0.85<small>0000</small>" in preview


def run_again(client, job, **changes):
    return client.post(reverse("new-job"), changes | {"again": job.pk})


def test_a_job_is_run_again_with_its_own_input_unless_another_is_chosen(client_of, grid, alice):
    client = client_of(alice)
    client.post(reverse("new-job"), a_wish(grid, input=an_upload()))
    first = Job.objects.order_by("-pk").first()

    page = client.get(reverse("new-job"), {"from": first.pk, "limit": "0.90"})
    answer = run_again(client, first, **a_wish(grid, name="once more", key="again-1"))

    assert page.context["form"].initial["limit_price"] == "0.90"
    assert page.context["form"].initial["rows_per_task"] == 6
    assert "scans.npy of job" in page.text
    job = Job.objects.order_by("-pk").first()
    assert answer.url == reverse("job", args=[job.pk])
    assert job.pk != first.pk
    assert job.spec["inputs"] == first.spec["inputs"]


def test_nobody_runs_the_job_of_another_again(client_of, grid, olga, sam):
    before = Job.objects.count()

    for other in (olga, sam):
        answer = run_again(client_of(other), grid.job, **a_wish(grid))
        assert answer.status_code == 422
        assert "input" in answer.context["form"].errors
    assert Job.objects.count() == before


@pytest.mark.parametrize("digest", ["", "sha256:" + "a" * 64])
def test_the_curl_commands_are_ones_a_shell_runs(client_of, grid, alice, tmp_path, digest):
    name = "it's; touch x.npy"
    wish = a_wish(grid, name="O'Neil; $(touch y)", rows="20", file_name=name, size_bytes="5", digest=digest)
    (tmp_path / "it_s__touch_x.npy").write_bytes(b"12345")
    (tmp_path / "curl").write_text('#!/bin/sh\nfor last; do :; done\nprintf "%s\\n" "$last"\n')
    (tmp_path / "curl").chmod(0o755)

    curl = client_of(alice).get(reverse("job-estimate"), wish).context["curl"]
    surroundings = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TOKEN": "t"}
    ran = subprocess.run(["/bin/sh", "-c", curl], cwd=tmp_path, env=surroundings, capture_output=True, check=True)

    file, body = ran.stdout.decode().split("\n", 1)
    spec = json.loads(body)
    assert file == "@it_s__touch_x.npy"
    assert spec["name"] == "O'Neil; $(touch y)"
    assert spec["inputs"][0]["size_bytes"] == 5
    known = "sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    assert spec["inputs"][0]["digest"] == (digest or known)
    assert sorted(path.name for path in tmp_path.glob("[xy]*")) == []


def test_jobs_are_found_by_name_or_id_and_sorted(client_of, grid, alice, now):
    other = scenes.a_job(alice, now, tasks=1, state="CANCELLED", pays=False, name="sketch")
    client = client_of(alice)

    found = client.get(reverse("jobs"), {"q": "SKET"})
    by_id = client.get(reverse("jobs"), {"q": str(other.pk)})
    oldest = client.get(reverse("jobs"), {"oldest": "on"})

    assert [row.job for row in found.context["rows"]] == [other]
    assert [row.job for row in by_id.context["rows"]] == [other]
    assert [row.job for row in oldest.context["rows"]] == [grid.job, other]
    assert "No job has “zzz”" in client.get(reverse("jobs"), {"q": "zzz"}).text


def test_tabs_say_how_many_jobs_they_show(client_of, grid, alice, olga, now):
    scenes.a_job(alice, now, tasks=1, state="CANCELLED", pays=False, name="sketch")

    tabs = client_of(alice).get(reverse("jobs")).context["tabs"]

    assert [(name, number) for name, _, number in tabs] == [("all", 2), ("open", 1), ("done", 0), ("failed", 1)]


def test_the_list_as_csv_is_that_of_the_viewer_and_safe_for_spreadsheets(client_of, grid, alice, olga, now):
    scenes.a_job(alice, now, tasks=1, state="CANCELLED", pays=False, name="=cmd()")

    def rows(member, **query):
        answer = client_of(member).get(reverse("jobs-csv"), query)
        return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    assert [(row["name"], row["state"]) for row in rows(alice)] == [
        ("'=cmd()", "CANCELLED"),
        (grid.job.name, "RUNNING"),
    ]
    assert len(rows(alice, state="failed")) == 1
    assert rows(olga) == []
    assert client_of(alice).get(reverse("jobs-csv"), {"state": "nonsense"}).status_code == 404
