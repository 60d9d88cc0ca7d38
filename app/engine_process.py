"""The one process that runs the engines when several front processes speak HTTP.

It holds one `Batcher` per model, so pictures of different fronts share one bounded queue and one
batch. A front that ends takes its waiting pictures out. When a batch hangs or the device is lost,
this process tells all callers and ends; whoever started it starts it again.
"""

import asyncio
import functools
import json
import logging
import os
import socket
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from app.batcher import Batcher
from app.engine_messages import (
    LINE_BYTES,
    ModelOffer,
    Offer,
    write_error,
    write_line,
    write_offer,
)
from app.errors import ServiceError
from app.metrics import Metrics
from app.readable import readable
from app.served_model import infer_first, open_batcher
from app.settings import Settings
from app.shared_memory import Arena, slot_bytes
from app.ticket import Ticket
from app.turn import PRIORITIES, Turn
from model.errors import EngineError, EngineLostError, EngineTimeoutError
from model.inference.segmenter import Segmenter
from model.structures import RawOutput, Sample

_LOG = logging.getLogger("maskformer")

# How long an engine process whose device is lost waits until its callers have been told.
_LAST_WORDS_S = 2.0
_ACCEPT_AGAIN_S = 1.0


def run_engines(
    segmenters: Mapping[str, Segmenter],
    settings: Settings,
    listener: socket.socket,
    starter: Connection,
) -> None:
    """Serve front processes until the starter closes its end.

    When a device is lost or hangs, the process ends at once, with status 1.

    Args:
        segmenters: by name, the first is the default.
        settings: the limits of the queues are read here.
        listener: a listening Unix socket, at which the fronts connect.
        starter: told one message when every model has run a first picture.

    Raises:
        EngineError: a model fails on its first picture.
    """
    server = EngineServer(segmenters, settings, Metrics())
    is_lost = asyncio.run(server.serve(listener, starter))
    if is_lost:
        logging.shutdown()
        os._exit(1)  # a thread that hangs in the runtime cannot be ended otherwise
    server.close()


class EngineServer:
    """The queues of all models, and a connection to each front process."""

    def __init__(
        self, segmenters: Mapping[str, Segmenter], settings: Settings, metrics: Metrics
    ) -> None:
        self._segmenters, self._metrics = segmenters, metrics
        self._offer = _offer(segmenters, settings)
        self._fronts: tuple[_Front, ...] = ()
        self._lost = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._batchers = {
            name: open_batcher(
                name, segmenter, settings, metrics, functools.partial(self._post, row, name)
            )
            for row, (name, segmenter) in enumerate(segmenters.items())
        }

    async def serve(self, listener: socket.socket, starter: Connection) -> bool:
        """Answer fronts until the starter is gone, or an engine; True in the second case."""
        await self._warm_up()
        self._metrics.engine_process_started()
        starter.send_bytes(b"ready")
        accepting = self._start(self._accept(listener))
        ends = (readable(starter.fileno()), self._lost.wait())
        await asyncio.wait(
            [asyncio.ensure_future(end) for end in ends], return_when=asyncio.FIRST_COMPLETED
        )
        accepting.cancel()
        if self._lost.is_set():
            answers = [task for front in self._fronts for task in front.answers]
            if answers:
                await asyncio.wait(answers, timeout=_LAST_WORDS_S)
        for front in self._fronts:
            front.writer.close()
        return self._lost.is_set()

    def close(self) -> None:
        """Finish what waits, then free the engines; blocks."""
        for batcher in self._batchers.values():
            batcher.close()
        for segmenter in self._segmenters.values():
            segmenter.close()

    def _start(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _warm_up(self) -> None:
        for name, segmenter in self._segmenters.items():
            await infer_first(segmenter, self._batchers[name], asyncio.to_thread)

    def _post(self, row: int, name: str, waiting: int) -> None:
        """Write to the board of every front; called from any thread."""
        batcher = self._batchers[name]
        limits = map(batcher.tenant_limit, PRIORITIES)
        needed_s = (batcher.needed_s(Turn(priority=priority)) for priority in PRIORITIES)
        numbers = waiting, batcher.seconds_per_picture, *limits, *needed_s
        for front in self._fronts:
            front.arena.board[row] = numbers

    async def _accept(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            except OSError as error:  # out of file descriptors, say: the front waits in the backlog
                _LOG.error("expected a front process to connect, got: %s", error)
                await asyncio.sleep(_ACCEPT_AGAIN_S)
                continue
            self._start(self._serve_front(connection))

    async def _serve_front(self, connection: socket.socket) -> None:
        """Answer one front process until it ends or this process does."""
        try:
            front = await self._shake_hands(connection)
        except (OSError, ValueError) as error:
            _LOG.warning("a front process left before it was served: %s", error)
            connection.close()
            return
        self._fronts = (*self._fronts, front)
        try:
            while line := await front.reader.readline():
                self._handle(front, json.loads(line))
        except ConnectionError:
            pass  # it was killed, which a closed socket tells as well
        finally:
            self._fronts = tuple(other for other in self._fronts if other is not front)
            front.leave()
            front.writer.close()

    async def _shake_hands(self, connection: socket.socket) -> "_Front":
        """Send the offer, and take the descriptor of the front's arena."""
        await asyncio.get_running_loop().sock_sendall(connection, write_offer(self._offer))
        await readable(connection.fileno())
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
        if len(descriptors) != 1:
            raise ValueError(f"expected one descriptor, got {len(descriptors)}")
        try:
            arena = Arena(descriptors[0], *self._offer.form)
        finally:
            os.close(descriptors[0])
        streams = await asyncio.open_unix_connection(sock=connection, limit=LINE_BYTES)
        return _Front(arena, *streams)

    def _handle(self, front: "_Front", message: dict[str, Any]) -> None:
        if "leave" in message:
            front.leave(message["leave"])
            return
        identity, slot, shape = message["submit"], message["slot"], message["shape"]
        try:
            pixels = front.arena.array(slot, int(np.prod(shape))).reshape(shape)
            sample = Sample(pixels, tuple(message["valid_hw"]), tuple(message["original_hw"]))
            batcher = self._batchers[message["model"]]
            turn = Turn(message["tenant"], message["priority"])
            deadline_s, traceparent = message["deadline_s"], message["traceparent"]
            ticket = batcher.put(sample, deadline_s, traceparent, turn)
        except (ServiceError, EngineError) as error:
            front.tell({"failed": identity} | write_error(error))
            return
        front.tickets[identity] = batcher, ticket
        task = self._start(self._answer(front, identity, slot, ticket))
        front.answers.add(task)
        task.add_done_callback(front.answers.discard)

    async def _answer(self, front: "_Front", identity: int, slot: int, ticket: Ticket) -> None:
        """Wait for one picture's turn, put its output where its pixels were, and say so."""
        try:
            inference = await asyncio.wrap_future(ticket.future)
            shapes = None
            if not ticket.left:
                shapes = await asyncio.to_thread(_write_output, front.arena, slot, inference.raw)
            times_s = inference.queue_s, inference.run_s, inference.started_s
            message: dict[str, Any] = {"done": identity, "shapes": shapes, "times_s": times_s}
            message["members"] = inference.members
        except asyncio.CancelledError:
            message = {"failed": identity} | write_error(ServiceError("expected no answer"))
        except Exception as error:
            if not isinstance(error, ServiceError | EngineError):
                _LOG.error("a picture failed", exc_info=error)
            message = {"failed": identity} | write_error(error)
            if isinstance(error, EngineLostError | EngineTimeoutError):
                self._lost.set()
        front.tickets.pop(identity, None)
        front.tell(message)


class _Front:
    """One front process: its arena, its connection, its pictures."""

    def __init__(
        self, arena: Arena, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.arena, self.reader, self.writer = arena, reader, writer
        self.tickets: dict[int, tuple[Batcher, Ticket]] = {}
        self.answers: set[asyncio.Task[None]] = set()

    def leave(self, *identities: int) -> None:
        """Take these pictures out of their queues; none = all."""
        for identity in identities or tuple(self.tickets):
            if identity in self.tickets:
                batcher, ticket = self.tickets[identity]
                batcher.leave(ticket)

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message, unless the front is gone."""
        if not self.writer.is_closing():
            self.writer.write(write_line(message))


def _offer(segmenters: Mapping[str, Segmenter], settings: Settings) -> Offer:
    """What `segmenters` are to a front.

    A front may fill all queues and engines alone, and post-process with all its threads meanwhile.
    """
    models = tuple(
        ModelOffer(
            name,
            str(segmenter.artifact.folder),
            segmenter.artifact.hash,
            segmenter.engine.name,
            segmenter.engine.device,
            segmenter.engine.precision,
            segmenter.engine.slots,
            segmenter.engine.max_batch,
        )
        for name, segmenter in segmenters.items()
    )
    inside = sum(model.slots * model.max_batch for model in models)
    return Offer(
        models,
        slots=len(models) * settings.max_queue + inside + 2 * settings.cpu_threads,
        warm_slots=2 * inside + settings.cpu_threads,
        slot_bytes=max(slot_bytes(one.artifact.manifest) for one in segmenters.values()),
    )


def _write_output(arena: Arena, slot: int, raw: RawOutput) -> list[tuple[int, ...] | None]:
    """Copy an output into a slot, class logits first; gives the two shapes."""
    parts = [raw.class_logits, raw.mask_logits]
    sizes = [0 if part is None else part.size for part in parts]
    try:
        place = arena.array(slot, sum(sizes))
    except ValueError as error:
        raise EngineError(f"expected an output that fits, got another: {error}") from None
    for part, where in zip(parts, np.split(place, sizes[:1]), strict=True):
        if part is not None:
            where[:] = part.reshape(-1)
    return [None if part is None else part.shape for part in parts]
