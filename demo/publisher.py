"""Zoe publishes the model: registers her key, uploads the file, signs the manifest. Over HTTP, like anybody."""

from dataclasses import dataclass
from datetime import datetime

import httpx

from opengrid import canonical, digests, keys
from opengrid.messages import timestamp

ROYALTY_MICRO = 20


@dataclass(frozen=True)
class Published:
    """The published version."""

    version_id: int
    digest: str


def publish(http: httpx.Client, model: bytes, *, now: datetime) -> Published:
    """Publish `model` as digits 1.0.0."""
    key = keys.PrivateKey.generate()
    wanted = http.get("/api/v1/publisher-keys").raise_for_status().json()
    possession = {"membership_id": wanted["membership_id"], "public_key": key.public_text}
    proof = keys.sign_document(key, wanted["context"], possession)
    http.post("/api/v1/publisher-keys", json={"public_key": key.public_text, "proof": proof}).raise_for_status()
    digest = upload(http, model)
    manifest = canonical.canonical_bytes(
        {
            "format": "opengrid-model-v1",
            "name": "digits",
            "version": "1.0.0",
            "task": "classification",
            "files": [{"name": "model.onnx", "digest": digest, "size_bytes": len(model), "kind": "onnx"}],
            "inputs": [{"name": "scans", "dtype": "float32", "shape": [-1, 64]}],
            "outputs": [
                {"name": "label", "dtype": "int64", "shape": [-1]},
                {"name": "probabilities", "dtype": "float32", "shape": [-1, 10]},
            ],
            "licence": "CC-BY-4.0",
            "royalty_micro_per_task": ROYALTY_MICRO,
            "created_at": timestamp(now),
            "publisher_key": key.public_text,
        }
    )
    answer = http.post(
        "/api/v1/models/versions",
        json={
            "manifest": manifest.decode(),
            "signature": keys.sign_document(key, keys.MODEL_MANIFEST, canonical.parse_canonical(manifest)),
        },
    )
    answer.raise_for_status()
    return Published(answer.json()["id"], digest)


def upload(http: httpx.Client, data: bytes) -> str:
    """Upload bytes as a blob; returns their digest."""
    digest = digests.of_bytes(data)
    http.put(
        f"/api/v1/blobs/{digest}", content=data, headers={"Content-Type": "application/octet-stream"}
    ).raise_for_status()
    return digest
