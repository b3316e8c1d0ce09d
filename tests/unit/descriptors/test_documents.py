"""PDF files written here: their text and their pages, and what is no document."""

import io

import pytest
from PIL import Image

from auditor.core.errors import DescribeError
from auditor.descriptors.document import PLUGIN
from auditor.descriptors.text import PLUGIN as TEXT

pytest.importorskip("pypdfium2", reason="pypdfium2 is not installed: pip install 'auditor[documents]'")


def pdf(*pages):
    """A file with one line of text a page."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for text in pages:
        content = b"BT /F1 24 Tf 72 700 Td (" + text.encode() + b") Tj ET"
        objects.append(b"<< /Length %d >>\nstream\n" % len(content) + content + b"\nendstream")
        fonts = b"/Resources << /Font << /F1 3 0 R >> >>"
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R %s >>" % (len(objects), fonts)
        )
        kids.append(len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(b"%d 0 R" % kid for kid in kids), len(kids))
    out, places = b"%PDF-1.4\n", []
    for place, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (place, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    return out + head + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))


def scanned(pages=1, colour=(200, 30, 30)):
    out = io.BytesIO()
    pictures = [Image.new("RGB", (300, 200), colour) for _ in range(pages)]
    pictures[0].save(out, "PDF", save_all=True, append_images=pictures[1:])
    return out.getvalue()


def code_of(value):
    with pytest.raises(DescribeError) as caught:
        PLUGIN.describe(value)
    return caught.value.code


def test_text_and_pages(tmp_path):
    lines = ("The invoice of ann@example.org is due.", "Please pay it before the end of the week.")
    figures = PLUGIN.describe(pdf(*lines))
    assert (figures["pages"], figures["text_page_share"], figures["image_share"]) == (2, 1, 0)
    assert figures["page_brightness"] > 0.98
    assert figures["page_aspect"] == pytest.approx(612 / 792, rel=0.01)
    text = TEXT.describe("\n".join(lines))
    assert {name: figures[f"text_{name}"] for name in text} == text
    path = tmp_path / "invoice.pdf"
    path.write_bytes(pdf(*lines))
    assert PLUGIN.describe(path) == figures


def test_a_scan_has_pictures_and_no_text():
    figures = PLUGIN.describe(scanned(3))
    assert (figures["pages"], figures["text_page_share"], figures["image_share"]) == (3, 0, 1)
    assert figures["page_saturation"] == pytest.approx(0.85, abs=0.03)
    assert (figures["text_chars"], figures["text_language"]) == (0, None)


def test_a_long_document_is_sampled():
    figures = PLUGIN.describe(pdf(*(f"Page number {place}" for place in range(80))))
    assert (figures["pages"], figures["text_page_share"]) == (80, 1)


def test_what_is_no_document(monkeypatch):
    assert code_of(b"no document") == "decode_failed"
    assert code_of(pdf("cut")[:150]) == "decode_failed"
    assert code_of(b"") == "empty"
    assert code_of({"pages": 3}) == "wrong_type"
    assert code_of("/no/such/file.pdf") == "not_found"
    monkeypatch.setitem(__import__("sys").modules, "pypdfium2", None)
    assert code_of(pdf("text")) == "extra_missing"
