"""The commands of docs/api/README.md name addresses that exist and send bodies that the API takes."""

import re

import pytest
from django.urls import resolve

from accounts.serializers.people import NewcomerRequest
from opengrid.messages import JobSpec
from tests.docs import pages

[BLOCK] = pages.blocks(pages.read("docs/api/README.md"), "sh")
PATHS = re.findall(r'"\$GRID(/[^"?]*)', BLOCK)
BODIES = re.findall(r"-d '(\{.*?\n  \})'", BLOCK, re.DOTALL)


def test_the_page_goes_from_the_invitation_to_the_result():
    assert (PATHS[0], PATHS[-2]) == ("/join", "/jobs/1/outputs/0/label.npy")
    assert len(BODIES) == 2


@pytest.mark.parametrize("path", PATHS)
def test_every_address_of_the_page_exists(path):
    assert resolve("/api/v1" + path.replace("$DIGEST", "sha256:" + "0" * 64))


@pytest.mark.parametrize(("message", "body"), list(zip((NewcomerRequest, JobSpec), BODIES, strict=True)))
def test_every_body_of_the_page_is_one_that_the_api_takes(message, body):
    assert message.model_validate_json(body)
