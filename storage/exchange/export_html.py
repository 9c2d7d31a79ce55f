"""A conversation as one HTML page that needs nothing else: no network, no script, no other file.

Replies are rendered as Markdown, as the app shows them; what a person typed
stays as it was typed. Nothing of either becomes markup of the page: HTML is
text, links are written out and lead nowhere, and no picture is loaded but those
that are in the page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from assistant.values.conversation import Conversation, Picture, Role, Turn
from assistant.values.markdown import (
    LABEL,
    LINE_BREAK,
    keep_blocks_before_tables,
    keep_formulas,
    keep_labels,
    link_definitions,
    mark_tasks_and_footnotes,
)
from assistant.values.region import Region
from assistant.values.text import plain
from assistant.values.words import duration
from storage.exchange.outline import Entry, caption, entries, facts, moment, title

_STYLE = """
:root { color-scheme: light dark; --dim: #667; --line: #8884; --you: #8881; }
* { box-sizing: border-box; }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
  background: Canvas; color: CanvasText; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { :root { --dim: #99a; } }
h1 { line-height: 1.2; }
header, article > h3 { border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
article { margin: 1.5rem 0; }
article > h3 { font-size: 1rem; }
.you > .text { background: var(--you); padding: .6rem .8rem; border-radius: .4rem; }
.typed { white-space: pre-wrap; }
.dim, time, figcaption { color: var(--dim); font-weight: normal; font-size: .85rem; }
figure { margin: .6rem 0; break-inside: avoid; }
img { max-width: 100%; max-height: 28rem; height: auto; border-radius: .3rem;
  box-shadow: 0 0 0 1px var(--line); }
pre { white-space: pre-wrap; border: 1px solid var(--line); padding: .6rem; border-radius: .3rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; overflow-wrap: normal; }
td, th { border: 1px solid var(--line); padding: .2rem .5rem; text-align: start; }
td .dim { overflow-wrap: anywhere; }
p, li, td, th, h1, h2, h3, h4, h5, h6 { unicode-bidi: plaintext; }
.right { text-align: right; } .center { text-align: center; }
blockquote { border-left: 3px solid var(--line); margin-left: 0; padding-left: 1rem; }
@media print { body { max-width: none; margin: 0; } img { max-height: 16rem; }
  article > h3 { break-after: avoid; } }
"""

_FRAMES = """\
.framed { position: relative; display: inline-block; }
.framed img { display: block; }
.framed svg { position: absolute; inset: 0; width: 100%; height: 100%; }
rect { fill: none; stroke: #fff; stroke-width: 4; vector-effect: non-scaling-stroke; }
rect + rect { stroke: #c00; stroke-width: 2; stroke-dasharray: 6 3; }
"""
"""Added to the style of a page with parts of pictures."""


ShownData = Callable[[Picture], tuple[bytes, str]]
"""The bytes of a picture for a browser, and their media type."""


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{digest}'"
    )


def write(
    conversation: Conversation, every_turn: tuple[Turn, ...], shown_data: ShownData
) -> Iterator[str]:
    """Write the page in pieces; ``every_turn`` adds the turns of other branches (() for none)."""
    name = escape(title(conversation))
    parts = _parts((*conversation.turns, *every_turn))
    style = _STYLE + _FRAMES if parts else _STYLE
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_policy(style))}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{name}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<header>\n<h1 dir="auto">{name}</h1>\n<p class="dim">'
    )
    yield " · ".join(f"{label}: {escape(value)}" for label, value in facts(conversation))
    yield "</p>\n</header>\n<main>\n"
    if conversation.system:
        yield _aside("System prompt", conversation.system)
    if conversation.summary is not None:
        yield _aside("Summary of earlier turns", conversation.summary.text)
    shown: set[int] = set()
    others = False
    for entry in entries(conversation, every_turn):
        if entry.other and not others:
            others = True
            yield "<h2>Other versions</h2>\n"
        yield from _turn(entry, shown, parts, shown_data)
    yield "</main>\n</body>\n</html>\n"


def _aside(label: str, text: str) -> str:
    words = escape(plain(text))
    return f'<p class="dim">{label}</p>\n<div class="typed" dir="auto">{words}</div>\n'


Parts = dict[int, dict[int, Region]]
"""The parts of each picture, by its number and theirs."""


def _parts(turns: Sequence[Turn]) -> Parts:
    parts: Parts = {}
    for picture in (picture for turn in turns for picture in turn.pictures):
        if picture.region is not None:
            parts.setdefault(picture.region.number, {})[picture.number] = picture.region
    return parts


def _turn(entry: Entry, shown: set[int], parts: Parts, shown_data: ShownData) -> Iterator[str]:
    turn = entry.turn
    kind = "reply" if turn.role is Role.ASSISTANT else "you"
    yield (
        f'<article class="{kind}">\n<h3>{entry.number} · {entry.speaker} '
        f'<time datetime="{turn.created.isoformat()}">{moment(turn.created)}</time></h3>\n'
    )
    if remarks := entry.remarks:
        yield f'<p class="dim">{escape(", ".join(remarks))}</p>\n'
    for picture in turn.pictures:
        is_shown = picture.number in shown
        yield _figure(picture, parts.get(picture.number, {}), is_shown, shown_data)
        shown.add(picture.number)
    if turn.thought is not None:
        summary = f"thought for {duration(turn.thought.seconds)}"
        yield f'<details class="dim"><summary>{summary}</summary>'
        yield f'<div class="typed" dir="auto">{escape(plain(turn.thought.text))}</div></details>\n'
    if turn.role is Role.ASSISTANT:
        yield f'<div class="text" dir="auto">\n{_rendered(plain(turn.text))}</div>\n'
    elif turn.text:
        yield f'<div class="text typed" dir="auto">{escape(plain(turn.text))}</div>\n'
    yield "</article>\n"


def _figure(picture: Picture, parts: dict[int, Region], shown: bool, shown_data: ShownData) -> str:
    words = escape(caption(picture))
    if shown:  # its bytes are in the page once
        return f'<p class="dim">{words} (shown above)</p>\n'
    data, media_type = shown_data(picture)
    if media_type != picture.media_type:
        words += ", a small copy"
    known = re.fullmatch(r"image/[a-z0-9.+-]{1,40}", media_type)
    kind = media_type if known else "application/octet-stream"
    encoded = base64.b64encode(data).decode()
    image = f'<img alt="{words}" src="data:{kind};base64,{encoded}">'
    return (
        f"<figure>{_framed(image, picture, parts) if parts else image}"
        f"<figcaption>{words}</figcaption></figure>\n"
    )


def _framed(image: str, picture: Picture, parts: dict[int, Region]) -> str:
    """Draw frames over a picture where its parts are: a dashed line on a white one."""
    frames = ""
    for number, part in parts.items():
        size = f'x="{part.left}" y="{part.top}" width="{part.width}" height="{part.height}"'
        frames += f"<g><title>picture {number}</title><rect {size}/><rect {size}/></g>"
    box = f'viewBox="0 0 {picture.width} {picture.height}" preserveAspectRatio="none"'
    return f'<div class="framed">{image}<svg {box}>{frames}</svg></div>'


class _Renderer(RendererHTML):
    """HTML of tokens, without anything that leads or loads from outside the page."""

    def link_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Render a link as its words, followed by its address."""
        return ""

    def link_close(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Render the address, unless the words are the address."""
        # Links do not nest.
        opening = max(i for i in range(idx) if tokens[i].type == "link_open")
        if tokens[opening].markup == LABEL:
            return ""  # which the definition has
        address = str(tokens[opening].attrGet("href") or "")
        said = "".join(token.content for token in tokens[opening + 1 : idx])
        return "" if said in (address, address.removeprefix("mailto:")) else _address(address)

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Render a picture from elsewhere as its words and its address; it is never loaded."""
        words = self.renderInlineAsText(tokens[idx].children or [], options, env)
        return f"[{escape(words)}]{_address(str(tokens[idx].attrGet('src') or ''))}"

    def text(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Text; a ``<br>`` that the model wrote breaks the line."""
        return "<br />\n".join(map(escapeHtml, LINE_BREAK.split(tokens[idx].content)))

    def formula(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Render a formula as it was written."""
        return escapeHtml(tokens[idx].content).replace("\n", "<br />\n")

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Code, whatever language it says it is."""
        return f"<pre><code>{escape(tokens[idx].content)}</code></pre>\n"


def _address(address: str) -> str:
    return f' <span class="dim">({escape(address)})</span>' if address else ""


_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
keep_formulas(keep_blocks_before_tables(keep_labels(_MARKDOWN.enable("strikethrough"))))
mark_tasks_and_footnotes(_MARKDOWN)


def _rendered(text: str) -> str:
    tokens = _MARKDOWN.parse(text, link_definitions(text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):  # below those of the page
            token.tag = f"h{min(6, int(token.tag[1]) + 3)}"
        if alignment := token.attrGet("style"):  # of a table's cell; the policy forbids styles
            token.attrs = {"class": str(alignment).removeprefix("text-align:")}
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))
