"""A page that stands alone: the picture with its boxes, each claim lit with its evidence, each edit in its place."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

from ...tools.values import Image

if TYPE_CHECKING:
    from .verify import Verification

_STYLE = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
main{display:grid;grid-template-columns:minmax(18rem,1fr) minmax(20rem,1fr);gap:1.5rem}@media(max-width:50rem){main{display:block}}
figure{margin:0;position:sticky;top:1rem}svg{width:100%;height:auto;border-radius:.4rem}
rect{fill:none;stroke:#0a84ff;stroke-width:2;vector-effect:non-scaling-stroke;opacity:.25}rect.on{opacity:1;stroke-width:4}
p.text{font-size:1.15rem}del{color:#b3261e}ins{color:#146c2e;text-decoration:none;border-bottom:2px solid}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .5rem;border-top:1px solid #8884;vertical-align:top}
tr:focus,tr:hover{outline:2px solid #0a84ff}.supported{color:#146c2e}.contradicted{color:#b3261e}.unverifiable{color:#6b6b6b}
@media(prefers-color-scheme:dark){del,.contradicted{color:#ff8a80}ins,.supported{color:#7ee2a0}.unverifiable{color:#aaa}}
"""
_SCRIPT = """
for(const row of document.querySelectorAll('tr[data-see]')){const ids=row.dataset.see.split(' ').filter(Boolean);
const set=on=>ids.forEach(i=>document.getElementById('r'+i)?.classList.toggle('on',on));
for(const e of['mouseenter','focus'])row.addEventListener(e,()=>set(true));
for(const e of['mouseleave','blur'])row.addEventListener(e,()=>set(false));}
"""
_SIGNS = {"supported": "✓ supported", "contradicted": "✗ contradicted", "unverifiable": "? unverifiable"}


def page(result: Verification, image: Image) -> str:
    """HTML with the picture inside; nothing is fetched."""
    buffer = io.BytesIO()
    image.pil().save(buffer, "JPEG", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode()
    boxes = {r.id: r for v in result.verdicts for r in v.evidence} | {r.id: r for r in result.regions}
    marks = "".join(
        f'<rect id="r{r.id}" x="{r.box[0]:.1f}" y="{r.box[1]:.1f}" width="{r.width:.1f}" height="{r.height:.1f}">'
        f"<title>{html.escape(r.label or r.text or 'region')} {r.score:.2f}</title></rect>"
        for r in boxes.values()
    )
    verdicts = {v.claim: v for v in result.verdicts}
    rows = "".join(
        f'<tr tabindex="0" data-see="{" ".join(r.id for r in v.evidence)}">'
        f"<td>{html.escape(c.text)}</td><td>{'' if c.polarity else 'not: '}{html.escape(c.kind)}</td>"
        f'<td class="{v.label}">{_SIGNS[v.label]}</td><td>{v.probability:.2f}</td>'
        f"<td>{html.escape(v.why)}{' → ' + html.escape(v.instead) if v.instead else ''}</td></tr>"
        for c, v in ((c, verdicts[c.id]) for c in result.claims)
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Verified text</title><style>{_STYLE}</style><h1>Verified text</h1><main><figure>"
        f'<svg viewBox="0 0 {image.width} {image.height}" role="img" aria-label="the picture and what was seen in it">'
        f'<image href="data:image/jpeg;base64,{data}" width="{image.width}" height="{image.height}"/>{marks}</svg></figure>'
        f"<section><p class=text>{_marked(result)}</p><p>{html.escape(_summary(result))}</p><table><thead><tr><th>Claim"
        f"<th>Kind<th>Verdict<th>P<th>Why</thead><tbody>{rows}</tbody></table></section></main>"
        f"<script>{_SCRIPT}</script></html>"
    )


def _marked(result: Verification) -> str:
    """The draft with what was taken out struck through and what was put in underlined."""
    out, at = [], 0
    for edit in result.edits:
        low, high = edit.span
        out.append(html.escape(result.draft[at:low]))
        out.append(f"<del>{html.escape(edit.before)}</del>" if edit.before else "")
        out.append(f"<ins>{html.escape(edit.after)}</ins>" if edit.after else "")
        at = high
    out.append(html.escape(result.draft[at:]))
    return "".join(out).replace("\n", "<br>")


def _summary(result: Verification) -> str:
    told = ", ".join(f"{result.count(label)} {label}" for label in _SIGNS)
    return f"{len(result.claims)} claims: {told}; {len(result.edits)} edits; {result.usage.calls} tool calls, {result.usage.ms:.0f} ms"
