"""PDF files, written by hand: pages of a colour with a line of text, sound or hostile."""

from __future__ import annotations

import hashlib
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
    password: str = "",
) -> bytes:
    """Write a document of these contents.

    An ``encrypted`` one has a password that no user knows, others may have this ``password``.
    """
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
    if password:
        return written(*_locked(objects, password.encode()))
    return written(objects, f"/Encrypt << {_ENCRYPT} >> /ID [<00> <00>]" if encrypted else "")


_ENCRYPT = (
    f"/Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O <{'5a' * 32}> /U <{'a5' * 32}>"  # of noise
)


_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def _locked(objects: Sequence[bytes], password: bytes) -> tuple[list[bytes], str]:
    """Encrypt the streams by RC4 (revision 2 of the standard); return the trailer, too."""
    padded = (password + _PADDING)[:32]
    owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
    key = hashlib.md5(padded + owner + b"\xfc\xff\xff\xff" + b"\0").digest()[:5]
    user = _rc4(key, _PADDING)
    found = []
    for number, one in enumerate(objects, 1):
        head, stream, rest = one.partition(b"stream\n")
        if stream:
            content = rest.removesuffix(b"\nendstream")
            own = hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()[:10]
            one = head + stream + _rc4(own, content) + b"\nendstream"
        found.append(one)
    how = f"/Filter /Standard /V 1 /R 2 /P -4 /O <{owner.hex()}> /U <{user.hex()}>"
    return found, f"/Encrypt << {how} >> /ID [<00> <00>]"


def _rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    made, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        made.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(made)


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
