"use strict";
// What all pages share: elements, numbers, the link that keeps a page's state, sorting, sounds, charts.
const $ = id => document.getElementById(id);
const D = JSON.parse($("data").textContent);
const number = n => n.toLocaleString("en");
const counted = (n, what) => number(n) + " " + what + (n === 1 ? "" : "s");
const percent = (x, digits = 1) => (100 * x).toFixed(digits) + " %";
const clock = s => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
function time(seconds) {
  if (seconds >= 36000) return (seconds / 3600).toFixed(0) + " h";
  if (seconds >= 3600) return (seconds / 3600).toFixed(2) + " h";
  return seconds >= 60 ? (seconds / 60).toFixed(1) + " min" : seconds.toFixed(1) + " s";
}
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) if (v !== null && v !== false) node.setAttribute(k, v);
  node.append(...children);
  return node;
}

// --- state in the address, so that what one sees can be sent: page.html#alpha=0.30&chunk=…
function readLink() {
  return Object.fromEntries(new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : location.search));
}
function writeLink(state) {
  const words = new URLSearchParams(Object.entries(state).filter(([, v]) => v !== "" && v !== null && v !== undefined)).toString();
  // Pages from the disk may not always rewrite their address.
  try { history.replaceState(null, "", words ? "#" + words : location.pathname + location.search); } catch { /* the page works without */ }
}
// Somebody pastes a link into the open page, or goes back. writeLink does not come here, nor do links to a heading.
let followLink = () => location.reload();
addEventListener("hashchange", () => { if (location.hash.includes("=")) followLink(); });

// --- light and dark
const redraws = [];
const dark = () => getComputedStyle(document.documentElement).colorScheme === "dark" ||
  (getComputedStyle(document.documentElement).colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
$("theme").addEventListener("click", () => {
  const theme = dark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem("k2d-theme", theme); } catch { /* chosen for this page alone */ }
  redraws.forEach(f => f());
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraws.forEach(f => f()));

// --- sortable tables: a click on a heading; what is not measured stays last
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0], asMade = [...body.rows];
  const value = (row, i) => { const text = row.cells[i].textContent.trim(), found = text.replace(/[×,]/g, "").match(/^[-+]?\d+(\.\d+)?/); return found ? +found[0] : text === "–" || !text ? null : text; };
  heads.forEach((head, i) => {
    const button = el("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort"), next = now === "ascending" ? "descending" : now === "descending" ? null : "ascending";
      heads.forEach(h => h.removeAttribute("aria-sort"));
      let rows = asMade.slice();
      if (next) {
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        rows.sort((a, b) => { const x = value(a, i), y = value(b, i); return x === null ? (y === null ? 0 : 1) : y === null ? -1 : sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y))); });
      }
      body.append(...rows);
    });
  });
}

// --- sounds stand in a script of their own and are read when the first is asked for
let sounds = null;
function soundOf(id) {
  if (!sounds) sounds = new Map(Object.entries(JSON.parse(($("sounds") || { textContent: "{}" }).textContent)));
  return sounds.get(id);
}
const withSound = new Set(D.with_sound || []);
const hasSound = id => withSound.has(id);
function player(id) {
  const box = el("div", { class: "sound" });
  if (!hasSound(id)) return box;
  const [audio, picture] = soundOf(id);
  box.append(el("audio", { controls: "", preload: "none", src: audio }));
  if (picture) box.append(el("img", { class: "mel", alt: "log-mel spectrogram", src: picture }));
  return box;
}
const soundTag = id => hasSound(id) ? el("span", { class: "tag" }, "♪ sound") : el("span", { class: "tag mute" }, "no sound");

// --- a list in parts: more(list, box, button, card) shows the first `size`, and the rest bit by bit
function showMore(list, box, button, card, size, step) {
  let shown = 0;
  const add = n => {
    box.append(...list.slice(shown, shown + n).map(card));
    shown = Math.min(list.length, shown + n);
    button.hidden = shown >= list.length;
    const left = list.length - shown;
    button.textContent = left > step ? `Show ${step} more (${number(left)} left)` : `Show the last ${left}`;
  };
  box.replaceChildren();
  button.onclick = () => add(step);
  add(size);
}

// --- charts: uPlot in the page's colours
const probe = el("span", { hidden: "" });
document.body.append(probe);
function colourOf(name) { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; }
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
const WHOLE = Array.from({ length: 30 }, (_, i) => [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3)); // steps between counts
const lineColour = i => "c" + i % 6;
const lineDash = i => DASHES[Math.floor(i / 6) % DASHES.length];

// chart(box, spec): x: numbers; lines: [{name, y, colour, dash, width, points, bars, low, high}]; y in the unit of `unit`.
//   xs: how a tick of x is written; click(x): where one clicked; cross: x of a vertical line; range: [low, high] of y.
function chart(box, spec) {
  const draw = () => {
    const width = Math.max(120, box.clientWidth || 500), height = spec.height || (width < 420 ? 220 : 260);
    const soft = colourOf("soft"), grid = colourOf("line"), data = [spec.x], series = [{}], bands = [];
    for (const line of spec.lines) {
      if (line.low) {
        const fill = colourOf(line.colour);
        data.push(line.high, line.low);
        series.push({ width: 0, points: { show: false } }, { width: 0, points: { show: false } });
        bands.push({ series: [data.length - 2, data.length - 1], fill: fill.replace("rgb(", "rgba(").replace(")", ", .13)") });
      }
      data.push(line.y);
      const paint = colourOf(line.colour);
      series.push({
        label: line.name, stroke: paint, width: line.bars ? 0 : line.width ?? 2, dash: line.dash, spanGaps: true,
        fill: line.bars ? paint : undefined,
        paths: line.bars ? uPlot.paths.bars({ size: [0.86, 60], align: line.align ?? 0 }) : line.points === "only" ? () => null : undefined,
        points: { show: line.bars ? false : !!line.points, size: 8, fill: paint, stroke: paint },
      });
    }
    const hover = el("div", { class: "hover" });
    const font = "12px system-ui, sans-serif";
    const plot = new uPlot({
      width, height, series, bands,
      padding: [10, 14, 0, 0],
      scales: { x: { time: false, range: spec.xrange ? () => spec.xrange : undefined, distr: spec.log ? 3 : 1 }, y: { range: spec.range ? () => spec.range : (u, low, high) => [Math.min(0, low), Math.max(high, ...spec.lines.flatMap(l => l.whiskers || []).filter(w => w).map(w => w[1])) * 1.08 || 1] } },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      legend: { show: false },
      axes: [
        { stroke: soft, font, grid: { show: false }, ticks: { stroke: grid, size: 4 }, values: spec.xs ? (u, at) => at.map(spec.xs) : undefined, splits: spec.splits ? () => spec.splits : undefined, label: spec.xlabel, labelFont: font, labelSize: 20, size: 34 },
        { stroke: soft, font, grid: { stroke: grid, width: 1 }, ticks: { show: false }, size: 46, label: undefined, incrs: spec.lines.some(l => l.bars) ? WHOLE : undefined, values: (u, at) => at.map(v => v === null ? "" : +v.toFixed(4) + (spec.unit || "")) },
      ],
      hooks: {
        setCursor: [u => {
          const i = u.cursor.idx;
          if (i === null || i === undefined) { hover.textContent = ""; return; }
          const at = (spec.xs ? spec.xs(spec.x[i]) : +(+spec.x[i]).toFixed(4)) || spec.x[i];
          const values = spec.lines.map(l => [l.shown || l.name, l.y[i]]).filter(([, v]) => v !== null && v !== undefined).map(([n, v]) => `${n} ${(spec.show || (x => +x.toFixed(3) + (spec.unit || "")))(v)}`);
          hover.textContent = values.length ? `${spec.at || spec.xlabel || ""} ${at}: ${values.join(", ")}` : "";
        }],
        draw: [u => {
          if (spec.cross === undefined) return;
          const x = u.valToPos(spec.cross(), "x", true), c = u.ctx;
          c.save(); c.strokeStyle = colourOf("ink"); c.setLineDash([4, 4]); c.lineWidth = 1.2;
          c.beginPath(); c.moveTo(x, u.bbox.top); c.lineTo(x, u.bbox.top + u.bbox.height); c.stroke(); c.restore();
        }, u => {
          // Intervals of single points.
          const c = u.ctx;
          for (const line of spec.lines) {
            if (!line.whiskers) continue;
            c.save(); c.strokeStyle = colourOf(line.colour); c.lineWidth = 1.5;
            line.whiskers.forEach((w, i) => {
              if (!w || w[0] === null || line.y[i] === null || line.y[i] === undefined) return;
              const x = u.valToPos(spec.x[i], "x", true), a = u.valToPos(w[0], "y", true), b = u.valToPos(w[1], "y", true);
              c.beginPath(); c.moveTo(x, a); c.lineTo(x, b); c.moveTo(x - 4, a); c.lineTo(x + 4, a); c.moveTo(x - 4, b); c.lineTo(x + 4, b); c.stroke();
            });
            c.restore();
          }
        }],
      },
    }, data);
    plot.root.setAttribute("role", "img");
    plot.root.setAttribute("aria-label", spec.label || "chart");
    if (spec.click) {
      plot.over.style.cursor = "pointer";
      plot.over.addEventListener("click", e => spec.click(plot.posToVal(e.clientX - plot.over.getBoundingClientRect().left, "x")));
    }
    box.replaceChildren(plot.root, hover);
    if (spec.legend !== false) box.append(legend(spec.lines.filter(l => l.name)));
    box.plot = plot;
    return plot;
  };
  draw();
  if (!box.dataset.known) {
    box.dataset.known = "yes";
    redraws.push(() => box.redraw());
  }
  box.redraw = draw;
}
function legend(lines) {
  const box = el("div", { class: "legend" });
  for (const line of lines) {
    const item = el("span", {});
    if (line.bars) item.append(el("i", { class: "box", style: `background:var(--${line.colour})` }));
    else {
      const ns = "http://www.w3.org/2000/svg", picture = document.createElementNS(ns, "svg"), stroke = document.createElementNS(ns, "line");
      for (const [k, v] of Object.entries({ x1: 0, x2: 30, y1: 6, y2: 6, stroke: `var(--${line.colour})`, "stroke-width": 2.5, "stroke-dasharray": (line.dash || []).join(" ") })) stroke.setAttribute(k, v);
      picture.append(stroke);
      item.append(picture);
    }
    item.append(line.name);
    if (line.now) item.append(" ", el("b", {}, line.now));
    box.append(item);
  }
  return box;
}
let lastWidth = innerWidth;
addEventListener("resize", () => { if (innerWidth !== lastWidth) { lastWidth = innerWidth; redraws.forEach(f => f()); } });

// --- texts in which what differs is marked: parts of [kind, ours, theirs], kind "=", "~", "-" or "+"
function marked(who, parts, side) {
  const text = el("div", { class: "text" });
  let last = "";
  for (const [kind, ours, theirs] of parts) {
    const words = side ? theirs : ours;
    if (!words) continue;
    if (last && /[^\u2e80-\u9fff]$/.test(last) && /^[^\u2e80-\u9fff]/.test(words)) text.append(" ");
    text.append(kind === "=" ? words : el("mark", { class: kind === "~" ? "r" : kind === "-" ? "m" : "p" }, words));
    last = words;
  }
  if (!last) text.append(el("span", { class: "empty" }, "no text"));
  return el("div", { class: "row" }, el("div", { class: "who" }, who), text);
}
