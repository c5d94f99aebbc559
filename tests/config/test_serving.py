"""Nobody else reaches the platform unless TLS is taken care of."""

import socket

import pytest

from config import serving
from config.env import ConfigurationError


def test_by_default_only_this_machine_reaches_it(monkeypatch):
    for name in ("COMMONGRID_BIND", "COMMONGRID_PORT", "COMMONGRID_TLS_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)

    place = serving.binding()

    assert (place.host, place.port, place.is_loopback) == ("127.0.0.1", 8000, True)


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "::"])
def test_another_address_without_tls_is_refused(monkeypatch, address):
    monkeypatch.setenv("COMMONGRID_BIND", address)

    with pytest.raises(ConfigurationError, match="without TLS"):
        serving.binding()


def test_another_address_with_tls_is_accepted(monkeypatch, tmp_path):
    for name in ("CERT", "KEY"):
        (tmp_path / name).write_text("-----BEGIN-----")
        monkeypatch.setenv(f"COMMONGRID_TLS_{name}_FILE", str(tmp_path / name))
    monkeypatch.setenv("COMMONGRID_BIND", "0.0.0.0")

    place = serving.binding()

    assert place.local_url == "https://127.0.0.1:8000"


def test_half_a_tls_setting_is_refused(monkeypatch, tmp_path):
    (tmp_path / "cert").write_text("-----BEGIN-----")
    monkeypatch.setenv("COMMONGRID_TLS_CERT_FILE", str(tmp_path / "cert"))

    with pytest.raises(ConfigurationError, match="belong together"):
        serving.binding()


def test_a_name_is_not_an_address(monkeypatch):
    monkeypatch.setenv("COMMONGRID_BIND", "grid.example.org")

    with pytest.raises(ConfigurationError, match="neither an IP address nor localhost"):
        serving.binding()


def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = serving.Binding("127.0.0.1", taken.getsockname()[1])

        with pytest.raises(ConfigurationError, match=f"Port {place.port} of 127.0.0.1"):
            place.listen()
