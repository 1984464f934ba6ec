// What the model says of one input, or of many.

import { element, percent, written } from "./dom.js";
import { Trouble } from "./server.js";

const BARS = 10, ROWS = 500, BUTTONS = 20;
const UNLIKE = 0.995; // of the rows held out of training, the share that was less unusual
const WHY = /^unlike the training data:? ?/;

/** One answer: the word, the probabilities as bars, what was noticed, what the network looked at, and a way to object. */
export function answered(model, answer, shown, keep) {
  const regression = model.task === "regression";
  const said = worded(model, answer.prediction);
  const sure = !regression && model.task === "classification" ? answer.probabilities[answer.prediction] : null;
  return [
    element("p", { class: "says" }, said, sure === null ? null : element("small", {}, `${percent(sure)} sure`)),
    ...doubts(answer),
    regression ? null : bars(answer.probabilities),
    seen(shown),
    ...notes(answer.notes.filter((note) => !WHY.test(note))),
    correction(model, answer, keep),
  ].filter(Boolean);
}

function worded(model, prediction) {
  if (model.task === "multilabel") return prediction.length ? prediction.join(", ") : "none of the labels";
  if (model.task !== "regression") return String(prediction);
  return [prediction].flat().map(written).join(", ") + (model.unit ? ` ${model.unit}` : "");
}

/** A warning where the input looks like nothing that the model was trained on. */
function doubts(answer) {
  if (!doubtful(answer)) return [];
  const why = answer.notes.filter((note) => WHY.test(note)).map((note) => note.replace(WHY, "")).filter(Boolean);
  return [element("div", { class: "notice", id: "unlike" },
    element("p", {}, element("strong", {}, "This looks unlike the training data."), why.length ? ` ${why.join("; ")}` : ""),
    element("p", {}, "The model answers all the same: what it says here is a guess."))];
}

function doubtful({ unlike, notes: said }) {
  return unlike > UNLIKE || said.some((note) => WHY.test(note));
}

/** The probabilities, the largest first; many classes are cut to the first ones. */
function bars(probabilities) {
  const all = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  const list = element("dl", { class: "bars", id: "bars" });
  for (const [name, share] of all.slice(0, BARS)) {
    const fill = element("i");
    fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
    list.append(element("dt", {}, name), element("dd", {},
      element("span", { class: "bar", "aria-hidden": "true" }, fill), element("span", { class: "value" }, percent(share))));
  }
  if (all.length <= BARS) return list;
  const rest = all.slice(BARS).reduce((sum, [, share]) => sum + share, 0);
  return element("div", {}, list, element("p", { class: "hint" }, `${all.length - BARS} more classes: ${percent(rest)} together`));
}

/** The image that was sent; what the network looked at comes beside it when it is known. */
function seen(shown) {
  const own = shown ? element("img", { alt: "your image", src: URL.createObjectURL(shown),
    onload: (event) => URL.revokeObjectURL(event.target.src), onerror: (event) => event.target.closest("figure").remove() }) : null;
  return element("div", { class: "seen", id: "seen" }, own ? element("figure", {}, own, element("figcaption", {}, "your image")) : null);
}

/** Show what the network looked at, where the server tells it. */
export function lookedAt(answer) {
  if (!answer.looked_at) return;
  document.getElementById("seen").append(element("figure", {}, element("img", { id: "looked-at", src: `data:image/png;base64,${answer.looked_at}`,
    alt: "your image as the network sees it, with the places marked that the answer depends on" }),
  element("figcaption", {}, "as the network sees it; in orange, what the answer depends on")));
}

function notes(list) {
  return list.length ? [element("ul", { class: "hint notes" }, list.map((note) => element("li", {}, note)))] : [];
}

/** "This is wrong, it is ...": the sample is kept with the right answer. */
function correction(model, answer, keep) {
  const one = model.task === "classification" || (model.task === "regression" && model.shape.length === 1 && !Array.isArray(answer.prediction));
  if (!one) return null;
  const words = element("p", { role: "status" });
  const send = async (label) => {
    words.className = "hint";
    words.textContent = "…";
    try {
      const { kept, count } = await keep(label);
      words.className = "notice good";
      words.textContent = `Thank you. It is kept as ${label} in ${kept} for the next training (${count} so far).`;
    } catch (error) {
      words.className = "notice bad";
      words.textContent = error instanceof Trouble ? `${error.message}: ${error.remedy}` : `this page has a defect: ${error.message}`;
    }
  };
  return element("div", { class: "correct", id: "correct" }, element("p", {}, "Wrong? Then it is …"), chooser(model, send), words);
}

function chooser(model, send) {
  if (model.task === "classification" && model.classes.length <= BUTTONS) {
    return element("div", { class: "row" }, model.classes.map((name) => element("button", { type: "button", onclick: () => send(name) }, name)));
  }
  const input = model.task === "classification"
    ? element("select", { "aria-label": "the right class" }, model.classes.map((name) => element("option", { value: name }, name)))
    : element("input", { inputmode: "decimal", "aria-label": "the right value", required: true });
  const right = () => (model.task === "classification" ? input.value : input.value.trim() === "" ? null : Number(input.value));
  return element("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    send(right());
  } }, input, element("button", {}, "Keep it"));
}

/** Many answers as a table, which can be kept as a CSV file. */
export function table(model, answers, title) {
  const names = model.classes.length ? ["input", "prediction", "probability"] : ["input", "prediction"];
  const lines = answers.map((answer) => {
    const cells = [answer.input, worded({ ...model, unit: "" }, answer.prediction)];
    return model.classes.length ? [...cells, percent(answer.probabilities[[answer.prediction].flat()[0]])] : cells;
  });
  const unlike = answers.filter(doubtful).length;
  const body = element("tbody", {}, lines.slice(0, ROWS).map((cells) => element("tr", {}, cells.map((cell) => element("td", {}, cell)))));
  return [
    element("p", { class: "says" }, `${answers.length} answers`, element("small", {}, title)),
    unlike ? element("p", { class: "notice" }, `${unlike} of them look unlike the training data.`) : null,
    ...notes([...new Set(answers.flatMap((answer) => answer.notes))].slice(0, 10)),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "answers" },
      element("table", {}, element("thead", {}, element("tr", {}, names.map((name) => element("th", { scope: "col" }, name)))), body)),
    lines.length > ROWS ? element("p", { class: "hint" }, `the first ${ROWS} are shown; the file has all`) : null,
    download(model, answers),
  ].filter(Boolean);
}

function download(model, answers) {
  const header = ["input", "prediction", ...model.classes.map((name) => `P(${name})`), "unlike"];
  const lines = answers.map((answer) => [answer.input, [answer.prediction].flat().join(" "),
    ...model.classes.map((name) => answer.probabilities[name]), answer.unlike ?? ""]);
  const text = [header, ...lines].map((cells) => cells.map(quoted).join(",")).join("\n");
  return element("button", { type: "button", id: "download", onclick: () => {
    const link = element("a", { href: URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" })), download: "answers.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } }, "Download as CSV");
}

function quoted(cell) {
  const text = String(cell ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
