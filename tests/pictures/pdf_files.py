"""PDF files, written by hand: pages of a colour with a line of text, sound or hostile."""

from __future__ import annotations

from collections.abc import Sequence

COLOURS = {"red": "1 0 0", "green": "0 1 0", "blue": "0 0 1", "white": "1 1 1"}


def page(colour: str = "white", text: str = "") -> bytes:
    """Draw the content of a page: all of it in a colour, and black text on top."""
    drawn = f"{COLOURS[colour]} rg 0 0 20000 20000 re f 0 0 0 rg"
    lines = text.split("\n") if text else []
    for place, line in enumerate(lines):
        drawn += f" BT /F1 12 Tf 20 {150 - 20 * place} Td ({line}) Tj ET"
    return drawn.encode()


def pdf(
    *pages: bytes,
    size: tuple[float, float] = (200, 300),
    turned: int = 0,
    encrypted: bool = False,
) -> bytes:
    """Write a document of these contents; an encrypted one has a password that no user knows."""
    count = len(pages)
    kids = " ".join(f"{3 + number} 0 R" for number in range(count))
    font = 3 + 2 * count
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        *(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {size[0]} {size[1]}] /Rotate {turned} "
            f"/Contents {3 + count + number} 0 R "
            f"/Resources << /Font << /F1 {font} 0 R >> >> >>".encode()
            for number in range(count)
        ),
        *(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(one), one) for one in pages),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    return written(objects, f"/Encrypt << {_ENCRYPT} >> /ID [<00> <00>]" if encrypted else "")


_ENCRYPT = (
    f"/Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O <{'5a' * 32}> /U <{'a5' * 32}>"  # of noise
)


def written(objects: Sequence[bytes], trailer: str = "") -> bytes:
    """Write objects, the first of which is the catalogue, with their table."""
    data = b"%PDF-1.7\n"
    places = []
    for number, one in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = len(data)
    size = len(objects) + 1
    data += b"xref\n0 %d\n0000000000 65535 f \n" % size
    data += b"".join(b"%010d 00000 n \n" % place for place in places)
    data += f"trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\n".encode()
    return data + b"startxref\n%d\n%%%%EOF\n" % table
