"""The jobs of the fault runs: cheap, deterministic, with known results, and slow enough that instants matter.

`sums` is a Python file that adds up numbers; `rows` is a small model with a royalty over the rows of an array.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from opengrid import canonical, digests, keys, npy
from opengrid.messages import timestamp
from tests.faults.member import Member

TASKS = 12
NUMBERS = 200
COLUMNS = 4
ROWS_PER_TASK = 3
FACTOR, OFFSET = 3.0, 1.0
ROYALTY_MICRO = 37
LIMIT_PRICE_MICRO = 1_000_000
WORTHLESS_PRICE_MICRO = 1
MAX_SECONDS = 30
QUORUM_SHARE = 0.7
MODEL_SHARE = 0.3
_PROGRAM = """
import json, os, pathlib, time
(entry,) = pathlib.Path(os.environ["INPUTS"]).iterdir()
numbers = json.loads(entry.read_text())
time.sleep({pause_ms} / 1000)
total = sum(number * number % {modulus} for number in numbers)
(pathlib.Path(os.environ["OUT"]) / "sum.json").write_text(json.dumps({{"job": {name!r}, "sum": total}}))
"""

Result = bytes | npt.NDArray[np.float32]


@dataclass(frozen=True)
class Job:
    """A submitted job and the results that it must have, by task and file name."""

    id: int
    key: str
    spec: Mapping[str, Any]
    expected: Mapping[tuple[int, str], Result]


@dataclass(frozen=True)
class Material:
    """What jobs are made of, stored once: the numbers of each task and the published model."""

    numbers: tuple[tuple[int, ...], ...]
    inputs: tuple[dict[str, Any], ...]
    version_id: int
    worthless_bundle: dict[str, Any]


def prepare(member: Member, publisher: Member, seed: int) -> Material:
    """Store the inputs and publish the model."""
    draw = random.Random(f"{seed}:numbers")
    numbers = tuple(tuple(draw.randrange(10**6) for _ in range(NUMBERS)) for _ in range(TASKS))
    inputs = tuple(
        _stored(member, f"numbers-{index}.json", json.dumps(one).encode()) for index, one in enumerate(numbers)
    )
    return Material(numbers, inputs, _publish(publisher), _stored(member, "main.py", b"print('never run')\n"))


def submit(member: Member, material: Material, draw: random.Random, name: str, assurance: str | None = None) -> Job:
    """Submit one job; what kind it is, how much is checked and how slow it is come from `draw`."""
    checking = assurance or ("quorum-2" if draw.random() < QUORUM_SHARE else "none")
    if draw.random() < MODEL_SHARE:
        return _submit_rows(member, material, draw, name, checking)
    return submit_sums(member, material, draw, name, checking)


def submit_sums(member: Member, material: Material, draw: random.Random, name: str, assurance: str) -> Job:
    """A Python file over one input file for each task, pausing 200 to 500 ms."""
    modulus, pause_ms = draw.randrange(1_000, 10_000), draw.randrange(200, 500)
    program = _PROGRAM.format(pause_ms=pause_ms, modulus=modulus, name=name).encode()
    bundle = _stored(member, "main.py", program)
    spec = _spec(name, "python", list(material.inputs), assurance, bundle=bundle)
    expected: dict[tuple[int, str], Result] = {
        (index, "sum.json"): json.dumps({"job": name, "sum": sum(one * one % modulus for one in numbers)}).encode()
        for index, numbers in enumerate(material.numbers)
    }
    return Job(member.submit(spec, name), name, spec, expected)


def submit_worthless(member: Member, material: Material, name: str) -> int:
    """A job that bids too little for any machine: it holds a micro-credit and rests on the book until cancelled."""
    spec = _spec(name, "python", [material.inputs[0]], "none", bundle=material.worthless_bundle)
    return member.submit(spec | {"limit_price_micro": WORTHLESS_PRICE_MICRO, "max_seconds": 1}, name)


def is_expected(found: bytes, expected: Result) -> bool:
    """Whether a result file holds what it must."""
    if isinstance(expected, bytes):
        return found == expected
    return bool(np.array_equal(npy.load(found), expected))


def _submit_rows(member: Member, material: Material, draw: random.Random, name: str, assurance: str) -> Job:
    """The model over an array of whole numbers, for which float32 is exact."""
    flat = [draw.randrange(10_000) for _ in range(TASKS * ROWS_PER_TASK * COLUMNS)]
    rows = np.array(flat, dtype=np.float32).reshape(-1, COLUMNS)
    array = _stored(member, "x.npy", npy.dump(rows))
    spec = _spec(name, "onnx", [array], assurance, model_version_id=material.version_id, rows_per_task=ROWS_PER_TASK)
    parts = np.split(rows * np.float32(FACTOR) + np.float32(OFFSET), TASKS)
    return Job(member.submit(spec, name), name, spec, {(index, "y.npy"): part for index, part in enumerate(parts)})


def _spec(name: str, runner: str, inputs: list[dict[str, Any]], assurance: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "runner": runner,
        "inputs": inputs,
        "assurance": assurance,
        "limit_price_micro": LIMIT_PRICE_MICRO,
        "max_seconds": MAX_SECONDS,
        "memory_mib": 256,
        "disk_mib": 16,
    } | more


def _stored(member: Member, name: str, data: bytes) -> dict[str, Any]:
    return {"name": name, "digest": member.upload(data), "size_bytes": len(data)}


def _publish(publisher: Member) -> int:
    """Register a key and publish the signed model; returns the version's id."""
    key = keys.PrivateKey.generate()
    wanted = publisher.get("/api/v1/publisher-keys").json()
    possession = {"membership_id": wanted["membership_id"], "public_key": key.public_text}
    proof = keys.sign_document(key, wanted["context"], possession)
    publisher.post("/api/v1/publisher-keys", {"public_key": key.public_text, "proof": proof})
    model = _model()
    publisher.upload(model)
    manifest = canonical.canonical_bytes(
        {
            "format": "opengrid-model-v1",
            "name": "line",
            "version": "1.0.0",
            "task": "regression",
            "files": [
                {"name": "model.onnx", "digest": digests.of_bytes(model), "size_bytes": len(model), "kind": "onnx"}
            ],
            "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, COLUMNS]}],
            "outputs": [{"name": "y", "dtype": "float32", "shape": [-1, COLUMNS]}],
            "licence": "CC0-1.0",
            "royalty_micro_per_task": ROYALTY_MICRO,
            "created_at": timestamp(datetime.fromtimestamp(0, UTC) + timedelta(days=365 * 55)),
            "publisher_key": key.public_text,
        }
    )
    signature = keys.sign_document(key, keys.MODEL_MANIFEST, canonical.parse_canonical(manifest))
    answer = publisher.post("/api/v1/models/versions", {"manifest": manifest.decode(), "signature": signature})
    return int(answer.json()["id"])


def _model() -> bytes:
    """y = x * FACTOR + OFFSET, row by row."""
    constants = [
        numpy_helper.from_array(np.array([value], dtype=np.float32), name)
        for name, value in (("factor", FACTOR), ("offset", OFFSET))
    ]
    nodes = [
        helper.make_node("Mul", ["x", "factor"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["y"]),
    ]
    shape: list[str | int | None] = ["rows", COLUMNS]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "line", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
