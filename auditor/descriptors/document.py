"""Documents: the pages of a PDF file as pictures and their text (pypdfium2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.descriptors._common import bytes_of, figure, is_encoded, number, refuse_type
from auditor.descriptors.image import PLUGIN as IMAGE
from auditor.descriptors.text import MAX_CHARACTERS
from auditor.descriptors.text import PLUGIN as TEXT
from auditor.ports import DescriptorColumn

SAMPLED = 5
"""Pages that are drawn, spread evenly."""
MAX_TEXT_PAGES = 50
"""First pages whose text is read."""
DRAWN = 1000
"""Pixels of the longer side of a drawn page."""
_PAGE, _TEXT = "page_", "text_"
_PAGE_FIGURES = (
    "brightness", "contrast", "entropy", "foreground_share", "saturation", "colourfulness", "sharpness", "noise", "aspect",
)  # fmt: skip


class DocumentDescriptor:
    """Describes a PDF file's bytes or path: its text as a text, and the mean of up to 5 pages drawn as images.

    Needs pypdfium2 (`auditor[documents]`). A scan without a text layer has no text: see `text_page_share`.
    """

    modality = "document"
    title = "Documents"
    headline = "Documents changed"
    advice = (
        "Open recent documents beside those of the baseline: a new template, language, scanner, or scans without text?"
    )
    files = True
    version = f"1.{IMAGE.version}.{TEXT.version}"
    columns: tuple[DescriptorColumn, ...] = (
        number("pages", "{page}", "Pages."),
        number("text_page_share", "1", "Share of the first 50 pages with a text layer."),
        number("characters_per_page", "{character}", "Mean characters of these pages."),
        number("image_share", "1", "Share of the drawn pages with at least one picture."),
        *(
            DescriptorColumn(f"{_PAGE}{column.name}", column.kind, column.unit, f"Drawn pages: {column.meaning}")
            for column in IMAGE.columns
            if column.name in _PAGE_FIGURES
        ),
        *(
            DescriptorColumn(f"{_TEXT}{column.name}", column.kind, column.unit, f"Text of the pages: {column.meaning}")
            for column in TEXT.columns
        ),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError for what is no PDF, has a password or no pages."""
        if not is_encoded(value):
            raise refuse_type(value, "the bytes or path of a PDF file")
        data = bytes_of(value)
        try:
            import pypdfium2
        except ImportError as error:
            raise DescribeError(
                "extra_missing", "pypdfium2 is not installed", fix="pip install 'auditor[documents]'"
            ) from error
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            raise DescribeError("decode_failed", f"the document cannot be read ({error})"[:120]) from error
        try:
            return self._figures(document, pypdfium2)
        except (pypdfium2.PdfiumError, ValueError, MemoryError) as error:
            raise DescribeError("decode_failed", f"a page cannot be read ({type(error).__name__})") from error
        finally:
            document.close()

    def _figures(self, document: Any, library: Any) -> dict[str, Scalar]:
        n = len(document)
        if not n:
            raise DescribeError("empty", "a document without pages")
        texts = [_text_of(document, place) for place in range(min(n, MAX_TEXT_PAGES))]
        drawn = [
            _draw(document, place, library)
            for place in sorted({place * (n - 1) // (SAMPLED - 1) for place in range(SAMPLED)})
        ]
        found: dict[str, Scalar] = {column.name: None for column in self.columns}
        found.update(
            pages=float(n),
            text_page_share=figure(sum(map(bool, texts)) / len(texts)),
            characters_per_page=figure(sum(map(len, texts)) / len(texts)),
            image_share=figure(sum(pictures for _, pictures in drawn) / len(drawn)),
        )
        for name in _PAGE_FIGURES:
            known = [page[name] for page, _ in drawn if isinstance(page[name], float)]
            found[f"{_PAGE}{name}"] = figure(sum(known) / len(known)) if known else None  # type: ignore[arg-type]
        found.update({f"{_TEXT}{name}": entry for name, entry in TEXT.describe("\n".join(filter(None, texts))).items()})
        return found


def _text_of(document: Any, place: int) -> str:
    page = document[place]
    try:
        layer = page.get_textpage()
        try:
            text: str = layer.get_text_range(0, min(layer.count_chars(), MAX_CHARACTERS))
        finally:
            layer.close()
    finally:
        page.close()
    return text.replace("\r\n", "\n").strip()


def _draw(document: Any, place: int, library: Any) -> tuple[Mapping[str, Scalar], bool]:
    """The image figures of a page, and whether it has a picture."""
    page = document[place]
    try:
        width, height = page.get_size()
        bitmap = page.render(scale=DRAWN / max(width, height, 1.0), rev_byteorder=True)
        try:
            figures = IMAGE.describe(bitmap.to_numpy()[..., :3])
        finally:
            bitmap.close()
        kind = library.raw.FPDF_PAGEOBJ_IMAGE
        pictures = any(True for _ in page.get_objects(filter=[kind], max_depth=3))
    finally:
        page.close()
    return figures, pictures


PLUGIN = DocumentDescriptor()
