"""From the files that a spec names to a transcript store.

Transcripts are streamed into the store source by source; what does not fit is counted by reason. About 10 k
transcripts a second, plus the time to read the genome.
"""

from orthrus.prepare.build import PrepareSummary, open_or_prepare, prepare
from orthrus.prepare.spec import load_spec

__all__ = ["PrepareSummary", "load_spec", "open_or_prepare", "prepare"]
