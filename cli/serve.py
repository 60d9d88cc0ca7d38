"""`maskformer serve`: settings from flags and environment, foreign models imported, then HTTP."""

import inspect
import logging
import math
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from model.errors import InvalidParameterError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from app.settings import Settings
    from model.inference.segmenter import Segmenter

# `serve` reads its flags itself, so that listing the verbs need not import the settings.
SERVE_CONTEXT: dict[str, Any] = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


def serve(context: typer.Context) -> None:
    """Answer pictures over HTTP; `serve --help` lists every setting."""
    command = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    command.command()(_with_flags(_serve))
    command(args=context.args, prog_name="maskformer serve")


def _with_flags(run: Callable[[dict[str, str]], None]) -> Callable[..., None]:
    """Give `run` one option per setting: its flag, its help, its default. All are text here."""
    from app.settings import Settings, flag_of, variable_of

    def command(**flags: str | None) -> None:
        """Answer pictures over HTTP. A flag goes before its environment variable."""
        run({name: value for name, value in flags.items() if value is not None})

    parameters = []
    for name, field in Settings.model_fields.items():
        option = typer.Option(
            None,
            flag_of(name),
            help=f"{field.description} {_default(field)}[env: {variable_of(name)}]",
            show_default=False,
            metavar="VALUE",
        )
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, kind, default=option, annotation=str | None))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = dict.fromkeys(Settings.model_fields, str | None)
    return command


def _default(field: "FieldInfo") -> str:
    """A setting's default as `--help` shows it; empty where its help already says it in words."""
    default = field.get_default(call_default_factory=True)
    if default is None:
        return ""
    return f"[default: {','.join(default) if isinstance(default, tuple) else default}] "


def _serve(flags: dict[str, str]) -> None:
    from app.loading import load_segmenters
    from app.settings import load_settings
    from cli.foreign import import_foreign

    settings = load_settings(flags)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("maskformer").info("settings: %s", settings.model_dump_json())
    address = bind(settings.host, settings.port)
    settings = import_foreign(settings)
    run_server(settings, load_segmenters(settings), address)


def bind(host: str, port: int) -> socket.socket:
    """Take the address without listening yet, so that a wrong one is told before models load.

    Raises:
        InvalidParameterError: it is in use, or not one of this machine.
    """
    address = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    address.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        address.bind((host, port))
    except OSError as error:
        address.close()
        raise InvalidParameterError(
            f"expected a free address of this machine, got host {host} and port {port}: "
            f"{error.strerror}"
        ) from None
    return address


def run_server(
    settings: "Settings", segmenters: "dict[str, Segmenter]", address: socket.socket
) -> None:
    """Serve at the bound address until a signal comes, then finish what waits.

    SIGTERM: probes learn at once that we leave, and the socket closes `drain_delay_ms` later,
    when balancers have stopped sending. SIGINT closes at once.
    """
    import uvicorn

    from app.main import create_app

    app = create_app(settings, segmenters)

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                port = address.getsockname()[1]
                print(_ready_line(settings.host, port, segmenters), flush=True)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
            if sig == signal.SIGINT and self.should_exit:
                self.force_exit = True  # asked twice
            if self.started:
                app.state.service.drain()
            delay_s = settings.drain_delay_ms / 1000 if sig == signal.SIGTERM else 0
            threading.Timer(delay_s, self._leave).start()

        def _leave(self) -> None:
            # Uvicorn's own handler would raise the signal again when all is finished, and the exit
            # status would tell of a crash.
            self.should_exit = True

    if settings.log_level != "debug":
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
    server = Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=math.ceil(settings.request_timeout_ms / 1000) + 1,
        )
    )
    server.run(sockets=[address])
    if not server.started:
        sys.exit(1)


def _ready_line(host: str, port: int, segmenters: "dict[str, Segmenter]") -> str:
    models = ", ".join(
        f"{name} ({segmenter.engine.name}, {segmenter.engine.device}, {segmenter.engine.precision})"
        for name, segmenter in segmenters.items()
    )
    shown = "localhost" if host in ("0.0.0.0", "::") else host  # noqa: S104
    return f"Ready: http://{shown}:{port} serves {models}"
