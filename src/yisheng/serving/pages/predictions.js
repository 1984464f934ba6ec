// The prediction for one input, or a table of many.

import { describeDefect, RequestError } from "./api.js";
import { byId, element, formatNumber, formatPercent } from "./dom.js";
import { message, messageParts, pluralMessage } from "./messages.js";

const MAX_PIXELATED_SIDE = 96; // pixels: larger images are smoothed
const MAX_BARS = 10, MAX_TABLE_ROWS = 500, MAX_CLASS_BUTTONS = 20, MAX_TABLE_NOTES = 10;
const OOD_THRESHOLD = 0.995; // fraction of held-out rows that were less unusual

/** Return the elements of one prediction; `keep(label)` sends a correction. */
export function renderPrediction(model, prediction, image, keep) {
  const probability = model.task === "classification" ? prediction.probabilities[prediction.prediction] : null;
  return [
    element("p", { class: "result" }, formatValue(model, prediction.prediction),
      probability === null ? null : element("small", {}, message("probability {probability}", { probability: formatPercent(probability) }))),
    oodWarning(prediction),
    model.task === "regression" ? null : probabilityBars(prediction.probabilities),
    inputImages(image),
    noteList(isOutOfDistribution(prediction) ? prediction.notes.slice(0, -1) : prediction.notes),
    correctionForm(model, prediction, keep),
  ].filter(Boolean);
}

function formatValue(model, value) {
  if (model.task === "multilabel") return value.length ? value.join(", ") : message("none of the labels");
  if (model.task !== "regression") return String(value);
  const numbers = isSeveral(value) ? Object.entries(value).map(([name, number]) => `${name} ${formatNumber(number)}`) : [formatNumber(value)];
  return numbers.join(", ") + (model.unit ? ` ${model.unit}` : "");
}

/** Return whether a prediction has a value for each of several targets. */
const isSeveral = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** Return whether an input is out of distribution; then its last note says why. */
const isOutOfDistribution = ({ ood_score: score }) => score > OOD_THRESHOLD;

function oodWarning(prediction) {
  if (!isOutOfDistribution(prediction)) return null;
  const reason = prediction.notes.at(-1).replace(/^[^:：]*[:：] ?/, "");
  return element("div", { class: "notice", id: "ood-warning" },
    element("p", {}, messageParts("{warning} ({reason})", { reason,
      warning: element("strong", {}, message("Out of distribution: the input looks different from the training data.")) })),
    element("p", {}, message("The model predicts anyway, but the prediction is not reliable.")));
}

/** Return the probabilities as bars, the largest at the top; of many classes only the most probable. */
function probabilityBars(probabilities) {
  const sorted = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  const list = element("dl", { class: "bars", id: "bars" });
  for (const [name, probability] of sorted.slice(0, MAX_BARS)) {
    const fill = element("i");
    fill.style.width = `${Math.max(0, Math.min(1, probability)) * 100}%`;
    list.append(element("dt", {}, name), element("dd", {},
      element("span", { class: "bar", "aria-hidden": "true" }, fill), element("span", { class: "value" }, formatPercent(probability))));
  }
  if (sorted.length <= MAX_BARS) return list;
  const sum = sorted.slice(MAX_BARS).reduce((total, [, probability]) => total + probability, 0);
  return element("div", {}, list, element("p", { class: "hint" }, message("{count} more classes: {probability} together", { count: sorted.length - MAX_BARS, probability: formatPercent(sum) })));
}

/** Return the image that was sent, as it was sent; what the network receives is added when it arrives. */
function inputImages(image) {
  const images = element("div", { class: "images", id: "images" });
  if (!image) return images;
  const caption = element("figcaption", {}, message("your image"));
  const sent = element("img", { id: "sent-image", alt: message("your image"), src: URL.createObjectURL(image),
    onload: () => {
      URL.revokeObjectURL(sent.src);
      showPixelsOfSmallImages(sent);
      caption.textContent = message("your image, {size}", { size: formatSize(sent.naturalWidth, sent.naturalHeight) });
    },
    onerror: () => {
      sent.remove();
      caption.textContent = message("this browser cannot show your image, but the model can read it");
    } });
  images.append(element("figure", {}, sent, caption));
  return images;
}

const formatSize = (width, height) => message("{width} × {height} pixels", { width: width.toLocaleString("en"), height: height.toLocaleString("en") });

/** Draw the pixels of a small image as squares; a photograph stays smooth. */
function showPixelsOfSmallImages(image) {
  image.classList.toggle("pixels", Math.max(image.naturalWidth, image.naturalHeight) <= MAX_PIXELATED_SIDE);
}

/** Add the occlusion map of a prediction, if the response contains one: the image as the network receives it. */
export function addOcclusionMap(model, prediction) {
  if (!prediction.occlusion_map) return;
  const [, height, width] = model.shape;
  const map = element("img", { id: "occlusion-map", src: `data:image/png;base64,${prediction.occlusion_map}`,
    onload: () => showPixelsOfSmallImages(map),
    alt: message("your image as the network receives it; the parts that the prediction depends on are orange") });
  byId("images").append(element("figure", {}, map, element("figcaption", {},
    message("as the network receives it, {size}; the prediction depends on the orange parts", { size: formatSize(width, height) }))));
}

function noteList(notes) {
  return notes.length ? element("ul", { class: "hint notes" }, notes.map((note) => element("li", {}, note))) : null;
}

/** Return a form for a wrong prediction: the sample is kept with the right label. */
function correctionForm(model, prediction, keep) {
  const isClass = model.task === "classification";
  const takesSample = model.takes !== "tensors";
  if (!isClass && !(model.task === "regression" && takesSample)) return null;
  const status = element("p", { role: "status" });
  const send = async (label) => {
    status.className = "hint";
    status.textContent = "…";
    try {
      const { path, count } = await keep(label);
      status.className = "notice good";
      const kept = isSeveral(label) ? formatValue({ ...model, unit: "" }, label) : label;
      status.textContent = message("Thank you. The sample was kept as {label} in {path} for the next training ({count} so far).", { label: kept, path, count });
    } catch (error) {
      status.className = "notice bad";
      status.textContent = error instanceof RequestError ? message("{problem}: {remedy}", { problem: error.message, remedy: error.remedy }) : describeDefect(error);
    }
  };
  const question = isClass ? message("Wrong? Choose the right class:")
    : pluralMessage(model.targets.length, "Wrong? Enter the right value:", "Wrong? Enter the right values:");
  return element("div", { class: "correction", id: "correction" }, element("p", {}, question), labelChooser(model, send), status);
}

function labelChooser(model, send) {
  const isClass = model.task === "classification";
  if (isClass && model.classes.length <= MAX_CLASS_BUTTONS) {
    return element("div", { class: "row" }, model.classes.map((name) => element("button", { type: "button", onclick: () => send(name) }, name)));
  }
  const isOne = model.targets.length === 1;
  const inputs = isClass
    ? [element("select", { "aria-label": message("the right class") }, model.classes.map((name) => element("option", { value: name }, name)))]
    : model.targets.map((name) => element("input", { inputmode: "decimal", "aria-label": isOne ? message("the right value") : message("the right {name}", { name }),
      placeholder: isOne ? "" : name, required: true }));
  const number = (input) => (input.value.trim() === "" ? null : Number(input.value));
  const label = () => (isClass ? inputs[0].value : isOne ? number(inputs[0])
    : Object.fromEntries(model.targets.map((name, n) => [name, number(inputs[n])])));
  return element("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    send(label());
  } }, inputs, element("button", {}, message("Keep it")));
}

/** Return the elements of many predictions: a table that can be downloaded as a CSV file; some inputs may have an error instead. */
export function renderTable(model, results, title) {
  const predictions = results.filter((result) => !result.error);
  const failedCount = results.length - predictions.length;
  const columns = [message("input"), message("prediction"), ...(model.classes.length ? [message("probability")] : [])];
  const rows = results.map((prediction) => {
    if (prediction.error) return [prediction.input, prediction.error.problem, ...columns.slice(2).map(() => "")];
    const cells = [prediction.input, formatValue({ ...model, unit: "" }, prediction.prediction)];
    return model.classes.length ? [...cells, formatPercent(prediction.probabilities[[prediction.prediction].flat()[0]])] : cells;
  });
  const oodCount = predictions.filter(isOutOfDistribution).length;
  const body = element("tbody", {}, rows.slice(0, MAX_TABLE_ROWS).map((cells) => element("tr", {}, cells.map((cell) => element("td", {}, cell)))));
  return [
    element("p", { class: "result" }, pluralMessage(predictions.length, "{count} prediction", "{count} predictions"), element("small", {}, title)),
    failedCount ? element("p", { class: "notice bad" }, message("{count} of the inputs cannot be read.", { count: failedCount })) : null,
    oodCount ? element("p", { class: "notice" }, pluralMessage(oodCount, "{count} of the inputs is out of distribution: it looks different from the training data.",
      "{count} of the inputs are out of distribution: they look different from the training data.")) : null,
    noteList([...new Set(predictions.flatMap((prediction) => prediction.notes))].slice(0, MAX_TABLE_NOTES)),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": message("predictions") },
      element("table", {}, element("thead", {}, element("tr", {}, columns.map((name) => element("th", { scope: "col" }, name)))), body)),
    rows.length > MAX_TABLE_ROWS ? element("p", { class: "hint" }, message("the table shows the first {count}; the file has all", { count: MAX_TABLE_ROWS })) : null,
    downloadButton(model, results),
  ].filter(Boolean);
}

function downloadButton(model, results) {
  const hasSeveral = model.task === "regression" && model.targets.length > 1;
  const header = ["input", ...(hasSeveral ? model.targets : ["prediction"]), ...model.classes.map((name) => `P(${name})`), "ood_score"];
  const rows = results.map((prediction) => prediction.error ? [prediction.input] : [prediction.input,
    ...(hasSeveral ? model.targets.map((name) => prediction.prediction[name]) : [[prediction.prediction].flat().join(" ")]),
    ...model.classes.map((name) => prediction.probabilities[name]), prediction.ood_score ?? ""]);
  const isComplete = results.every((result) => !result.error);
  const text = [isComplete ? header : [...header, "error"], ...rows.map((cells, n) =>
    isComplete ? cells : [...cells, ...Array(header.length - cells.length).fill(""), results[n].error?.problem ?? ""])]
    .map((cells) => cells.map(escapeFormula).map(quoteCell).join(","))
    .join("\n");
  return element("button", { type: "button", id: "download", onclick: () => {
    const link = element("a", { href: URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" })), download: "predictions.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } }, message("Download as CSV"));
}

/** Put an apostrophe before text that a spreadsheet would take for a formula; numbers stay as they are. */
function escapeFormula(cell) {
  return typeof cell === "string" && /^[=+\-@\t\r]/.test(cell) && !Number.isFinite(Number(cell)) ? `'${cell}` : cell;
}

function quoteCell(cell) {
  const text = String(cell ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
