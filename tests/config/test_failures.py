"""What is shown for a request that Django refuses as a whole: a problem to programs, a page to people."""

from django.test import Client

ELSEWHERE = {"Host": "elsewhere.example"}


def test_a_host_that_is_not_ours_is_a_problem_to_programs():
    answer = Client().get("/api/v1/me", headers=ELSEWHERE)

    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert (answer.json()["code"], answer.json()["detail"]) == ("bad_request", "DisallowedHost")


def test_and_a_page_to_people():
    answer = Client().get("/", headers=ELSEWHERE)

    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
