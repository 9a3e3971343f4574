"""One self-contained HTML page from a template: it includes style, charts and the library that draws them."""

import functools
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from orthrus.charts import specification
from orthrus.report.figures import Figure


def render_page(package: str, template: str, **context: Any) -> str:
    """Render a package's template with ``context``.

    The template also receives ``style`` (CSS), ``draw`` (figure -> the place of its chart), ``draw.json``, ``library``
    and ``script`` (which draw the charts), and ``written``, the date.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(
        style=_file("report.css"),
        script=_file("report.js"),
        library=Markup(_library()),
        draw=_Drawn(),
        written=datetime.now().astimezone().strftime("%d %B %Y, %H:%M"),
        **context,
    )


class _Drawn:
    """Numbers each chart of the template and keeps its specification for the page's script."""

    def __init__(self) -> None:
        self.charts: list[dict[str, Any]] = []

    def __call__(self, figure: Figure, colours: Mapping[str, Any] | None = None) -> Markup:
        number = len(self.charts)
        self.charts.append({"title": figure.title, "spec": specification(figure.chart), "colours": colours or {}})
        return Markup('<div class="chart" id="chart-{}" role="img" aria-label="{}"></div>').format(
            number, figure.description
        )

    @property
    def json(self) -> Markup:
        """All charts as JSON for a script element; escaped, so that no text in them can end the element."""
        return Markup(json.dumps(self.charts, allow_nan=False).replace("<", "\\u003c"))


def _file(name: str) -> Markup:
    return Markup((Path(__file__).parent / name).read_text(encoding="utf-8"))


@functools.cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script")
