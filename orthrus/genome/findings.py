"""What readers found and did not keep, or kept but doubt: counts by reason, with the first few names."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

_EXAMPLES = 3


@dataclass
class Tally:
    """How often each reason occurred and the first names it occurred for."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, names: Iterable[str]) -> None:
        """Count ``names`` under ``reason``; no names leave no trace."""
        names = list(names)
        if names:
            self.counts[reason] = self.counts.get(reason, 0) + len(names)
            seen = self.examples.setdefault(reason, [])
            new = (name for name in dict.fromkeys(names) if name not in seen)
            seen.extend(islice(new, _EXAMPLES - len(seen)))

    def lines(self) -> list[str]:
        """One line a reason, such as ``12 overlapping exons (for example A, B, C)``."""
        return [f"{n:,} {reason} (for example {', '.join(self.examples[reason])})" for reason, n in self.counts.items()]


@dataclass
class Findings:
    """``dropped``: transcripts left out, by reason. ``noted``: things kept or ignored that the user should know."""

    dropped: Tally = field(default_factory=Tally)
    noted: Tally = field(default_factory=Tally)
