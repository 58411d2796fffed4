"""The page of the review: HTML, style and script in one; it asks the program for one sample at a time."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Review of expressions</title><link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --ink: light-dark(#18202b, #e8ecf2); --soft: light-dark(#5b6675, #9aa6b6);
  --page: light-dark(#f3f4f6, #0e1116); --card: light-dark(#fff, #171b22); --line: light-dark(#dde1e7, #2a303a);
  --good: light-dark(#15803d, #34c26b); --bad: light-dark(#c2410c, #f08a4b); --on: light-dark(#fff, #10141a);
  --mark: #ffe100; --accent: light-dark(#1d4ed8, #7aa2ff); }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: flex; flex-direction: column; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
.wide { width: 100%; max-width: 1380px; margin: 0 auto; padding: 0 24px; }
header { background: var(--card); border-bottom: 1px solid var(--line); }
header .wide { display: flex; align-items: center; gap: 6px 24px; flex-wrap: wrap; padding-block: 12px; }
h1 { font-size: 1.05rem; margin: 0; overflow-wrap: anywhere; }
#count { color: var(--soft); font-variant-numeric: tabular-nums; margin-left: auto; }
#bar { display: flex; height: 4px; background: var(--line); }
#bar i { display: block; transition: width .2s; }
#bar .keep { background: var(--good); } #bar .drop { background: var(--bad); }
#problem { color: var(--bad); margin: 12px 0 0; } #problem:empty { display: none; }
main { display: grid; gap: 20px; grid-template-columns: minmax(0, 1fr) minmax(320px, 460px); padding-block: 20px 12px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; overflow: hidden;
  align-self: start; }
main > .card:first-child { position: sticky; top: 20px; }
#stage { position: relative; background: #000; aspect-ratio: 16 / 9; display: grid; place-items: center; }
#shown { position: relative; max-width: 100%; max-height: 100%; line-height: 0; }
#frame { display: block; width: 100%; height: 100%; }
#outline { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
#outline path { fill: none; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
#outline .halo { stroke: #0009; stroke-width: 6; } #outline .line { stroke: var(--mark); stroke-width: 3; }
#unseen { position: absolute; left: 12px; top: 12px; background: #000b; color: #fff; border-radius: 99px;
  padding: 2px 12px; font-size: .85rem; line-height: 1.6; }
.tools { display: flex; align-items: center; gap: 12px; padding: 10px 14px 0; }
.tools span { color: var(--soft); font-size: .9rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
#place { flex: 1; min-width: 60px; accent-color: var(--accent); }
#film { display: flex; gap: 3px; padding: 8px 14px 14px; }
#film button { flex: 1; min-width: 0; padding: 0; border: 2px solid transparent; border-radius: 6px; overflow: hidden;
  background: none; line-height: 0; }
#film img { width: 100%; aspect-ratio: 4 / 3; object-fit: cover; } #film .unseen img { opacity: .3; }
#film [aria-current=true] { border-color: var(--accent); }
#words > section { padding: 14px 18px; border-bottom: 1px solid var(--line); }
#words > section:last-child { border: 0; }
h2 { font-size: .78rem; letter-spacing: .05em; text-transform: uppercase; color: var(--soft); margin: 0 0 3px;
  font-weight: 600; }
h2 small { text-transform: none; letter-spacing: 0; font-weight: 400; font-size: .85rem; }
p { margin: 0; overflow-wrap: anywhere; }
#short { display: flex; flex-wrap: wrap; gap: 6px; }
#short span { background: var(--page); border: 1px solid var(--line); border-radius: 14px; padding: 1px 12px;
  overflow-wrap: anywhere; }
#facts { color: var(--soft); font-size: .9rem; }
details { margin-top: 8px; font-size: .92rem; } summary { cursor: pointer; color: var(--accent); }
details p + h2 { margin-top: 8px; }
footer { position: sticky; bottom: 0; margin-top: auto; background: var(--card); border-top: 1px solid var(--line); }
footer .wide { display: flex; gap: 10px; padding-block: 12px; flex-wrap: wrap; align-items: center; }
button, input[type=text] { font: inherit; color: inherit; }
.key { padding: 9px 18px; border-radius: 10px; border: 1px solid var(--line); background: var(--page);
  cursor: pointer; white-space: nowrap; }
.key:hover { border-color: var(--soft); }
.key:disabled { opacity: .45; cursor: default; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.tools .key { padding: 4px 12px; font-size: .9rem; }
.tools [aria-pressed=true] { border-color: var(--accent); color: var(--accent); }
kbd { font: .82em ui-monospace, monospace; opacity: .75; margin-left: 5px; }
#keep { border-color: var(--good); color: var(--good); font-weight: 600; }
#drop { border-color: var(--bad); color: var(--bad); font-weight: 600; }
#keep:hover { background: color-mix(in srgb, var(--good) 12%, var(--card)); border-color: var(--good); }
#drop:hover { background: color-mix(in srgb, var(--bad) 12%, var(--card)); border-color: var(--bad); }
#keep[aria-pressed=true] { background: var(--good); color: var(--on); }
#drop[aria-pressed=true] { background: var(--bad); color: var(--on); }
#note { flex: 1; min-width: 180px; padding: 9px 14px; border-radius: 10px; border: 1px solid var(--line);
  background: var(--page); }
#done { background: color-mix(in srgb, var(--good) 12%, var(--card)); border-color: var(--good); padding: 12px 18px;
  margin-top: 20px; }
[hidden] { display: none !important; } code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
@media (max-width: 900px) { main { grid-template-columns: minmax(0, 1fr); }
  main > .card:first-child { position: static; } .wide { padding-inline: 14px; }
  #film button:nth-child(2n) { display: none; } kbd { display: none; } #note { order: 9; flex-basis: 100%; }
  footer .wide { gap: 8px; } footer .key { flex: 1 1 auto; padding-inline: 10px; } #drop, #keep { flex-basis: 40%; } }
</style></head><body>
<header><div class="wide"><h1 id="name">Review of expressions</h1>
<span id="count" aria-live="polite"></span></div>
<div id="bar" aria-hidden="true"><i class="keep"></i><i class="drop"></i></div></header>
<div class="wide"><p id="problem" role="alert"></p>
<div id="done" class="card" hidden>All are decided. Leave out what was dropped: run the annotation again with
<code id="command"></code></div>
<main>
<div class="card">
<div id="stage"><div id="shown"><img id="frame" alt="Frame of the video"><svg id="outline" aria-hidden="true">
<path class="halo"></path><path class="line"></path></svg></div>
<span id="unseen" hidden>not seen in this frame</span></div>
<div class="tools"><button class="key" id="play" aria-pressed="true">Play</button>
<input id="place" type="range" min="0" value="0" aria-label="Frame"><span id="when"></span>
<button class="key" id="line" aria-pressed="true">Outline<kbd>o</kbd></button></div>
<div id="film"></div></div>
<div class="card" id="words">
<section><h2>Object <small>what it is</small></h2><p id="object"></p></section>
<section><h2>Scene <small>where it stands</small></h2><p id="scene"></p></section>
<section><h2>Video <small>what it does</small></h2><p id="video"></p></section>
<section><h2>Short</h2><div id="short"></div></section>
<section><p id="facts"></p><details><summary>The two captions that were compared</summary>
<h2>Cut out</h2><p id="caption_masked"></p><h2>In its picture</h2><p id="caption_crop"></p></details></section>
</div>
</main></div>
<footer><div class="wide"><button class="key" id="back">Back<kbd>←</kbd></button>
<button class="key" id="next">Next<kbd>→</kbd></button>
<button class="key" id="open">Next open<kbd>n</kbd></button>
<input id="note" type="text" placeholder="Note, sent with keep or drop" aria-label="Note" list="reasons">
<datalist id="reasons"><option>another object is meant</option><option>appearance is wrong</option>
<option>place is wrong</option>
<option>motion is wrong</option><option>fits several objects</option><option>mask is wrong</option></datalist>
<button class="key" id="drop" aria-pressed="false">Drop<kbd>d</kbd></button>
<button class="key" id="keep" aria-pressed="false">Keep<kbd>k</kbd></button></div></footer>
<script>
const $ = id => document.getElementById(id), ahead = new Map();
let at = 0, total = 0, frames = [], timer = null, asked = 0, outlined = true, busy = false;
function show(n) {
  if (!frames.length) return;
  const found = frames[n], d = found.outline.map(way => "M" + way.join(" ") + "Z").join("");
  $("place").value = n; $("frame").src = found.picture;
  $("outline").setAttribute("viewBox", "0 0 " + found.size.join(" "));
  for (const path of $("outline").children) path.setAttribute("d", outlined ? d : "");
  $("frame").alt = "Frame " + found.frame + (found.seen ? ", the object outlined" : ", without the object");
  $("shown").style.cssText = fitted(found.size);
  $("when").textContent = "frame " + found.frame; $("unseen").hidden = found.seen;
  [...$("film").children].forEach((button, place) => button.setAttribute("aria-current", String(place === n)));
}
function fitted([width, height]) {
  return "aspect-ratio:" + width + "/" + height + (width * 9 >= height * 16 ? ";width:100%" : ";height:100%");
}
function play(on) {
  clearInterval(timer); timer = null;
  if (on && frames.length > 1) timer = setInterval(() => show((+$("place").value + 1) % frames.length), 350);
  $("play").setAttribute("aria-pressed", String(timer !== null)); $("play").textContent = timer ? "Pause" : "Play";
}
function film() {
  $("film").replaceChildren(...frames.map((found, place) => {
    const button = document.createElement("button"), picture = new Image();
    picture.src = found.picture; picture.alt = ""; button.append(picture);
    button.className = found.seen ? "" : "unseen"; button.setAttribute("aria-label", "Frame " + found.frame);
    button.onclick = () => { play(false); show(place); };
    return button;
  }));
}
function sample(n) {
  if (!ahead.has(n)) ahead.set(n, fetch("sample/" + n).then(async answer => [answer.ok, await answer.json()]));
  const found = ahead.get(n);
  found.catch(() => ahead.delete(n));
  return found;
}
async function load(n) {
  const mine = ++asked;
  let ok, found;
  try { [ok, found] = await sample(n); }
  catch (error) { ok = false; found = {error: "the program doesn't answer: " + error.message}; }
  if (mine !== asked) return;
  ahead.clear();
  $("problem").textContent = ok ? (found.problem || "") : found.error;
  if (!ok) return;
  if (n !== at) scrollTo(0, 0);
  at = n; total = found.total; frames = found.frames;
  $("name").textContent = found.video + " · object " + found.number;
  $("count").textContent = (at + 1) + " of " + total + ", " + found.decided + " decided";
  $("count").title = found.kept + " kept, " + found.dropped + " dropped";
  const shares = ["kept", "dropped"].map(key => 100 * found[key] / total + "%");
  shares.forEach((share, place) => { $("bar").children[place].style.width = share; });
  const keys = ["object", "scene", "video", "caption_masked", "caption_crop"];
  for (const key of keys) $(key).textContent = found.texts[key] || "–";
  const chip = text => Object.assign(document.createElement("span"), {textContent: text});
  $("short").replaceChildren(...found.short.map(chip));
  $("facts").textContent = found.facts.join(" · ");
  $("done").hidden = found.decided < total; $("command").textContent = found.command;
  $("place").max = Math.max(0, frames.length - 1); $("note").value = found.note;
  $("open").dataset.place = found.open; $("open").disabled = found.open === null;
  for (const key of ["keep", "drop"]) $(key).setAttribute("aria-pressed", String(found.decision === key));
  film();
  if (frames.length) { show(0); play(true); } else { play(false); $("frame").removeAttribute("src"); }
  document.body.dataset.ready = String(at);
  if (at + 1 < total) sample(at + 1);
}
async function decide(decision) {
  if (busy) return;
  busy = true;
  const body = JSON.stringify({decision, note: $("note").value});
  try {
    const headers = {"Content-Type": "application/json"};
    const answer = await fetch("sample/" + at, {method: "POST", headers, body});
    if (!answer.ok) { $("problem").textContent = (await answer.json()).error; return; }
    ahead.clear(); $("note").blur();
    await load(Math.min(at + 1, total - 1));
  } catch (error) {
    $("problem").textContent = "not written down, the program doesn't answer: " + error.message;
  } finally { busy = false; }
}
const step = by => { play(false); show((+$("place").value + by + frames.length) % frames.length); };
const keys = {k: () => decide("keep"), d: () => decide("drop"), n: () => $("open").click(), o: () => $("line").click(),
  " ": () => $("play").click(), ",": () => step(-1), ".": () => step(1),
  ArrowLeft: () => $("back").click(), ArrowRight: () => $("next").click()};
$("keep").onclick = keys.k; $("drop").onclick = keys.d;
$("back").onclick = () => load(Math.max(0, at - 1)); $("next").onclick = () => load(Math.min(total - 1, at + 1));
$("open").onclick = () => load(+$("open").dataset.place);
$("play").onclick = () => play(timer === null);
$("line").onclick = () => {
  outlined = !outlined; $("line").setAttribute("aria-pressed", String(outlined)); show(+$("place").value);
};
$("place").oninput = () => { play(false); show(+$("place").value); };
document.onkeydown = event => {
  if (event.target === $("note") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === $("place") && event.key.startsWith("Arrow")) return;
  if (event.key === " " && event.target.tagName === "BUTTON") return;
  if (keys[event.key] && !event.repeat) { event.preventDefault(); keys[event.key](); }
};
load(START);
</script></body></html>
"""
