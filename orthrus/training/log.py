"""Logging of values that are not measured at every logging step."""

from collections.abc import Mapping

from lightning import Trainer


def log_now(trainer: Trainer, values: Mapping[str, float]) -> None:
    """Give ``values`` to all loggers for the last step; ``LightningModule.log`` drops values between logging steps."""
    if trainer.is_global_zero:
        for logger in trainer.loggers:
            logger.log_metrics(dict(values), step=max(trainer.global_step - 1, 0))
