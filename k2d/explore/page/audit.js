"use strict";
// Hear, correct, go on. Served, every answer is posted and comes back as figures; from a file, answers stay in the
// browser's storage and figures are counted here.
const USABLE = "usable", UNUSABLE = "unusable", store = "k2d-audit-" + D.key;
const place = new Map(D.rows.map((row, i) => [row.id, i]));
let figures = D.figures, at = 0;

// --- keeping: `known` is on the disk, `given` is not: answers on their way to the server, or, of a file, all that were
// given in this browser; `drafts` are texts without Enter. Given and drafts outlive the page, each with the answer that
// it is `over`: where the disk has another one by now, that is newer and stays.
const same = (a, b) => (a && a.verdict) === (b && b.verdict) && (a && a.text) === (b && b.text);
const known = { ...D.answers }, given = stored(store), drafts = stored(store + "-drafts");
const answers = { ...known, ...given };
function stored(name) {
  try { return Object.fromEntries(Object.entries(JSON.parse(localStorage.getItem(name)) || {}).filter(([id, it]) => place.has(id) && same(it.over, D.answers[id]))); } catch { return {}; }
}
function write(name, what) {
  try { localStorage.setItem(name, JSON.stringify(what)); return true; } catch { return false; }
}
function keep(id) {
  given[id] = answers[id];
  const kept = write(store, given);
  if (D.served) { say("saving …"); send(); } else { figures = countHere(); say(...kept ? ["kept in this browser"] : ["not kept: save the answers", true]); shown(); }
}
function draft() {
  const { id, label } = D.rows[at], now = answers[id], text = $("text").value;
  if (text === (now && now.verdict === USABLE ? now.text : label)) delete drafts[id]; else drafts[id] = { text, over: known[id] };
  write(store + "-drafts", drafts);
  shown();
}
let sending = false;
async function send() {
  if (sending) return;
  sending = true;
  for (let id; (id = Object.keys(given)[0]);) {
    const answer = given[id];
    try {
      const reply = await fetch("answer", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ id, ...answer }) });
      if (!reply.ok) throw new Error(await reply.text());
      const { answer: kept, figures: now } = await reply.json();
      figures = now;
      if (kept) known[id] = kept; else delete known[id];
      if (given[id] === answer) delete given[id]; else given[id].over = known[id];
      if (drafts[id]) drafts[id].over = known[id];
      write(store, given);
      write(store + "-drafts", drafts);
      if (!Object.keys(given).length) say("saved");
    } catch (error) {
      say(error instanceof TypeError ? `not saved: k2d audit has ended. Start it with --port ${location.port} and open its new address: answers kept in this browser are saved then` : "not saved: " + error.message, true);
      setTimeout(send, 3000);
      break;
    }
  }
  sending = false;
  shown();
}
function say(words, bad = false) { $("saved").textContent = words; $("saved").classList.toggle("bad", bad); }

// --- the chunk in hand
const fetched = new Map();
async function soundFor(i) {
  if (!D.served) return hasSound(D.rows[i].id) ? soundOf(D.rows[i].id) : null;
  if (!fetched.has(i)) fetched.set(i, fetch("sound/" + i).then(async r => r.ok ? r.json() : Promise.reject(new Error(await r.text()))));
  try { return await fetched.get(i); } catch (error) { fetched.delete(i); return error.message; }
}
const audio = () => document.querySelector("#sound audio");
function play() { const a = audio(); if (a) a.play().catch(() => { /* a browser that waits for a first click */ }); }
async function show(i, playing = true) {
  at = Math.max(0, Math.min(D.rows.length - 1, i));
  const row = D.rows[at], answer = answers[row.id];
  $("id").textContent = row.recording;
  $("when").textContent = [row.start === null ? "" : "from " + clock(row.start), row.seconds === null ? "" : row.seconds.toFixed(1) + " s"].filter(Boolean).join(", ");
  $("text").value = drafts[row.id] ? drafts[row.id].text : answer && answer.verdict === USABLE ? answer.text : row.label;
  writeLink({ chunk: row.id });
  shown();
  $("text").focus({ preventScroll: true });
  $("sound").replaceChildren(el("div", { class: "empty" }, "the sound is being loaded …"));
  const found = await soundFor(at);
  if (D.rows[at] !== row) return;
  if (Array.isArray(found)) {
    $("sound").replaceChildren(el("audio", { controls: "", src: found[0], tabindex: "-1" }), el("img", { class: "mel", alt: "log-mel spectrogram", src: found[1] }));
    if (playing) play();
  } else $("sound").replaceChildren(el("div", { class: "empty" }, found || "no sound in this page" + (D.sound_note ? ": " + D.sound_note : "")));
  if (D.served && at + 1 < D.rows.length) soundFor(at + 1);
}
followLink = () => {
  const linked = place.get(readLink().chunk);
  if (linked !== undefined && linked !== at) show(linked);
};
function next() {
  const open = D.rows.findIndex((row, i) => i > at && !answers[row.id]);
  const first = D.rows.findIndex(row => !answers[row.id]);
  if (open >= 0) show(open);
  else if (first >= 0) show(first);
  else show(Math.min(at + 1, D.rows.length - 1), false);
}
function answer(verdict) {
  const id = D.rows[at].id;
  answers[id] = { verdict, text: verdict === USABLE ? $("text").value.replace(/\s+/g, " ").trim() : "", over: known[id] };
  delete drafts[id];
  write(store + "-drafts", drafts);
  keep(id);
  next();
}

// --- what is shown around it
const squares = D.rows.map((row, i) => {
  const square = el("button", { type: "button", title: row.id }, String(i + 1));
  square.addEventListener("click", () => show(i));
  return square;
});
$("map").append(...squares);
function shown() {
  const done = Object.keys(answers).length, row = D.rows[at], now = answers[row.id];
  $("progress").max = D.rows.length; $("progress").value = done;
  $("count").textContent = `${done} of ${D.rows.length}`;
  squares.forEach((square, i) => {
    const verdict = (answers[D.rows[i].id] || {}).verdict || "";
    square.className = verdict + (drafts[D.rows[i].id] || (D.served && given[D.rows[i].id]) ? " pending" : "");
    square.setAttribute("aria-label", `chunk ${i + 1}, ${verdict || "open"}`);
    if (i === at) square.setAttribute("aria-current", "true"); else square.removeAttribute("aria-current");
  });
  $("state").hidden = !now;
  $("state").className = "tag " + (now && now.verdict === USABLE ? "good" : "bad");
  $("state").textContent = !now ? "" : now.verdict === UNUSABLE ? "not usable" : now.text ? "answered" : "no speech";
  $("usable").classList.toggle("on", !!now && now.verdict === USABLE);
  $("unusable").classList.toggle("on", !!now && now.verdict === UNUSABLE);
  rates();
}
function rates() {
  const known = figures.systems.filter(s => s.rate !== null), all = D.rows.length;
  const most = Math.max(0.05, ...known.map(s => s.high === null ? s.rate : s.high));
  $("rates").replaceChildren(...known.map(s => {
    const track = el("span", { class: "track" }, el("span", { class: "fill", style: `width:${100 * s.rate / most}%` }));
    if (s.high !== null && s.high !== s.low) track.append(el("span", { class: "range", style: `left:${100 * s.low / most}%;width:${100 * (s.high - s.low) / most}%` }));
    return el("div", { class: "line" }, el("span", { class: "name" }, s.name === "label" ? "the label" : s.name), track,
      el("span", { class: "value" }, percent(s.rate), s.high === null || s.high === s.low ? "" : el("small", {}, ` [${percent(s.low).replace(" %", "")}, ${percent(s.high).replace(" %", "")}]`)));
  }));
  const widest = Math.max(0, ...known.filter(s => s.high !== null).map(s => (s.high - s.low) / 2)), n = figures.utterances;
  const usable = n / Math.max(1, Object.keys(answers).length), end = Math.round(all * usable);
  // The half width falls with the root of how many there are.
  $("sure").textContent = !n ? "Rates and their 95 % intervals appear with your answers: of the label, and of every system that has transcribed these chunks."
    : !widest ? (figures.recordings < 2 ? "An interval needs chunks of two recordings." : "Too few answers so far to tell how wide the intervals are.")
    : widest > .5 ? `The widest interval is ± ${(100 * widest).toFixed(1)} points: too few answers to compare models by.`
      : `Every rate is known to within ± ${(100 * widest).toFixed(1)} points` + (end > n ? `; with all ${all} answered to about ± ${(100 * widest * Math.sqrt(n / end)).toFixed(1)}` : "") + ". Half as wide takes four times as many chunks" + (figures.recordings < 10 ? ", or chunks of more recordings." : ".");
  if (Object.keys(answers).length === all) $("sure").textContent += D.served ? " All chunks are answered: Ctrl-C ends k2d audit, which then says how to use the set." : " All chunks are answered: save the answers.";
  $("counted").textContent = n ? `${counted(n, "chunk")} of ${counted(figures.recordings, "recording")}, ${number(figures.units)} units (Chinese characters, words of other scripts). Mixed error rate, in brackets its 95 % interval, resampled by recording` + (D.served ? ", as k2d score computes it." : "; approximate, k2d audit --read has the exact rates.") : "";
}

// --- keys: all that is needed, while the cursor stays in the text
const back = seconds => { const a = audio(); if (a) { a.currentTime = Math.max(0, a.currentTime - seconds); play(); } };
const toggle = () => { const a = audio(); if (a) { if (a.paused) play(); else a.pause(); } };
const again = () => { // as if it were typed, so that Ctrl Z brings back what was there
  const { label } = D.rows[at];
  $("text").focus();
  $("text").select();
  document.execCommand(label ? "insertText" : "delete", false, label);
};
const KEYS = { Escape: toggle, F2: () => back(2), F4: () => back(Infinity), F8: again, PageUp: () => show(at - 1), PageDown: () => show(at + 1) };
addEventListener("keydown", e => {
  if (e.isComposing || e.keyCode === 229) return; // Enter and Esc of an input method are its own
  if (e.key === "Enter" && (e.target === $("text") || e.target === document.body)) {
    e.preventDefault();
    if (!e.repeat) answer(e.ctrlKey || e.metaKey ? UNUSABLE : USABLE);
  } else if (KEYS[e.key] && !e.altKey && !e.ctrlKey && !e.metaKey) { e.preventDefault(); KEYS[e.key](); }
});
$("usable").addEventListener("click", () => answer(USABLE));
$("unusable").addEventListener("click", () => answer(UNUSABLE));
$("label").addEventListener("click", again);
$("text").addEventListener("input", draft);
$("before").addEventListener("click", () => show(at - 1));
$("after").addEventListener("click", () => show(at + 1));
if ($("save")) $("save").addEventListener("click", () => {
  const blob = new Blob([JSON.stringify({ key: D.key, answers: given }, null, 1)], { type: "application/json" });
  el("a", { href: URL.createObjectURL(blob), download: "audit-answers.json" }).click();
  say("saved: audit-answers.json");
});

// --- error rates without a server: units, edit distance, draws of recordings (k2d/explore/audit_page.py)
const fold = D.offline && new Map([...D.offline.folded[0]].map((c, i) => [c, [...D.offline.folded[1]][i]]));
const unit = D.offline && new RegExp(`[${D.offline.cjk}]|[^\\s${D.offline.cjk}]+`, "gu");
function unitsOf(text) {
  const plain = [...text.normalize("NFKC").toLowerCase()].map(c => fold.get(c) || c).join("");
  return plain.replace(/[^\p{L}\p{M}\p{N}'\-\s]/gu, " ").match(unit) || [];
}
function distance(a, b) {
  let row = b.map((_, j) => j + 1);
  a.forEach((x, i) => { let corner = i, left = i + 1; row = row.map((up, j) => { left = Math.min(up + 1, left + 1, corner + (x !== b[j])); corner = up; return left; }); });
  return b.length ? row[b.length - 1] : a.length;
}
// Numbers in [0, 1), always the same: a counter whose bits are mixed by multiplying in 32 bits. (A product of numbers as
// large as this passes 2^53 and loses its last bits, which makes a sequence repeat itself soon.)
function chances(seed) {
  return () => {
    seed = (seed + 0x9e3779b9) | 0;
    let bits = Math.imul(seed ^ (seed >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
  };
}
function countHere() {
  const used = D.rows.map((row, i) => i).filter(i => (answers[D.rows[i].id] || {}).verdict === USABLE);
  const refs = used.map(i => unitsOf(answers[D.rows[i].id].text)), recordings = [...new Set(used.map(i => D.rows[i].recording))];
  const of = used.map(i => recordings.indexOf(D.rows[i].recording)), sums = values => { const s = recordings.map(() => 0); values.forEach((v, k) => { s[of[k]] += v; }); return s; };
  const units = sums(refs.map(r => r.length)), total = units.reduce((a, b) => a + b, 0), R = recordings.length;
  const systems = D.offline.systems.map(s => {
    const errors = sums(used.map((i, k) => distance(refs[k], s.units[i]))), rate = total ? errors.reduce((a, b) => a + b, 0) / total : null;
    if (R < 2 || rate === null) return { name: s.name, rate, low: null, high: null };
    const chance = chances(1);
    const wider = D.offline.widening[R], draws = Array.from({ length: 1000 }, () => { let e = 0, u = 0; for (let k = 0; k < R; k++) { const j = Math.floor(chance() * R); e += errors[j]; u += units[j]; } return rate + wider * ((u ? e / u : rate) - rate); }).sort((a, b) => a - b);
    // As significance.py has it: what may be there where no error was made, and nothing past 100 % that no draw reached.
    const high = rate ? Math.min(draws[974], Math.max(1, rate + (draws[999] - rate) / wider)) : Math.min(1, wider * (1 - .025 ** (1 / total)));
    return { name: s.name, rate, low: Math.max(0, draws[24]), high };
  });
  return { utterances: used.length, recordings: R, units: total, systems };
}

if (!D.served) figures = countHere(); else if (Object.keys(given).length) send();
const asked = place.get(readLink().chunk), first = D.rows.findIndex(row => !answers[row.id]);
show(asked ?? Math.max(0, first), false);
