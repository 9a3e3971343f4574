"""The encoder with Hugging Face's methods: ``from_pretrained``, ``save_pretrained``, ``push_to_hub`` (extra ``hub``).

The files are those of ``orthrus export``.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from orthrus.nn.checkpoints import CONFIG_FILE, WEIGHTS_FILES, load_as, load_mlm_head, stored_readout, write_files
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.readouts import LAST_MEAN

try:
    from huggingface_hub import ModelHubMixin, snapshot_download
except ImportError as error:
    raise ImportError("PretrainedEncoder needs huggingface_hub: pip install huggingface_hub") from error


class PretrainedEncoder(MambaEncoder, ModelHubMixin):
    """A :class:`~orthrus.nn.encoder.MambaEncoder` that Hugging Face's tools load, save and publish.

    ``PretrainedEncoder.from_pretrained("owner/name", revision=None, device="cpu")`` reads a repository or a folder, in
    our format or the published one, and returns the encoder in eval mode. It raises the errors of huggingface_hub for a
    repository that cannot be downloaded, and InputError, as :func:`orthrus.load_encoder`, for one without an encoder.
    The arguments of the class are those of :class:`~orthrus.nn.encoder.MambaEncoder`.

    Examples:
        >>> encoder = PretrainedEncoder(n_tracks=4, d_model=16, n_layers=1)
        >>> _ = encoder.save_pretrained("my-encoder")
        >>> PretrainedEncoder.from_pretrained("my-encoder").n_tracks
        4
    """

    readout: str = LAST_MEAN
    """The readout of the folder it was read from, and of one that is written (:mod:`orthrus.nn.readouts`)."""

    _mlm_head: tuple[nn.Module | None] = (None,)  # in a tuple, because it is no part of the encoder

    def _save_pretrained(self, save_directory: Path) -> None:
        write_files(self, save_directory, save_directory.name, None, self.readout, *self._mlm_head)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        device: str | torch.device = "cpu",
        **_: Any,  # entries of config.json, which is read with the weights
    ) -> "PretrainedEncoder":
        folder = model_id
        if not Path(model_id).is_dir():
            folder = snapshot_download(
                model_id,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
                allow_patterns=[CONFIG_FILE, *WEIGHTS_FILES],
            )
        encoder = load_as(cls, folder, device)
        encoder.readout, encoder._mlm_head = stored_readout(folder), (load_mlm_head(folder),)
        return encoder
