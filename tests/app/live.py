"""A service on a real loopback socket, for clients that bring their own HTTP."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from cli.serve import bind
from tests.app.conftest import SOON_S


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve the app until the end of the block; gives `host:port`."""
    address = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=server.run, args=([address],), daemon=True)
    thread.start()
    soon_s = time.monotonic() + SOON_S
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < soon_s
        time.sleep(0.01)
    try:
        yield f"127.0.0.1:{address.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(SOON_S)
        address.close()
