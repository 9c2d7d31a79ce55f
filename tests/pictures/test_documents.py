"""Documents: pages as pictures, by their numbers; damaged and encrypted ones are one sentence."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from PIL import Image, TiffImagePlugin

from assistant.pictures import decode, documents
from assistant.pictures.dropped import find_dropped, parse_dropped, pictures_in
from assistant.pictures.passwords import Passwords
from assistant.pictures.source import open_each, open_source, read_document
from assistant.values.errors import PictureError
from assistant.values.origin import Origin, pages_of, split_pages, typed_pages
from tests.pictures.pdf_files import page, pdf, written
from tests.pictures.picture_files import encoded

PAGES = ("red", "green", "blue", "white")
REPORT = pdf(*(page(colour, f"This is {colour}.") for colour in PAGES))


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.pdf"
    path.write_bytes(REPORT)
    return path


def middle(data: bytes) -> tuple[int, ...]:
    image = decode.pixels(data)
    colour = image.getpixel((image.width // 2, image.height // 4))
    assert isinstance(colour, tuple)
    return colour


def test_pages_are_pictures_with_names_and_origins(report: Path) -> None:
    opened = list(open_each(f"{report}#2-3"))
    assert [one.name for one in opened] == ["report.pdf, page 2", "report.pdf, page 3"]
    assert [middle(one.data) for one in opened] == [(0, 255, 0), (0, 0, 255)]
    sha256 = read_document(str(report))[0].sha256
    assert [one.origin for one in opened] == [Origin(sha256, "report.pdf", n) for n in (2, 3)]
    assert {one.media_type for one in opened} == {"image/png"}
    # 300 dots an inch of 200 x 300 points: it is a small page
    assert {(one.width, one.height) for one in opened} == {(834, 1250)}


def test_a_page_is_at_most_so_large_and_upright(tmp_path: Path) -> None:
    path = tmp_path / "poster.pdf"
    path.write_bytes(pdf(page("red"), size=(14_000, 7_000), turned=90))
    poster = open_source(path)
    assert (poster.width, poster.height) == (1200, 2400)
    assert poster.name == "poster.pdf"


def test_a_document_that_names_no_pages_is_all_of_them_up_to_a_number(report: Path) -> None:
    assert len(list(open_each(report, most=4))) == 4
    assert len(list(open_each(report, most=None))) == 4
    with pytest.raises(PictureError, match=r"report\.pdf has 4 pages: name .* report\.pdf#1-3\."):
        next(open_each(report, most=3))
    assert open_source(report).name == "report.pdf, page 1"
    assert len(list(open_each(REPORT, name="standard input"))) == 4


def test_a_part_of_a_page(report: Path) -> None:
    (part,) = open_each(f"{report}#3@0,0,50%,50%")
    assert part.name == "report.pdf, page 3@0,0,417,625"
    assert part.origin is not None
    assert part.origin.page == 3
    assert part.region is not None
    assert part.region.sha256 == open_source(f"{report}#3").sha256


def test_the_text_of_a_page(report: Path) -> None:
    document, typed = read_document(f"{report}#4")
    assert (document.count, typed) == (4, "4")
    assert document.text(2) == "This is green."
    scan = encoded(Image.new("RGB", (40, 40), "red"), "PDF")
    report.write_bytes(scan)
    assert read_document(str(report))[0].text(1) == ""
    assert middle(open_source(report).data)[0] > 250


@pytest.mark.parametrize(
    ("typed", "pages"),
    [("2", [2]), ("2-4", [2, 3, 4]), ("3-", [3, 4, 5]), ("5,1-2,1", [5, 1, 2]), ("05", [5])],
)
def test_pages_that_are_typed(typed: str, pages: list[int]) -> None:
    assert pages_of(typed, 5, "a.pdf") == pages
    assert split_pages(f"a.pdf#{typed}") == ("a.pdf", typed)
    assert split_pages(f"a.pdf#page={typed}") == ("a.pdf", typed)
    assert pages_of(typed_pages(pages), 5, "a.pdf") == pages


@pytest.mark.parametrize("typed", ["0", "6", "4-6", "4-2", "1,9"])
def test_pages_that_are_not_there(typed: str) -> None:
    with pytest.raises(PictureError, match=r"a\.pdf has no page .*: it has pages 1 to 5\."):
        pages_of(typed, 5, "a.pdf")


@pytest.mark.parametrize("name", ["a#b.png", "a.pdf#", "a.pdf#x", "#3", "a.pdf#-3"])
def test_what_names_no_pages(name: str) -> None:
    assert split_pages(name) == (name, "")


def test_a_file_of_that_name_is_meant_before_pages(tmp_path: Path) -> None:
    path = tmp_path / "photo.png#1"
    path.write_bytes(encoded(Image.new("RGB", (8, 8), "red")))
    assert open_source(str(path)).origin is None
    path.rename(tmp_path / "photo.png")
    with pytest.raises(PictureError, match=r"photo\.png has neither pages .*leave out “#1”\."):
        open_source(str(path))


def test_pages_are_dropped_and_typed_as_pictures_are(report: Path) -> None:
    two, part = f"{report}#2-3", f"{report}#1@0,0,50%,50%"
    assert parse_dropped(f"{two} {part} {report}") == [two, part, str(report)]
    found = find_dropped(f"{two} what is this?")
    assert (found.sources, found.words) == ((two,), "what is this?")
    assert [one.path for one in pictures_in(f"is @{two} right?")] == [two]
    address = "https://example.org/a.pdf"
    assert parse_dropped(f"{address}#page=2") == [f"{address}#2"]
    assert parse_dropped("see issue#12") == []


HOSTILE = {
    "secret.pdf": (pdf(page(), encrypted=True), "needs a password"),
    "cut.pdf": (REPORT[: len(REPORT) // 3], "is damaged or incomplete"),
    "noise.pdf": (b"%PDF-1.7\n" + random.Random(1).randbytes(5000), "is damaged or incomplete"),
    "empty.pdf": (written([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Kids [] /Count 0 >>"]), ""),
    "circle.pdf": (
        written([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Kids [2 0 R] /Count 9 >>"]),
        "",
    ),
    "endless.pdf": (pdf(b"0 0 1 1 re f " * 1_000_000 + page("red")), None),
    "flat.pdf": (pdf(page(), size=(0.001, 14_000)), None),
}


def test_a_password_opens_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = pdf(page("red", "This is red."), page("blue"), password="open sesame")
    passwords = Passwords()
    monkeypatch.setattr(documents, "PASSWORDS", passwords)
    for typed in ("", "sesame"):
        if typed:
            passwords.add(typed)
        with pytest.raises(PictureError, match="needs a password") as refusal:
            list(open_each(secret, name="secret.pdf"))
        assert refusal.value.code == "password"
    asked: list[str] = []
    passwords.ask = lambda name: asked.append(name) or ("no", "open sesame")[len(asked) - 1]
    opened = list(open_each(secret, name="secret.pdf"))
    assert [middle(one.data) for one in opened] == [(255, 0, 0), (0, 0, 255)]
    assert asked == ["secret.pdf", "secret.pdf"]
    document = documents.open_document(secret, "again.pdf")
    assert document.text(1) == "This is red."
    assert "sesame" not in repr(document)
    assert len(asked) == 2, "what was typed is tried first"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_one_sentence(tmp_path: Path, name: str) -> None:
    data, words = HOSTILE[name]
    path = tmp_path / name
    path.write_bytes(data)
    refusal = refused(path)
    if words is None:
        assert refusal == "", "it is a picture after all"
    else:
        assert name in refusal
        assert words in refusal
        assert "\n" not in refusal
    assert decode.open_bytes(encoded(Image.new("RGB", (8, 8)))).width == 8


def test_a_page_that_is_drawn_for_ever_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each form draws the next one ten times, thirty deep."""
    monkeypatch.setattr(decode, "CPU_S", 1.0)
    forms = []
    for depth in range(30):
        content = b"/F Do " * 10 if depth < 29 else b"0 0 9 9 re f"
        forms.append(
            b"<< /Type /XObject /Subtype /Form /BBox [0 0 200 300] /Resources "
            b"<< /XObject << /F %d 0 R >> >> /Length %d >>\nstream\n%s\nendstream"
            % (6 + depth, len(content), content)
        )
    head = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 300] /Contents 4 0 R "
        b"/Resources << /XObject << /F 5 0 R >> >> >>",
        b"<< /Length 5 >>\nstream\n/F Do\nendstream",
    )
    path = tmp_path / "deep.pdf"
    path.write_bytes(written([*head, *forms]))
    assert refused(path).startswith("deep.pdf ")
    assert decode.open_bytes(encoded(Image.new("RGB", (8, 8)))).width == 8


@pytest.mark.slow
def test_damage_anywhere_is_a_picture_or_a_sentence(tmp_path: Path) -> None:
    chance = random.Random(7)
    path = tmp_path / "bent.pdf"
    for _ in range(40):
        bent = bytearray(REPORT)
        for _ in range(chance.randint(1, 12)):
            bent[chance.randrange(9, len(bent))] = chance.randrange(256)
        path.write_bytes(bent)
        assert refused(path) == "" or "bent.pdf" in refused(path)


def refused(path: Path) -> str:
    """Open all pages; returns the sentence with which that is refused, or ""."""
    try:
        assert list(open_each(path, most=9))
    except PictureError as error:
        return str(error)
    return ""


def scans(*sides: int) -> bytes:
    """A TIFF file of pages in these sizes, each with a smaller copy behind it."""
    out = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(out, new=True) as file:
        for number, side in enumerate(sides):
            for kind, size in ((0, side), (1, side // 4)):
                info = TiffImagePlugin.ImageFileDirectory_v2()
                info[254] = kind
                Image.new("RGB", (size, size), PAGES[number]).save(file, "TIFF", tiffinfo=info)
                file.newFrame()
    return out.getvalue()


def test_pages_of_a_tiff_have_their_own_pixels(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    path.write_bytes(scans(3000, 80, 60))
    opened = list(open_each(path, most=9))
    assert [(one.name, one.width) for one in opened] == [
        ("scan.tif, page 1", 3000), ("scan.tif, page 2", 80), ("scan.tif, page 3", 60)
    ]  # fmt: skip
    assert [middle(one.data) for one in opened[1:]] == [(0, 128, 0), (0, 0, 255)]
    assert [one.origin.page for one in opened if one.origin] == [1, 2, 3]
    (part,) = open_each(f"{path}#3@50%,0,50%,50%")
    assert (part.name, part.width) == ("scan.tif, page 3@30,0,30,30", 30)
    assert read_document(str(path))[0].page(1, longest=100).width == 100
    with pytest.raises(PictureError, match="pages 1 to 3"):
        next(open_each(f"{path}#4"))


def test_a_tiff_of_one_page_is_a_picture_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    path.write_bytes(scans(80))
    (file,) = open_each(path)
    assert (file.name, file.media_type, file.origin) == ("photo.tif", "image/tiff", None)
    assert file.data == path.read_bytes()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("@-5,0,10,10", "“@-5,0,10,10” names no part of it: give left,top,width,height"),
        ("@10,10,5", "names no part of it"),
        ("#x", "“#x” names no page, and no moment"),
        ("#-2", "names no page"),
    ],
)
def test_what_names_no_part_and_no_page_says_how_to(report: Path, typed: str, words: str) -> None:
    with pytest.raises(PictureError) as refused:
        next(open_each(f"{report}{typed}"))
    assert str(refused.value).startswith("report.pdf is there, but ")
    assert words in str(refused.value)
