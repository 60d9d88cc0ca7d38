"""Pictures on their way to a queue: as bounded as those in it, and few at a time in work."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.inference_queue import InferenceQueue, full_error
from app.turn import Turn


class Preparing:
    """Lets pictures into the threads that prepare them.

    A queue fills up while pictures are decoded. Without a bound here, a flood would decode hundreds
    of pictures that are refused in the end, and hold up the answers that need the same threads.

    Args:
        threads: so many pictures are in work at a time; the others wait, as encoded as they came.
        max_queue: places in each queue.
    """

    def __init__(self, threads: int, max_queue: int) -> None:
        self._threads, self._max_queue = threads, max_queue
        self._free_threads = asyncio.Semaphore(threads)
        self._coming: Counter[tuple[InferenceQueue, Turn]] = Counter()

    @asynccontextmanager
    async def one(
        self, queue: InferenceQueue, turn: Turn, deadline_s: float
    ) -> AsyncIterator[None]:
        """Be one picture that is prepared for a queue, in the body.

        Raises:
            OverloadedError: there are as many on the same account as have room; or the queue filled
                up meanwhile, see `InferenceQueue.check_room`.
        """
        account = queue, turn
        free = self._max_queue - queue.queue_size
        # A full queue may still make room for a tenant; then as many come as there are threads.
        if self._coming[account] >= max(free, self._threads):
            raise full_error(self._max_queue, queue.retry_after_s(self._max_queue))
        self._coming[account] += 1
        try:
            async with self._free_threads:
                queue.check_room(turn, deadline_s)
                yield
        finally:
            self._coming[account] -= 1
            if not self._coming[account]:
                del self._coming[account]
