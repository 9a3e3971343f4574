"""Representation learning for mature mRNA.

Reading a store needs no PyTorch; what does is imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orthrus.errors import InputError
from orthrus.store import TranscriptStore
from orthrus.version import package_version

if TYPE_CHECKING:
    from orthrus.embedding.file import Embeddings, read_embeddings, write_embeddings
    from orthrus.embedding.from_python import embed
    from orthrus.models import load_model
    from orthrus.nn.checkpoints import load_encoder
    from orthrus.nn.encoder import MambaEncoder
    from orthrus.nn.pretrained import PretrainedEncoder
    from orthrus.objectives import DecoupledContrastiveLoss
    from orthrus.probe.predict import predict

__version__ = package_version()

__all__ = [
    "DecoupledContrastiveLoss",
    "Embeddings",
    "InputError",
    "MambaEncoder",
    "PretrainedEncoder",
    "TranscriptStore",
    "__version__",
    "embed",
    "load_encoder",
    "load_model",
    "predict",
    "read_embeddings",
    "write_embeddings",
]

_WHEN_USED = {
    "DecoupledContrastiveLoss": "orthrus.objectives",
    "Embeddings": "orthrus.embedding.file",
    "MambaEncoder": "orthrus.nn.encoder",
    "PretrainedEncoder": "orthrus.nn.pretrained",
    "embed": "orthrus.embedding.from_python",
    "load_encoder": "orthrus.nn.checkpoints",
    "load_model": "orthrus.models",
    "predict": "orthrus.probe.predict",
    "read_embeddings": "orthrus.embedding.file",
    "write_embeddings": "orthrus.embedding.file",
}


def __getattr__(name: str) -> Any:
    if name in _WHEN_USED:
        return getattr(import_module(_WHEN_USED[name]), name)
    raise AttributeError(f"module 'orthrus' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
