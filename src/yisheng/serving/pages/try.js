// The page to try a model: a drawing, file or row goes to /predict, and the prediction is shown.

import { describeDefect, NO_RESPONSE, request, RequestError } from "./api.js";
import { byId, element, formatScore, showConnection } from "./dom.js";
import { drawingPad } from "./drawing_pad.js";
import { message } from "./messages.js";
import { addOcclusionMap, renderPrediction, renderTable } from "./predictions.js";

const MAX_DRAWING_SIDE = 64; // pixels: larger images are not drawings
const MAX_SELECT_OPTIONS = 300;
const MAX_COLUMNS_AT_ONCE = 30; // more fields would make the page too long to find the button
const MAX_ZEROS = 400; // values that a sample is filled with at first
const RETRY_MODEL_MS = 3000, RETRY_SERVER_MS = 2000;
const JSON_HEADERS = { "Content-Type": "application/json" };
let model = null;
let pending = null; // the AbortController of the request whose prediction will be shown

start();

async function start() {
  try {
    model = await request("/model");
  } catch (error) {
    showError(error);
    setTimeout(start, RETRY_MODEL_MS);
    return;
  }
  byId("error").hidden = true;
  showConnection(message("ready"), "good");
  document.title = message("Try {run} · Yisheng", model);
  byId("title").textContent = model.run;
  showFacts();
  const [channels, height, width] = model.shape;
  const takesImages = model.takes === "images";
  if (takesImages && channels === 1 && Math.max(height, width) <= MAX_DRAWING_SIDE) setUpDrawing();
  else if (takesImages) byId("drop-title").textContent = message("An image");
  else if (model.takes === "tensors") setUpSample();
  else setUpForm();
  if (model.takes !== "tensors") setUpFiles(takesImages);
}

function showFacts() {
  const count = model.classes.length;
  const task = { classification: message("{count} classes", { count }), multilabel: message("{count} labels", { count }),
    regression: model.unit ? message("predicts {target} in {unit}", model) : message("predicts {target}", model) }[model.task] ?? "";
  const facts = [["", task], [message("model"), model.model]];
  const part = ["test", "validation"].find((name) => Object.keys(model.scores?.[name] ?? {}).length);
  const names = part ? Object.keys(model.scores[part]) : [];
  const score = names.includes(model.best?.score) ? model.best.score : names[0];
  const name = score?.replaceAll("_", " ");
  if (score) {
    facts.push([part === "test" ? message("test {score}", { score: name }) : message("validation {score}", { score: name }),
      formatScore(score, model.scores[part][score].value)]);
  }
  byId("facts").replaceChildren(...facts.map(([name, value]) => element("span", {}, name ? `${name} ` : "", element("b", {}, value))));
}

// ---- inputs

function setUpDrawing() {
  byId("drawing").hidden = false;
  const pad = drawingPad(byId("canvas"), Math.max(...model.shape), async (strokeCount, isFinished) => {
    byId("draw-hint").hidden = strokeCount > 0;
    byId("undo").disabled = byId("clear").disabled = strokeCount === 0;
    if (!isFinished) return;
    if (!strokeCount) showEmpty();
    else predictImage(await pad.toPng());
  });
  byId("undo").addEventListener("click", () => pad.undo());
  byId("clear").addEventListener("click", () => pad.clear());
  document.addEventListener("keydown", (event) => {
    if (event.key === "z" && (event.ctrlKey || event.metaKey) && !byId("undo").disabled) pad.undo();
  });
}

function setUpForm() {
  byId("row-input").hidden = false;
  const columns = model.columns.length ? model.columns
    : Array.from({ length: model.shape[0] }, (_, n) => ({ name: `x${n + 1}`, kind: "number", categories: [] }));
  byId("fields").replaceChildren(...columns.map((column) => element("label", {}, column.name, inputField(column))));
  if (columns.length > MAX_COLUMNS_AT_ONCE) setUpColumnFilter(columns);
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const values = [...byId("fields").querySelectorAll("input, select")].map((input, n) => parseValue(input.value, columns[n]));
    const row = model.columns.length ? Object.fromEntries(columns.map((column, n) => [column.name, values[n]])) : values;
    predict({ body: JSON.stringify({ rows: [row] }), headers: JSON_HEADERS, sample: { row } });
  });
}

/** Let a sample be typed as JSON: nested lists, or an object with one for each of several inputs. */
function setUpSample() {
  byId("row-input").hidden = false;
  byId("row-title").textContent = message("A sample");
  byId("drop").closest("section").hidden = true;
  const field = element("textarea", { rows: "8", spellcheck: "false", autocomplete: "off" });
  const inputs = model.inputs.map((input) => message("{name} {dtype} of shape {shape}", { ...input, shape: input.shape.join(" × ") }).trim());
  byId("fields").replaceChildren(element("label", {}, `JSON: ${inputs.join(", ")}`, field));
  const named = model.inputs.map((input) => [input.name, makeZeros(input.shape)]);
  if (model.inputs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0) <= MAX_ZEROS) {
    const isSingle = named.length === 1;
    field.value = JSON.stringify(isSingle ? named[0][1] : named[0][0] ? Object.fromEntries(named) : named.map(([, zeros]) => zeros));
  }
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      predict({ body: JSON.stringify({ rows: [JSON.parse(field.value)] }), headers: JSON_HEADERS, title: message("A sample") });
    } catch {
      showError(new RequestError(message("the sample is not JSON"), message("write numbers in nested lists, as in [[0, 1], [2, 3]]")));
    }
  });
}

function makeZeros([size, ...others]) {
  return Array.from({ length: size }, () => (others.length ? makeZeros(others) : 0));
}

/** Let many fields scroll in their own box, below an input that shows only the columns whose names contain its text. */
function setUpColumnFilter(columns) {
  const labels = [...byId("fields").children];
  const filter = element("input", { type: "search", id: "filter", autocomplete: "off", placeholder: message("find one of {count} columns", { count: columns.length }),
    "aria-label": message("show the columns whose names contain"), oninput: () => {
      const text = filter.value.trim().toLowerCase();
      labels.forEach((label, n) => { label.hidden = !columns[n].name.toLowerCase().includes(text); });
    },
    onkeydown: (event) => event.key === "Enter" && event.preventDefault() });
  byId("fields").classList.add("many");
  byId("fields").before(filter);
}

function inputField({ kind, categories }) {
  if (categories.length && categories.length <= MAX_SELECT_OPTIONS) {
    return element("select", {}, element("option", { value: "" }, message("unknown")),
      categories.map((category) => element("option", { value: category }, category)));
  }
  return kind === "number" ? element("input", { inputmode: "decimal", autocomplete: "off" }) : element("input", { autocomplete: "off" });
}

/** Return a number for a numeric column; text that is not a number is sent unchanged, and the server reports it. */
function parseValue(text, column) {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  const number = Number(trimmed);
  return column.kind === "number" && Number.isFinite(number) ? number : trimmed;
}

function setUpFiles(takesImages) {
  const input = byId("file"), drop = byId("drop");
  input.disabled = false; // until the model was known, a file would have been lost
  input.multiple = takesImages;
  input.accept = takesImages ? "image/*" : ".csv,.tsv,.txt,text/csv";
  byId("drop-hint").textContent = takesImages ? message("images: PNG, JPEG, WebP, ...") : message("a CSV with the columns of training");
  input.addEventListener("change", () => {
    if (input.files.length) predictFiles([...input.files], takesImages);
    input.value = "";
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault(); // otherwise the browser leaves the page and opens the file
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
    if (dropped.length) predictFiles(dropped, takesImages);
  });
}

// ---- predictions

function predictFiles(files, takesImages) {
  if (takesImages && files.length === 1) predictImage(files[0], files[0].name);
  else if (!takesImages && files.length > 1) showError(new RequestError(message("one table at a time"), message("drop a single CSV file")));
  else {
    const body = new FormData();
    for (const file of files) body.append("file", file, file.name);
    predict({ body, title: files.length > 1 ? message("{count} images", { count: files.length }) : files[0].name });
  }
}

function predictImage(blob, name) {
  const body = new FormData();
  body.append("file", blob, name ?? "drawing.png");
  predict({ body, sample: { blob }, image: name === undefined ? null : blob }); // a drawing is visible already
}

/** Request predictions and show them, unless a newer request began; `sample` is what a correction would keep. */
async function predict({ body, headers = {}, sample = null, image = null, title = "" }) {
  pending?.abort();
  const controller = (pending = new AbortController());
  byId("result").classList.add("waiting");
  try {
    const options = { method: "POST", body, headers, signal: controller.signal };
    const { predictions } = await request("/predict", options);
    if (controller !== pending) return;
    byId("error").hidden = true;
    showConnection(message("ready"), "good");
    byId("result").replaceChildren(...(sample
      ? renderPrediction(model, predictions[0], image, (label) => keepCorrection(sample, label))
      : renderTable(model, predictions, title)));
    if (sample?.blob) explain(controller, options);
  } catch (error) {
    if (error.name !== "AbortError" && controller === pending) showError(error);
  } finally {
    if (controller === pending) byId("result").classList.remove("waiting");
  }
}

/** Request the occlusion map, which takes longer than the prediction. */
async function explain(controller, options) {
  try {
    const { predictions } = await request("/predict?explain=true", options);
    if (controller === pending) addOcclusionMap(model, predictions[0]);
  } catch (error) {
    if (controller === pending && error.name !== "AbortError") {
      byId("images").append(element("p", { class: "hint" }, message("There is no occlusion map: {problem}.", { problem: error.message })));
    }
  }
}

/** Send a sample with its right label; return where it was kept. */
async function keepCorrection({ blob, row }, label) {
  const sample = blob ? { image: await toBase64(blob) } : { row };
  return request("/wrong", { method: "POST", headers: JSON_HEADERS, body: JSON.stringify({ ...sample, label }) });
}

function toBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new RequestError(message("the file can no longer be read"), message("choose it again")));
    reader.readAsDataURL(blob);
  });
}

// ---- states of the page

function showEmpty() {
  pending?.abort();
  pending = null;
  byId("error").hidden = true;
  byId("result").classList.remove("waiting");
  byId("result").replaceChildren(element("p", { class: "hint" }, message("No prediction yet.")));
}

/** Show an error instead of the prediction of an earlier input. */
function showError(error) {
  const isExpected = error instanceof RequestError;
  if (!isExpected) console.error(error);
  const problem = isExpected ? error.message : describeDefect(error);
  byId("error").replaceChildren(element("p", {}, element("strong", {}, problem)), element("p", {}, isExpected ? error.remedy : message("load it again")));
  byId("error").hidden = false;
  byId("result").replaceChildren();
  if (isExpected && error.message === NO_RESPONSE) {
    showConnection(message("no server"), "bad");
    waitForServer();
  }
}

let isWaitingForServer = false;
async function waitForServer() {
  if (isWaitingForServer) return;
  isWaitingForServer = true;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, RETRY_SERVER_MS));
    try {
      await request("/health");
      break;
    } catch { /* not yet */ }
  }
  isWaitingForServer = false;
  if (!model) return;
  showConnection(message("ready"), "good");
  if (byId("error").textContent.startsWith(NO_RESPONSE)) showEmpty();
}
