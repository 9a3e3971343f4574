"""The endless stream of plans that training reads, and the place of a run in it."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from torch.utils.data import Sampler

from orthrus.errors import InputError
from orthrus.loading.plan import START, BatchPlan, Place, Planner


class EndlessPlans(Sampler[BatchPlan]):
    """The plans of epoch 0, 1, 2, ... of one rank, planned one window ahead in a thread.

    Batches are numbered from 0 over the whole run; ``place`` is the place of batch ``number``. An iteration begins with
    batch ``position()``, independently of what loader workers received in advance before; without ``position`` it
    begins with ``number``.
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
        """The place of batch ``number``; numbers must not decrease between calls, nor exceed the next batch."""
        while len(self._begun) > 1 and self._begun[1][0] <= number:
            self._begun.popleft()
        first, epoch, window = self._begun[0]
        return Place(epoch, window, number - first)

    def __iter__(self) -> Iterator[BatchPlan]:
        """Yield batch plans in training order. Raises InputError if a whole epoch has no batch of two families."""
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
