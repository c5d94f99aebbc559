"""The web process: uvicorn on a socket that the supervisor opened and keeps.

So a restart of this process lets requests wait a moment instead of refusing them.
"""

import argparse
import socket

import uvicorn
from django.conf import settings

from config import serving
from config.env import env_list

GRACEFUL_SECONDS = 5
LARGEST_SOCKET_MESSAGE_BYTES = 256 * 1024


def serve(listener: socket.socket, place: serving.Binding) -> None:
    """Serve until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        ":".join(settings.ASGI_APPLICATION.rsplit(".", 1)),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=place.behind_proxy,
        forwarded_allow_ips=env_list("COMMONGRID_PROXY_ADDRESSES", ("127.0.0.1",)),
        ssl_certfile=place.tls_cert_file,
        ssl_keyfile=place.tls_key_file,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        ws_max_size=LARGEST_SOCKET_MESSAGE_BYTES,
        backlog=serving.BACKLOG,
    )
    uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    """Serve on the socket that the supervisor opened: `python -m config.web --fd 5`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--fd", type=int, required=True)
    serve(socket.socket(fileno=parser.parse_args().fd), serving.binding())


if __name__ == "__main__":
    main()
