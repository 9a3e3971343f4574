"""All uses of Lightning beyond its documented interface.

``tests/loading/test_lightning_internals.py`` fails when one of them changes. Written for Lightning 2.6.
"""

from typing import Any

from lightning import Trainer

# Lightning's counters of a validation that has begun and finished no batch; it runs whole after resuming.
_VALIDATION_BEGUN = {"ready": 1, "started": 1, "processed": 0, "completed": 0}


def trained_batches(trainer: Trainer) -> int:
    """The number of training batches that a rank has finished, over the whole run."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.state_dict()["total"]["processed"])


def within_a_step(trainer: Trainer) -> bool:
    """Whether another batch of the same optimiser step follows the current one."""
    return bool(trainer.fit_loop._should_accumulate())


def is_trial(trainer: Trainer) -> bool:
    """Whether the run is a ``fast_dev_run`` of a few batches, which keeps nothing."""
    flags: Any = trainer  # the attribute is set from another module
    return bool(flags.fast_dev_run)


def is_logging_step(trainer: Trainer) -> bool:
    """Whether the loggers receive what the current step logs."""
    return bool(trainer._logger_connector.should_update_logs)


def log_step(trainer: Trainer) -> None:
    """Send what the current step has logged to the loggers, which Lightning does after the hooks of the step's end."""
    trainer._logger_connector.update_train_step_metrics()


def validation_follows(trainer: Trainer) -> bool:
    """Whether a validation follows the step that has just ended."""
    every = trainer.val_check_batch
    batches = trainer.fit_loop.epoch_loop.total_batch_idx + 1
    return bool(trainer.enable_validation and every not in (None, float("inf")) and batches % every == 0)


def mark_validation_begun(checkpoint: dict[str, Any]) -> None:
    """Make a run that is resumed from ``checkpoint`` begin with the validation that follows its step."""
    loop = checkpoint["loops"]["fit_loop"]
    for counts in ("total", "current"):
        loop["epoch_loop.val_loop.batch_progress"][counts] = dict(_VALIDATION_BEGUN)
        loop["epoch_loop.batch_progress"][counts]["completed"] += 1
