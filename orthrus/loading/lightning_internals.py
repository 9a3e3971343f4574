"""What we touch of Lightning beyond its documented interface, all of it in one place.

``tests/loading/test_lightning_internals.py`` fails when one of these moves, before a run does. Written against
Lightning 2.6.
"""

from typing import Any

from lightning import Trainer

# Lightning's counters of a validation that has been entered and has finished no batch: it is run whole on resuming.
_VALIDATION_BEGUN = {"ready": 1, "started": 1, "processed": 0, "completed": 0}


def trained_batches(trainer: Trainer) -> int:
    """Training batches gone through by a rank, over the whole run; one that was broken off is none."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.state_dict()["total"]["processed"])


def within_a_step(trainer: Trainer) -> bool:
    """Whether the batch just trained on is followed by another one of the same optimiser step."""
    return bool(trainer.fit_loop._should_accumulate())


def is_logging_step(trainer: Trainer) -> bool:
    """Whether what the step at hand logs goes to the loggers."""
    return bool(trainer._logger_connector.should_update_logs)


def log_step(trainer: Trainer) -> None:
    """Give the loggers what the step at hand has logged, which Lightning does after the hooks of its end."""
    trainer._logger_connector.update_train_step_metrics()


def validation_follows(trainer: Trainer) -> bool:
    """Whether the step that has just ended is followed by a validation."""
    every = trainer.val_check_batch
    batches = trainer.fit_loop.epoch_loop.total_batch_idx + 1
    return bool(trainer.enable_validation and every not in (None, float("inf")) and batches % every == 0)


def mark_validation_begun(checkpoint: dict[str, Any]) -> None:
    """Make a run that is resumed from ``checkpoint`` begin with the validation that follows its step."""
    loop = checkpoint["loops"]["fit_loop"]
    for counts in ("total", "current"):
        loop["epoch_loop.val_loop.batch_progress"][counts] = dict(_VALIDATION_BEGUN)
        loop["epoch_loop.batch_progress"][counts]["completed"] += 1
