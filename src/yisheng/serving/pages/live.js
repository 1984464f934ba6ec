// The live page: it keeps the list of the runs and the curves of the selected ones, and draws every change.

import { fetchHere } from "./api.js";
import { createChart } from "./chart.js";
import { byId, compareNaturally, element, formatDuration, formatNumber, formatPercent, formatScore, showConnection } from "./dom.js";
import { message, messageParts, pluralMessage } from "./messages.js";

const COLOR_COUNT = 6; // classes c0 to c5 in style.css
const MAX_RUNS_WITH_STEPS = 3; // more curves of single steps would hide the others
const RECONNECT_MS = 3000, REQUEST_TIMEOUT_MS = 2000;

const runs = new Map(); // id -> entry in the list, in its order
const curves = new Map(); // id -> {generation, steps, epochs, findings, mistakes}, of the selected runs
const colors = new Map(); // id -> number of its color
const charts = new Map(); // name -> chart
let selected = location.hash.slice(1).split(",").filter(Boolean);
let isUserSelection = selected.length > 0; // otherwise the newest run is selected
let scheduledFrame = 0;

// ---- events from the server

let source = null;
function connect() {
  source = new EventSource("/events");
  const on = (kind, handle) => source.addEventListener(kind, (event) => { handle(JSON.parse(event.data)); scheduleDraw(); });
  source.onopen = () => showConnection(message("live"), "good");
  source.onerror = handleLostConnection;
  on("runs", (list) => {
    runs.clear();
    for (const run of list.runs) runs.set(run.id, run);
    byId("omitted").hidden = !list.omitted;
    byId("omitted").textContent = pluralMessage(list.omitted, "{count} older run is not listed.", "{count} older runs are not listed.");
    selectNewest();
    for (const id of selected) fetchRun(id);
  });
  on("run", (run) => {
    const isNew = !runs.has(run.id);
    runs.set(run.id, run);
    if (isNew) selectNewest();
  });
  on("removed", ({ id }) => {
    runs.delete(id);
    curves.delete(id);
    selected = selected.filter((other) => other !== id);
    selectNewest();
  });
  on("points", appendPoints);
  on("reset", ({ id }) => fetchRun(id));
  on("details", ({ id }) => fetchRun(id));
  on("end", async () => {
    source.close();
    showConnection(message("the training has ended: this page no longer changes"), "");
    await Promise.all(selected.map(fetchRun));
  });
}

async function handleLostConnection() {
  showConnection(message("connection lost, trying again"), "warning");
  if (source.readyState !== EventSource.CLOSED) return;
  try {
    const response = await fetchHere("/events", { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
    const { error } = await response.json();
    showConnection(message("{problem}; {remedy}", error), "bad");
  } catch { /* still no connection: the next attempt will show it */ }
  setTimeout(connect, RECONNECT_MS);
}

/** Append points to a run's curves; if they do not continue the known ones, fetch all. */
function appendPoints({ id, curves: points }) {
  const run = curves.get(id);
  if (!run) return;
  const [firstStep, firstEpoch] = points.from;
  if (run.generation !== points.generation || firstStep > run.steps.length || firstEpoch > run.epochs.length) {
    fetchRun(id);
    return;
  }
  run.steps.push(...points.steps.slice(run.steps.length - firstStep));
  run.epochs.push(...points.epochs.slice(run.epochs.length - firstEpoch));
}

const fetching = new Set(), fetchAgain = new Set();
async function fetchRun(id) {
  if (!selected.includes(id)) return;
  if (fetching.has(id)) {
    fetchAgain.add(id);
    return;
  }
  fetching.add(id);
  try {
    const response = await fetchHere(`/runs/${encodeURIComponent(id)}`);
    if (response.ok) {
      const { run, curves: { steps, epochs, generation }, findings, mistakes } = await response.json();
      curves.set(id, { steps, epochs, generation, findings, mistakes });
      if (runs.has(id)) runs.set(id, run);
    }
  } catch { /* the state of the connection is shown already */ } finally {
    fetching.delete(id);
  }
  if (fetchAgain.delete(id)) fetchRun(id);
  scheduleDraw();
}

// ---- selection

const newestFirst = () => [...runs.values()].sort((a, b) => compareNaturally(b.name, a.name));

/** Select the newest run, preferably one in training, unless the user selected runs. */
function selectNewest() {
  selected = selected.filter((id) => runs.has(id));
  if (isUserSelection && selected.length) return;
  const sorted = newestFirst();
  const newest = sorted.find((run) => run.state === "running") ?? sorted[0];
  if (newest && selected[0] !== newest.id) select([newest.id]);
}

function select(ids) {
  selected = ids;
  for (const id of [...colors.keys()]) if (!ids.includes(id)) colors.delete(id);
  for (const id of ids) {
    if (!colors.has(id)) {
      const used = new Set(colors.values());
      let color = 0;
      while (used.has(color % COLOR_COUNT) && color < COLOR_COUNT) color++;
      colors.set(id, color % COLOR_COUNT);
    }
    if (!curves.has(id)) fetchRun(id);
  }
  for (const id of [...curves.keys()]) if (!ids.includes(id)) curves.delete(id);
  scheduleDraw();
}

function selectByUser(ids) {
  isUserSelection = true;
  history.replaceState(null, "", `#${ids.join(",")}`);
  select(ids);
}

// ---- drawing

/** Draw with the next frame, however many events arrive before it. */
function scheduleDraw() {
  if (!scheduledFrame) scheduledFrame = requestAnimationFrame(() => { scheduledFrame = 0; draw(); });
}

function draw() {
  drawList();
  drawRun(runs.get(selected[0]), curves.get(selected[0]));
  drawCurves();
}

function drawList() {
  const list = byId("runs");
  for (const item of [...list.children]) if (!runs.has(item.dataset.id)) item.remove();
  const items = new Map([...list.children].map((item) => [item.dataset.id, item]));
  newestFirst().forEach((run, position) => {
    const item = items.get(run.id) ?? createListItem(run);
    if (list.children[position] !== item) list.insertBefore(item, list.children[position] ?? null);
    const { checkbox, name, state, detail } = item.parts;
    checkbox.checked = selected.includes(run.id);
    item.className = checkbox.checked ? `selected c${colors.get(run.id)}` : "";
    name.setAttribute("aria-current", String(selected[0] === run.id));
    state.textContent = nameState(run);
    state.className = `state ${run.state}`;
    detail.textContent = formatDetail(run);
  });
}

function createListItem(run) {
  const without = (id) => selected.filter((other) => other !== id);
  const checkbox = element("input", { type: "checkbox", "aria-label": message("show {name}", run), onchange: () =>
    selectByUser(checkbox.checked ? [...selected, run.id] : without(run.id)) });
  const name = element("button", { type: "button", class: "name", onclick: () =>
    selectByUser(selected.includes(run.id) && selected.length > 1 ? [run.id, ...without(run.id)] : [run.id]) },
  run.name);
  const state = element("span", { class: "state" }), detail = element("span", { class: "detail" });
  const item = element("li", { "data-id": run.id }, checkbox, name, element("span", { class: "second-line" }, state, detail));
  item.parts = { checkbox, name, state, detail };
  return item;
}

const PHASES = { training: message("training"), scoring: message("scoring"), report: message("writing the report") };
const STATES = { running: message("running"), finished: message("finished"), stopped: message("stopped"), broken: message("broken") };
const SEVERITIES = { note: message("note"), warning: message("warning"), error: message("error") };

/** Return the state of a run for people; of a running one, what it does. */
const nameState = (run) => PHASES[run.phase] ?? STATES[run.state] ?? run.state;
const isTraining = (run) => run.state === "running" && run.phase === "training";

function formatDetail(run) {
  if (run.state === "running") return !isTraining(run) ? "" : Number.isFinite(run.progress) ? formatPercent(run.progress) : "";
  return run.best?.value === null || run.best?.value === undefined ? "" : formatNamedScore(run.best.score, run.best.value);
}

const spaced = (name) => name.replaceAll("_", " ");

function formatNamedScore(name, value) {
  return `${spaced(name)} ${formatScore(name, value)}`;
}

function drawRun(run, details) {
  byId("state").hidden = !run;
  byId("report").hidden = !run?.report;
  byId("progress").hidden = !run || !isTraining(run);
  byId("findings-title").parentElement.hidden = byId("mistakes-title").parentElement.hidden = !run;
  if (!run) return;
  document.title = `${isTraining(run) && run.progress ? `${formatPercent(run.progress)} · ` : ""}${run.name} · Yisheng`;
  byId("name").textContent = run.name;
  byId("state").textContent = nameState(run);
  byId("state").className = `pill ${{ running: "good", broken: "bad", stopped: "warning" }[run.state] ?? ""}`;
  byId("report").href = `/runs/${encodeURIComponent(run.id)}/report`;
  const facts = [[message("data"), run.data], [message("model"), run.model], [message("optimizer"), run.optimizer],
    [message("epochs"), run.epochs]];
  if (run.best?.score && run.best.value !== null) {
    const score = formatNamedScore(run.best.score, run.best.value);
    facts.push([message("best"), message("{score} in epoch {epoch}", { score, epoch: run.best.epoch })]);
  }
  byId("facts").replaceChildren(...facts.filter(([, value]) => value).map(([name, value]) =>
    element("span", {}, `${name} `, element("b", {}, String(value)))));
  if (Number.isFinite(run.progress)) byId("progress").value = run.progress;
  else byId("progress").removeAttribute("value");
  byId("status").textContent = formatStatus(run);
  drawFindings(run, details?.findings);
  drawMistakes(details?.mistakes);
}

function formatStatus(run) {
  const isRunning = run.state === "running";
  if (!run.step) return isRunning ? message("the training begins") : message("the log is empty");
  const epoch = Math.min(run.epoch + (isTraining(run) ? 1 : 0), run.epochs);
  const parts = [run.epochs ? message("epoch {epoch} of {epochs}", { epoch, epochs: run.epochs }) : "",
    message("step {step}", { step: run.step.toLocaleString("en") }),
    run.seconds ? message("{duration} of training", { duration: formatDuration(run.seconds) }) : "",
    isRunning && !isTraining(run) ? `${nameState(run)} …` : "",
    isTraining(run) && run.remaining_seconds ? message("about {duration} remaining", { duration: formatDuration(run.remaining_seconds) }) : ""];
  return parts.filter(Boolean).join(" · ");
}

const drawnContent = new Map(); // name of a section -> JSON of its content; a section without changes is not redrawn
function isUnchanged(section, content) {
  const text = JSON.stringify(content ?? null), isEqual = drawnContent.get(section) === text;
  drawnContent.set(section, text);
  return isEqual;
}

function drawFindings(run, findings) {
  if (isUnchanged("findings", [run.state, findings])) return;
  const hint = run.state === "running" ? message("No findings so far.") : message("No findings.");
  byId("findings").replaceChildren(...(findings?.length ? findings.map((finding) =>
    element("article", { class: `finding ${finding.severity}` },
      element("p", {}, element("span", { class: "severity" }, SEVERITIES[finding.severity] ?? finding.severity), " ", element("strong", {}, finding.cause)),
      element("p", { class: "remedy" }, finding.remedy))) : [element("p", { class: "hint" }, hint)]));
}

const formatValues = (value, names = []) =>
  (Array.isArray(value) ? value.map((number, n) => `${names[n] ?? ""} ${formatNumber(number)}`.trim()).join(", ") : formatNumber(value));

function drawMistakes(mistakes) {
  if (isUnchanged("mistakes", mistakes)) return;
  const worst = mistakes?.worst ?? [];
  byId("mistakes-summary").textContent = !mistakes ? message("Mistakes are recorded during a training with watch=true.")
    : !worst.length ? message("No mistakes among {rows} validation rows after epoch {epoch}.", mistakes)
    : message("The worst of {rows} validation rows, after epoch {epoch}.", mistakes);
  byId("mistakes").replaceChildren(...worst.map((mistake) => {
    const isNumber = mistake.error !== undefined;
    const truth = isNumber ? formatValues(mistake.true, mistakes.targets) : String(mistake.true);
    const predicted = isNumber ? formatValues(mistake.predicted, mistakes.targets) : String(mistake.predicted);
    return element("li", {},
      mistake.image ? element("img", { src: `data:image/png;base64,${mistake.image}`, alt: message("row {row}", mistake) }) : null,
      element("span", {}, messageParts("true {truth}, predicted {predicted}",
        { truth: element("b", {}, truth), predicted: element("b", { class: "wrong" }, predicted) }),
      isNumber ? "" : ` (${formatPercent(mistake.probability)})`),
      element("small", {}, mistake.name === String(mistake.row) ? message("row {row}", mistake) : mistake.name),
      (mistake.unusual ?? []).map(({ column, value, typical }) =>
        element("small", {}, messageParts("{column} {value} (typical {typical})", { column, value: element("b", {}, value), typical }))));
  }));
}

function drawCurves() {
  const ids = selected.filter((id) => curves.has(id));
  const stepsPerEpoch = new Map(ids.map((id) => [id, computeStepsPerEpoch(curves.get(id))]));
  const byEpoch = ids.length > 0 && ids.every((id) => stepsPerEpoch.get(id));
  const seriesOf = new Map([[LOSS, []], [LEARNING_RATE, []]]);
  for (const id of ids) {
    const toX = (step) => (byEpoch ? step / stepsPerEpoch.get(id) : step);
    for (const [name, series] of listSeries(id, toX, ids.length)) {
      if (!seriesOf.has(name)) seriesOf.set(name, []);
      if (series.points.some(([, y]) => y !== null)) seriesOf.get(name).push({ color: colors.get(id), ...series });
    }
  }
  const order = (name) => (name === LOSS ? 0 : name === LEARNING_RATE ? 2 : 1);
  [...seriesOf].sort((a, b) => order(a[0]) - order(b[0])).forEach(([name, series], position) => {
    const chart = getChart(name), current = byId("charts").children[position];
    if (current !== chart.figure) byId("charts").insertBefore(chart.figure, current);
    chart.draw(series, byEpoch ? message("epoch") : message("step"));
  });
  for (const [name, chart] of charts) chart.figure.hidden = !seriesOf.has(name);
}

const LOSS = message("loss"), LEARNING_RATE = message("learning rate");

/** Return the series of a run as pairs of chart name and series. */
function listSeries(id, toX, runCount) {
  const { steps, epochs } = curves.get(id), runName = runs.get(id)?.name ?? id;
  const isAlone = runCount === 1;
  const nameSeries = (name) => (isAlone ? name : message("{run}: {name}", { run: runName, name }));
  const validationColor = isAlone ? { color: 1 } : {};
  const series = [];
  if (runCount <= MAX_RUNS_WITH_STEPS) {
    series.push([LOSS, { name: nameSeries(message("each step")), kind: "faint", points: steps.map(([step, loss]) => [toX(step), loss]) }]);
  }
  series.push([LOSS, { name: nameSeries(message("training")), kind: "line", points: epochs.map(([step, , loss]) => [toX(step), loss]) }]);
  for (const score of new Set(epochs.flatMap(([, , , scores]) => Object.keys(scores)))) {
    const points = epochs.map(([step, , , scores]) => [toX(step), scores[score] ?? null]);
    series.push(score === "loss"
      ? [LOSS, { name: nameSeries(message("validation")), kind: "dashed", points, ...validationColor }]
      : [message("validation {score}", { score: spaced(score) }), { name: isAlone ? message("validation") : runName, kind: "line", points, ...validationColor }]);
  }
  series.push([LEARNING_RATE, { name: isAlone ? LEARNING_RATE : runName, kind: "line", points: steps.map(([step, , lr]) => [toX(step), lr]) }]);
  return series;
}

function getChart(name) {
  if (!charts.has(name)) {
    charts.set(name, createChart(name));
    byId("charts").append(charts.get(name).figure);
  }
  return charts.get(name);
}

function computeStepsPerEpoch({ epochs }) {
  const epoch = epochs.find(([, number]) => number > 0);
  return epoch ? epoch[0] / epoch[1] : null;
}

connect();
