// Elements with attributes and children, and numbers as text. Content from a server goes in as text, never as HTML.

import { message } from "./messages.js";

const SVG = "http://www.w3.org/2000/svg";

/** Create an HTML element; a property that begins with "on" adds a listener, null and false leave an attribute out. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** Create an SVG element. */
export function svgElement(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export const byId = (id) => document.getElementById(id);

const collator = new Intl.Collator("en", { numeric: true });

/** Compare names for sorting: 10 comes after 9. */
export const compareNaturally = (a, b) => collator.compare(a, b);

/** Show the state of the connection in the page's header. */
export function showConnection(text, kind) {
  byId("connection").textContent = text;
  byId("connection").className = `pill ${kind}`;
}

/** Format a number for people, with four significant digits. */
export function formatNumber(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2).replace("-", "−").replace("e+", "e");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

/** Format a fraction from 0 to 1 in percent: 100% and 0% are shown for exactly 1 and 0 only. */
export function formatPercent(fraction) {
  if (!Number.isFinite(fraction)) return "–";
  const percent = fraction * 100;
  if (percent > 0 && percent < 0.1) return "< 0.1%";
  if (percent < 100 && percent > 99.9) return "> 99.9%";
  return `${percent.toFixed(1)}%`;
}

const FRACTION_SCORES = /accuracy|precision|recall|f1|auc/;

/** Format a score: those that are fractions in percent. */
export function formatScore(name, value) {
  return FRACTION_SCORES.test(name) ? formatPercent(value) : formatNumber(value);
}

/** Format seconds for people: in English "40 s", "3 min", "2 h 5 min". */
export function formatDuration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 90) return message("{n} s", { n: Math.max(1, Math.round(seconds)) });
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return message("{n} min", { n: minutes });
  return message("{hours} h {minutes} min", { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}
