"""The log as JSON lines, and the id that brings the lines of one request together."""

import json
import logging
import sys

import pytest
from django.test import Client

from common import trace
from config import logs
from config.celery import app


def line(text, error=None):
    record = logging.LogRecord("scheduler.tasks", logging.WARNING, "x.py", 1, text, (), error)
    return logs.JsonLine().format(record)


def test_a_line_is_one_json_object_whatever_its_text_holds():
    found = line('two\nlines and a "quote"')

    assert "\n" not in found
    assert json.loads(found)["text"] == 'two\nlines and a "quote"'
    assert json.loads(found)["component"] == "scheduler.tasks"
    assert "request_id" not in json.loads(found)


def test_a_line_names_its_request_and_holds_the_traceback():
    known = trace.request_id.set("a-request-1")
    try:
        raise ValueError("broken")
    except ValueError:
        found = json.loads(line("it broke", sys.exc_info()))
    finally:
        trace.request_id.reset(known)

    assert found["request_id"] == "a-request-1"
    assert found["traceback"].endswith("ValueError: broken")


def test_a_background_task_tells_its_ids_and_the_request_that_asked_for_it():
    told = []

    @app.task(name="tests.tell")
    def tell(*, job_id):
        told.append(json.loads(line(f"at {job_id}")))

    try:
        tell.apply(kwargs={"job_id": 7}, headers={trace.HEADER: "caller-0003"}, task_id="a-b-c").get()
    finally:
        app.tasks.unregister("tests.tell")

    assert told[0].items() >= {
        "request_id": "caller-0003", "celery_task": "tests.tell", "celery_id": "a-b-c", "job_id": 7,
    }.items()  # fmt: skip
    assert trace.request_id.get() == ""
    assert "job_id" not in json.loads(line("afterwards"))


def test_a_well_formed_id_is_kept_and_said(db):
    answer = Client().get("/docs/errors", headers={"X-Request-ID": "caller-0001"})

    assert answer["X-Request-ID"] == "caller-0001"
    assert trace.request_id.get() == ""


@pytest.mark.parametrize("given", ["", "short", "x" * 65, 'bad "name" {}', "line\tbreak-here"])
def test_any_other_id_is_replaced(db, given):
    answers = [Client().get("/docs/errors", headers={"X-Request-ID": given}) for _ in range(2)]

    names = {answer["X-Request-ID"] for answer in answers}
    assert len(names) == 2
    assert all(len(name) == 32 for name in names)


def test_the_problem_of_an_address_that_leads_nowhere_names_the_request(db):
    answer = Client().get("/api/v1/no-such-address", headers={"X-Request-ID": "caller-0002"})

    assert (answer.status_code, answer.json()["request_id"]) == (404, "caller-0002")
