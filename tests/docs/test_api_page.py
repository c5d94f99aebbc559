"""The commands of docs/api/README.md name addresses that exist; tests/contract carries them out."""

import re

import pytest
from django.urls import resolve

from tests.docs import pages

COMMANDS = "\n".join(pages.blocks(pages.read("docs/api/README.md"), "sh"))
PATHS = re.findall(r'"\$GRID(/[^"?]*)', COMMANDS)
DIGEST = "sha256:" + "0" * 64


def test_the_page_goes_from_the_invitation_to_the_result():
    assert (PATHS[0], PATHS[-2]) == ("/join", "/jobs/$JOB/outputs/0/label.npy")


@pytest.mark.parametrize("path", PATHS)
def test_every_address_of_the_page_exists(path):
    assert resolve("/api/v1" + path.replace("$JOB", "1").replace("$MODEL", DIGEST).replace("$ROWS", DIGEST))
