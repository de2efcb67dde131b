"use strict";
// Draws the page from the data beside it: the matrix first, and a case when the address names one.

const data = JSON.parse(document.getElementById("data").textContent);
const page = document.getElementById("page");
const NAMES = {
  pass: "pass", non_strict: "non-strict", fail: "FAIL", expected_fail: "expected fail",
  skipped: "skipped", not_applicable: "n/a", unimplemented: "unimplemented",
  unknown: "unknown", error: "error",
};
const GROUPS = {
  EL: "Elections", LS: "Log sequencing", CD: "Commit and durability", NK: "NAKs and retransmission",
  FC: "Flow control and slow members", SN: "Snapshots", CU: "Catching up", CL: "Clients and sessions", CV: "Codecs and evolution",
  BI: "Bad input", RB: "Resource bounds", AD: "The contract of a run loop", DF: "Disk faults",
};

// An element with attributes and children; text is always text.
function element(tag, attributes = {}, ...children) {
  const space = ["svg", "g", "line", "path", "rect", "text", "circle", "title", "polyline"].includes(tag)
    ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const made = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const chip = (outcome) => element("span", { class: `chip ${outcome}` }, NAMES[outcome] || outcome);
const milliseconds = (nanoseconds) => (nanoseconds / 1e6).toFixed(3).replace(/\.?0+$/, "");
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// ---- the matrix ------------------------------------------------------------------------------

function matrix() {
  const first = data.runs[0];
  page.append(
    element("h1", {}, "Conformance"),
    element("p", { class: "faint" },
      "Each row is one rule that a replicated log has to keep, with a script that fails when it is " +
      "broken. Each column is something that was put to the proof. Choose a cell to see what happened."),
  );
  for (const run of data.runs) page.append(tiles(run));
  const filter = { text: "", outcome: "" };
  const body = element("tbody", { id: "cases" });
  const draw = () => body.replaceChildren(...rows(filter));
  const search = element("input", { type: "search", placeholder: "id, title or rule", "aria-label": "filter",
    oninput: (event) => { filter.text = event.target.value.toLowerCase(); draw(); } });
  const choice = element("select", { "aria-label": "outcome",
    onchange: (event) => { filter.outcome = event.target.value; draw(); } },
    element("option", { value: "" }, "every outcome"),
    ...Object.entries(NAMES).map(([value, name]) => element("option", { value }, name)));
  const head = element("tr", {}, element("th", {}, "case"), element("th", {}, "what it is about"),
    ...data.runs.map((run) => element("th", {}, run.subject.name)));
  page.append(element("div", { class: "filters" }, search, choice),
    element("table", { id: "matrix" }, element("thead", {}, head), body));
  draw();
  page.append(element("p", { class: "faint" },
    `Suite ${first.suite}, profile ${first.profile}, seed ${first.seed}, on ${first.host}.`));
}

function tiles(run) {
  const counts = new Map();
  for (const one of run.cases) counts.set(one.outcome, (counts.get(one.outcome) || 0) + 1);
  const each = Object.keys(NAMES).filter((outcome) => counts.has(outcome)).map((outcome) =>
    element("div", { class: "tile" }, element("b", {}, String(counts.get(outcome))), chip(outcome)));
  return element("section", {},
    element("h2", {}, `${run.subject.name}`, element("span", { class: "faint" }, ` — ${run.subject.about}`)),
    element("div", { class: "tiles" }, ...each));
}

function rows(filter) {
  const all = [];
  const seen = new Map();
  for (const run of data.runs) for (const one of run.cases) {
    if (!seen.has(one.id)) { seen.set(one.id, all.length); all.push(one); }
  }
  // As the catalogue has them, whichever run has a case first.
  const order = Object.keys(GROUPS);
  const place = (one) => order.indexOf(one.group);
  all.sort((one, other) => place(one) - place(other) || (one.id < other.id ? -1 : 1));
  const shown = [];
  let group = "";
  for (const one of all) {
    const cells = data.runs.map((run, index) => ({ index, found: run.cases.find((other) => other.id === one.id) }));
    const words = `${one.id} ${one.title} ${one.rule}`.toLowerCase();
    const outcomes = cells.map((cell) => cell.found && cell.found.outcome);
    if (filter.text && !words.includes(filter.text)) continue;
    if (filter.outcome && !outcomes.includes(filter.outcome)) continue;
    if (one.group !== group) {
      group = one.group;
      shown.push(element("tr", { class: "group" },
        element("td", { colspan: String(2 + data.runs.length) }, `${group} · ${GROUPS[group] || group}`)));
    }
    shown.push(element("tr", {}, element("td", {}, one.id), element("td", {}, one.title),
      ...cells.map(({ index, found }) => element("td", {},
        found ? element("a", { href: `#${index}/${one.id}` }, chip(found.outcome)) : "–"))));
  }
  return shown;
}

// ---- one case --------------------------------------------------------------------------------

function casePage(runIndex, id) {
  const run = data.runs[runIndex];
  const one = run && run.cases.find((other) => other.id === id);
  if (!one) { page.append(element("p", {}, `There is no case ${id} in this report.`)); return; }
  const failed = ["fail", "error", "unknown"].includes(one.outcome);
  page.append(
    element("p", {}, element("a", { href: "#" }, "← all cases")),
    element("h1", {}, `${one.id} ${one.title} `, chip(one.outcome)),
    element("div", { class: "rule", id: "rule" }, one.rule),
    element("p", { class: "faint" }, facts(run, one)),
  );
  if (one.reason) {
    const observer = one.observer ? `Seen by the observer of ${one.observer}. ` : "";
    page.append(element("div", { class: failed ? "verdict" : "rule", id: "reason" }, observer, one.reason));
  }
  page.append(element("pre", { id: "repeat" }, one.repeat));
  if (!one.story || one.story.scenes.length === 0) {
    page.append(element("p", { class: "faint" }, "No story is told here: either this case calls the core directly, without a group, or the report was made without it."));
    return;
  }
  story(one);
}

function facts(run, one) {
  const edges = one.edges.length ? `; edge cases ${one.edges.join(", ")}` : "";
  return `Subject ${run.subject.name} ${run.subject.version}; level ${one.level}${edges}; seed ${one.seed}; ` +
    `${milliseconds(one.virtual_ns)} ms of virtual time in ${one.real_ms} ms.`;
}

function story(one) {
  const scenes = one.story.scenes;
  const broken = scenes.findLast((scene) => scene.kind === "broken" || scene.told.kind === "broken");
  const begin = scenes[0].at;
  const end = Math.max(...scenes.map((scene) => scene.told.kind === "sent" && scene.told.fate.at ? Math.min(scene.told.fate.at, scene.at + 5e6) : scene.at));
  const steps = scenes.filter((scene) => scene.told.kind === "script" || scene.told.kind === "broken");
  page.append(element("h2", {}, "What the script did"),
    element("ol", { class: "story", id: "story" }, ...steps.map((scene) =>
      element("li", { class: scene.told.kind === "broken" ? "broken" : "" },
        element("span", { class: "at" }, `${milliseconds(scene.at)} ms`), scene.told.text))));
  if (one.story.left_out) page.append(element("p", { class: "faint" },
    `${plural(one.story.left_out, "scene")} of a long story ${one.story.left_out === 1 ? "is" : "are"} not in this page.`));
  history(one, broken);
  spaceTime(one, begin, end, broken);
  positions(one, begin, end, broken);
}

// ---- what clients asked and were answered --------------------------------------------------------

const CALLS_MAX = 200;

function history(one, broken) {
  const calls = new Map();
  for (const { at, told } of one.story.scenes) {
    if (told.kind !== "client" || !told.call) continue;
    const key = `${told.client}/${told.call.sequence}`;
    const call = calls.get(key) || { key, client: told.client, sequence: told.call.sequence };
    Object.assign(call, told.call.answers ? { answered: at, answer: told.call.what } : { asked: at, what: told.call.what });
    calls.set(key, call);
  }
  if (calls.size === 0) return;
  const began = (call) => call.asked ?? call.answered;
  const all = [...calls.values()].sort((first, second) => began(first) - began(second));
  const illegal = broken && broken.told.call ? broken.told.call.join("/") : "";
  // Those around the failure, if there are too many.
  const focus = broken ? all.findLastIndex((call) => began(call) <= broken.at) : 0;
  const from = Math.max(0, Math.min(focus - CALLS_MAX / 2, all.length - CALLS_MAX));
  const rows = all.slice(from, from + CALLS_MAX).map((call) => element("tr",
    call.key === illegal ? { class: "illegal", id: "illegal" } : {},
    element("td", {}, `client ${call.client.slice(1)}`), element("td", {}, String(call.sequence)),
    element("td", {}, call.asked === undefined ? "before" : `${milliseconds(call.asked)} ms`),
    element("td", {}, call.answered === undefined ? "never" : `${milliseconds(call.answered)} ms`),
    element("td", {}, call.what || ""),
    element("td", {}, call.answer || "", call.key === illegal ? element("b", {}, " ✗ this fits nowhere") : "")));
  const heads = ["who", "message", "asked", "answered", "what it asks", "the answer"];
  page.append(element("h2", {}, "What clients were answered"),
    element("p", { class: "faint" }, "In the order in which they asked. An answer names the message's place in the order in which the group applied all of them."),
    element("table", { id: "history" },
      element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", {}, head)))),
      element("tbody", {}, ...rows)));
  if (all.length > rows.length) page.append(element("p", { class: "faint" },
    `${plural(all.length - rows.length, "message")} further away ${all.length - rows.length === 1 ? "is" : "are"} not listed.`));
}

// ---- the space-time diagram --------------------------------------------------------------------

const KINDS = {
  data: { name: "log data", color: "--data", of: ["live"] },
  repair: { name: "repairs", color: "--repair", of: ["repair"] },
  nak: { name: "NAKs", color: "--nak", of: ["nak", "unavailable"] },
  vote: { name: "elections", color: "--vote", of: ["canvass", "canvass_reply", "request_vote", "request_succession", "ballot", "abdicate", "campaign", "history", "history_request"] },
  client: { name: "clients", color: "--client", of: ["connect", "connect_reply", "ingress", "egress", "close", "closed", "stream_status", "stream_newest"] },
  control: { name: "heartbeats and acknowledgements", color: "--control", of: ["heartbeat", "acknowledge"] },
};
const kindOf = (what) => Object.keys(KINDS).find((kind) => KINDS[kind].of.includes(what)) || "control";
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
const ARROWS_MAX = 900;

function spaceTime(one, begin, end, broken) {
  const shown = new Set(["data", "repair", "nak", "vote", "client"]);
  const sent = one.story.scenes.filter((scene) => scene.told.kind === "sent");
  // So that few enough arrows are drawn to be told apart; around the failure if there is one.
  const span = { begin, end };
  const focus = broken ? broken.at : begin;
  const limit = 160;
  if (sent.length > limit) {
    const near = sent.filter((scene) => shown.has(kindOf(scene.told.what)));
    const list = near.length > limit ? near : sent;
    if (broken) span.begin = (list[Math.max(0, list.length - limit)] || scene0(list, begin)).at;
    else span.end = (list[Math.min(limit, list.length - 1)] || scene0(list, end)).at;
  }
  const drawing = element("div", { class: "drawing", id: "space-time" });
  const label = element("span", { class: "faint" });
  const draw = () => {
    label.textContent = `${milliseconds(span.begin)} to ${milliseconds(span.end)} ms`;
    drawing.replaceChildren(arrows(one, span, shown, broken));
    // Seen without scrolling within the drawing: `xtask pages` asks for it.
    const mark = drawing.querySelector(".first-broken")?.getBoundingClientRect();
    const frame = drawing.getBoundingClientRect();
    drawing.classList.toggle("shows-break", Boolean(mark) && mark.top >= frame.top && mark.bottom <= frame.bottom);
  };
  const move = (name) => element("input", { type: "range", min: "0", max: "1000", "aria-label": name,
    value: String(Math.round(1000 * (span[name] - begin) / Math.max(1, end - begin))),
    oninput: (event) => {
      span[name] = begin + (end - begin) * Number(event.target.value) / 1000;
      if (span.end <= span.begin) span[name === "begin" ? "end" : "begin"] = span[name] + (name === "begin" ? 1e6 : -1e6);
      draw();
    } });
  const boxes = Object.entries(KINDS).map(([kind, { name, color: tone }]) => element("label", {},
    element("input", Object.assign({ type: "checkbox",
      onchange: (event) => { if (event.target.checked) shown.add(kind); else shown.delete(kind); draw(); } },
      shown.has(kind) ? { checked: "" } : {})), " ",
    element("i", { style: `display:inline-block;width:18px;border-top:3px solid var(${tone});vertical-align:middle` }), ` ${name}`));
  page.append(element("h2", {}, "Who told whom what"),
    element("p", { class: "faint" }, "Time runs downwards. A column is a member or a client; a yellow one leads, a violet one wants to, a grey one is down. An arrow is a datagram; one that ends in a cross was lost; a brown square is a write that became durable. Quiet times are drawn shorter than they were. Point at anything to read it."),
    element("div", { class: "filters" }, ...boxes),
    element("div", { class: "filters" }, "from ", move("begin"), " to ", move("end"), label), drawing);
  draw();
}
const scene0 = (list, at) => list[0] || { at };

function arrows(one, span, shown, broken) {
  const lanes = [];
  for (let member = 1; member <= one.story.members; member++) lanes.push(`m${member}`);
  for (let client = 1; client <= one.story.clients; client++) lanes.push(`c${client}`);
  const gap = Math.max(110, Math.min(330, 1030 / Math.max(1, lanes.length)));
  const width = 90 + gap * lanes.length;
  const inside = one.story.scenes.filter((scene) => scene.at >= span.begin && scene.at <= span.end);
  const wanted = inside.filter((scene) => scene.told.kind === "sent" && shown.has(kindOf(scene.told.what)));
  const drawn = wanted.slice(0, ARROWS_MAX);
  const x = (lane) => 90 + gap * (lanes.indexOf(lane) + 0.5);
  const axis = timeAxis(span, inside, drawn);
  const { y, height } = axis;
  const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
  columns(svg, one, lanes, span, x, y, height, gap);
  ticks(svg, axis, width);
  for (const scene of drawn) arrow(svg, scene, x, y, height);
  for (const scene of inside) mark(svg, scene, x, y);
  for (const [at, texts] of said(inside)) sentence(svg, y(at), texts, width);
  if (wanted.length > drawn.length) svg.append(element("text", { x: 90, y: height - 6 },
    `${wanted.length - drawn.length} more datagrams in this span are not drawn: make it shorter`));
  if (broken && broken.at >= span.begin && broken.at <= span.end) {
    const at = y(broken.at);
    svg.append(element("line", { x1: 0, x2: width, y1: at, y2: at, stroke: color("--fail"), "stroke-width": 2, class: "first-broken" }),
      element("text", { x: width - 8, y: at - 5, "text-anchor": "end", style: `fill:${color("--fail")};font-weight:600` }, "✗ here the rule is broken"));
  }
  return svg;
}

function columns(svg, one, lanes, span, x, y, height, gap) {
  for (const lane of lanes) {
    const name = lane[0] === "m" ? `member ${lane.slice(1)}` : `client ${lane.slice(1)}`;
    svg.append(element("text", { x: x(lane), y: 18, "text-anchor": "middle", style: "font-weight:600" }, name),
      element("line", { x1: x(lane), x2: x(lane), y1: 40, y2: height - 20, stroke: color("--line"), "stroke-width": 1.5 }));
    if (lane[0] === "c") continue;
    const roles = one.story.scenes.filter((scene) => scene.told.kind === "role" && scene.told.member === lane);
    let current = { role: "down", term: 0 };
    let since = span.begin;
    const band = (until) => {
      if (until <= span.begin || since >= span.end) return;
      const top = y(Math.max(since, span.begin));
      const bottom = y(Math.min(until, span.end));
      const tone = { leader: "#ffe3a3", down: "#e3e6ea", candidate: "#e6d9f7", nominee: "#e6d9f7", canvasser: "#efe8fa" }[current.role];
      if (tone) svg.append(element("rect", { x: x(lane) - 11, y: top, width: 22, height: Math.max(2, bottom - top), fill: tone, rx: 3 },
        element("title", {}, `${name}: ${current.role} of term ${current.term}`)));
      if (bottom - top > 14) svg.append(element("text", { x: x(lane) + 15, y: top + 11, class: "small" }, `${current.role} ${current.term}`));
    };
    for (const scene of roles) { band(scene.at); current = scene.told; since = scene.at; }
    band(span.end + 1);
  }
}

// Where a time is on the drawing. The distance of two moments grows with the logarithm of the time
// between them, so that a burst and the quiet around it can both be read.
function timeAxis(span, inside, drawn) {
  const moments = new Set([span.begin, span.end]);
  for (const scene of inside) {
    if (scene.told.kind !== "sent" && scene.told.kind !== "positions") moments.add(scene.at);
  }
  for (const scene of drawn) {
    moments.add(scene.at);
    if (scene.told.fate.at && scene.told.fate.at <= span.end) moments.add(scene.told.fate.at);
  }
  const times = [...moments].sort((one, other) => one - other);
  const places = [46];
  for (let index = 1; index < times.length; index++) {
    places.push(places[index - 1] + 2 + 9 * Math.log10(1 + (times[index] - times[index - 1]) / 10_000));
  }
  const y = (at) => {
    let low = 0;
    let high = times.length - 1;
    if (at <= times[0]) return places[0];
    if (at >= times[high]) return places[high] + Math.min(20, (at - times[high]) / 20_000);
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (times[middle] <= at) low = middle; else high = middle;
    }
    return places[low] + (places[high] - places[low]) * (at - times[low]) / (times[high] - times[low]);
  };
  return { y, times, height: Math.max(200, places[places.length - 1] + 44) };
}

function ticks(svg, { y, times }, width) {
  let last = -100;
  for (const at of times) {
    if (y(at) - last < 15) continue;
    last = y(at);
    svg.append(element("text", { x: 4, y: last + 4, class: "small" }, `${milliseconds(at)} ms`),
      element("line", { x1: 84, x2: width, y1: last, y2: last, stroke: color("--band") }));
  }
}

// What the script said, by time.
function said(inside) {
  const texts = new Map();
  for (const scene of inside.filter((other) => other.told.kind === "script")) {
    texts.set(scene.at, [...(texts.get(scene.at) || []), scene.told.text]);
  }
  return texts;
}

function sentence(svg, at, texts, width) {
  const whole = texts.join("; ");
  const short = whole.length > 110 ? `${whole.slice(0, 108)} …` : whole;
  svg.append(element("line", { x1: 84, x2: width, y1: at, y2: at, stroke: "#c9b458", "stroke-dasharray": "2 4" }),
    element("text", { x: 88, y: at - 4, style: "fill:#8a6d00" }, short, element("title", {}, whole)));
}

function arrow(svg, scene, x, y, height) {
  const { from, to, what, detail, fate } = scene.told;
  if (Number.isNaN(x(from)) || Number.isNaN(x(to))) return;
  const tone = color(KINDS[kindOf(what)].color);
  const arrives = fate.fate === "arrives";
  const [x1, y1] = [x(from), y(scene.at)];
  const full = { x: x(to), y: Math.min(height - 4, y(arrives ? fate.at : scene.at) + (arrives ? 0 : 14)) };
  const reach = arrives ? 1 : 0.55;
  const [x2, y2] = [x1 + (full.x - x1) * reach, y1 + (full.y - y1) * reach];
  const group = element("g", { class: `datagram ${what} ${fate.fate}` },
    element("title", {}, `${from} → ${to}  ${what}\n${detail}\nsent ${milliseconds(scene.at)} ms, ` +
      (arrives ? `arrives ${milliseconds(fate.at)} ms` : fate.fate === "cut" ? "the link is cut" : "lost")),
    element("line", { x1, y1, x2, y2, stroke: tone, "stroke-width": 1.5, "stroke-dasharray": arrives ? "none" : "4 3" }));
  if (arrives) {
    const angle = Math.atan2(y2 - y1, x2 - x1);
    const point = (turn) => `${x2 - 7 * Math.cos(angle + turn)} ${y2 - 7 * Math.sin(angle + turn)}`;
    group.append(element("path", { d: `M${x2} ${y2} L${point(0.4)} L${point(-0.4)} Z`, fill: tone }));
  } else {
    group.append(element("path", { d: `M${x2 - 4} ${y2 - 4} L${x2 + 4} ${y2 + 4} M${x2 + 4} ${y2 - 4} L${x2 - 4} ${y2 + 4}`, stroke: color("--fail"), "stroke-width": 2 }));
  }
  svg.append(group);
}

function mark(svg, scene, x, y) {
  const told = scene.told;
  if (told.kind === "disk" && told.done) {
    svg.append(element("rect", { x: x(told.member) - 4, y: y(scene.at) - 4, width: 8, height: 8, fill: "#6b4f2a" },
      element("title", {}, `${told.member}: ${told.what} is durable, ${milliseconds(scene.at)} ms`)));
  } else if (told.kind === "client") {
    svg.append(element("circle", { cx: x(told.client), cy: y(scene.at), r: 4, fill: color("--client") },
      element("title", {}, `${told.client} ${told.text}, ${milliseconds(scene.at)} ms`)));
  }
}

// ---- positions over time -----------------------------------------------------------------------

function positions(one, begin, end, broken) {
  const scenes = one.story.scenes.filter((scene) => scene.told.kind === "positions");
  if (scenes.length === 0) return;
  const members = [...new Set(scenes.map((scene) => scene.told.member))].sort();
  const most = Math.max(...scenes.map((scene) => scene.told.verified), 1);
  // Before the first of them nothing is to be seen.
  begin = Math.max(begin, scenes[0].at - 0.05 * (end - scenes[0].at));
  const [width, height] = [1100, 300];
  const x = (at) => 70 + (width - 90) * (at - begin) / Math.max(1, end - begin);
  const y = (position) => 10 + (height - 40) * (1 - position / most);
  const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
  const tones = ["#1f5fbf", "#d9730d", "#1a7f4b", "#7a3fc4", "#c4262e", "#0f8a9d", "#8a6d00"];
  for (let tick = 0; tick <= 4; tick++) {
    const position = most * tick / 4;
    svg.append(element("text", { x: 4, y: y(position) + 4, class: "small" }, String(Math.round(position))),
      element("line", { x1: 64, x2: width, y1: y(position), y2: y(position), stroke: color("--band") }));
  }
  for (let tick = 0; tick <= 8; tick++) {
    const at = begin + (end - begin) * tick / 8;
    svg.append(element("text", { x: tick === 8 ? width - 4 : x(at) - 14, y: height - 8, class: "small", "text-anchor": tick === 8 ? "end" : "start" }, `${milliseconds(at)} ms`));
  }
  members.forEach((member, index) => {
    for (const [field, dash] of [["verified", "2 3"], ["commit", "none"]]) {
      let points = "";
      let last = null;
      for (const scene of scenes.filter((other) => other.told.member === member)) {
        if (last !== null) points += `${x(scene.at)},${y(last)} `;
        points += `${x(scene.at)},${y(scene.told[field])} `;
        last = scene.told[field];
      }
      points += `${x(end)},${y(last)}`;
      svg.append(element("polyline", { points, fill: "none", stroke: tones[index % tones.length], "stroke-width": 1.6, "stroke-dasharray": dash }));
    }
  });
  if (broken) svg.append(element("line", { x1: x(broken.at), x2: x(broken.at), y1: 0, y2: height - 24, stroke: color("--fail"), "stroke-width": 2 }));
  page.append(element("h2", {}, "Positions over time"),
    element("p", { class: "faint" }, "How far the log of each member is, in bytes: committed (full line) and verified (dotted)."),
    element("div", { class: "legend" }, ...members.map((member, index) =>
      element("span", {}, element("i", { style: `border-color:${tones[index % tones.length]}` }), `member ${member.slice(1)}`))),
    element("div", { class: "drawing", id: "positions" }, svg));
}

// ---- which page ---------------------------------------------------------------------------------

function show() {
  page.replaceChildren();
  const [run, id] = decodeURIComponent(location.hash.slice(1)).split("/");
  if (id) casePage(Number(run), id); else matrix();
  window.scrollTo(0, 0);
  // How tall a picture of all of it has to be: `xtask pages` asks for it.
  document.documentElement.dataset.height = String(Math.ceil(page.getBoundingClientRect().bottom));
}
window.addEventListener("hashchange", show);
show();
