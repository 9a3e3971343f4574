"""What readers dropped or doubted: counts by reason, with names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

LISTED = 1000
"""How many names are kept of each reason."""
_SHOWN = 5


@dataclass
class Tally:
    """How often each reason occurred, and the first names, up to :data:`LISTED`, that it applied to."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, names: Iterable[str]) -> None:
        """Count ``names`` under ``reason``; an empty list adds no entry."""
        names = list(names)
        self.add_counted(reason, len(names), names)

    def add_counted(self, reason: str, count: int, examples: Iterable[str]) -> None:
        """Add ``count`` to ``reason``; ``examples`` are the first names of these."""
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count
            seen = self.examples.setdefault(reason, [])
            already = set(seen)
            new = (name for name in dict.fromkeys(examples) if name not in already)
            seen.extend(islice(new, LISTED - len(seen)))

    def update(self, other: "Tally") -> None:
        """Add the counts of ``other``."""
        for reason, count in other.counts.items():
            self.add_counted(reason, count, other.examples[reason])

    def lines(self) -> list[str]:
        """One line a reason, such as ``12 overlapping exons (for example A, B, C)``."""
        return [f"{n:,} {reason} (for example {shown(self.examples[reason])})" for reason, n in self.counts.items()]


def shown(names: Sequence[str]) -> str:
    """The first few names, for messages."""
    return ", ".join(names[:_SHOWN])


@dataclass
class Findings:
    """``dropped``: transcripts that are not kept, by reason. ``noted``: what else users should know."""

    dropped: Tally = field(default_factory=Tally)
    noted: Tally = field(default_factory=Tally)
