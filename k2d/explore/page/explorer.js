// What every α would keep, and chunks to look at and listen to. Counts are in bins of a hundredth of distance.
const asked = readLink();
const state = {
  metric: D.metrics.includes(asked.distance) ? asked.distance : D.metrics[0],
  alpha: Number.isFinite(parseFloat(asked.alpha)) ? Math.min(1.5, Math.max(0, Math.round(asked.alpha * 100) / 100)) : D.alpha,
  noloop: asked.noloop === "1", sort: asked.sort || "near", filter: asked.filter || "all", search: asked.search || "", chunk: asked.chunk || "",
};
const NAMES = { comp: "δ comp", per: "δ PER", mer: "δ MER" };
const pretty = m => { const [head, ...tail] = m.split("_"); return (NAMES[head] || head) + (tail.length ? " · " + tail.join(" ") : ""); };
const SIGNALS = { en_share_teacher: "English units, teacher", en_share_aux: "English units, validator", zh_cer: "Chinese δ (CER)", en_wer: "English δ (WER)", chars_per_second: "Characters a second", compression_teacher: "Compression ratio", avg_logprob: "Teacher's log-probability", caption: "Caption phrases, share", translated: "Translated, share of time", untexted: "Speech without text, s", dur: "Duration, s" };
const hasHours = D.counts.total_seconds > 0;
const keepLink = () => writeLink({ alpha: state.alpha.toFixed(2), distance: state.metric, noloop: state.noloop ? 1 : "", sort: state.sort === "near" ? "" : state.sort, filter: state.filter === "all" ? "" : state.filter, search: state.search, chunk: state.chunk });
// A sum up to α's bin is exactly what "distance <= α" keeps.
function sums(metric, kind) {
  const [plain, loops] = D.counts[kind][metric];
  let total = 0;
  return plain.map((v, i) => total += v + (state.noloop ? 0 : loops[i]));
}
const bin = alpha => Math.min(Math.round(alpha / D.step), 150);
const keeps = chunk => chunk.scores[state.metric] !== undefined && chunk.scores[state.metric] <= state.alpha + 1e-9 && !(state.noloop && chunk.stratum === "loop");
const alphas = Array.from({ length: 151 }, (_, i) => i / 100);

function drawCurve() {
  const kind = hasHours ? "seconds" : "chunks", all = hasHours ? D.counts.total_seconds : D.counts.total;
  $("curve-note").textContent = hasHours ? `Share of ${time(all)} with a distance of at most α.` : "Share of chunks with a distance of at most α.";
  chart($("curve"), {
    label: "kept speech against α", x: alphas, xlabel: "α", unit: " %", height: 280, range: [0, 100], cross: () => state.alpha, click: setAlpha, xrange: [0, 1.5],
    show: v => v.toFixed(1) + " %", xs: v => v.toFixed(v * 10 % 1 ? 2 : 1),
    lines: D.metrics.map((m, i) => { const s = sums(m, kind).slice(0, 151).map(v => 100 * v / (all || 1)); return { name: pretty(m), y: s, colour: lineColour(i), dash: i ? DASHES[i % 4] : [], width: m === state.metric ? 3 : 1.6, now: s[bin(state.alpha)].toFixed(1) + " %" }; }),
  });
}
function drawHistogram() {
  const [plain, loops] = D.counts.chunks[state.metric] || [[], []], kept = [], all = [], at = [];
  for (let b = 0; b < 30; b++) {
    let inside = 0, whole = 0;
    for (let k = b * 5 + (b ? 1 : 0); k <= (b === 29 ? 151 : b * 5 + 5); k++) {
      const here = k <= bin(state.alpha);
      whole += (plain[k] || 0) + (loops[k] || 0);
      inside += here ? (plain[k] || 0) + (state.noloop ? 0 : loops[k] || 0) : 0;
    }
    kept.push(inside); all.push(whole); at.push(b * .05 + .025);
  }
  chart($("hist"), {
    label: "distribution of the distance", x: at, xlabel: pretty(state.metric), height: 280, cross: () => state.alpha, xrange: [0, 1.5], at: "about",
    click: x => setAlpha(Math.round(x * 20) / 20), show: v => counted(v, "chunk"), xs: v => v.toFixed(v * 10 % 1 ? 2 : 1),
    lines: [{ name: "dropped", shown: "all", y: all, bars: true, colour: "dropped" }, { name: "kept", y: kept, bars: true, colour: "c0" }],
  });
}
function fact(n, label) { return el("div", { class: "panel fact" }, el("div", { class: "n" }, n), el("div", { class: "l" }, label)); }
function drawFacts() {
  const chunks = sums(state.metric, "chunks")[bin(state.alpha)], seconds = sums(state.metric, "seconds")[bin(state.alpha)];
  const share = hasHours ? seconds / D.counts.total_seconds : chunks / Math.max(D.counts.total, 1);
  $("facts").replaceChildren(
    fact(percent(share), hasHours ? "of the speech kept" : "of the chunks kept"),
    fact(hasHours ? time(seconds) : "–", hasHours ? `kept of ${time(D.counts.total_seconds)}` : "durations unknown"),
    fact(number(chunks), `chunks kept of ${number(D.counts.total)}`),
    fact(number(D.counts.total - chunks), "chunks dropped" + (D.counts.unscored ? `, ${number(D.counts.unscored)} without score` : "")));
}
function drawOthers() {
  const names = Object.keys(D.others);
  $("others").hidden = !names.length;
  const show = v => Math.abs(v) >= 100 ? v.toFixed(0) : +v.toFixed(2) + "";
  $("small").replaceChildren(...names.map(name => el("div", {}, el("h3", {}, SIGNALS[name] || name), el("p", {}, `median ${show(D.others[name].median)}`), el("div", { class: "chart", "data-name": name }))));
  for (const box of $("small").querySelectorAll(".chart")) {
    const h = D.others[box.dataset.name], width = (h.high - h.low) / h.counts.length;
    chart(box, { label: SIGNALS[box.dataset.name] || box.dataset.name, height: 130, legend: false, x: h.counts.map((_, i) => h.low + (i + .5) * width), xs: show, at: "about", show: v => counted(v, "chunk"), lines: [{ name: "", y: h.counts, bars: true, colour: "c0" }] });
  }
}
function drawAnalysis() {
  const A = D.analysis;
  if (!A) return;
  $("analysis").hidden = false;
  document.querySelector("#sort option[value=true]").hidden = !D.sample.some(c => c.true_error !== undefined);
  const show = t => t[0] === null ? "–" : t[0].toFixed(2), range = t => t[1] === null ? "" : `${t[1].toFixed(2)}–${t[2].toFixed(2)}`;
  $("analysis-note").textContent = `${counted(A.chunks, "chunk")} with a reference or a corrected label; bad (true MER above ${A.bad_above}): ${counted(A.bad, "label")}, ${percent(A.bad_share)} of what they stand for. A distance above α calls a label bad. Ranges are 95 % intervals over recordings. References are used for this picture only, never for the selection.`;
  if (!A.bad || A.bad === A.chunks) {
    $("analysis-note").textContent += ` ${A.bad ? "All" : "None"} of these are bad, so how well a distance finds bad labels cannot be told.`;
    $("roc").closest(".grid2").hidden = true;
    return;
  }
  const metrics = Object.entries(A.metrics);
  // All curves over the x of all; where a curve has no point of its own it is drawn through.
  const xs = [...new Set(metrics.flatMap(([, row]) => row.roc.map(([x]) => x)))].sort((a, b) => a - b);
  const along = roc => { const highest = new Map(); for (const [x, y] of roc) highest.set(x, Math.max(y, highest.get(x) ?? 0)); return xs.map(x => highest.has(x) ? 100 * highest.get(x) : null); };
  chart($("roc"), { label: "ROC", x: xs.map(x => 100 * x), xlabel: "good labels dropped, %", unit: " %", range: [0, 100], xrange: [0, 100], height: 280, lines: metrics.map(([m, row], i) => ({ name: pretty(m), y: along(row.roc), colour: lineColour(i), now: "AUC " + show(row.auc) })) });
  const at = (row, kind, place) => row[kind].map(t => t[place] === null ? null : 100 * t[place]);
  chart($("recall"), { label: "recall and precision by α", x: A.alphas, xlabel: "α", unit: " %", range: [0, 100], height: 280, lines: metrics.flatMap(([m, row], i) => [
    { name: pretty(m) + " recall", y: at(row, "recall", 0), low: at(row, "recall", 1), high: at(row, "recall", 2), colour: lineColour(i) },
    { name: "precision", y: at(row, "precision", 0), colour: lineColour(i), dash: [6, 4] }]) });
  const heads = ["recall of bad labels", ...A.alphas.map(a => "α " + a.toFixed(1)), "mean", "AUC"];
  const head = el("tr", {}, ...heads.map(h => el("th", {}, h)));
  const rows = metrics.map(([m, row]) => el("tr", {}, el("td", {}, pretty(m)), ...[...row.recall, row.mean_recall, row.auc].map((t, i) => el("td", { "data-head": heads[i + 1] }, show(t), el("small", {}, range(t))))));
  $("analysis-table").replaceChildren(el("table", { class: "figures stacked" }, el("thead", {}, head), el("tbody", {}, ...rows)));
}
function card(c) {
  const kept = keeps(c);
  const link = el("a", { class: "id", href: "#" + new URLSearchParams({ chunk: c.id }), title: "Link to this chunk" }, c.recording);
  link.addEventListener("click", e => { e.preventDefault(); state.chunk = c.id; keepLink(); drawChunks(); });
  const head = el("div", { class: "head" }, link,
    el("span", { class: "when" }, (c.start !== null ? `from ${clock(c.start)}` : "") + (c.seconds !== null ? `, ${c.seconds.toFixed(1)} s` : "")),
    el("span", { class: "tag state " + (kept ? "kept" : "drop") }, kept ? "✓ kept" : "✕ dropped"));
  for (const m of D.metrics) if (c.scores[m] !== undefined) head.append(el("span", { class: "tag" + (m === state.metric ? " on" : "") }, `${pretty(m)} ${c.scores[m].toFixed(2)}`));
  if (c.stratum === "loop") head.append(el("span", { class: "tag drop" }, "teacher loops"));
  if (Object.entries(c.scores).some(([name, value]) => name.startsWith("loop_aux") && value)) head.append(el("span", { class: "tag" }, "validator loops"));
  if (c.true_error !== undefined) head.append(el("span", { class: "tag" }, `true error ${c.true_error.toFixed(2)}`));
  head.append(soundTag(c.id));
  const box = el("article", { class: "item" + (c.id === state.chunk ? " here" : ""), "data-chunk": c.id }, head), tags = Object.keys(c.diff);
  tags.forEach((tag, i) => { if (!i || tags.length > 1) box.append(marked(tags.length > 1 ? `teacher / ${tag}` : "teacher", c.diff[tag], 0)); box.append(marked(tags.length > 1 ? tag : "validator", c.diff[tag], 1)); });
  if (!tags.length) box.append(marked("teacher", [["=", c.teacher, ""]], 0));
  if (c.reference !== undefined) box.append(marked("reference", [["=", c.reference, ""]], 0));
  box.append(player(c.id));
  const rest = Object.entries(c.scores).map(([k, v]) => `${k} ${v}`).join(" · ");
  box.append(el("details", {}, el("summary", {}, "as written, all scores"), el("p", {}, c.id), el("p", {}, "teacher: " + (c.teacher || "–")), ...Object.entries(c.validators).map(([t, x]) => el("p", {}, `${t}: ${x || "–"}`)), el("p", {}, rest)));
  return box;
}
function drawChunks() {
  const m = state.metric, of = c => c.scores[m] ?? 9, find = state.search.trim().toLowerCase();
  const orders = { near: (a, b) => Math.abs(of(a) - state.alpha) - Math.abs(of(b) - state.alpha), high: (a, b) => of(b) - of(a), low: (a, b) => of(a) - of(b), long: (a, b) => (b.seconds || 0) - (a.seconds || 0), english: (a, b) => (b.scores.en_share_teacher || 0) - (a.scores.en_share_teacher || 0), id: (a, b) => a.id < b.id ? -1 : 1, true: (a, b) => (b.true_error ?? -1) - (a.true_error ?? -1) };
  const filters = { all: () => true, kept: keeps, drop: c => !keeps(c), audio: c => hasSound(c.id), loop: c => c.stratum === "loop" };
  const found = D.sample.filter(filters[state.filter] || filters.all)
    .filter(c => !find || [c.id, c.teacher, ...Object.values(c.validators)].some(t => t.toLowerCase().includes(find))).sort(orders[state.sort] || orders.near);
  const linked = state.chunk && D.sample.find(c => c.id === state.chunk);
  $("linked").replaceChildren(...(linked ? [card(linked)] : state.chunk ? [el("p", { class: "empty" }, `${state.chunk} is not among the ${counted(D.sample.length, "sampled chunk")}.`)] : []));
  if (found.length) showMore(found.filter(c => c !== linked), $("chunks"), $("more"), card, 12, 24);
  else { $("chunks").replaceChildren(el("p", { class: "empty" }, "No sampled chunk matches.")); $("more").hidden = true; }
  $("sample-note").textContent = `${number(found.length)} of ${number(D.sample.length)} sampled chunks, drawn evenly over the distances; ${withSound.size ? number(withSound.size) : "none"} with sound. ${D.sound_note}`;
}
function draw() {
  $("alpha").textContent = "α = " + state.alpha.toFixed(2); $("slider").value = state.alpha; $("noloop").checked = state.noloop;
  for (const id of ["sort", "filter", "search"]) $(id).value = state[id];
  for (const b of $("metrics").children) b.setAttribute("aria-pressed", b.dataset.metric === state.metric);
  drawFacts(); drawCurve(); drawHistogram(); drawChunks(); keepLink();
}
let waiting = false;
function later() { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } }
function setAlpha(a) { state.alpha = Math.max(0, Math.min(1.5, Math.round(a * 100) / 100)); later(); }
$("intro").textContent = `${counted(D.counts.total, "chunk")}${hasHours ? ", " + time(D.counts.total_seconds) + " of speech" : ""}, ${number(D.counts.loops)} with a looping label. What would each threshold keep?`;
D.metrics.forEach(m => { const b = el("button", { type: "button", "data-metric": m }, pretty(m)); b.addEventListener("click", () => { state.metric = m; later(); }); $("metrics").append(b); });
$("slider").addEventListener("input", e => setAlpha(+e.target.value));
$("noloop").addEventListener("change", e => { state.noloop = e.target.checked; later(); });
for (const id of ["sort", "filter", "search"]) $(id).addEventListener("input", e => { state[id] = e.target.value; drawChunks(); keepLink(); });
if (D.metrics.length) {
  drawOthers(); drawAnalysis(); draw();
  if (state.chunk) $("linked").scrollIntoView({ block: "start" });
} else {
  $("intro").textContent += " There are no distances to explore.";
  $("page").hidden = true;
}
