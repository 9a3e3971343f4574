"""An exported encoder as a model of Hugging Face's transformers: this file is part of the exported folder.

    from transformers import AutoModel
    model = AutoModel.from_pretrained(FOLDER, trust_remote_code=True)
    model.embed(["ACGU...", ...])                             # (n, D), no gradients
    model(tracks_BCL, lengths_B).pooler_output                # (B, D), differentiable

It needs the package that this file comes from, with the import name orthrus.

B batch rows, C tracks (A, C, G, T and, with 6, CDS and splice), L positions (nt), T tokens (L, or fewer for an encoder
that reads codons), D model width.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling, MaskedLMOutput

try:  # otherwise transformers advises to install an unrelated package of this name
    import orthrus
    from orthrus.nn.encoder import MambaEncoder
    from orthrus.nn.heads import MaskedLanguageHead, PublishedSequenceHead
    from orthrus.nn.pooling import mean_pool
    from orthrus.nn.stem import CodonStem, share_of_words
except ImportError as error:
    raise ImportError("this model needs the package orthrus-mrna; install it, not the unrelated `orthrus`") from error


class OrthrusConfig(PretrainedConfig):
    """``orthrus``: the encoder's configuration and its readout, as ``orthrus export`` writes them."""

    model_type = "orthrus-mrna"

    def __init__(self, orthrus: dict[str, Any] | None = None, **options: Any) -> None:
        self.orthrus = orthrus or {}
        super().__init__(**options)


class _Base(PreTrainedModel):
    config_class = OrthrusConfig
    base_model_prefix = "encoder"
    main_input_name = "tracks"

    def __init__(self, config: OrthrusConfig) -> None:
        super().__init__(config)
        self.encoder = MambaEncoder.from_config(config.orthrus["encoder"])
        self.encoder.cds_frame = config.orthrus.get("cds_frame", "published")

    def _init_weights(self, module: nn.Module) -> None:
        """Compute the codon stem's table, which no file holds: transformers builds a model without values."""
        if isinstance(module, CodonStem):
            module.get_buffer("_share").copy_(share_of_words())

    def embed(self, transcripts: Any, **options: Any) -> Any:
        """Vectors of sequences, a FASTA, a data frame or a store, from :func:`orthrus.embed`."""
        options.setdefault("readout", self.config.orthrus.get("readout"))
        return orthrus.embed(transcripts, self.encoder, device=str(self.device), **options)

    def _hidden(self, tracks: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        if lengths is None:
            lengths = torch.full(tracks.shape[:1], tracks.shape[2], device=tracks.device)
        hidden: Tensor = self.encoder(tracks, lengths)
        return hidden, lengths


class OrthrusModel(_Base):
    """Tracks (B, C, L) and lengths (B,) -> hidden states (B, T, D) and their means over each transcript (B, D)."""

    def __init__(self, config: OrthrusConfig) -> None:
        super().__init__(config)
        self._keys_to_ignore_on_load_unexpected = [r"^masked_base_head\.", r"^sequence_head\."]
        self.post_init()

    def forward(self, tracks: Tensor, lengths: Tensor | None = None) -> BaseModelOutputWithPooling:
        hidden, lengths = self._hidden(tracks, lengths)
        token_lengths = self.encoder.embedding.token_lengths(tracks, lengths)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=mean_pool(hidden, token_lengths))


class OrthrusForMaskedLM(_Base):
    """Tracks (B, C, L), with no base track set where a base is hidden, and lengths (B,) -> logits (B, L, 4)."""

    def __init__(self, config: OrthrusConfig) -> None:
        super().__init__(config)
        d_model = self.encoder.d_model
        if config.orthrus.get("sequence_head"):
            self.sequence_head = PublishedSequenceHead(d_model, config.orthrus["sequence_head"])
        else:
            self.masked_base_head = MaskedLanguageHead(d_model)
        self.post_init()

    def forward(self, tracks: Tensor, lengths: Tensor | None = None) -> MaskedLMOutput:
        hidden, _ = self._hidden(tracks, lengths)
        head = self.sequence_head if self.config.orthrus.get("sequence_head") else self.masked_base_head
        return MaskedLMOutput(logits=head(hidden))
