// The page to try a model: what a person draws, drops or fills in goes to /predict, what it says is shown.

import { answered, lookedAt, table } from "./answer.js";
import { element, percent, written } from "./dom.js";
import { pad } from "./pad.js";
import { ask, Trouble } from "./server.js";

const at = (id) => document.getElementById(id);
const AS_SHARE = /accuracy|precision|recall|f1|auc/;
const SMALL = 64; // pixels: what a hand draws
let model = null;
let asking = null; // what is under way; a newer question takes its place

begin();

async function begin() {
  try {
    model = await ask("/model");
  } catch (error) {
    trouble(error);
    setTimeout(begin, 3000);
    return;
  }
  at("error").hidden = true;
  say("ready", "good");
  document.title = `Try ${model.run} · Yisheng`;
  at("title").textContent = model.run;
  facts();
  const [channels, height, width] = model.shape;
  const images = model.shape.length === 3;
  if (images && channels === 1 && Math.max(height, width) <= SMALL) drawing();
  else if (images) at("drop-title").textContent = "An image";
  else form();
  files(images);
}

function facts() {
  const found = [["", { classification: `tells ${model.classes.length} classes apart`, multilabel: `finds any of ${model.classes.length} labels`,
    regression: `estimates ${model.target}${model.unit ? ` in ${model.unit}` : ""}` }[model.task] ?? ""], ["model", model.model]];
  const part = ["test", "validation"].find((name) => Object.keys(model.scores?.[name] ?? {}).length);
  const named = part ? Object.keys(model.scores[part]) : [];
  const score = named.includes(model.best?.score) ? model.best.score : named[0];
  if (score) {
    const { value } = model.scores[part][score];
    found.push([`${part} ${score.replaceAll("_", " ")}`, AS_SHARE.test(score) ? percent(value) : written(value)]);
  }
  at("facts").replaceChildren(...found.map(([name, value]) => element("span", {}, name ? `${name} ` : "", element("b", {}, value))));
}

// ---- what is asked

function drawing() {
  at("drawing").hidden = false;
  const paper = pad(at("canvas"), Math.max(...model.shape), async (count, ended) => {
    at("draw-hint").hidden = count > 0;
    at("undo").disabled = at("clear").disabled = count === 0;
    if (!ended) return;
    if (!count) nothing();
    else imageAsked(await paper.image());
  });
  at("undo").addEventListener("click", () => paper.undo());
  at("clear").addEventListener("click", () => paper.clear());
  document.addEventListener("keydown", (event) => {
    if (event.key === "z" && (event.ctrlKey || event.metaKey) && !at("undo").disabled) paper.undo();
  });
}

function form() {
  at("row-input").hidden = false;
  const columns = model.columns.length ? model.columns
    : Array.from({ length: model.shape[0] }, (_, n) => ({ name: `x${n + 1}`, kind: "number", levels: [] }));
  at("fields").replaceChildren(...columns.map((column) => element("label", {}, column.name, field(column))));
  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const values = [...at("fields").querySelectorAll("input, select")].map((input, n) => valueOf(input.value, columns[n]));
    const row = model.columns.length ? Object.fromEntries(columns.map((column, n) => [column.name, values[n]])) : values;
    question({ body: JSON.stringify({ rows: [row] }), type: "application/json", right: { row } });
  });
}

function field({ kind, levels }) {
  if (levels.length && levels.length <= 300) {
    return element("select", {}, element("option", { value: "" }, "not known"),
      levels.map((level) => element("option", { value: level }, level)));
  }
  return kind === "number" ? element("input", { inputmode: "decimal", autocomplete: "off" }) : element("input", { autocomplete: "off" });
}

/** A number where the column wants one; text that is none goes as it is, and the server says what is wrong with it. */
function valueOf(text, column) {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  const number = Number(trimmed);
  return column.kind === "number" && Number.isFinite(number) ? number : trimmed;
}

function files(images) {
  const input = at("file"), drop = at("drop");
  input.multiple = images;
  input.accept = images ? "image/*" : ".csv,.tsv,.txt,text/csv";
  at("drop-hint").textContent = images ? "images: PNG, JPEG, WebP, ..." : "a CSV with the columns of training";
  input.addEventListener("change", () => {
    if (input.files.length) filesAsked([...input.files], images);
    input.value = "";
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault(); // a browser would leave the page for the file
      drop.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const dropped = [...event.dataTransfer.files];
    if (dropped.length) filesAsked(dropped, images);
  });
}

function filesAsked(chosen, images) {
  if (images && chosen.length === 1) imageAsked(chosen[0], chosen[0].name);
  else if (!images && chosen.length > 1) trouble(new Trouble("one table at a time", "drop a single CSV file"));
  else {
    const body = new FormData();
    for (const file of chosen) body.append("file", file, file.name);
    question({ body, title: chosen.length > 1 ? `${chosen.length} images` : chosen[0].name });
  }
}

function imageAsked(blob, name) {
  const body = new FormData();
  body.append("file", blob, name ?? "drawing.png");
  question({ body, right: { blob }, shown: name === undefined ? null : blob }); // a drawing is there to see
}

/** Ask for answers and show them; what was asked before no longer counts. */
async function question({ body, type, right = null, shown = null, title = "" }) {
  asking?.abort();
  const mine = (asking = new AbortController());
  at("said").classList.add("waiting");
  try {
    const options = { method: "POST", body, signal: mine.signal, headers: type ? { "Content-Type": type } : {} };
    const { answers } = await ask("/predict", options);
    if (mine !== asking) return;
    at("error").hidden = true;
    say("ready", "good");
    at("said").replaceChildren(...(right ? answered(model, answers[0], shown, (label) => keep(right, label)) : table(model, answers, title)));
    if (right?.blob) explain(mine, options);
  } catch (error) {
    if (error.name !== "AbortError" && mine === asking) trouble(error);
  } finally {
    if (mine === asking) at("said").classList.remove("waiting");
  }
}

/** What the network looked at: it takes longer, and the answer must not wait for it. */
async function explain(mine, options) {
  try {
    const { answers } = await ask("/predict?explain=true", options);
    if (mine === asking) lookedAt(answers[0]);
  } catch (error) {
    if (mine === asking && error.name !== "AbortError") at("seen").append(element("p", { class: "hint" }, `What it looked at is not known: ${error.message}.`));
  }
}

/** Have a sample kept with its right answer; gives what to say about it. */
async function keep({ blob, row }, label) {
  const sample = blob ? { image: await base64(blob) } : { row };
  const headers = { "Content-Type": "application/json" };
  return ask("/wrong", { method: "POST", headers, body: JSON.stringify({ ...sample, label }) });
}

function base64(blob) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => failed(new Trouble("the file can no longer be read", "choose it again"));
    reader.readAsDataURL(blob);
  });
}

// ---- what is said

function nothing() {
  asking?.abort();
  asking = null;
  at("error").hidden = true;
  at("said").classList.remove("waiting");
  at("said").replaceChildren(element("p", { class: "hint" }, "Nothing was asked yet."));
}

/** An error in words; the answer to something else must not stand beside it. */
function trouble(error) {
  const known = error instanceof Trouble;
  if (!known) console.error(error);
  at("error").replaceChildren(element("p", {}, element("strong", {}, known ? error.message : `this page has a defect: ${error.message}`)),
    element("p", {}, known ? error.remedy : "load it again"));
  at("error").hidden = false;
  at("said").replaceChildren();
  if (known && error.message === "the server does not answer") {
    say("no server", "bad");
    waitForServer();
  }
}

let waiting = false;
async function waitForServer() {
  if (waiting) return;
  waiting = true;
  for (;;) {
    await new Promise((done) => setTimeout(done, 2000));
    try {
      await ask("/health");
      break;
    } catch { /* not yet */ }
  }
  waiting = false;
  if (!model) return;
  say("ready", "good");
  if (at("error").textContent.startsWith("the server does not answer")) nothing();
}

function say(text, kind) {
  at("connection").textContent = text;
  at("connection").className = `pill ${kind}`;
}
