"""The endless stream of plans that training reads, and where in it a run is."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from torch.utils.data import Sampler

from orthrus.errors import InputError
from orthrus.loading.plan import START, BatchPlan, Place, Planner


class EndlessPlans(Sampler[BatchPlan]):
    """The plans of epoch 0, 1, 2, ... of one rank, without end, planned a window ahead in a thread.

    Batches are numbered from 0 over the whole run; ``place`` is that of batch ``number``. An iteration begins with
    batch ``position()``, asked anew each time, whatever was handed to loader workers in advance before; without it
    always with ``number``.
    """

    def __init__(
        self,
        planner: Planner,
        place: Place = START,
        number: int = 0,
        position: Callable[[], int] | None = None,
    ) -> None:
        self._planner = planner
        self._position = position or (lambda: number)
        self._begun = deque([(number - place.step, place.epoch, place.window)])  # windows, by their first batch

    def place(self, number: int) -> Place:
        """The place of batch ``number``, which is none before one asked for earlier nor after the next to come."""
        while len(self._begun) > 1 and self._begun[1][0] <= number:
            self._begun.popleft()
        first, epoch, window = self._begun[0]
        return Place(epoch, window, number - first)

    def __iter__(self) -> Iterator[BatchPlan]:
        """Batch plans, in training order. Raises InputError if no family meets another in a whole epoch."""
        number = self._position()
        epoch, window, skip = self.place(number)
        first = number - skip
        self._begun = deque([(first, epoch, window)])
        empty = 0
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="plan") as thread:
            ahead = thread.submit(self._planner.window, epoch, window)
            while True:
                plans = ahead.result()
                empty = 0 if plans else empty + 1
                if empty > self._planner.n_windows:
                    raise InputError(
                        f"no batch of pairs of two families came of the {len(self._planner.bases):,} transcripts to"
                        f" draw from, on {self._planner.world_size} device(s): use a store of more families, or fewer"
                        " devices"
                    )
                epoch, window = (epoch, window + 1) if window + 1 < self._planner.n_windows else (epoch + 1, 0)
                ahead = thread.submit(self._planner.window, epoch, window)
                yield from plans[skip:]
                skip, first = max(0, skip - len(plans)), first + len(plans)
                self._begun.append((first, epoch, window))
