"""Pickles and their wrappers are known by their first bytes, whatever the file is called."""

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
import zlib

import numpy as np
import pytest

from registry.core import formats
from tests.registry import models


class Bomb:
    """Would run code when loaded; nothing here ever loads it."""

    def __reduce__(self):
        return (print, ("boom",))


def in_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    return buffer.getvalue()


def in_tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("pickle")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"data"))
    return buffer.getvalue()


def in_npy():
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


HOSTILE = {
    **{f"pickle {protocol}": pickle.dumps(Bomb(), protocol=protocol) for protocol in range(2, 6)},
    "pickle 0": b"c__builtin__\nprint\n(Vboom\ntR.",
    "pickle of a list": pickle.dumps([1, 2], protocol=0),
    "zip": in_zip(),
    "tar": in_tar(),
    "npy": in_npy(),
    "gzip": gzip.compress(pickle.dumps(Bomb())),
    "zlib": zlib.compress(pickle.dumps(Bomb())),
    "bzip2": bz2.compress(pickle.dumps(Bomb())),
    "xz": lzma.compress(pickle.dumps(Bomb())),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(50),
    "elf": b"\x7fELF" + bytes(50),
    "script": b"#!/bin/sh\n",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_format_is_named(name):
    assert formats.refused_format(HOSTILE[name][: formats.HEAD_BYTES])


@pytest.mark.parametrize("data", [models.linear(), models.linear(opset=9, ir_version=4), models.safetensors()])
def test_a_real_model_file_is_none_of_them(data):
    assert formats.refused_format(data[: formats.HEAD_BYTES]) is None
