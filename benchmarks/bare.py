"""The anchor of the pages: one Django view that reads 100 rows with a join and puts them into a table. Nothing else."""

import sys

import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.urls import path

from config import embedded

_ROWS = """
SELECT event.id, event.reason, event.at, job.name, job.state FROM scheduler_jobevent AS event
JOIN scheduler_job AS job ON job.id = event.job_id ORDER BY event.id DESC LIMIT 100
"""
_PAGE = """<!doctype html><title>Bare</title><table>{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>
{% endfor %}</tr>{% endfor %}</table>"""


def page(_request: HttpRequest) -> HttpResponse:
    """A hundred rows."""
    with connection.cursor() as cursor:
        cursor.execute(_ROWS)
        return HttpResponse(Template(_PAGE).render(Context({"rows": cursor.fetchall()})))


urlpatterns = [path("", page)]


def main(port: int) -> None:
    """Serve until told to stop."""
    database = embedded.endpoints().database
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["127.0.0.1"],
        SECRET_KEY="the anchor has no secrets",
        DATABASES={"default": {**database, "OPTIONS": {**database["OPTIONS"], "pool": True}}},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    )
    uvicorn.run(get_asgi_application(), host="127.0.0.1", port=port, log_config=None, access_log=False, lifespan="off")


if __name__ == "__main__":
    main(int(sys.argv[1]))
