"""An analysis as a section of a run's page: its plots with explanations."""

import base64
from pathlib import Path

from markupsafe import Markup

from orthrus.errors import InputError
from orthrus.spec_file import parse_json

_PLOTS = {
    "compression": "How far each sample can be compressed, over what uniform symbols would need: 1 is no structure"
    " found. All samples are of one size; dotted lines are the same symbols in random order.",
    "composition": "GC content of each region, one random transcript a gene.",
    "codons": "Relative synonymous codon usage; 1 is no preference among the codons of an amino acid.",
    "similarity": "How alike positive pairs are, beside transcripts of unrelated families.",
}


def analysis_section(path: Path) -> tuple[str, Markup]:
    """Title and HTML of the analysis whose ``analysis.json`` is at ``path``; raises InputError if it cannot be read."""
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        store, symbols, text, seed = (document[key] for key in ("store", "symbols", "text", "seed"))
        about = f"{symbols:,}"
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no analysis ({error!r}); make it again with `orthrus analyse`.") from None
    parts = [
        Markup("<p>Of <code>{}</code>, in samples of {} symbols drawn with seed {}, beside {}.</p>").format(
            store, about, seed, text
        )
    ]
    for name, caption in _PLOTS.items():
        plot = path.with_name(f"{name}.png")
        if plot.is_file():
            data = base64.b64encode(plot.read_bytes()).decode()
            parts.append(
                Markup(
                    '<figure><figcaption>{}</figcaption><img alt="{}" style="max-width:100%"'
                    ' src="data:image/png;base64,{}"></figure>'
                ).format(caption, caption, data)
            )
    return "What the sequences hold", Markup("").join(parts)
