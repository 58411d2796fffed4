"""The page of the review: HTML, style and script in one; it asks the program for one sample at a time."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Review of expressions</title>
<style>
:root { color-scheme: light dark; --line: #8884; --good: #15803d; --bad: #c2410c; }
body { margin: 0 auto; max-width: 1180px; padding: 20px; font: 16px/1.5 system-ui, sans-serif; }
header { display: flex; gap: 16px; align-items: baseline; justify-content: space-between; flex-wrap: wrap; }
h1 { font-size: 1.2rem; margin: 0; }
main { display: grid; gap: 24px; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); margin-top: 16px; }
@media (max-width: 800px) { main { grid-template-columns: 1fr; } }
#frame { width: 100%; border-radius: 12px; display: block; background: #0002; min-height: 120px; }
#place { width: 100%; }
h2 { font-size: .8rem; text-transform: uppercase; letter-spacing: .06em; opacity: .65; margin: 14px 0 2px; }
p { margin: 0; overflow-wrap: anywhere; }
footer { position: sticky; bottom: 0; display: flex; gap: 10px; padding: 14px 0; flex-wrap: wrap;
  background: Canvas; }
button { font: inherit; padding: 10px 22px; border-radius: 10px; border: 1px solid var(--line); cursor: pointer; }
#keep[aria-pressed=true] { background: var(--good); color: #fff; }
#drop[aria-pressed=true] { background: var(--bad); color: #fff; }
#note { flex: 1; min-width: 160px; font: inherit; padding: 8px 12px; border-radius: 10px;
  border: 1px solid var(--line); }
#problem { color: var(--bad); }
</style></head><body>
<header><h1 id="name"></h1><span id="count" aria-live="polite"></span></header>
<p id="problem" role="alert"></p>
<main>
<div><img id="frame" alt="Frame of the video, the object outlined in yellow">
<input id="place" type="range" min="0" value="0" aria-label="Frame"><span id="when"></span></div>
<div><h2>Object</h2><p id="object"></p><h2>Scene</h2><p id="scene"></p><h2>Video</h2><p id="video"></p>
<h2>Short</h2><p id="short"></p></div>
</main>
<footer><button id="back">Back</button><button id="keep">Keep (k)</button><button id="drop">Drop (d)</button>
<button id="next">Next</button><input id="note" placeholder="Note, sent with keep or drop" aria-label="Note"></footer>
<script>
const $ = id => document.getElementById(id);
let at = 0, total = 0, frames = [], timer = null, asked = 0;
function show(n) {
  if (!frames.length) return;
  $("place").value = n; $("frame").src = frames[n].picture;
  $("when").textContent = "frame " + frames[n].frame + (frames[n].seen ? "" : ", not seen here");
}
function play() { clearInterval(timer); timer = setInterval(() => show((+$("place").value + 1) % frames.length), 350); }
async function load(n) {
  const mine = ++asked;
  const answer = await fetch("sample/" + n), found = await answer.json();
  if (mine !== asked) return;
  $("problem").textContent = answer.ok ? (found.problem || "") : found.error;
  if (!answer.ok) return;
  at = n; total = found.total; frames = found.frames;
  $("name").textContent = found.video + " · object " + found.number;
  $("count").textContent = (at + 1) + " of " + total + ", " + found.decided + " decided";
  for (const key of ["object", "scene", "video"]) $(key).textContent = found.texts[key];
  $("short").textContent = found.short.join(" · ");
  $("place").max = Math.max(0, frames.length - 1); $("note").value = found.note;
  for (const key of ["keep", "drop"]) $(key).setAttribute("aria-pressed", String(found.decision === key));
  if (frames.length) { show(0); play(); } else { clearInterval(timer); $("frame").removeAttribute("src"); }
  document.body.dataset.ready = String(at);
}
async function decide(decision) {
  const body = JSON.stringify({decision, note: $("note").value});
  const answer = await fetch("sample/" + at, {method: "POST", headers: {"Content-Type": "application/json"}, body});
  if (!answer.ok) { $("problem").textContent = (await answer.json()).error; return; }
  load(Math.min(at + 1, total - 1));
}
$("keep").onclick = () => decide("keep"); $("drop").onclick = () => decide("drop");
$("back").onclick = () => load(Math.max(0, at - 1)); $("next").onclick = () => load(Math.min(total - 1, at + 1));
$("place").oninput = () => { clearInterval(timer); show(+$("place").value); };
document.onkeydown = event => {
  if (event.target === $("note") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "k") decide("keep"); else if (event.key === "d") decide("drop");
  else if (event.key === "ArrowLeft" && event.target !== $("place")) $("back").onclick();
  else if (event.key === "ArrowRight" && event.target !== $("place")) $("next").onclick();
};
load(START);
</script></body></html>
"""
