# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The style sheet and the script of the report's page.

PRIVATE to the collection: may change in any release.
"""

from __future__ import annotations

import typing as t

LIGHT = {
    "page": "#f4f5f7",
    "surface": "#ffffff",
    "text": "#1a1f26",
    "muted": "#57606b",
    "line": "#d8dce1",
    "focus": "#0b57d0",
    "expired": "#8f1239",
    "within_7": "#d64510",
    "within_30": "#b07400",
    "within_60": "#2e7fb8",
    "later": "#5d7486",
    "no_deadline": "#868c94",
    "not_read": "#7a4fbf",
}
DARK = {
    "page": "#101317",
    "surface": "#191d23",
    "text": "#e8ebef",
    "muted": "#a3acb7",
    "line": "#343b44",
    "focus": "#8ab4f8",
    "expired": "#ff5c84",
    "within_7": "#ff8f4d",
    "within_30": "#f0c04a",
    "within_60": "#6bb3ec",
    "later": "#8fa5b6",
    "no_deadline": "#7f8791",
    "not_read": "#b79cff",
}


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}: {value}; " for name, value in colours.items())


def style(bands: t.Iterable[str]) -> str:
    """Return the style sheet, in which each band sets ``--band`` to its colour."""
    rules = "\n".join(f".{band} {{ --band: var(--{band}); }}" for band in bands)
    return f"""
:root {{ color-scheme: light dark; {_variables(LIGHT)}}}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)}}} }}
{rules}{_RULES}"""


_RULES = """
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main { max-width: 96rem; margin: 0 auto; padding: 1.5rem clamp(.75rem, 3vw, 2rem) 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.05rem; margin: 0 0 .6rem; }
p { margin: .3rem 0; }
.muted, caption, figcaption { color: var(--muted); }
.lead { font-size: 1.1rem; margin: .5rem 0 1.25rem; }
.card {
  background: var(--surface); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem;
  margin: 0 0 1rem; min-width: 0;
}
.cards { columns: 25rem 2; column-gap: 1rem; margin-bottom: 1rem; }
.cards .card { break-inside: avoid; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .6rem; margin: 0 0 1rem;
  padding: 0; list-style: none;
}
.tiles li {
  background: var(--surface); border: 1px solid var(--line); border-top: 4px solid var(--band);
  border-radius: 8px; padding: .5rem .8rem .6rem;
}
.tiles b { display: block; font-size: 1.8rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tiles .none b { color: var(--muted); font-weight: 400; }
.tiles small { display: block; color: var(--muted); }
figure { margin: 0; }
figcaption { font-size: .9rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.plot { display: block; overflow: hidden; }
.plot text { font-size: 12px; fill: var(--text); }
.plot .caption { fill: var(--muted); font-size: 11px; }
.plot .name {
  paint-order: stroke; stroke: var(--surface); stroke-width: 8px; stroke-linejoin: round; font-weight: 600;
}
.plot .more { font-weight: 400; fill: var(--muted); }
.plot .isolated { unicode-bidi: isolate; }
.plot .tick { font-weight: 600; }
.zone { fill: var(--band); fill-opacity: .09; }
.bar, .mark { fill: var(--band); }
.bar { stroke: var(--surface); stroke-width: 1px; }
.stem { stroke: var(--band); stroke-width: 2px; stroke-opacity: .4; }
.axis { stroke: var(--muted); }
.grid { stroke: var(--line); }
.today { stroke: var(--text); stroke-width: 2px; }
.scroll { overflow-x: auto; border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: start; padding: 0 0 .4rem; font-size: .9rem; }
th, td { text-align: start; padding: .35rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
thead th { border-bottom: 2px solid var(--line); vertical-align: bottom; white-space: normal; }
thead th.n { white-space: normal; }
.n { text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap; }
.d, .state { white-space: nowrap; font-variant-numeric: tabular-nums; }
tbody th, .who { min-width: 8rem; max-width: 22rem; overflow-wrap: anywhere; white-space: normal; }
.d code { overflow-wrap: normal; }
.why { min-width: 11rem; overflow-wrap: anywhere; }
td bdi { display: inline-block; max-width: 100%; }
.do { min-width: 7.5rem; }
.os { min-width: 5.5rem; }
#routers tr > :first-child { position: sticky; inset-inline-start: 0; z-index: 1; background: var(--surface); }
#routers { border-collapse: separate; border-spacing: 0; }
#routers .why { min-width: 15rem; }
#routers td.who { min-width: 13rem; max-width: none; }
#routers .vm { min-width: 19rem; overflow-wrap: anywhere; }
.due { --band: var(--text); }
.tiles .due { border-color: var(--muted); border-top-color: var(--text); }
code { font: .92em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.dot::before {
  content: ""; display: inline-block; width: .7em; height: .7em; margin-inline-end: .45em; border-radius: 50%;
  background: var(--band);
}
th button { all: unset; cursor: pointer; font-weight: 600; border-radius: 3px; }
th button::after { content: "\\a0\\2195"; color: var(--muted); font-weight: 400; }
th[aria-sort=ascending] button::after { content: "\\a0\\2191"; color: var(--text); }
th[aria-sort=descending] button::after { content: "\\a0\\2193"; color: var(--text); }
:focus-visible, th button:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.tools { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: end; margin: 0 0 .8rem; }
.tools[hidden] { display: none; }
.tools label { display: block; font-size: .9rem; color: var(--muted); }
.tools input, .tools select {
  font: inherit; color: var(--text); background: var(--page); border: 1px solid var(--muted);
  border-radius: 6px; padding: .35rem .5rem; max-width: 100%;
}
::placeholder { color: var(--muted); opacity: 1; }
summary { cursor: pointer; }
@media not all and (max-width: 600px) { .narrow { display: none; } }
@media (max-width: 600px) { .wide { display: none; } }
@media screen and (max-width: 600px) {
  .tiles { grid-template-columns: 1fr; gap: .3rem; }
  .tiles li {
    display: flex; gap: .7rem; align-items: baseline; padding: .2rem .8rem; border-top-width: 1px;
    border-top-color: var(--line); border-inline-start: 5px solid var(--band);
  }
  .tiles b { font-size: 1.2rem; min-width: 3.2rem; text-align: end; }
  .tiles small { margin-inline-start: auto; }
  tbody th, .who { min-width: 6.2rem; }
  .cards .why { min-width: 8rem; }
}
@media print {
  :root { color-scheme: light; }
  body { background: #fff; font-size: 10pt; }
  main { max-width: none; padding: 0; }
  .card, .tiles li { break-inside: avoid; }
  .card.long { break-inside: auto; border: 0; padding: 0; }
  .scroll { overflow: visible; }
  .tools { display: none; }
  table { font-size: 8pt; }
  tr { break-inside: avoid; }
  thead { display: table-header-group; }
  * { print-color-adjust: exact; }
}
"""

SCRIPT = """
'use strict';
(() => {
  const table = document.getElementById('routers');
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const said = document.getElementById('said');
  const order = new Intl.Collator('en', { numeric: true }).compare;

  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v ?? cell.textContent;
  };
  const compare = (a, b) => {
    const difference = Number(a) - Number(b);
    return Number.isNaN(difference) ? order(a, b) : difference;
  };
  const sort = (column) => {
    const head = heads[column];
    const down = head.getAttribute('aria-sort') === 'ascending';
    heads.forEach((one) => one.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    // What has no value comes last either way.
    rows
      .map((row) => ({ row, value: key(row, column) }))
      .sort((a, b) => (a.value === '') - (b.value === '') || (down ? -1 : 1) * compare(a.value, b.value))
      .forEach(({ row }, place) => { rows[place] = row; });
    body.append(...rows);
    said.textContent = 'Sorted by ' + head.textContent.trim() + (down ? ', descending.' : ', ascending.');
  };
  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => sort(column));
  });

  const words = document.getElementById('words');
  const state = document.getElementById('state');
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = texts.get(row);
      row.hidden = !(wanted.every((word) => text.includes(word)) && (!state.value || row.className === state.value));
      count += !row.hidden;
    }
    said.textContent = count.toLocaleString('en') + ' of ' + rows.length.toLocaleString('en') + ' routers shown.';
  };
  words.addEventListener('input', filter);
  state.addEventListener('input', filter);
  document.getElementById('tools').hidden = false;
})();
"""
