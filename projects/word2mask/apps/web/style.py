"""The page's looks: a quiet theme over the system's own fonts, light and dark, from a desk to a telephone."""

from __future__ import annotations

from typing import Any

__all__ = ["HEAD", "STYLE", "theme"]

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Noto Sans CJK SC", "sans-serif")
MONOSPACED = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def theme() -> Any:
    """Gradio's theme; nothing of it is fetched from anywhere."""
    import gradio as gr

    made = gr.themes.Base(
        primary_hue="violet",
        neutral_hue="zinc",
        radius_size="lg",
        font=list(FONTS),
        font_mono=list(MONOSPACED),
    )
    return made.set(
        body_background_fill="#f7f6f3",
        body_background_fill_dark="#131217",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1c1b22",
        block_border_color="#e6e3dc",
        block_border_color_dark="#2e2c38",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_shadow="none",
        input_background_fill="#f9f8f5",
        input_background_fill_dark="#232229",
        input_placeholder_color="#6a6773",
        input_placeholder_color_dark="#9a96a8",
        button_primary_background_fill="#5b3fd6",
        button_primary_background_fill_hover="#4a31b8",
        button_primary_background_fill_dark="#6f50f0",
        button_primary_background_fill_hover_dark="#7758fa",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#efece6",
        button_secondary_background_fill_hover="#e5e1d8",
        button_secondary_background_fill_dark="#2a2833",
        button_secondary_background_fill_hover_dark="#353340",
        slider_color="#5b3fd6",
        slider_color_dark="#8d73ff",
    )


#: Scrollbars and form fields go with light and dark.
HEAD = '<meta name="color-scheme" content="light dark">'

STYLE = """
:root { color-scheme: light; } :root:has(body.dark) { color-scheme: dark; }
:root { --w2m-ink: #1c1b22; --w2m-soft: #66636f; --w2m-line: #e6e3dc; --w2m-card: #ffffff; --w2m-quiet: #f0ede7;
  --w2m-bubble: #f0edff; --w2m-accent: #5b3fd6; --w2m-bad: #b93815; }
.dark { --w2m-ink: #eeecf4; --w2m-soft: #a29eb0; --w2m-line: #2e2c38; --w2m-card: #1c1b22; --w2m-quiet: #26242d;
  --w2m-bubble: #29243f; --w2m-accent: #a08cff; --w2m-bad: #ff9a70; }
body { background: var(--body-background-fill) !important; }
.gradio-container { width: 100% !important; max-width: 1360px !important; margin: 0 auto !important;
  color: var(--w2m-ink); --color-accent: var(--w2m-accent); }
.gradio-container .column { gap: 10px; } .gradio-container .row { gap: 10px; }
.gradio-container .html-container { padding: 0 !important; }
.gradio-container .block:has(> .html-container > .prose:empty), .gradio-container .block:has(> .html-container:empty)
  { display: none; }
#w2m-masking { align-items: center; } #w2m-masking button { height: 38px; }
.gradio-container main, .gradio-container .fillable { width: 100% !important; }
#w2m-head { align-items: center; flex-wrap: nowrap; } #w2m-head button { height: 34px; }
#w2m-tools { align-items: center; } #w2m-tools button { height: 34px; }
#w2m-tool .wrap { gap: 4px; flex-wrap: nowrap; background: var(--w2m-quiet); padding: 4px; border-radius: 12px; }
#w2m-tool label { flex: 1; justify-content: center; border: 0; background: none; padding: 5px 10px; border-radius: 9px;
  box-shadow: none; position: relative; }
#w2m-tool label:has(input:checked) { background: var(--w2m-card); box-shadow: 0 1px 3px rgb(0 0 0 / .16); }
.dark #w2m-tool label:has(input:checked) { background: #4a4659; }
.dark .gradio-container input[type=range], .dark input[type=range] { --neutral-200: #3a3846; }
#w2m-tool label:has(input:focus-visible) { outline: 2px solid var(--w2m-accent); }
#w2m-tool input { position: absolute; opacity: 0; inset: 0; width: 100%; height: 100%; margin: 0; cursor: pointer; }
#w2m-tool label span { margin: 0; color: var(--w2m-ink); font-size: .9rem; white-space: nowrap; }
#w2m-upload > label { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
#w2m-upload .or, .gradio-container .min_value, .gradio-container .max_value { color: var(--w2m-soft); }
@media (min-width: 900px) { #w2m-talk-column { position: sticky; top: 12px; background: var(--w2m-card);
  border: 1px solid var(--w2m-line); border-radius: 20px; padding: 16px; } }
.gradio-container footer { display: none !important; }
.gradio-container *:focus-visible { outline: 2px solid var(--w2m-accent); outline-offset: 2px; }
.w2m-quiet { color: var(--w2m-soft); font-size: .9rem; margin: 0; }

.w2m-top { display: flex; align-items: center; gap: 12px; padding: 6px 2px; }
.w2m-top i { width: 26px; height: 26px; border-radius: 8px; flex: none;
  background: conic-gradient(from 210deg, #e69f00, #d55e00, #cc79a7, #0072b2, #56b4e9, #009e73, #e69f00); }
.w2m-top h1 { font-size: 1.2rem; font-weight: 680; letter-spacing: -.02em; margin: 0; }
.w2m-top span { color: var(--w2m-soft); font-size: .85rem; margin-left: auto; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }

.w2m-welcome { padding: 18px 4px 8px; }
.w2m-welcome h2 { font-size: clamp(1.5rem, 4vw, 2.1rem); font-weight: 720; letter-spacing: -.03em; line-height: 1.12;
  margin: 0 0 8px; text-wrap: balance; color: var(--w2m-ink); }
.w2m-welcome p { color: var(--w2m-soft); margin: 0 0 14px; max-width: 60ch; font-size: 1rem; }
.w2m-welcome ol { list-style: none; padding: 0; margin: 0; display: grid; gap: 10px;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.w2m-welcome li { background: var(--w2m-card); border: 1px solid var(--w2m-line); border-radius: 14px;
  padding: 12px 14px; font-size: .92rem; color: var(--w2m-ink); margin: 0; }
.w2m-welcome li b { display: inline-grid; place-items: center; width: 1.5em; height: 1.5em; border-radius: 50%;
  background: var(--w2m-accent); color: var(--w2m-card); font-size: .82em; margin-right: .5em; }

.w2m-examples { display: grid; gap: 10px; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); }
.w2m-example { text-align: left; background: var(--w2m-card); border: 1px solid var(--w2m-line); border-radius: 14px;
  padding: 8px; cursor: pointer; position: relative; display: grid; gap: 3px; align-content: start;
  transition: border-color .15s; color: var(--w2m-ink); font: inherit; }
.w2m-example:hover { border-color: var(--w2m-accent); }
.w2m-example img { width: 100%; aspect-ratio: 4/3; object-fit: cover; border-radius: 9px; margin: 0 0 4px; }
.w2m-example i { position: absolute; top: 14px; left: 14px; font-style: normal; font-size: .7rem; font-weight: 600;
  background: rgb(0 0 0 / .62); color: #fff; border-radius: 99px; padding: 1px 8px; }
.w2m-example b { font-size: .88rem; font-weight: 640; }
.w2m-example span { font-size: .8rem; color: var(--w2m-soft); line-height: 1.3; }

.w2m-canvas { position: relative; width: min(100%, calc(66vh * (var(--ratio)))); aspect-ratio: var(--ratio);
  margin: 0 auto; border-radius: 14px; overflow: hidden; touch-action: none; cursor: crosshair; user-select: none;
  background: var(--w2m-quiet); }
.w2m-canvas[data-tool=on], .w2m-canvas[data-tool=off] { touch-action: pan-y pinch-zoom; }
.w2m-canvas img, .w2m-canvas svg { position: absolute; inset: 0; width: 100%; height: 100%; display: block; margin: 0;
  max-width: none; }
.w2m-canvas svg .box { fill: rgb(255 255 255 / .14); stroke: #fff; stroke-width: 2.5px;
  vector-effect: non-scaling-stroke; paint-order: stroke; filter: drop-shadow(0 0 1px #000); }
.w2m-canvas svg .stroke { fill: none; stroke: rgb(255 255 255 / .6); stroke-linecap: round; stroke-linejoin: round; }
.w2m-canvas svg circle { stroke: #fff; stroke-width: 1.5px; vector-effect: non-scaling-stroke; }
.w2m-canvas svg .on circle { fill: #15803d; } .w2m-canvas svg .off circle { fill: #c2410c; }
.w2m-canvas svg g path { stroke: #fff; stroke-width: 2px; vector-effect: non-scaling-stroke; fill: none; }
.w2m-canvas svg text { fill: #fff; font-weight: 650; paint-order: stroke; stroke: rgb(0 0 0 / .75);
  stroke-width: 3px; vector-effect: non-scaling-stroke; }
.w2m-cross { position: absolute; width: 26px; height: 26px; left: 50%; top: 50%; transform: translate(-50%, -50%);
  pointer-events: none; display: none;
  background: linear-gradient(#fff 0 0) center/2px 100% no-repeat, linear-gradient(#fff 0 0) center/100% 2px no-repeat;
  filter: drop-shadow(0 0 1px #000); }
.w2m-canvas.keyboard .w2m-cross { display: block; }

.w2m-timeline { display: grid; gap: 3px; position: relative; margin: 2px 0 4px; }
.w2m-timeline svg { width: 100%; height: 7px; border-radius: 4px; background: var(--w2m-quiet); display: block; }
.w2m-timeline svg.off { opacity: .3; }
.w2m-timeline::after { content: ""; position: absolute; top: -2px; bottom: -2px; left: calc(100% * var(--here));
  width: 2px; margin-left: -1px; background: var(--w2m-ink); border-radius: 2px; }

.w2m-objects { display: flex; flex-wrap: wrap; gap: 7px; }
.w2m-object { display: inline-flex; align-items: center; gap: 7px; border: 1.5px solid var(--c); border-radius: 99px;
  background: var(--w2m-card); color: var(--w2m-ink); padding: 4px 12px 4px 5px; cursor: pointer; font-size: .88rem;
  max-width: 100%; min-height: 34px; font-weight: 400; }
.w2m-object b { background: var(--c); color: var(--on); border-radius: 99px; min-width: 1.7em; text-align: center;
  font-size: .8em; line-height: 1.7em; }
.w2m-object span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; max-width: 30ch; }
.w2m-object small { color: var(--w2m-soft); white-space: nowrap; }
.w2m-object[aria-pressed=false] { border-style: dashed; opacity: .6; }
.w2m-object[aria-pressed=false] b { background: transparent; color: var(--w2m-ink); }

.w2m-talk { display: flex; flex-direction: column; gap: 8px; }
.w2m-q, .w2m-a { padding: 9px 14px; border-radius: 16px; width: fit-content; max-width: 92%; overflow-wrap: anywhere;
  font-size: .97rem; line-height: 1.5; white-space: pre-wrap; }
.w2m-q { background: var(--w2m-quiet); align-self: flex-end; border-bottom-right-radius: 5px; }
.w2m-q small { color: var(--w2m-soft); }
.w2m-a { background: var(--w2m-bubble); border-bottom-left-radius: 5px; }
.w2m-a.shown { box-shadow: inset 3px 0 0 var(--w2m-accent); }
.w2m-a footer { display: flex !important; gap: 10px; align-items: center; justify-content: space-between;
  margin-top: 5px; font-size: .78rem; color: var(--w2m-soft); }
.w2m-show { border: 0; background: none; color: var(--w2m-accent); font: inherit; font-weight: 600; cursor: pointer;
  padding: 4px; }
.w2m-phrase { border-bottom: 3px solid var(--c); font-weight: 620; }
.w2m-phrase.missing { border-bottom-style: dotted; }
.w2m-number { background: var(--c); color: var(--on); border-radius: .7em; font-size: .72em; padding: .1em .5em;
  margin: 0 .15em 0 .3em; vertical-align: .12em; }
.w2m-progress { height: 6px; background: var(--w2m-quiet); border-radius: 6px; overflow: hidden; margin: 4px 0; }
.w2m-progress i { display: block; height: 100%; background: var(--w2m-accent); transition: width .2s; }
.w2m-progress.unknown i { width: 35% !important; animation: w2m-slide 1.1s ease-in-out infinite alternate; }
@keyframes w2m-slide { to { transform: translateX(185%); } }
.w2m-dots i { display: inline-block; width: 6px; height: 6px; border-radius: 50%; background: var(--w2m-soft);
  margin-right: 4px; animation: w2m-blink 1s infinite alternate; }
.w2m-dots i:nth-child(2) { animation-delay: .3s; } .w2m-dots i:nth-child(3) { animation-delay: .6s; }
@keyframes w2m-blink { to { opacity: .2; } }
@media (prefers-reduced-motion: reduce) { .w2m-progress i, .w2m-dots i { animation: none !important; } }

.w2m-made { display: grid; gap: 8px; }
.w2m-made video, .w2m-made img { max-width: 100%; max-height: 50vh; min-height: min(50vh, 300px); object-fit: contain;
  border-radius: 12px; margin: 0 auto;
  background: repeating-conic-gradient(var(--w2m-quiet) 0 25%, var(--w2m-card) 0 50%) 0 0/18px 18px; }
.w2m-made a { color: var(--w2m-accent); font-weight: 620; text-decoration: none; }
.w2m-made a:hover { text-decoration: underline; }
@media (max-width: 640px) { .gradio-container main { padding: 8px 12px 40px !important; }
  .w2m-top span { display: none; } #w2m-masking > *:first-child { flex-basis: 100%; }
  .w2m-welcome ol { grid-template-columns: 1fr; }
  .w2m-canvas { width: min(100%, calc(58vh * (var(--ratio)))); }
  .w2m-examples { grid-template-columns: 1fr 1fr; } .w2m-object { min-height: 40px; } }
"""
