"""The projection of an encoder's vectors into a space in which relatives are close.

B rows, R numbers of a readout, P numbers of the projection.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthrus.errors import InputError


class Projection(nn.Module):
    """Vectors of a readout (B, R) -> unit vectors (B, P) whose cosine says how closely transcripts are related.

        p = W (v - mean) / |W (v - mean)|

    :func:`orthrus.training.projection.fit_projection` fits it on the vectors of a frozen encoder.

    Args:
        readout: the readout whose vectors it takes (:mod:`orthrus.nn.readouts`).
        d_in: the width R of that readout.
        d_out: the width P of the projection.

    Raises:
        InputError: for sizes that are not positive, or a readout that is not text.
    """

    def __init__(self, readout: str, d_in: int, d_out: int = 256) -> None:
        super().__init__()
        if not isinstance(readout, str):
            raise InputError(f"the readout of the projection is {readout!r}; expected text such as last.mean")
        for name, size in (("d_in", d_in), ("d_out", d_out)):
            if size < 1:
                raise InputError(f"{name} of the projection must be at least 1, got {size}")
        self.readout, self.d_in, self.d_out = readout, d_in, d_out
        self.mean = nn.Parameter(torch.zeros(d_in))
        self.linear = nn.Linear(d_in, d_out, bias=False)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that build a projection of this shape."""
        return {"readout": self.readout, "d_in": self.d_in, "d_out": self.d_out}

    def forward(self, vector_BR: Tensor) -> Tensor:
        with torch.autocast(vector_BR.device.type, enabled=False):
            projected_BP: Tensor = F.normalize(self.linear(vector_BR.float() - self.mean), dim=1)
        return projected_BP
