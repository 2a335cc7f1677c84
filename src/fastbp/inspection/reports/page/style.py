"""The style of a report: fonts of the system, a light and a dark page, wide and narrow windows, print.

Text has a contrast of at least 4.5 to 1 with what it stands on, in both pages (WCAG 2.2, success criterion 1.4.3).
"""

LIGHT = """
  --paper: #ffffff; --panel: #f6f7f9; --ink: #1b2230; --soft: #57606f; --rule: #dde1e7;
  --c0: #8a93a2; --c1: #1f6fb8; --c2: #b3541e; --c3: #2b7d5b; --c4: #8456a8;
  --problem: #b3261e; --hint: #8a5a00; --good: #22734e; --track: #e6e9ee;
"""

DARK = """
  --paper: #14181f; --panel: #1c222b; --ink: #e8ebf0; --soft: #a6b0be; --rule: #323a46;
  --c0: #8a93a2; --c1: #6bb0ee; --c2: #f0985a; --c3: #6cc79c; --c4: #c39be6;
  --problem: #ff8f86; --hint: #f0b95a; --good: #6cc79c; --track: #2c343f;
"""

STYLE = (
    f"""
:root {{ color-scheme: light dark; {LIGHT} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {DARK} }} }}
"""
    + """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
header, main, footer { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 36px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 {
  font-size: 1.25rem; line-height: 1.3; margin: 44px 0 14px; padding-top: 10px;
  border-top: 1px solid var(--rule);
}
h3 { font-size: 1rem; margin: 0 0 10px; overflow-wrap: anywhere; }
p { margin: 0 0 8px; overflow-wrap: anywhere; }
a { color: var(--c1); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--c1); outline-offset: 2px; }
code { font: 0.86em/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.about { color: var(--soft); max-width: 46em; }
.unseen {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}

nav ul {
  display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; margin: 22px 0 0; padding: 0;
  font-size: 0.94rem;
}

.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 22px 0 0; }
.tiles > div { background: var(--panel); border-radius: 10px; padding: 12px 16px; min-width: 0; }
.tiles dt { color: var(--soft); font-size: 0.84rem; }
.tiles dd {
  margin: 2px 0 0; font-size: 1.5rem; line-height: 1.25; font-weight: 600;
  font-variant-numeric: tabular-nums;
}
.tiles dd.note { margin: 2px 0 0; font-size: 0.84rem; font-weight: 400; }
.tiles > div.first { background: var(--c1); color: var(--paper); }
.tiles > div.first dt, .tiles > div.first dd.note { color: inherit; }

.findings { display: grid; gap: 12px; }
.finding {
  background: var(--panel); border-left: 5px solid var(--hint); border-radius: 4px 10px 10px 4px;
  padding: 12px 18px;
}
.finding.problem { border-left-color: var(--problem); }
.finding h3 { margin: 0 0 4px; }
.finding .severity {
  display: inline-block; margin-right: 10px; color: var(--hint); font-size: 0.74rem; font-weight: 700;
  letter-spacing: 0.06em; text-transform: uppercase;
}
.finding.problem .severity { color: var(--problem); }
.finding .try { margin: 0 0 2px; font-weight: 600; font-size: 0.92rem; }
.finding ul { margin: 0; padding-left: 1.2em; font-size: 0.94rem; }
.fine {
  background: var(--panel); border-left: 5px solid var(--good); border-radius: 4px 10px 10px 4px;
  padding: 12px 18px;
}

.figures { columns: 2; column-gap: 16px; }
figure {
  margin: 0 0 16px; padding: 16px 18px; border: 1px solid var(--rule); border-radius: 10px; min-width: 0;
  break-inside: avoid; background: var(--paper);
}
figure.wide, .figures > figure:only-child { column-span: all; }
figure + figure.wide { margin-top: 16px; }
.figures > figure:only-child > :not(figcaption) { max-width: 680px; }
.note { color: var(--soft); font-size: 0.86rem; line-height: 1.45; margin: 10px 0 0; }

svg.chart { display: block; width: 100%; max-width: 560px; height: auto; overflow: visible; }
svg text { fill: var(--soft); font-size: 13px; }
svg text.label { fill: var(--ink); }
svg .middle { text-anchor: middle; }
svg .end { text-anchor: end; }
svg line.grid { stroke: var(--rule); stroke-width: 1; }
svg line.axis { stroke: var(--soft); stroke-width: 1; }
svg line.guide { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 2 4; }
svg line.mark { stroke: var(--soft); stroke-width: 1.4; stroke-dasharray: 5 4; }
svg polyline { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
svg polyline.dashed { stroke-dasharray: 7 4; }
svg circle.line { fill: var(--c); }
svg circle.points { fill: var(--c); fill-opacity: 0.45; }
svg rect.bars { fill: var(--c); }
.c0 {
  --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3);
  } .c4 { --c: var(--c4);
}
.legend {
  display: flex; flex-wrap: wrap; gap: 2px 18px; list-style: none; margin: 0 0 6px; padding: 0;
  font-size: 0.86rem; color: var(--soft);
}
.key {
  display: inline-block; width: 22px; margin-right: 7px; vertical-align: 0.28em;
  border-top: 3px solid var(--c);
}
.key.dashed { border-top-style: dashed; }
.key.mark { border-top: 2px dashed var(--soft); }

.scroll { overflow-x: auto; }
table {
  border-collapse: collapse; width: 100%; font-size: 0.92rem; font-variant-numeric: tabular-nums;
  position: relative;
}
th, td { padding: 5px 8px; text-align: left; vertical-align: baseline; border-bottom: 1px solid var(--rule); }
thead th { color: var(--soft); font-weight: 600; font-size: 0.84rem; }
tbody th { font-weight: 500; }
tbody tr:last-child > * { border-bottom: 0; }
table.texts td { overflow-wrap: anywhere; }
table.cells { width: auto; border-collapse: separate; border-spacing: 2px; font-size: 0.86rem; }
table.cells th { border: 0; padding: 2px 6px; font-size: 0.82rem; color: var(--soft); font-weight: 600; }
table.cells thead th { text-align: center; padding: 2px; }
table.cells thead th:first-child { text-align: left; font-weight: 400; font-size: 0.76rem; }
table.cells td {
  border: 0; border-radius: 3px; min-width: 17px; height: 20px; padding: 2px 4px; text-align: center;
  vertical-align: middle;
}
table.counts td { min-width: 31px; height: 30px; }
table.counts td.none { color: var(--soft); }
img.pixels.small { max-width: 340px; }

.bar { display: flex; align-items: center; gap: 8px; min-width: 96px; }
.track {
  position: relative; flex: 1 1 40px; min-width: 30px; height: 9px; border-radius: 5px;
  background: var(--track); overflow: hidden;
}
.fill { position: absolute; inset: 0 auto 0 0; background: var(--c1); border-radius: 5px; }
.bar.warn .fill { background: var(--c2); }
.whisker { position: absolute; top: 4px; height: 1.5px; background: var(--ink); }
.bar .value { flex: none; min-width: 3.2em; white-space: nowrap; font-size: 0.88rem; text-align: right; }

img.pixels {
  display: block; width: 100%; max-width: 760px; height: auto; image-rendering: pixelated;
  border-radius: 4px;
}
.scale {
  display: flex; align-items: center; gap: 8px; max-width: 300px; margin: 10px 0 0; color: var(--soft);
  font-size: 0.84rem;
}
.scale .gradient {
  flex: 1; height: 10px; border-radius: 5px;
  background: linear-gradient(to right, rgb(222, 104, 32), transparent 50%, rgb(38, 128, 208));
}
figure dl { margin: 0; }
figure dl > div {
  display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 16px; padding: 5px 0;
  border-bottom: 1px solid var(--rule); font-size: 0.92rem;
}
figure dl > div:last-child { border-bottom: 0; }
figure dt { color: var(--soft); }
figure dd { margin: 0; overflow-wrap: anywhere; }
details { margin-top: 10px; }
summary { cursor: pointer; color: var(--c1); font-size: 0.92rem; padding: 4px 0; }
.left-out { margin: 0; padding-left: 1.2em; color: var(--soft); font-size: 0.92rem; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 0.84rem; padding-top: 28px; padding-bottom: 40px; }

@media screen and (max-width: 760px) {
  header, main, footer { padding-left: 14px; padding-right: 14px; }
  header { padding-top: 22px; }
  h1 { font-size: 1.5rem; }
  h2 { margin-top: 32px; }
  .figures { columns: 1; }
  figure { padding: 13px 12px; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px; }
  .tiles > div { padding: 10px 12px; }
  .tiles dd { font-size: 1.25rem; }
  svg text { font-size: 15px; }
  table { font-size: 0.86rem; }
  th, td { padding: 5px 4px; }
  .bar { min-width: 84px; gap: 5px; }
  table.counts td { min-width: 25px; height: 26px; padding: 1px; }
  table.counts { font-size: 0.78rem; }
}
@media print {
  html { font-size: 12px; }
  header, main, footer { max-width: none; padding: 0; }
  h2 { margin-top: 20px; }
  figure { padding: 10px 12px; }
  table.counts td { min-width: 24px; height: 24px; padding: 1px; }
  nav { display: none; }
  h2 { break-after: avoid; }
  figure, .finding, .tiles > div { break-inside: avoid; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  .scroll { overflow: visible; }
}
"""
)
