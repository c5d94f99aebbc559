"""Real model files, small, and a publisher who signs their manifests."""

import json
import struct

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from opengrid import digests, keys, manifest
from registry import services
from registry.core import publishers

ROYALTY_MICRO = 250


def linear(*, opset=21, ir_version=10, domains=(), change=None):
    """Bytes of an ONNX graph y = x W, x of any number of rows of 4, y of 2; `change` edits the model."""
    weights = numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(4, 2), "W")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "W"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
        [weights],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=ir_version)
    if change is not None:
        change(model)
    return model.SerializeToString()


INPUTS = (manifest.Tensor(name="x", dtype="float32", shape=(-1, 4)),)
OUTPUTS = (manifest.Tensor(name="y", dtype="float32", shape=(-1, 2)),)


def safetensors(tensors=None, *, header=None, data=None):
    """Bytes of a safetensors file; `header` (bytes) and `data` replace what would be right."""
    tensors = {"w": ("F32", [2, 2], bytes(16))} if tensors is None else tensors
    document, body = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        document[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(document).encode() if header is None else header
    return struct.pack("<Q", len(text)) + text + (body if data is None else data)


class Publisher:
    """A member with a key of their own."""

    def __init__(self, membership, now):
        self.membership, self.now = membership, now
        self.private = keys.PrivateKey.generate()
        services.register_publisher_key(
            membership=membership, public_key=self.private.public_text, proof=proof(self.private, membership), now=now
        )

    def store(self, data):
        return services.store_blob(chunks=[data], limit_bytes=len(data), membership=self.membership)

    def manifest(self, files, **changes):
        """A manifest of `files` (name -> bytes), stored or not."""
        fields = {
            "name": "digits",
            "version": "1.0.0",
            "task": "classify",
            "files": tuple(
                manifest.ManifestFile(
                    name=name,
                    digest=digests.of_bytes(data),
                    size_bytes=len(data),
                    kind=manifest.FileKind(name.rpartition(".")[2]),
                )
                for name, data in files.items()
            ),
            "inputs": INPUTS,
            "outputs": OUTPUTS,
            "licence": "MIT",
            "royalty_micro_per_task": ROYALTY_MICRO,
            "created_at": "2026-11-21T12:00:00.000000Z",
            "publisher_key": self.private.public_text,
        }
        return manifest.Manifest(**(fields | changes))

    def sign(self, files, **changes):
        """Text and signature of a manifest of `files`."""
        return manifest.sign_manifest(self.private, self.manifest(files, **changes))

    def publish(self, files=None, **changes):
        """Store `files`, sign their manifest and publish it."""
        files = {"model.onnx": linear()} if files is None else files
        for data in files.values():
            self.store(data)
        text, signature = self.sign(files, **changes)
        return services.publish_version(membership=self.membership, manifest=text, signature=signature, now=self.now)


def proof(private, membership):
    document = publishers.possession_document(private.public_text, membership.pk)
    return keys.sign_document(private, publishers.CONTEXT, document)


def external_data(model):
    """The weights are said to lie in a file of the reader's machine."""
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
