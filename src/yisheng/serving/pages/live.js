// The live page: it keeps the list of the runs and the curves of those that are shown, and draws what comes.

import { chart } from "./chart.js";
import { element, lasting, percent, written } from "./dom.js";

const COLOURS = 6; // in style.css
const AS_SHARE = /accuracy|precision|recall|f1|auc/;

const runs = new Map(); // id -> its line of the list, in the list's order
const curves = new Map(); // id -> {generation, steps, epochs, findings, mistakes}, of the shown runs
const colours = new Map(); // id -> number of its colour
let shown = location.hash.slice(1).split(",").filter(Boolean);
let chosen = shown.length > 0; // whether a person chose what is shown; otherwise the newest run is
let drawing = 0;
const at = (id) => document.getElementById(id);

const charts = new Map(); // name -> chart
function chartOf(name, options) {
  if (!charts.has(name)) {
    charts.set(name, chart(name, options));
    at("charts").append(charts.get(name).whole);
  }
  return charts.get(name);
}

// ---- what comes from the server

let source = null;
function listen() {
  source = new EventSource("/events");
  const on = (kind, act) => source.addEventListener(kind, (event) => { act(JSON.parse(event.data)); soon(); });
  source.onopen = () => say("live", "good");
  source.onerror = lost;
  on("runs", (all) => {
    runs.clear();
    for (const run of all.runs) runs.set(run.id, run);
    at("left-out").hidden = !all.left_out;
    at("left-out").textContent = `${all.left_out} older runs are not listed.`;
    follow();
    for (const id of shown) fetchRun(id);
  });
  on("run", (run) => {
    const isNew = !runs.has(run.id);
    runs.set(run.id, run);
    if (isNew) follow();
  });
  on("gone", ({ id }) => {
    runs.delete(id);
    curves.delete(id);
    shown = shown.filter((one) => one !== id);
    follow();
  });
  on("points", (news) => grow(news));
  on("anew", ({ id }) => fetchRun(id));
  on("more", ({ id }) => fetchRun(id));
  on("end", async () => {
    source.close();
    say("the training is over: this page no longer changes", "");
    await Promise.all(shown.map(fetchRun));
  });
}

async function lost() {
  say("connection lost, trying again", "doubt");
  if (source.readyState !== EventSource.CLOSED) return;
  try {
    const answer = await fetch("/events", { signal: AbortSignal.timeout(2000) });
    const { error } = await answer.json();
    say(`${error.problem}; ${error.remedy}`, "bad");
  } catch { /* still gone: the next attempt will tell */ }
  setTimeout(listen, 3000);
}

function say(text, kind) {
  at("connection").textContent = text;
  at("connection").className = `pill ${kind}`;
}

/** More of a run's curves; what does not fit to what is here is fetched whole. */
function grow({ id, curves: news }) {
  const run = curves.get(id);
  if (!run) return;
  const [steps, epochs] = news.from;
  if (run.generation !== news.generation || steps > run.steps.length || epochs > run.epochs.length) {
    fetchRun(id);
    return;
  }
  run.steps.push(...news.steps.slice(run.steps.length - steps));
  run.epochs.push(...news.epochs.slice(run.epochs.length - epochs));
}

const fetching = new Set(), again = new Set();
async function fetchRun(id) {
  if (!shown.includes(id)) return;
  if (fetching.has(id)) {
    again.add(id);
    return;
  }
  fetching.add(id);
  try {
    const answer = await fetch(`/runs/${encodeURIComponent(id)}`);
    if (answer.ok) {
      const { run, curves: { steps, epochs, generation }, findings, mistakes } = await answer.json();
      curves.set(id, { steps, epochs, generation, findings, mistakes });
      if (runs.has(id)) runs.set(id, run);
    }
  } catch { /* the connection's own status tells */ } finally {
    fetching.delete(id);
  }
  if (again.delete(id)) fetchRun(id);
  soon();
}

// ---- what is shown

/** Show the newest run, unless a person chose. */
function follow() {
  shown = shown.filter((id) => runs.has(id));
  if (chosen && shown.length) return;
  const all = [...runs.values()].sort((a, b) => (a.name < b.name ? 1 : -1));
  const newest = all.find((run) => run.state === "running") ?? all[0];
  if (newest && shown[0] !== newest.id) show([newest.id]);
}

function show(ids) {
  shown = ids;
  for (const id of [...colours.keys()]) if (!ids.includes(id)) colours.delete(id);
  for (const id of ids) {
    if (!colours.has(id)) {
      const taken = new Set(colours.values());
      let free = 0;
      while (taken.has(free % COLOURS) && free < COLOURS) free++;
      colours.set(id, free % COLOURS);
    }
    if (!curves.has(id)) fetchRun(id);
  }
  for (const id of [...curves.keys()]) if (!ids.includes(id)) curves.delete(id);
  soon();
}

function choose(ids) {
  chosen = true;
  history.replaceState(null, "", `#${ids.join(",")}`);
  show(ids);
}

/** Draw with the next image of the screen, however much came before it. */
function soon() {
  if (!drawing) drawing = requestAnimationFrame(() => { drawing = 0; draw(); });
}

function draw() {
  drawList();
  drawAbout(runs.get(shown[0]), curves.get(shown[0]));
  drawCurves();
}

function drawList() {
  const list = at("runs");
  const wanted = [...runs.values()].sort((a, b) => (a.name < b.name ? 1 : -1));
  for (const li of [...list.children]) if (!runs.has(li.dataset.id)) li.remove();
  const there = new Map([...list.children].map((li) => [li.dataset.id, li]));
  wanted.forEach((run, place) => {
    const li = there.get(run.id) ?? line(run);
    if (list.children[place] !== li) list.insertBefore(li, list.children[place] ?? null);
    const [tick, name, state, note] = li.parts;
    tick.checked = shown.includes(run.id);
    li.className = tick.checked ? `shown c${colours.get(run.id)}` : "";
    name.setAttribute("aria-current", String(shown[0] === run.id));
    state.textContent = run.state;
    state.className = `state ${run.state}`;
    note.textContent = noted(run);
  });
}

function line(run) {
  const tick = element("input", { type: "checkbox", "aria-label": `show ${run.name}`, onchange: () =>
    choose(tick.checked ? [...shown, run.id] : shown.filter((id) => id !== run.id)) });
  const name = element("button", { type: "button", class: "name", onclick: () =>
    choose(shown.includes(run.id) && shown.length > 1 ? [run.id, ...shown.filter((id) => id !== run.id)] : [run.id]) },
  run.name);
  const state = element("span", { class: "state" }), note = element("span", { class: "note" });
  const li = element("li", { "data-id": run.id }, tick, name, element("span", { class: "second" }, state, note));
  li.parts = [tick, name, state, note];
  return li;
}

function noted(run) {
  if (run.state === "running") return Number.isFinite(run.done) ? percent(run.done) : "";
  return run.best?.value === null || run.best?.value === undefined ? "" : scored(run.best.score, run.best.value);
}

function scored(name, value) {
  return `${name.replaceAll("_", " ")} ${AS_SHARE.test(name) ? percent(value) : written(value)}`;
}

function drawAbout(run, more) {
  at("state").hidden = !run;
  at("report").hidden = !run?.report;
  at("progress").hidden = run?.state !== "running";
  at("findings-title").parentElement.hidden = at("mistakes-title").parentElement.hidden = !run;
  if (!run) return;
  document.title = `${run.state === "running" && run.done ? `${percent(run.done)} · ` : ""}${run.name} · Yisheng`;
  at("name").textContent = run.name;
  at("state").textContent = run.state;
  at("state").className = `pill ${{ running: "good", broken: "bad", stopped: "doubt" }[run.state] ?? ""}`;
  at("report").href = `/runs/${encodeURIComponent(run.id)}/report`;
  const facts = [["data", run.data], ["model", run.model], ["optimizer", run.optimizer], ["epochs", run.epochs]];
  if (run.best?.score && run.best.value !== null) {
    facts.push(["best", `${scored(run.best.score, run.best.value)} in epoch ${run.best.epoch}`]);
  }
  at("facts").replaceChildren(...facts.filter(([, value]) => value).map(([name, value]) =>
    element("span", {}, `${name} `, element("b", {}, String(value)))));
  if (Number.isFinite(run.done)) at("progress").value = run.done;
  else at("progress").removeAttribute("value");
  at("standing").textContent = standing(run);
  drawFindings(run, more?.findings);
  drawMistakes(more?.mistakes);
}

function standing(run) {
  if (!run.step) return run.state === "running" ? "it begins" : "its log is empty";
  const parts = [run.epochs ? `epoch ${Math.min(run.epoch + (run.state === "running" ? 1 : 0), run.epochs)} of ${run.epochs}` : "",
    `step ${run.step.toLocaleString("en")}`, run.seconds ? `${lasting(run.seconds)} of training` : "",
    run.state === "running" && run.left ? `about ${lasting(run.left)} left` : ""];
  return parts.filter(Boolean).join(" · ");
}

const drawnFrom = new Map(); // element -> what it was made from; what did not change is left alone
function unchanged(what, from) {
  const text = JSON.stringify(from ?? null), same = drawnFrom.get(what) === text;
  drawnFrom.set(what, text);
  return same;
}

function drawFindings(run, findings) {
  if (unchanged("findings", [run.state, findings])) return;
  const none = run.state === "running" ? "Nothing so far." : "Nothing was found.";
  at("findings").replaceChildren(...(findings?.length ? findings.map((one) =>
    element("article", { class: `finding ${one.severity}` },
      element("p", {}, element("span", { class: "severity" }, one.severity), " ", element("strong", {}, one.cause)),
      element("p", { class: "remedy" }, one.remedy))) : [element("p", { class: "hint" }, none)]));
}

function drawMistakes(found) {
  if (unchanged("mistakes", found)) return;
  const worst = found?.worst ?? [];
  at("mistakes-about").textContent = !found ? "They are noted while a run is trained with watch=true."
    : !worst.length ? `None among ${found.rows} validation rows after epoch ${found.epoch}.`
    : `The worst of ${found.rows} validation rows, after epoch ${found.epoch}.`;
  at("mistakes").replaceChildren(...worst.map((one) => {
    const what = one.error === undefined ? ["is ", element("b", {}, String(one.true)), ", taken for ",
      element("b", { class: "wrong" }, String(one.predicted)), ` (${percent(one.probability)})`]
      : ["is ", element("b", {}, listed(one.true)), ", predicted ", element("b", { class: "wrong" }, listed(one.predicted))];
    return element("li", {},
      one.image ? element("img", { src: `data:image/png;base64,${one.image}`, alt: `row ${one.row}` }) : null,
      element("span", {}, ...what), element("small", {}, `row ${one.name}`));
  }));
}

const listed = (value) => [value].flat().map(written).join(", ");

function drawCurves() {
  const many = shown.filter((id) => curves.has(id));
  const perEpoch = new Map(many.map((id) => [id, lengthOfEpoch(curves.get(id))]));
  const byEpoch = many.length > 0 && many.every((id) => perEpoch.get(id));
  const x = (id) => (step) => (byEpoch ? step / perEpoch.get(id) : step);
  const prefix = (id) => (many.length > 1 ? `${runs.get(id)?.name ?? id}: ` : "");
  const found = new Map([["loss", []], ["learning rate", []]]);
  for (const id of many) {
    const { steps, epochs } = curves.get(id), colour = colours.get(id), to = x(id), add = (name, one) => {
      if (!found.has(name)) found.set(name, []);
      if (one.points.some((point) => point[1] !== null)) found.get(name).push({ colour, ...one });
    };
    const alone = many.length === 1;
    if (many.length <= 3) {
      add("loss", { name: `${prefix(id)}each step`, kind: "faint", points: steps.map(([step, loss]) => [to(step), loss]) });
    }
    add("loss", { name: `${prefix(id)}training`, kind: "line", points: epochs.map((e) => [to(e[0]), e[2]]) });
    for (const name of new Set(epochs.flatMap((e) => Object.keys(e[3])))) {
      const points = epochs.map((e) => [to(e[0]), e[3][name] ?? null]);
      if (name === "loss") add("loss", { name: `${prefix(id)}validation`, kind: "dashed", points, ...(alone ? { colour: 1 } : {}) });
      else add(`validation ${name.replaceAll("_", " ")}`, { name: prefix(id).slice(0, -2) || "validation", kind: "line", points, ...(alone ? { colour: 1 } : {}) });
    }
    add("learning rate", { name: prefix(id).slice(0, -2) || "learning rate", kind: "line", points: steps.map(([step, , lr]) => [to(step), lr]) });
  }
  const order = (name) => (name === "loss" ? 0 : name === "learning rate" ? 2 : 1);
  [...found].sort((a, b) => order(a[0]) - order(b[0])).forEach(([name, series], place) => {
    const one = chartOf(name), there = at("charts").children[place];
    if (there !== one.whole) at("charts").insertBefore(one.whole, there);
    one.draw(series, byEpoch ? "epoch" : "step");
  });
  for (const [name, one] of charts) one.whole.hidden = !found.has(name);
}

function lengthOfEpoch({ epochs }) {
  const first = epochs.find((epoch) => epoch[1] > 0);
  return first ? first[0] / first[1] : null;
}

listen();
