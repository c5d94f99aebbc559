"""Pages of docs/ that answers of the API point at."""

import pytest

from accounts.services.people import EmailTaken


@pytest.mark.parametrize("name", ["errors", "reasons", "glossary"])
def test_a_page_is_open_to_everybody(client, name):
    answer = client.get(f"/docs/{name}")

    assert answer.status_code == 200
    assert "<h2" in answer.content.decode()


def test_the_type_of_a_problem_leads_to_its_section(client):
    problem = client.get("/api/v1/jobs").json()

    path, _, anchor = problem["type"].partition("#")
    assert f'id="{anchor}"' in client.get(path).content.decode()
    assert f'id="{EmailTaken.code}"' in client.get(path).content.decode()


@pytest.mark.parametrize("name", ["operating", "nothing"])
def test_other_pages_are_not_served(client, name):
    assert client.get(f"/docs/{name}").status_code == 404
