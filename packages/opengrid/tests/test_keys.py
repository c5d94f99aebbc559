"""Keys and signatures: nothing but the exact signature in its exact spelling is accepted."""

import base64
import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from hypothesis import given
from hypothesis import strategies as st

from opengrid import canonical, keys

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
FIELD = 2**255 - 19
PRIVATE = keys.PrivateKey(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
DOCUMENT = {"node": 7, "word": "grüße"}


def text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def refuses(signature: str, public: str = PRIVATE.public_text) -> bool:
    try:
        keys.verify_document(public, keys.RECEIPT, DOCUMENT, signature)
    except (keys.BadSignature, keys.BadKey):
        return True
    return False


def test_a_signature_verifies_for_its_key_context_and_document() -> None:
    signature = keys.sign_document(PRIVATE, keys.RECEIPT, DOCUMENT)

    keys.verify_document(PRIVATE.public_text, keys.RECEIPT, DOCUMENT, signature)
    keys.verify_document(PRIVATE.public_text, keys.RECEIPT, canonical.canonical_bytes(DOCUMENT), signature)
    assert len(signature) == 86
    assert len(PRIVATE.public_text) == len("ed25519:") + 43


def test_a_signature_for_one_context_is_refused_in_every_other() -> None:
    contexts = [keys.JOIN, keys.CAPABILITIES, keys.CLAIM, keys.RECEIPT, keys.MODEL_MANIFEST]
    signature = keys.sign_document(PRIVATE, keys.RECEIPT, DOCUMENT)

    for context in set(contexts) - {keys.RECEIPT}:
        with pytest.raises(keys.BadSignature) as refused:
            keys.verify_document(PRIVATE.public_text, context, DOCUMENT, signature)
        assert refused.value.code == "bad_signature"
    assert len(set(contexts)) == 5


def test_a_context_cannot_reach_into_the_document() -> None:
    for context in ("receipt\n{}", "", "Receipt", "receipt "):
        with pytest.raises(ValueError, match="no context"):
            keys.sign_document(PRIVATE, context, DOCUMENT)


def test_every_one_of_the_512_bit_flips_is_refused() -> None:
    raw = raw_of(keys.sign_document(PRIVATE, keys.RECEIPT, DOCUMENT))

    for bit in range(512):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        assert refuses(text_of(bytes(flipped))), f"bit {bit}"


def test_every_bit_flip_of_the_public_key_is_refused() -> None:
    signature = keys.sign_document(PRIVATE, keys.RECEIPT, DOCUMENT)
    raw = raw_of(PRIVATE.public_text.removeprefix("ed25519:"))

    for bit in range(256):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        assert refuses(signature, f"ed25519:{text_of(bytes(flipped))}"), f"bit {bit}"


def test_the_second_form_of_s_is_refused() -> None:
    raw = raw_of(keys.sign_document(PRIVATE, keys.RECEIPT, DOCUMENT))
    s = int.from_bytes(raw[32:], "little")

    assert s < GROUP_ORDER
    for multiple in range(1, 8):
        assert refuses(text_of(raw[:32] + (s + multiple * GROUP_ORDER).to_bytes(32, "little")))


def test_other_spellings_of_a_signature_are_refused() -> None:
    good = keys.sign_document(PRIVATE, keys.RECEIPT, DOCUMENT)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    loose_ends = [good[:-1] + letter for letter in alphabet if letter != good[-1]]
    padded = base64.b64encode(raw_of(good)).decode()

    assert not refuses(good)
    for other in [*loose_ends, f"{good}==", padded, good[:-1], good + "A", f" {good[1:]}", ""]:
        assert refuses(other), other


@given(st.text(max_size=100) | st.from_regex(r"ed25519:[A-Za-z0-9_-]{43}", fullmatch=True))
def test_no_text_makes_the_key_parser_fail_otherwise(text: str) -> None:
    try:
        key = keys.public_key(text)
    except keys.BadKey:
        return

    assert keys.public_text(key) == text


def test_all_points_of_small_order_are_refused_as_keys() -> None:
    points = small_order_points()

    assert len(points) == 8
    for x, y in points:
        for sign in {x & 1, 1 - (x & 1)}:
            for spelling in {y, y + FIELD} if y + FIELD < 2**255 else {y}:
                raw = (spelling | sign << 255).to_bytes(32, "little")
                with pytest.raises(keys.BadKey):
                    keys.public_key(f"ed25519:{text_of(raw)}")


def test_other_types_of_key_are_refused(tmp_path: Path) -> None:
    for other in (ec.generate_private_key(ec.SECP256R1()), x25519.X25519PrivateKey.generate()):
        with pytest.raises(keys.BadKey):
            keys.PrivateKey(other)  # type: ignore[arg-type]
        path = tmp_path / type(other).__name__
        path.write_bytes(pem(other, serialization.NoEncryption()))
        path.chmod(0o600)
        with pytest.raises(keys.BadKey, match="only Ed25519"):
            keys.PrivateKey.load(path)


def test_a_saved_key_is_private_and_loads_as_itself(tmp_path: Path) -> None:
    private, path = keys.PrivateKey.generate(), tmp_path / "node.key"
    before = os.umask(0)

    try:
        private.save(path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.PrivateKey.load(path).public_text == private.public_text
    assert list(tmp_path.iterdir()) == [path]
    assert private.public_text in repr(private)
    assert text_of(private.key.private_bytes_raw()) not in repr(private)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    first = keys.PrivateKey.generate()
    first.save(path)

    with pytest.raises(FileExistsError):
        keys.PrivateKey.generate().save(path)

    assert keys.PrivateKey.load(path).public_text == first.public_text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o755])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "node.key"
    keys.PrivateKey.generate().save(path)
    path.chmod(mode)

    with pytest.raises(keys.BadKey, match="chmod 600"):
        keys.PrivateKey.load(path)


def test_a_key_file_that_is_no_plain_unencrypted_key_is_refused(tmp_path: Path) -> None:
    encrypted = pem(PRIVATE.key, serialization.BestAvailableEncryption(b"secret"))
    for content in (encrypted, b"", b"-----BEGIN PRIVATE KEY-----\n", b"\x00" * 5000):
        path = tmp_path / "node.key"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(keys.BadKey):
            keys.PrivateKey.load(path)

    with pytest.raises(keys.BadKey, match="plain file"):
        keys.PrivateKey.load(Path("/dev/null"))
    with pytest.raises(FileNotFoundError):
        keys.PrivateKey.load(tmp_path / "absent")


def test_openssl_verifies_our_signatures(tmp_path: Path) -> None:
    PRIVATE.save(tmp_path / "node.key")
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_bytes(b'opengrid-v1\nreceipt\n{"node":7,"word":"gr\xc3\xbc\xc3\x9fe"}')
    signature.write_bytes(raw_of(keys.sign_document(PRIVATE, keys.RECEIPT, DOCUMENT)))

    verdict = subprocess.run(
        [
            *("openssl", "pkeyutl", "-verify", "-rawin", "-inkey", str(tmp_path / "node.key")),
            *("-in", str(message), "-sigfile", str(signature)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert verdict.returncode == 0, verdict.stderr


def test_a_join_proof_is_for_one_token_and_one_key() -> None:
    proof = keys.join_proof(PRIVATE, "token-1")
    other = keys.PrivateKey.generate()

    keys.verify_join_proof(PRIVATE.public_text, "token-1", proof)
    for public, token in ((PRIVATE.public_text, "token-2"), (other.public_text, "token-1")):
        with pytest.raises(keys.BadSignature):
            keys.verify_join_proof(public, token, proof)


def pem(key: object, encryption: serialization.KeySerializationEncryption) -> bytes:
    assert isinstance(key, ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | ed25519.Ed25519PrivateKey)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def small_order_points() -> set[tuple[int, int]]:
    """The 8-torsion of edwards25519, by multiplying points of the curve by the prime order."""
    d = -121665 * pow(121666, -1, FIELD) % FIELD

    def add(p: tuple[int, int], q: tuple[int, int]) -> tuple[int, int]:
        product = d * p[0] * q[0] * p[1] * q[1]
        x = (p[0] * q[1] + q[0] * p[1]) * pow(1 + product, -1, FIELD)
        y = (p[1] * q[1] + p[0] * q[0]) * pow(1 - product, -1, FIELD)
        return x % FIELD, y % FIELD

    def times(factor: int, point: tuple[int, int]) -> tuple[int, int]:
        total = (0, 1)
        while factor:
            if factor & 1:
                total = add(total, point)
            point, factor = add(point, point), factor >> 1
        return total

    found: set[tuple[int, int]] = set()
    for y in range(2, 60):
        square = (y * y - 1) * pow(d * y * y + 1, -1, FIELD) % FIELD
        x = pow(square, (FIELD + 3) // 8, FIELD)
        if x * x % FIELD != square:
            x = x * pow(2, (FIELD - 1) // 4, FIELD) % FIELD
        if x * x % FIELD == square:
            found.add(times(GROUP_ORDER, (x, y)))
    return found
