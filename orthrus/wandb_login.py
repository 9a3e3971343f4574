"""Weights & Biases for people without an account: offline, for `wandb sync` later."""

import os


def offline_without_login() -> None:
    """Log offline unless the user has a key or says otherwise."""
    import wandb

    if "WANDB_MODE" not in os.environ and not wandb.api.api_key:
        os.environ["WANDB_MODE"] = "offline"
        wandb.teardown()  # asking for the key has fixed the settings; the next run reads them anew
