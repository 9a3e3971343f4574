"""What readers found and did not keep, or kept but doubt: counts by reason, with names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

LISTED = 1000
"""How many names are kept of a reason; of odd transcripts, which are few, all."""
_SHOWN = 5


@dataclass
class Tally:
    """How often each reason occurred and the first names, up to :data:`LISTED`, that it occurred for."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, names: Iterable[str]) -> None:
        """Count ``names`` under ``reason``; no names leave no trace."""
        names = list(names)
        self.add_counted(reason, len(names), names)

    def add_counted(self, reason: str, count: int, examples: Iterable[str]) -> None:
        """Count ``count`` more under ``reason``, of which ``examples`` are the first."""
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count
            seen = self.examples.setdefault(reason, [])
            already = set(seen)
            new = (name for name in dict.fromkeys(examples) if name not in already)
            seen.extend(islice(new, LISTED - len(seen)))

    def update(self, other: "Tally") -> None:
        """Count what ``other`` counted too."""
        for reason, count in other.counts.items():
            self.add_counted(reason, count, other.examples[reason])

    def lines(self) -> list[str]:
        """One line a reason, such as ``12 overlapping exons (for example A, B, C)``."""
        return [f"{n:,} {reason} (for example {shown(self.examples[reason])})" for reason, n in self.counts.items()]


def shown(names: Sequence[str]) -> str:
    """The first few names, for people."""
    return ", ".join(names[:_SHOWN])


@dataclass
class Findings:
    """``dropped``: transcripts left out, by reason. ``noted``: things kept or ignored that the user should know."""

    dropped: Tally = field(default_factory=Tally)
    noted: Tally = field(default_factory=Tally)
