"""Options of commands that Lightning parses: what it would fail on, or misread, later is refused in a line."""

import math
import sys
from argparse import ArgumentError
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException

from orthrus.errors import InputError

Bounds = Mapping[str, tuple[float, float]]

MORE_THAN_0 = sys.float_info.min
BOUNDS: Bounds = {  # apply to numbers; an option may also have other values
    "seed_everything": (0, 2**32 - 1),
    "trainer.accumulate_grad_batches": (1, math.inf),
    "trainer.check_val_every_n_epoch": (1, math.inf),
    "trainer.gradient_clip_val": (0, math.inf),
    "trainer.limit_train_batches": (0, math.inf),
    "trainer.limit_val_batches": (0, math.inf),
    "trainer.limit_test_batches": (0, math.inf),
    "trainer.log_every_n_steps": (1, math.inf),
    "trainer.num_nodes": (1, math.inf),
    "trainer.num_sanity_val_steps": (-1, math.inf),
    "trainer.val_check_interval": (MORE_THAN_0, math.inf),
}


def check_bounds(options: Namespace, bounds: Bounds) -> None:
    """Raise InputError for a number outside its bounds, which are the least and the most."""
    for name, (least, most) in bounds.items():
        value = options.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and not least <= value <= most:
            lower = "more than 0" if least == MORE_THAN_0 else f"{least:g}"
            upper = f" to {most:,}" if most < math.inf else "" if least == MORE_THAN_0 else " or more"
            given = f"{value:g}" if isinstance(value, float) else value
            raise InputError(f"{name} is {given}; expected {lower}{upper}")


def check_trainer(trainer: Namespace) -> None:
    """Raise InputError for settings of the trainer that Lightning takes and no training of ours can."""
    precision = str(trainer.precision)
    if precision not in ("None", "16", "bf16", "32", "64", "16-mixed", "bf16-mixed", "32-true", "64-true"):
        raise InputError(
            f"trainer.precision is {precision}; weights and sums need float32 at least: take bf16-mixed, 16-mixed or"
            " 32-true"
        )
    if trainer.overfit_batches:
        raise InputError(
            f"trainer.overfit_batches is {trainer.overfit_batches}, which replaces the order of the data; take"
            " trainer.limit_train_batches"
        )


def check_interval(trainer: Namespace) -> None:
    """Raise InputError if a validation could fall inside an optimiser step, or at another step after resuming."""
    interval, batches = trainer.val_check_interval, trainer.accumulate_grad_batches
    if isinstance(interval, str | dict | timedelta):
        raise InputError(
            f"trainer.val_check_interval is {interval}; expected a number of batches, so that a run that is resumed"
            " validates at the same steps"
        )
    if batches > 1 and interval is not None and (isinstance(interval, float) or interval % batches):
        raise InputError(
            f"trainer.val_check_interval is {interval}; expected a multiple of trainer.accumulate_grad_batches"
            f" {batches}, since it counts batches and a validation comes after a whole step"
        )


@contextmanager
def refusals(command: str) -> Iterator[None]:
    """Turn an error of parsing options, or of building what they name, into an InputError."""
    try:
        yield
    except InputError:
        raise
    except (ArgumentError, MisconfigurationException, ValueError, TypeError) as error:
        if isinstance(error.__cause__, InputError):  # from an object that jsonargparse was building
            raise error.__cause__ from None
        raise InputError(f"{' '.join(str(error).split())}; see `orthrus {command} --help`") from error
