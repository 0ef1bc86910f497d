// Lines and the error browser of the report. Texts are as scoring aligned them: "=" hit, "~x" substitution, "-" deletion, "+x" insertion.

// --- by distance to a switch
if ($("switch-charts")) for (const [name, lines] of Object.entries(D.switch)) {
  const box = el("div", { class: "chart" });
  $("switch-charts").append(el("div", {}, el("h3", {}, name), box));
  chart(box, {
    label: "error rate by distance to a switch, " + name, x: D.switch_distances.map((_, i) => i), xs: i => D.switch_distances[i] ?? "", splits: D.switch_distances.map((_, i) => i), xrange: [-.3, D.switch_distances.length - .7],
    xlabel: "units from the switch", at: "distance", unit: " %", show: v => v.toFixed(1) + " %",
    lines: lines.map((y, i) => y && { name: D.groups[i], y, colour: lineColour(i), dash: lineDash(i), points: true }).filter(l => l),
  });
}

// --- against hours, α, size, speed
if ($("cost-set")) {
  const sets = D.sets.filter(s => D.scatters.some(c => c.sets[s]));
  $("cost-set").append(...sets.map(s => el("option", { value: s }, s)));
  const boxes = D.scatters.map(c => {
    const box = el("div", { class: "chart" });
    $("cost-charts").append(el("div", {}, el("h3", {}, "MER against " + c.title.toLowerCase().replace("threshold α", "α")), box));
    return box;
  });
  const draw = () => D.scatters.forEach((c, k) => {
    const points = c.sets[$("cost-set").value] || [], groups = [...new Set(points.map(p => p.group))], xs = points.map(p => p.x);
    if (!points.length) { boxes[k].replaceChildren(el("p", { class: "empty" }, "not measured on this set")); return; }
    const low = Math.min(...xs), high = Math.max(...xs), edge = (high - low) * .08 || 1;
    chart(boxes[k], {
      label: c.title, x: xs, xlabel: c.unit, unit: " %", xrange: [Math.max(low > 0 ? 0 : low - edge, low - edge), high + edge], show: v => v.toFixed(2) + " %",
      lines: groups.map((g, i) => ({ name: g, colour: lineColour(c.joined ? i : D.groups.indexOf(g)), dash: lineDash(c.joined ? i : D.groups.indexOf(g)), points: c.joined || "only",
        y: points.map(p => p.group === g ? p.y : null), whiskers: points.map(p => p.group === g && p.low !== null ? [p.low, p.high] : null) })),
    });
  });
  $("cost-set").addEventListener("input", draw);
  draw();
}

// --- training
const STATISTICS = { acc: "accuracy", ce: "cross-entropy (ce)", kl: "divergence from the teacher (kl)" };
if ($("training-charts")) {
  const models = Object.keys(Object.values(D.training)[0]);
  $("training-legend").replaceWith(legend(models.map((m, i) => ({ name: m, colour: lineColour(i) }))));
  for (const [statistic, of] of Object.entries(D.training)) {
    const epochs = [...new Set(Object.values(of).flatMap(p => [...p.train, ...p.valid].map(([e]) => e)))].sort((a, b) => a - b);
    const along = points => { const at = new Map(points); return epochs.map(e => at.get(e) ?? null); };
    const box = el("div", { class: "chart" });
    $("training-charts").append(el("div", {}, el("h3", {}, STATISTICS[statistic] || statistic), box));
    const values = Object.values(of).flatMap(p => [...p.train, ...p.valid].map(([, v]) => v)), low = Math.min(...values), high = Math.max(...values), edge = (high - low) * .06 || .1;
    chart(box, {
      label: statistic + " by epoch", x: epochs, xs: e => Number.isInteger(e) ? e : "", xlabel: "epoch", height: 200, legend: false, range: [low - edge, high + edge], xrange: epochs.length < 2 ? [epochs[0] - 1, epochs[0] + 1] : undefined,
      lines: models.flatMap((m, i) => [
        { name: m, shown: m + " valid", y: along(of[m]?.valid || []), colour: lineColour(i), points: true },
        { name: m, shown: m + " train", y: along(of[m]?.train || []), colour: lineColour(i), dash: [4, 4], width: 1.4 }]),
    });
  }
}

// --- the error browser
const SIZE = 20;
const T = JSON.parse($("texts").textContent);
const KIND_NAMES = { english: "English substituted", translated: "translated or transliterated", omitted: "omitted", hallucinated: T.what === "error" ? "hallucinated" : "added", loop: "loops", switch: "at a switch" };
const errorsOf = steps => { let n = 0; for (const s of steps.split(" ")) n += s !== "" && s !== "="; return n; };
const rows = T.utterances.map(([set, id, reference, ref, texts]) => ({
  set, id, reference, name: set + "/" + id, ref: ref ? ref.split(" ") : [], texts,
  errors: Object.fromEntries(Object.entries(texts).map(([m, [steps]]) => [m, errorsOf(steps)])),
  find: [id, reference, ref, ...Object.values(texts).map(t => t[1])].join("\n").toLowerCase(),
}));
const link = readLink(), shown = new Set(rows.flatMap(r => Object.keys(r.texts).map(Number)));
const inSets = new Set(rows.map(r => r.set)), indexOf = (list, name, other) => list.indexOf(name) >= 0 ? list.indexOf(name) : other;
// The first that has the earliest of these roles, if any has.
const firstOf = (...roles) => [...shown].sort((a, b) => (roles.indexOf(T.roles[a]) + 1 || 9) - (roles.indexOf(T.roles[b]) + 1 || 9) || a - b)[0] ?? 0;
const view = {
  set: indexOf(T.sets, link.set, inSets.size ? Math.min(...inSets) : 0), of: indexOf(T.systems, link.of, D.best ?? firstOf("student")),
  against: indexOf(T.systems, link.against, firstOf("teacher", "validator")), order: link.order || "worst", kind: link.kind || "all", find: link.find || "", page: Math.max(0, (parseInt(link.page) || 1) - 1), utterance: link.utterance || "",
};
function keepView() {
  writeLink({ set: T.sets[view.set], of: T.systems[view.of], against: T.systems[view.against], order: view.order === "worst" ? "" : view.order, kind: view.kind === "all" ? "" : view.kind, find: view.find, page: view.page ? view.page + 1 : "", utterance: view.utterance });
}
const pen = document.createElement("canvas").getContext("2d");
const widths = new Map();
function widthOf(text) { if (!widths.has(text)) { pen.font = "600 15px " + getComputedStyle(document.body).fontFamily; widths.set(text, pen.measureText(text).width); } return widths.get(text); }

// The columns of an utterance: a reference unit, or a place where somebody added one; a cell for each model.
function columnsOf(row, models) {
  const gaps = Array.from({ length: row.ref.length + 1 }, () => []), units = row.ref.map(unit => ({ ref: unit, cells: {} }));
  for (const m of models) {
    let at = 0, added = 0;
    for (const step of row.texts[m][0].split(" ")) {
      if (!step) continue;
      if (step[0] === "+") { (gaps[at][added] ||= { ref: null, cells: {} }).cells[m] = step; added++; continue; }
      units[at].cells[m] = step; at++; added = 0;
    }
  }
  return units.flatMap((u, i) => [...gaps[i], u]).concat(gaps[row.ref.length]);
}
function linesOf(row, room) {
  const models = Object.keys(row.texts).map(Number).sort((a, b) => a - b), label = Math.min(room * .36, 10 + Math.max(...[T.reference, ...models.map(m => T.systems[m])].map(widthOf)) * .82);
  const lines = [];
  let line = [], used = label;
  for (const column of columnsOf(row, models)) {
    const width = 8 + Math.max(...[column.ref || "+", ...Object.values(column.cells).map(s => s.length > 1 ? (s[0] === "+" ? s : s.slice(1)) : "∅")].map(widthOf));
    if (line.length && used + width > room) { lines.push(line); line = []; used = label; }
    line.push(column); used += width;
  }
  if (line.length) lines.push(line);
  const table = line => {
    const body = el("tbody", {}), head = (name, own) => el("th", { scope: "row", title: name, class: own ? "own" : null, style: `width:${label}px;min-width:${label}px;max-width:${label}px` }, name);
    if (line.some(c => c.ref !== null)) body.append(el("tr", { class: "ref" }, head(T.reference), ...line.map(c => el("td", {}, c.ref === null ? "" : c.ref))));
    for (const m of models.filter(m => line.some(c => c.cells[m] !== undefined))) body.append(el("tr", {}, head(T.systems[m], m === view.of), ...line.map(c => {
      const step = c.cells[m];
      if (step === undefined) return el("td", {}, "");
      if (step === "=") return el("td", { class: "h" }, c.ref);
      if (step === "-") return el("td", { class: "d", title: "deletion" }, "∅");
      return step[0] === "+" ? el("td", { class: "i", title: "insertion" }, step) : el("td", { class: "s", title: `substitution for ${c.ref}` }, step.slice(1));
    })));
    return el("table", {}, body);
  };
  const box = el("div", { class: "lines" }), more = el("button", { type: "button", class: "more" });
  showMore(lines, box, more, table, 12, 40);
  return [box, more];
}
function card(row) {
  const total = row.ref.length, head = el("div", { class: "head" });
  const here = el("a", { class: "id", href: "#" + new URLSearchParams({ set: T.sets[row.set], utterance: row.id }), title: "Link to this utterance" }, row.id);
  here.addEventListener("click", e => { e.preventDefault(); view.utterance = row.id; drawList(); });
  head.append(here, el("span", { class: "when" }, counted(total, "unit")));
  const own = row.texts[view.of];
  if (own) {
    head.append(el("span", { class: "tag on" }, `${T.systems[view.of]} ${counted(row.errors[view.of], T.what)}` + (total ? `, ${percent(row.errors[view.of] / total)}` : "")));
    if (view.against !== view.of && row.texts[view.against]) {
      const change = row.errors[view.of] - row.errors[view.against];
      head.append(el("span", { class: "tag " + (change < 0 ? "good" : change > 0 ? "bad" : "") }, change ? `${change < 0 ? "▼" : "▲"} ${Math.abs(change)} ${change < 0 ? "fewer" : "more"} than ${T.systems[view.against]}` : `as many as ${T.systems[view.against]}`));
    }
    for (const k of own[2]) head.append(el("span", { class: "tag warm" }, KIND_NAMES[T.kinds[k]]));
  }
  head.append(soundTag(row.name));
  const box = el("article", { class: "item" + (row.id === view.utterance ? " here" : ""), "data-utterance": row.id }, head);
  box.append(player(row.name), ...linesOf(row, ($("list").clientWidth || 600) - 4));
  box.append(el("details", {}, el("summary", {}, "as written"), el("p", {}, T.reference + ": " + (row.reference || "–")), ...Object.entries(row.texts).map(([m, t]) => el("p", {}, `${T.systems[m]}: ${t[1] || "–"}`))));
  return box;
}
function drawList() {
  const inSet = rows.filter(r => r.set === view.set && r.texts[view.of]), find = view.find.trim().toLowerCase(), kind = T.kinds.indexOf(view.kind);
  const searched = inSet.filter(r => !find || r.find.includes(find));
  const counts = T.kinds.map((_, k) => searched.reduce((n, r) => n + r.texts[view.of][2].includes(k), 0));
  const wrong = searched.filter(r => r.errors[view.of] > 0).length;
  $("kinds").replaceChildren(...[["all", "all", searched.length], ["wrong", "any " + T.what, wrong], ...T.kinds.map((k, i) => [k, KIND_NAMES[k], counts[i]])].map(([key, name, n]) => {
    const b = el("button", { type: "button", "data-kind": key, "aria-pressed": key === view.kind }, name + " ", el("small", {}, number(n)));
    b.addEventListener("click", () => { view.kind = key; view.page = 0; drawList(); });
    return b;
  }));
  const change = r => r.texts[view.against] ? r.errors[view.against] - r.errors[view.of] : 0, mine = r => r.errors[view.of], id = (a, b) => a.id < b.id ? -1 : 1;
  const orders = { worst: (a, b) => mine(b) - mine(a) || id(a, b), rate: (a, b) => mine(b) / Math.max(1, b.ref.length) - mine(a) / Math.max(1, a.ref.length) || id(a, b), improved: (a, b) => change(b) - change(a) || id(a, b), worsened: (a, b) => change(a) - change(b) || id(a, b), long: (a, b) => b.ref.length - a.ref.length || id(a, b), id };
  const kept = searched.filter(r => view.kind === "wrong" ? mine(r) > 0 : kind < 0 || r.texts[view.of][2].includes(kind))
    .filter(r => view.order === "improved" ? change(r) > 0 : view.order === "worsened" ? change(r) < 0 : true).sort(orders[view.order] || orders.worst);
  const pages = Math.max(1, Math.ceil(kept.length / SIZE));
  view.page = Math.min(view.page, pages - 1);
  const linked = view.utterance && rows.find(r => r.id === view.utterance && r.set === view.set);
  $("linked").replaceChildren(...(linked ? [card(linked)] : view.utterance ? [el("p", { class: "empty" }, `There is no utterance ${view.utterance} in ${T.sets[view.set]}.`)] : []));
  const here = kept.slice(view.page * SIZE, view.page * SIZE + SIZE);
  $("list").replaceChildren(...(here.length ? here.filter(r => r !== linked).map(card) : [el("p", { class: "empty" }, rows.length ? "No utterance matches." : "Nothing has been scored yet.")]));
  const sound = inSet.filter(r => hasSound(r.name)).length;
  $("found").textContent = `${number(kept.length)} of ${counted(inSet.length, "utterance")} of ${T.sets[view.set] ?? "–"}; ${sound ? number(sound) : "none"} with sound.`;
  $("place").textContent = kept.length ? `${number(view.page * SIZE + 1)} to ${number(Math.min(kept.length, view.page * SIZE + SIZE))} of ${number(kept.length)}` : "";
  $("back").disabled = view.page === 0; $("forth").disabled = view.page >= pages - 1;
}
for (const [id, names, usable] of [["set", T.sets, n => inSets.has(n)], ["of", T.systems, n => shown.has(n)], ["against", T.systems, n => shown.has(n)]]) {
  $(id).append(...names.map((name, n) => usable(n) ? el("option", { value: n }, name) : "").filter(o => o));
  $(id).value = view[id];
  $(id).addEventListener("input", e => { view[id] = +e.target.value; view.page = 0; view.utterance = ""; drawList(); keepView(); });
}
for (const id of ["order", "find"]) { $(id).value = view[id]; $(id).addEventListener("input", e => { view[id] = e.target.value; view.page = 0; drawList(); keepView(); }); }
for (const [id, step] of [["back", -1], ["forth", 1]]) $(id).addEventListener("click", () => { view.page += step; drawList(); keepView(); $("found").scrollIntoView({ block: "start" }); });
$("browser").addEventListener("click", e => { if (e.target.closest("#kinds, .id")) keepView(); });
redraws.push(drawList);
drawList();
if (Object.keys(link).length) { const to = $("errors"); to.scrollIntoView(); addEventListener("load", () => to.scrollIntoView()); }
