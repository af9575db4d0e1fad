"""Self-contained HTML reports with text, tables and figures; readable offline and by screen readers."""

from __future__ import annotations

import base64
import io
import math
import re
import struct
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import RESEARCH_USE, __version__
from ..runtime.files import write_text
from ..runtime.numerals import MISSING, format_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIMULATED_BANNER = "Simulated data: all results are from simulated patients, not from people."
SIMULATED_PATIENT = "Simulated patient: these images are from a phantom, not from a scanner."
DOTS_PER_INCH = 150
LONGEST_NAME = 60  # characters of a file name made from a description
LONGEST_LINE = 30  # characters of a cell that may not be broken
TEMPLATE = "report.html.jinja"


class Report:
    """A report that is written as one HTML file. All text is escaped.

    Args:
        title: title of the page.
        banners: notes above the title; "Research use only, not for diagnosis." is always the first.
        figures: folder that also gets every figure as PNG, or None.

    >>> report = Report("Evaluation", banners=[SIMULATED_BANNER])
    >>> report.add_heading("Lesions").add_table([{"id": 1, "mean_dvr": 1.04}], titles={"mean_dvr": "Mean DVR"})
    >>> report.write("report.html")                                                     # doctest: +SKIP
    """

    def __init__(self, title: str, banners: Sequence[str] = (), figures: Path | None = None) -> None:
        self.title = title
        self.figures = figures
        self.banners = [RESEARCH_USE, *(banner for banner in banners if banner != RESEARCH_USE)]
        self._parts: list[dict[str, Any]] = []
        self._names: set[str] = set()

    def add_heading(self, text: str) -> Report:
        """Start a section.

        Args:
            text: heading.

        Returns:
            The report itself.
        """
        self._parts.append({"kind": "heading", "text": text})
        return self

    def add_text(self, text: str) -> Report:
        """Add paragraphs of plain text.

        Args:
            text: paragraphs, separated by empty lines.

        Returns:
            The report itself.
        """
        self._parts += [{"kind": "text", "text": part.strip()} for part in text.split("\n\n") if part.strip()]
        return self

    def add_table(
        self,
        rows: Sequence[Mapping[str, Any]],
        caption: str = "",
        columns: Sequence[str] | None = None,
        titles: Mapping[str, str] | None = None,
        formats: Mapping[str, str] | None = None,
        missing: str = MISSING,
    ) -> Report:
        """Add a table, or a sentence if there are no rows.

        Args:
            rows: one mapping per row.
            caption: caption above the table.
            columns: keys to show, in this order (default: those of the first row).
            titles: column heading by key.
            formats: format string by key, such as "{:.2f}" (floats default to three decimals).
            missing: text for None and NaN.

        Returns:
            The report itself.
        """
        if not rows:
            return self.add_text(f"{caption.rstrip('.') + ': ' if caption else ''}none.")
        keys = list(columns) if columns is not None else list(rows[0])
        numeric = {key: any(isinstance(row.get(key), Real) for row in rows) for key in keys}
        heads = [{"title": (titles or {}).get(key, key.replace("_", " ")), "number": numeric[key]} for key in keys]
        cells = [[_cell(row.get(key), (formats or {}).get(key), missing, numeric[key]) for key in keys] for row in rows]
        self._parts.append({"kind": "table", "caption": caption, "columns": heads, "rows": cells})
        return self

    def add_figure(self, figure: Figure | bytes | Path, caption: str, alt: str = "", name: str = "") -> Report:
        """Add a figure.

        Args:
            figure: matplotlib figure, PNG bytes or path of a PNG.
            caption: caption below the figure.
            alt: description for screen readers (default: the caption).
            name: name of the PNG file, without extension (default: from the description). The file says below the
                figure that it is for research only, and whether the data are simulated.

        Returns:
            The report itself.

        Raises:
            ValueError: the bytes are not a PNG.
        """
        if isinstance(figure, (str, Path)):
            content = Path(figure).read_bytes()
        else:
            content = figure if isinstance(figure, bytes) else png_bytes(figure)
        if content[:8] != b"\x89PNG\r\n\x1a\n":
            raise ValueError("a report takes PNG pictures only")
        if self.figures is not None:
            self.figures.mkdir(exist_ok=True)
            name = name or re.sub(r"[^\w]+", "-", (alt or caption).lower()).strip("-")[:LONGEST_NAME]
            label = f"Simulated data. {RESEARCH_USE}" if SIMULATED_BANNER in self.banners else RESEARCH_USE
            name += "-2" * (name in self._names)
            self._names.add(name)
            (self.figures / f"{name}.png").write_bytes(labelled_png(content, label))
        width = struct.unpack(">I", content[16:20])[0] * 96 // DOTS_PER_INCH
        encoded = base64.b64encode(content).decode("ascii")
        self._parts.append(
            {"kind": "figure", "png": encoded, "width": width, "caption": caption, "alt": alt or caption}
        )
        return self

    def html(self) -> str:
        """The page as HTML."""
        from jinja2 import Environment, StrictUndefined

        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        template = environment.from_string(Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8"))
        footer = f"Made by MyelinSynth {__version__}. {RESEARCH_USE}"
        return template.render(title=self.title, banners=self.banners, parts=self._parts, footer=footer)

    def write(self, path: Path | str) -> None:
        """Write the page as UTF-8, atomically.

        Args:
            path: HTML file.
        """
        write_text(Path(path), self.html())


def png_bytes(figure: Figure) -> bytes:
    """Render a matplotlib figure as PNG at 150 dots per inch; the bytes are reproducible.

    Args:
        figure: the figure.

    Returns:
        Content of the PNG file.
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": None})
    return stream.getvalue()


def labelled_png(content: bytes, label: str) -> bytes:
    """Add a line of text below a picture, which may be shown without its page.

    Args:
        content: PNG of `png_bytes`.
        label: the text.

    Returns:
        The higher PNG.
    """
    from matplotlib import font_manager
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.open(io.BytesIO(content)).convert("RGB")
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), DOTS_PER_INCH * 8 // 72)
    higher = Image.new("RGB", (picture.width, picture.height + 2 * int(font.size)), "white")
    higher.paste(picture)
    place = (picture.width / 2, picture.height + font.size / 4)
    ImageDraw.Draw(higher).text(place, label, "#444444", font, anchor="ma")
    stream = io.BytesIO()
    higher.save(stream, "png")
    return stream.getvalue()


def _cell(value: Any, form: str | None, missing: str, numeric: bool) -> dict[str, str]:
    style = "number" if numeric else ""
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return {"text": missing, "style": f"{style} missing".strip()}
    if isinstance(value, bool):
        return {"text": "yes" if value else "no", "style": style}
    if form is None:
        form = "{}" if isinstance(value, Integral) or not isinstance(value, Real) else "{:.3f}"
    text = format_number(value, form) if isinstance(value, Real) else form.format(value)
    wraps = any(map(str.isalpha, text)) or " + " in text  # `0.638 (0.154)` stays on one line
    if not numeric and " " in text and wraps:
        style = "long" if len(text) > LONGEST_LINE else "words"
    return {"text": text, "style": style}
