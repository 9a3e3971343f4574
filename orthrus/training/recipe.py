"""The recipe that a checkpoint was trained with, and the changes that are allowed when a run is resumed."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from orthrus.errors import InputError
from orthrus.output import write_text
from orthrus.training.provenance import differences

KEY = "recipe"  # of a checkpoint

_log = logging.getLogger(__name__)

# Prefixes of dotted keys whose values may change; the new value applies from then on.
_APPLIED = (
    *("model.learning_rate", "model.warmup_steps", "model.decay_share"),
    *("model.encoder_decay", "model.head_decay"),
    *("model.chunk_rows", "model.compile_encoder", "model.encoder.init_args.gradient_checkpointing"),
    *("trainer", "checkpoint", "gradients", "collapse", "throughput", "random_states", "presence"),
    "data.num_workers",
)
_STARTS = ("trainer.default_root_dir", "checkpoint.dirpath", "gradients.run_folder", "resume", "ckpt_path", "config")
_ELSEWHERE = ("data",)  # the data module compares these itself, and can allow changes
_FIXED = ("trainer.accumulate_grad_batches",)


def refuse_or_report_changes(before: Mapping[str, Any], now: Mapping[str, Any], checkpoint: Path) -> list[str]:
    """Log the differences between the recipe of a checkpoint and that of this run, and return them, one a line.

    Raises InputError, naming all of them, for changes that do not fit the state in the checkpoint.
    """
    changed, refused = [], []
    for key, old, new in differences(before, now):
        if _within(key, _STARTS) or _is_new_option(key, before):
            continue
        line = _describe(key, old, new)
        if _within(key, _FIXED) or not _within(key, (*_APPLIED, *_ELSEWHERE)):
            refused.append(line)
        elif not _within(key, _ELSEWHERE) or _within(key, _APPLIED):
            changed.append(line)
    if refused:
        raise InputError(
            f"{checkpoint} was trained by another recipe: {'; '.join(refused)}. Go on with the recipe that the run"
            " began with (config.yaml in its folder), or begin a new run in another --trainer.default_root_dir"
        )
    for line in changed:
        _log.warning("changed from here on: %s", line)
    return changed


def keep_recipe(text: str, path: Path, step: int) -> None:
    """Write the recipe of a run to ``path``; a different earlier recipe is kept under the step that it reached."""
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if before is not None and step and yaml.safe_load(before) != yaml.safe_load(text):
        write_text(before, path.with_name(f"config.until-step-{step:08d}.yaml"))
    write_text(text, path)


def _within(key: str, prefixes: tuple[str, ...]) -> bool:
    return any(key == prefix or key.startswith(f"{prefix}.") for prefix in prefixes)


def _is_new_option(key: str, before: Mapping[str, Any]) -> bool:
    """Whether the option is newer than the recipe, so that its default is the behaviour of the earlier version."""
    *parents, name = key.split(".")
    for parent in parents:
        before = before.get(parent) or {}
        if not isinstance(before, Mapping):
            return False
    return name not in before and parents[-1:] != ["objective"]


def _describe(key: str, old: Any, new: Any) -> str:
    parent, _, name = key.rpartition(".")
    if parent == "model.objective" and (old is None or new is None):
        return f"the term {name} was {'added' if old is None else 'removed'}"
    return f"{key} was {old}, is {new}"
