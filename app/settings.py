"""Every knob of the service: `MASKFORMER_<FIELD>` = `--<field>` = one line of help."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from model.errors import InvalidParameterError
from model.inference.engines import EngineName
from model.inference.engines.cores import usable_cores
from model.validation import expected_got

PREFIX = "MASKFORMER_"

# Beside the picture: field names, boundaries, JSON, the longest list of classes.
_BODY_OVERHEAD_BYTES = 2**20

# What Kubernetes puts into every pod beside a Service whose name begins with "maskformer", for
# example MASKFORMER_SERVICE_HOST, MASKFORMER_GPU_SERVICE_PORT_HTTP, MASKFORMER_PORT_8000_TCP_ADDR.
_INJECTED_NAME = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?"
    r"|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_INJECTED_PORT = re.compile(r"(tcp|udp|sctp)://.*")

# What Vertex AI tells a container; a variable of ours goes before.
_VERTEX = {
    "AIP_HTTP_PORT": "port",
    "AIP_PREDICT_ROUTE": "vertex_predict_route",
    "AIP_HEALTH_ROUTE": "vertex_health_route",
}
_PATH = r"^/[A-Za-z0-9._~:/-]*$"


class Settings(BaseModel):
    """The effective settings, immutable; read once, at the edge."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104
    port: int = Field(
        8000, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one."
    )
    models: tuple[str, ...] = Field(
        ("scenes",),
        min_length=1,
        description="Models to serve, comma separated: a name in the weights folder, a path, or "
        "NAME=PATH-OR-ID. The first one is the default.",
    )
    weights_dir: Path = Field(
        Path(__file__).resolve().parents[1] / "weights",
        description="Folder in which model names are looked up.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: Path.home() / ".cache" / "maskformer",
        description="Folder for imported models and compiled graphs.",
    )
    engine: Literal["auto", EngineName] = Field(
        "auto", description="Runtime that executes the network; auto takes the best one here."
    )
    device: str = Field(
        "auto", min_length=1, description="Device as the engine names it: auto, cpu, cuda, cuda:1."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto", description="Arithmetic of the network's matrix products."
    )
    engine_threads: int | None = Field(
        None, ge=1, description="Processor threads of a CPU engine; unset takes all cores."
    )
    engine_slots: int | None = Field(
        None, ge=1, description="Batches that run at once; unset takes what suits the engine."
    )
    max_batch: int | None = Field(
        None, ge=1, description="Most pictures per batch; unset takes what suits the engine."
    )
    max_batch_delay_ms: float = Field(
        0, ge=0, le=10_000, description="How long an idle engine waits for a batch to fill."
    )
    max_queue: int = Field(
        64, ge=1, description="Pictures that may wait for a model's engine; more are answered 429."
    )
    max_concurrent_requests: int = Field(
        256, ge=1, description="Requests in work, from first byte to answer; more are answered 429."
    )
    request_timeout_ms: int = Field(
        30_000,
        ge=1,
        description="Longest time for one request, then it is answered 504; a request may ask for "
        "less with X-Request-Timeout-Ms.",
    )
    max_image_bytes: int = Field(32 * 2**20, ge=1, description="Largest picture file accepted.")
    max_image_pixels: int = Field(
        64_000_000, ge=1, description="Largest picture accepted, width times height."
    )
    max_pictures_per_request: int = Field(
        32, ge=1, description="Pictures in one request, where a protocol takes several."
    )
    cpu_threads: int = Field(
        default_factory=usable_cores,
        ge=1,
        description="Threads that decode, post-process and encode; as many as cores.",
    )
    drain_delay_ms: int = Field(
        0,
        ge=0,
        description="After SIGTERM: how long to serve on with /readyz at 503 before closing.",
    )
    label_studio_media_dir: Path | None = Field(
        None,
        description="Label Studio's media folder, mounted here, in which the uploads of its tasks "
        "are read; unset refuses such tasks.",
    )
    vertex_predict_route: str | None = Field(
        None,
        pattern=_PATH,
        description="Path for Vertex AI's predictions; there AIP_PREDICT_ROUTE sets it.",
    )
    vertex_health_route: str | None = Field(
        None,
        pattern=_PATH,
        description="Path for Vertex AI's health checks; there AIP_HEALTH_ROUTE sets it.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )

    @property
    def max_body_bytes(self) -> int:
        """Largest body of any request: room for the largest picture as base64."""
        return self.max_image_bytes * 4 // 3 + _BODY_OVERHEAD_BYTES

    @field_validator("models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Take the comma separated form of a variable or flag."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("weights_dir", "cache_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser()


def load_settings(
    flags: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings: flag before environment variable before default.

    Args:
        flags: by field name, as typed.
        environ: the environment; None = the process's own.

    Raises:
        InvalidParameterError: a misspelt `MASKFORMER_*` variable, or a value that its field does
            not accept.
    """
    values = from_environment(os.environ if environ is None else environ) | dict(flags or {})
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InvalidParameterError(_one_sentence(error, flags or {})) from None


def from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The values of all variables that set a field, by field name; empty ones count as unset.

    These are `MASKFORMER_*`, and behind them those that Vertex AI sets.

    Raises:
        InvalidParameterError: a variable that names no field.
    """
    known = {variable_of(field): field for field in Settings.model_fields}
    values = {field: environ[name] for name, field in _VERTEX.items() if environ.get(name)}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or _is_injected(name, value):
            continue
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            raise InvalidParameterError(
                f"expected only variables that name a setting, got {name}; is {nearest} meant?"
            )
        if value.strip():
            values[known[name]] = value
    return values


def variable_of(field: str) -> str:
    """The environment variable of a field: `MASKFORMER_MAX_QUEUE` of `max_queue`."""
    return PREFIX + field.upper()


def flag_of(field: str) -> str:
    """The command-line flag of a field: `--max-queue` of `max_queue`."""
    return "--" + field.replace("_", "-")


def _is_injected(name: str, value: str) -> bool:
    """Whether Kubernetes set this variable for a Service of our name, not a person."""
    if _INJECTED_NAME.fullmatch(name):
        return True
    return name.endswith("_PORT") and _INJECTED_PORT.fullmatch(value) is not None


def _one_sentence(error: ValidationError, flags: Mapping[str, str]) -> str:
    parts = []
    for entry in error.errors():
        field = str(entry["loc"][0])
        parts.append(expected_got(entry, flag_of(field) if field in flags else variable_of(field)))
    return "; ".join(parts)
