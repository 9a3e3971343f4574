"""A Weights & Biases run of a run folder; training neither waits for it nor fails with it.

Its id (WANDB_RUN_ID, if a sweep's agent has set it) is stored in ``wandb_id`` of the run folder, so that a resumed run
continues the same W&B run. Metrics are logged with their training step; steps that are repeated after an interruption
are equal and change nothing. Without a login, or if the server does not answer, the run is offline, in ``wandb/`` of
the run folder, for a later `wandb sync`.
"""

import logging
import os
import secrets
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import wandb
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from lightning_utilities.core.rank_zero import rank_zero_only

from orthrus.output import write_text

_log = logging.getLogger(__name__)
_CONNECT_SECONDS = 10
_INIT_SECONDS = 30
_ID_FILE = "wandb_id"


class WandbRun(Logger):
    """Logs to W&B.

    Args:
        project: project in W&B.
        entity: user or team in W&B; None: the default of the login.
        name: display name of the run; None: W&B chooses one.
        run_folder: folder of the id and the offline files; None: the trainer's ``default_root_dir``.
        log_checkpoints: upload the best checkpoint at the end of training as an artifact.
    """

    def __init__(
        self,
        project: str = "orthrus",
        entity: str | None = None,
        name: str | None = None,
        run_folder: str | None = None,
        log_checkpoints: bool = False,
    ) -> None:
        super().__init__()
        self.project, self.entity, self._run_name, self.log_checkpoints = project, entity, name, log_checkpoints
        self.folder = Path(run_folder or ".")
        self._run: Any = None
        self._failed = False

    @property
    def name(self) -> str:
        """The project."""
        return self.project

    @property
    def version(self) -> str | None:
        """The run's id, None before it exists."""
        path = self.folder / _ID_FILE
        return path.read_text().strip() if path.is_file() else None

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, which begins at the first access; a disabled one if it cannot begin."""
        if self._run is None:
            try:
                self._run = self._begin()
            except Exception as error:
                self._fail("begin", error)
                self._run = wandb.init(mode="disabled")
        return self._run

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Add to the run's configuration."""
        self.attempt(lambda run: run.config.update(params, allow_val_change=True))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log at a training step."""
        self.attempt(lambda run: run.log(dict(metrics), step=step))

    def attempt(self, act: Callable[[Any], object]) -> None:
        """Call ``act`` with the run; after a failure, warn once and do not use W&B again."""
        if self._failed:
            return
        try:
            act(self.experiment)
        except Exception as error:
            self._fail("log", error)

    def finish(self, exit_code: int) -> None:
        """Close the run. Not in ``finalize``, which is also called after the validation that precedes training."""
        if self._run is not None:
            self.attempt(lambda run: run.finish(exit_code=exit_code))
            self._run = None

    def _begin(self) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        run_id = self.version
        if run_id is None:
            run_id = os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)  # a sweep's agent sets it
            write_text(run_id + "\n", self.folder / _ID_FILE)
        given: dict[str, Any] = {
            "project": self.project,
            "entity": self.entity,
            "name": self._run_name,
            "id": run_id,
            "dir": str(self.folder.resolve()),  # W&B's service may have been started from another folder
        }
        mode = os.environ.get("WANDB_MODE", "online")
        if mode == "online":
            try:
                if wandb.login(prompt=False, verify=False):
                    _ask(str(wandb.setup().settings.base_url))
                    settings = wandb.Settings(init_timeout=_INIT_SECONDS)
                    return wandb.init(**given, mode="online", resume="allow", settings=settings)
            except Exception as error:
                _log.warning("W&B cannot be reached (%s): this run is logged offline", str(error).splitlines()[0])
                wandb.teardown()
            mode = "offline"
        return wandb.init(**given | {"mode": mode}, settings=wandb.Settings(silent=mode == "offline"))

    def _fail(self, what: str, error: Exception) -> None:
        self._failed = True
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        _log.warning("W&B cannot %s (%s): training goes on without it; metrics/ has everything", what, reason)


def _ask(server: str) -> None:
    """Raise OSError if no server answers: W&B's service would keep trying, and could then not be ended."""
    try:
        urlopen(server, timeout=_CONNECT_SECONDS).close()
    except HTTPError as answer:
        answer.close()
