"""The page's CSS: light and dark by the reader's own setting, one column on a telephone, several on a screen."""

STYLE = """
:root {
  --page: #f6f5f2; --card: #ffffff; --ink: #1c1b22; --soft: #6b6876; --line: #e4e1da; --quiet: #efece5;
  --accent: #ff2e88; --accent-2: #7a5cff; --good: #15803d; --bad: #c2410c; --twin: #b9b4c4;
  --bubble: #f0edff; --bubble-ink: #2c2454; --shadow: 0 1px 2px rgb(30 20 60 / .06), 0 8px 24px rgb(30 20 60 / .06);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #121117; --card: #1b1a22; --ink: #eeecf4; --soft: #9b97a9; --line: #2d2b38; --quiet: #24222d;
    --good: #4ade80; --bad: #fb923c; --twin: #5d586d; --bubble: #2a2542; --bubble-ink: #ddd6ff;
    --shadow: 0 1px 2px rgb(0 0 0 / .4), 0 8px 24px rgb(0 0 0 / .3);
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 0 20px 80px; }
a { color: inherit; }
code { font: .86em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
h1, h2, h3 { line-height: 1.15; margin: 0; letter-spacing: -.02em; text-wrap: balance; }

header { padding: 56px 0 28px; }
.brand { font-weight: 650; letter-spacing: -.01em; color: var(--soft); display: flex; align-items: center; gap: 10px; }
.brand i { width: 22px; height: 22px; border-radius: 7px; display: block;
  background: conic-gradient(from 210deg, var(--accent), #ffab00, #00b8d9, var(--accent-2), var(--accent)); }
h1 { font-size: clamp(2rem, 5.4vw, 3.5rem); font-weight: 760; margin: 18px 0 12px; max-width: 20ch; }
h1 em { font-style: normal; background: linear-gradient(92deg, var(--accent), var(--accent-2));
  -webkit-background-clip: text; background-clip: text; color: transparent; }
.lead { color: var(--soft); font-size: 1.08rem; max-width: 68ch; margin: 0; }
.lead b { color: var(--ink); font-weight: 620; }
.remark { color: var(--soft); font-size: .94rem; max-width: 78ch; margin: 12px 0 0; }

.mosaic { display: grid; gap: 0 10px; grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); margin: 30px 0 8px;
  grid-template-rows: auto; grid-auto-rows: 0; overflow: hidden; }
.mosaic img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 14px; display: block; }

.tiles { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(216px, 1fr)); margin: 26px 0 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 18px; padding: 18px 20px 16px;
  box-shadow: var(--shadow); text-decoration: none; display: flex; flex-direction: column;
  transition: transform .15s ease; }
.tile:hover { transform: translateY(-2px); }
.tile h3 { font-size: 1rem; font-weight: 640; }
.tile h3 { min-height: 2.3em; } .tile small { color: var(--soft); font-size: .8rem; }
.number { font-size: 2.15rem; font-weight: 740; letter-spacing: -.04em; line-height: 1; margin: 12px 0 10px;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.number span { font-size: .74rem; font-weight: 560; color: var(--soft); letter-spacing: 0; margin-left: 4px; }
.bar { height: 9px; border-radius: 6px; background: var(--quiet); position: relative; margin: 5px 0; }
.bar > i { position: absolute; inset: 0 auto 0 0; border-radius: 6px;
  background: linear-gradient(90deg, var(--accent-2), var(--accent)); }
.bar.twin { height: 5px; } .bar.twin > i { background: var(--twin); }
.bar > b { position: absolute; top: -4px; bottom: -4px; width: 2px; background: var(--ink); border-radius: 2px; }
.note { display: flex; justify-content: space-between; gap: 10px; font-size: .84rem; color: var(--soft);
  min-height: 1.5em; }
.good { color: var(--good); } .bad { color: var(--bad); }

section { margin-top: 64px; scroll-margin-top: 20px; }
section > h2 { font-size: clamp(1.45rem, 3vw, 2rem); font-weight: 720; }
.sub { color: var(--soft); margin: 6px 0 0; }
.scroll { overflow-x: auto; margin-top: 18px; border: 1px solid var(--line); border-radius: 16px;
  background: var(--card); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 9px 16px 3px; text-align: right; white-space: nowrap; }
tbody tr:not(.sub-row) td { border-top: 1px solid var(--line); }
tr.sub-row td { padding-top: 1px; font-size: .92rem; } tbody tr:last-child td { padding-bottom: 10px; }
thead th { padding-bottom: 9px; }
th { font-size: .8rem; color: var(--soft); font-weight: 600; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
td.first { font-weight: 640; }
tr.sub-row td { color: var(--soft); } tr.sub-row td.value { color: var(--ink); }

details { margin-top: 12px; color: var(--soft); font-size: .9rem; }
details summary { cursor: pointer; width: max-content; max-width: 100%; }
details p { margin: 8px 0 0; max-width: 100ch; }
.kinds { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: 6px 22px;
  margin: 0; }
.kinds div { font-size: .86rem; } .kinds .note { color: var(--ink); }
.kinds .note span:last-child, .kinds small { color: var(--soft); }

h3.group { margin: 30px 0 12px; font-size: .95rem; color: var(--soft); font-weight: 600; letter-spacing: 0; }
.cards { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 372px), 1fr)); }
.cards.wide { grid-template-columns: 1fr; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 20px; padding: 16px; display: flex;
  flex-direction: column; gap: 12px; box-shadow: var(--shadow); min-width: 0; }
.talk { display: flex; flex-direction: column; gap: 7px; }
.q, .a { padding: 8px 13px; border-radius: 16px; width: fit-content; max-width: 94%; overflow-wrap: anywhere;
  font-size: .97rem; }
.q { background: var(--quiet); border-bottom-left-radius: 5px; }
.a { background: var(--bubble); color: var(--bubble-ink); border-bottom-right-radius: 5px; align-self: flex-end; }
.a.silent { font-style: italic; opacity: .75; }
.seg { display: inline-block; min-width: 1.45em; padding: 0 .4em; border-radius: .75em; color: var(--on, #fff);
  background: var(--c);
  font-size: .78em; font-weight: 700; text-align: center; line-height: 1.5; vertical-align: .08em; margin: 0 1px; }
.phrase { border-bottom: 3px solid var(--c); font-weight: 600; }
.views { display: grid; gap: 10px; grid-template-columns: minmax(0, 2fr) minmax(0, 1fr); align-items: start; }
.views.one { grid-template-columns: minmax(0, 1fr); max-width: 280px; margin-inline: auto; width: 100%; }
.beside { display: grid; gap: 6px; }
figure { margin: 0; min-width: 0; }
figure img { width: 100%; display: block; border-radius: 12px; background: var(--quiet); }
figcaption { font-size: .78rem; color: var(--soft); margin-top: 5px; display: flex; justify-content: space-between;
  gap: 6px; }
figcaption span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
figcaption b { font-weight: 650; color: var(--ink); font-variant-numeric: tabular-nums; }
.strip { display: grid; grid-template-columns: repeat(var(--n), minmax(0, 1fr)); gap: 4px; }
.strip img { border-radius: 8px; }
.badge { font-size: .78rem; font-weight: 640; padding: 2px 9px; border-radius: 99px; background: var(--quiet);
  color: var(--soft); }
.line { display: flex; flex-wrap: wrap; gap: 7px; align-items: center; }
.badge.good { color: var(--good); } .badge.bad { color: var(--bad); }
footer { margin-top: 72px; padding-top: 22px; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .88rem; }
footer p { margin: 5px 0; }
@media (max-width: 620px) { .strip { grid-template-columns: repeat(4, minmax(0, 1fr)); } header { padding-top: 32px; }
  .card { padding: 12px; } .tiles { grid-template-columns: 1fr 1fr; } .tile { padding: 14px; }
  .number { font-size: 2rem; } .number span { display: block; margin: 4px 0 0; } section { margin-top: 48px; } }
@media print { .card, .tile { box-shadow: none; break-inside: avoid; } }
"""
