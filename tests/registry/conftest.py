"""A blob store of the test's own, and publishers with their keys."""

from pathlib import Path

import pytest
from django.test import Client

from tests.registry import models


@pytest.fixture(autouse=True)
def store(settings, tmp_path):
    """The directory of the blob store; empty at first."""
    settings.BLOB_DIR = tmp_path / "blobs"
    return settings.BLOB_DIR


@pytest.fixture
def stored_files(store):
    """All files in the store, drafts included, by path below it."""

    def files():
        return sorted(str(path.relative_to(store)) for path in Path(store).rglob("*") if path.is_file())

    return files


@pytest.fixture
def publisher(alice, now):
    """Alice, with a registered key."""
    return models.Publisher(alice, now)


@pytest.fixture
def signed_in():
    def sign_in(membership):
        client = Client()
        client.force_login(membership.user)
        return client

    return sign_in
