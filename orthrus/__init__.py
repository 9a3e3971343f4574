"""Representation learning for mature mRNA.

Reading a store needs no PyTorch; what does is imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orthrus.errors import InputError
from orthrus.store import TranscriptStore

if TYPE_CHECKING:
    from orthrus.models import load_model
    from orthrus.nn.checkpoints import load_encoder
    from orthrus.nn.encoder import MambaEncoder
    from orthrus.nn.pretrained import PretrainedEncoder
    from orthrus.objectives import DecoupledContrastiveLoss

__all__ = [
    "DecoupledContrastiveLoss",
    "InputError",
    "MambaEncoder",
    "PretrainedEncoder",
    "TranscriptStore",
    "load_encoder",
    "load_model",
]

_WITH_TORCH = {
    "DecoupledContrastiveLoss": "orthrus.objectives",
    "MambaEncoder": "orthrus.nn.encoder",
    "PretrainedEncoder": "orthrus.nn.pretrained",
    "load_encoder": "orthrus.nn.checkpoints",
    "load_model": "orthrus.models",
}


def __getattr__(name: str) -> Any:
    if name in _WITH_TORCH:
        return getattr(import_module(_WITH_TORCH[name]), name)
    raise AttributeError(f"module 'orthrus' has no attribute {name!r}")
