"""The short table at the end of `benchmarks/gpu.sh`: the rows of all parts, and how ours stand to the peers'.

python benchmarks/gpu_summary.py FOLDER    # with scan.json, block.json, ..., as the parts wrote them
"""

import json
import sys
from pathlib import Path

from gpu_bench import Row, show

PARTS = ("scan", "block", "step", "fit", "embed")


def summary(folder: Path) -> None:
    """All parts' rows that are no detail of a profile, and how ours stand to the peers'."""
    rows: list[Row] = []
    for name in PARTS:
        path = folder / f"{name}.json"
        found = json.loads(path.read_text())["rows"] if path.exists() else [{"what": f"{name}: failed, see {name}.log"}]
        rows += [row for row in found if not row["what"].startswith("    ")]
    show(rows)
    for kind in ("scan", "block"):
        for row in rows:
            if not row["what"].startswith(f"{kind}, ") or "mamba-ssm" in row["what"] or "two-way" in row["what"]:
                continue
            for peer in rows:
                if peer["what"].startswith(f"{kind}, mamba-ssm") and peer["shape"] == row["shape"]:
                    forward, both = (peer[key] / row[key] for key in ("forward_ms", "forward_backward_ms"))
                    print(f"{kind} {row['shape']}: {forward:.2f}x forward, {both:.2f}x with backward of {peer['what']}")
    rate = {row["what"]: row["nt_per_s"] for row in rows if "nt_per_s" in row}
    ours, reference = rate.get("training step, orthrus"), rate.get("training step, mamba-ssm's blocks, padded")
    if ours and reference:
        print(f"useful nt/s of a step: {ours / reference:.2f}x of mamba-ssm's blocks on padded batches")
    if ours and (whole := rate.get("orthrus fit, loader at work")):
        print(f"whole loop: {whole / ours:.2f} of the step alone")
    (folder / "summary.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    summary(Path(sys.argv[1]))
