"""A front process's view of the engine process: the same queues as in one process.

Pixels are copied into a slot of shared memory once, outputs are read where they lie; the slot is
free again when nothing refers to the output any more. When the engine process ends, its pictures
fail at once, newcomers are refused as not ready, and the link waits for the next one.
"""

import asyncio
import functools
import itertools
import json
import logging
import math
import os
import socket
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.engine_messages import (
    LINE_BYTES,
    ModelOffer,
    Offer,
    read_error,
    read_offer,
    write_line,
)
from app.errors import NotReadyError
from app.inference_queue import Inference, full_error, seconds_for
from app.pace import check_time
from app.settings import Settings
from app.shared_memory import BOARD, Arena, SlotPool, make_arena_file
from app.turn import ANONYMOUS, ANYONE, PRIORITIES, Turn
from model.artifact import load_artifact
from model.errors import ArtifactError, EngineError, EngineLostError
from model.inference.decode import ImageLimits
from model.inference.segmenter import Segmenter
from model.structures import RawOutput, Sample

_LOG = logging.getLogger("maskformer")

# The places of the board's limits, and of the seconds that a picture without a key needs.
_LIMITS = {priority: 2 + index for index, priority in enumerate(PRIORITIES)}
_NEEDED = {priority: 4 + index for index, priority in enumerate(PRIORITIES)}


class EngineLink:
    """Holds a session with the engine process, and a new one when that was started again.

    Args:
        path: of the Unix socket at which engine processes listen, one after the other.
        settings: the limits of pictures and queues are read here.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path, self._settings = path, settings
        self._offer: Offer | None = None
        self._session: _Session | None = None

    async def open(self) -> dict[str, Segmenter]:
        """Wait for the engine process, and give its models by name, the default first.

        They prepare and finish pictures here; to infer, they need the queues of `queue`.

        Raises:
            OSError: nobody starts engine processes.
            ArtifactError: a model's folder was altered since the engine process loaded it.
        """
        session = await _connect(self._path)
        self._offer, self._session = session.offer, session
        self._keeping = asyncio.ensure_future(self._keep(session))
        self._keeping.add_done_callback(_log_failure)
        limits = ImageLimits(self._settings.max_image_bytes, self._settings.max_image_pixels)
        segmenters = {}
        for model in session.offer.models:
            artifact = await asyncio.to_thread(load_artifact, model.folder)
            if artifact.hash != model.hash:
                raise ArtifactError(
                    f"expected {model.folder} as the engine process found it, {model.hash}, "
                    f"got {artifact.hash}"
                )
            segmenters[model.name] = Segmenter(artifact, RemoteEngine(model), limits)
        return segmenters

    def queue(self, name: str, _segmenter: Segmenter) -> "RemoteQueue":
        """The queue of one of the models that `open` gave."""
        assert self._offer is not None
        row = [model.name for model in self._offer.models].index(name)
        return RemoteQueue(self, name, row, self._settings)

    def session(self) -> "_Session":
        """The session with the present engine process.

        Raises:
            NotReadyError: there is none; it starts again.
        """
        if self._session is None:
            raise NotReadyError("expected a running engine process, got one that starts again")
        return self._session

    def on_end(self, call: Callable[[], None]) -> None:
        """Call that when no engine process can come any more, or one with other models came."""
        self._keeping.add_done_callback(lambda _: call())

    async def close(self) -> None:
        """Hang up."""
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep(self, session: "_Session") -> None:
        while session.offer == self._offer:
            self._session = session
            try:
                await session.listen()
            finally:
                self._session = None
                session.end()
            _LOG.error("the engine process ended")
            session = await _connect(self._path)
        session.end()
        _LOG.error("the engine process came back with other models")


class RemoteQueue:
    """The engine process's queue of one model; see `InferenceQueue`."""

    def __init__(self, link: EngineLink, name: str, row: int, settings: Settings) -> None:
        self._link, self._name, self._row = link, name, row
        self._max_queue, self._fronts = settings.max_queue, settings.front_processes
        self._closed = False

    @property
    def queue_size(self) -> int:
        """Pictures of all fronts that wait now; 0 while there is no engine process."""
        return int(self._board[0])

    def check_alive(self) -> None:
        """Never raises: an engine process that cannot go on is started again."""

    def check_open(self) -> None:
        """See `InferenceQueue`."""
        if self._closed:
            raise NotReadyError("expected a running service, got a request while it shuts down")
        self._link.session()

    def check_room(self, turn: Turn = ANYONE, deadline_s: float = math.inf) -> None:
        """See `InferenceQueue`; refuses too when this front alone has too many under way.

        What a key's tenant has in a full queue is estimated from what this front sent, as if its
        requests were spread evenly; of those that wait, only its own count against a deadline. The
        engine process decides who finds room.
        """
        self.check_open()
        session = self._link.session()
        has_room, board = session.has_room, self._board
        is_alone = turn.tenant == ANONYMOUS  # without keys there is one tenant
        own = 0 if is_alone else session.count(self._name, turn) * self._fronts
        if board[0] >= self._max_queue:
            limit = board[_LIMITS[turn.priority]]
            has_room = has_room and (limit == math.inf or (not is_alone and own < limit))
        if not has_room:
            raise full_error(self._max_queue, self.retry_after_s(self._max_queue))
        needed_s = board[_NEEDED[turn.priority]] if is_alone else min(own, board[0]) * board[1]
        check_time(float(needed_s), deadline_s)

    def retry_after_s(self, waiting: int) -> int:
        """See `InferenceQueue`."""
        return seconds_for(waiting, float(self._board[1]))

    async def submit(
        self, sample: Sample, deadline_s: float, traceparent: str = "", turn: Turn = ANYONE
    ) -> Inference:
        """See `InferenceQueue`."""
        self.check_room(turn)
        return await self._link.session().ask(self._name, sample, deadline_s, traceparent, turn)

    def close(self) -> None:
        """Refuse newcomers; those that wait are still answered, to whoever awaits them."""
        self._closed = True

    @property
    def _board(self) -> np.ndarray:
        try:
            row: np.ndarray = self._link.session().arena.board[self._row]
        except NotReadyError:
            return np.zeros(BOARD)
        return row


class RemoteEngine:
    """How an engine of the engine process runs; it cannot be called from here."""

    def __init__(self, offer: ModelOffer) -> None:
        self.name, self.device, self.precision = offer.engine, offer.device, offer.precision
        self.slots, self.max_batch = offer.slots, offer.max_batch

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:  # noqa: ARG002
        """Never runs.

        Raises:
            EngineError: always.
        """
        raise EngineError("expected pictures to go through the queue, got a run in a front process")

    def close(self) -> None:
        """Do nothing: the engine process closes it."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """A picture that the engine process has: who waits for it, and where it lies."""

    answer: "asyncio.Future[Inference]"
    slot: int
    account: tuple[str, Turn]


class _Session:
    """One connection to one engine process, with an arena of its own."""

    def __init__(
        self, offer: Offer, arena: Arena, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.offer, self.arena = offer, arena
        self._reader, self._writer = reader, writer
        self._pool = SlotPool(arena, offer.slots, offer.warm_slots)
        self._asked: dict[int, _Asked] = {}
        self._identities = itertools.count()
        self._has_ended = False

    @property
    def has_room(self) -> bool:
        """Whether a slot is free."""
        return len(self._pool) > 0

    def count(self, model: str, turn: Turn) -> int:
        """Pictures for that model on that account that the engine process has of us."""
        return sum(asked.account == (model, turn) for asked in self._asked.values())

    async def ask(
        self, model: str, sample: Sample, deadline_s: float, traceparent: str, turn: Turn
    ) -> Inference:
        """Send one picture and wait for its answer; who is cancelled takes it back."""
        if sample.pixels.nbytes > self.offer.slot_bytes:
            raise EngineError(
                f"expected at most {self.offer.slot_bytes} bytes of pixels, "
                f"got {sample.pixels.nbytes}"
            )
        slot = self._pool.take()
        assert slot is not None, "checked by `has_room`"
        await self._write(slot, sample.pixels)
        if self._has_ended:
            raise _lost_error()
        identity = next(self._identities)
        answer: asyncio.Future[Inference] = asyncio.get_running_loop().create_future()
        self._asked[identity] = _Asked(answer, slot, (model, turn))
        self._send(
            {
                "submit": identity,
                "model": model,
                "slot": slot,
                "shape": sample.pixels.shape,
                "valid_hw": sample.valid_hw,
                "original_hw": sample.original_hw,
                "deadline_s": deadline_s,
                "traceparent": traceparent,
                "tenant": turn.tenant,
                "priority": turn.priority,
            }
        )
        try:
            return await answer
        except asyncio.CancelledError:
            self._send({"leave": identity})
            raise

    async def listen(self) -> None:
        """Hand out answers until the engine process ends."""
        try:
            while line := await self._reader.readline():
                self._hear(json.loads(line))
        except ConnectionError:
            pass  # it was killed, which a closed socket tells as well

    def _hear(self, message: dict[str, Any]) -> None:
        """Hand out one answer; an output without a caller frees its slot."""
        has_failed = "failed" in message
        asked = self._asked.pop(message["failed" if has_failed else "done"])
        if has_failed or asked.answer.done():
            self._pool.give_back(asked.slot)
        if asked.answer.done():
            return
        if has_failed:
            asked.answer.set_exception(read_error(message))
        else:
            raw = self._read(asked.slot, *message["shapes"])
            queue_s, run_s, started_s = message["times_s"]
            inference = Inference(raw, queue_s, run_s, started_s, tuple(message["members"]))
            asked.answer.set_result(inference)

    def end(self) -> None:
        """Fail whoever still waits; the arena lives as long as somebody reads an output."""
        self._has_ended = True
        self._writer.close()
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(_lost_error())

    async def _write(self, slot: int, pixels: np.ndarray) -> None:
        """Copy pixels into a slot, in a thread; the slot is free again when it was for nothing."""
        loop = asyncio.get_running_loop()
        place = self.arena.array(slot, pixels.size).reshape(pixels.shape)
        copying = loop.run_in_executor(None, functools.partial(np.copyto, place, pixels))
        try:
            await asyncio.shield(copying)
        except asyncio.CancelledError:
            copying.add_done_callback(lambda _: self._pool.give_back(slot))
            raise

    def _read(
        self, slot: int, classes_shape: list[int] | None, masks_shape: list[int]
    ) -> RawOutput:
        """The output that lies in a slot; the slot is free when both arrays are gone."""
        split = int(np.prod(classes_shape)) if classes_shape else 0
        place = self.arena.array(slot, split + int(np.prod(masks_shape)))
        weakref.finalize(place, self._pool.give_back, slot)
        classes = place[:split].reshape(classes_shape) if classes_shape else None
        return RawOutput(classes, place[split:].reshape(masks_shape))

    def _send(self, message: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(write_line(message))


async def _connect(path: Path) -> _Session:
    """Wait for an engine process and agree with it on an arena.

    Connecting succeeds at once, because whoever starts engine processes listens for the next one
    already; the offer comes when there is one.

    Raises:
        OSError: nobody starts engine processes any more.
    """
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, str(path))
        except BaseException:
            connection.close()
            raise
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LINE_BYTES)
        try:
            offer = read_offer(await reader.readuntil())
            return _Session(offer, _share_arena(connection, offer), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()  # it ended in this very moment
        except BaseException:
            writer.close()
            raise


def _share_arena(connection: socket.socket, offer: Offer) -> Arena:
    """A new arena of the offered form, known at both ends of the connection."""
    fd = make_arena_file(*offer.form)
    try:
        socket.send_fds(connection, [b"\n"], [fd])
        return Arena(fd, *offer.form)
    finally:
        os.close(fd)


def _log_failure(keeping: "asyncio.Task[None]") -> None:
    """Say why a link ended; the front process leaves because of it, without another word."""
    error = None if keeping.cancelled() else keeping.exception()
    if error is not None:
        _LOG.error("the link to the engine process failed", exc_info=error)


def _lost_error() -> EngineLostError:
    return EngineLostError("expected an answer of the engine process, got its end")
