// Curves as SVG, with the values under the pointer (or by arrow keys) in the legend.

import { element, formatNumber, svgElement } from "./dom.js";
import { message } from "./messages.js";

const HEIGHT = 232, LEFT = 58, RIGHT = 10, TOP = 10, BOTTOM = 38; // pixels: the height and the margins
const MIN_WIDTH = 240, DEFAULT_WIDTH = 480;
const MARGIN_FRACTION = 0.04; // free range above and below the curves
const MAX_POINTS_WITH_DOTS = 40;
const PIXELS_PER_X_TICK = 75, Y_TICKS = 5;

/**
 * Create a chart: its element, and draw(series, xName). A series is {name, color, kind, points: [[x, y], ...]}; y may be
 * null (a gap); kind is "line", "dashed" or "faint". `logarithmic` is whether the axis begins logarithmic, null hides
 * the button.
 */
export function createChart(title, { logarithmic = false, height = HEIGHT } = {}) {
  let series = [], xName = "", isLog = logarithmic === true, selected = null, scales = null, xs = [];
  const svg = svgElement("svg", { class: "curves", role: "img", tabindex: "0", height });
  const legend = element("ul", { class: "legend" });
  const toggle = element("button", { type: "button", class: "small", "aria-pressed": String(isLog), onclick: toggleLog }, message("log"));
  const head = element("div", { class: "chart-head" }, element("h3", {}, title), logarithmic === null ? null : toggle);
  const figure = element("figure", { class: "chart" }, head, svg, legend);
  const cursor = svgElement("line", { class: "cursor", y1: TOP, y2: height - BOTTOM });

  function toggleLog() {
    isLog = !isLog;
    toggle.setAttribute("aria-pressed", String(isLog));
    redraw();
  }

  function draw(newSeries, newName) {
    series = newSeries;
    xName = newName;
    xs = distinctXs(series.filter(({ kind }) => kind !== "faint"));
    if (xs.length < 2) xs = distinctXs(series);
    redraw();
  }

  function redraw() {
    const width = Math.max(MIN_WIDTH, figure.clientWidth || DEFAULT_WIDTH);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("aria-label", `${title}: ${series.map(({ name }) => name).join(", ") || message("no data yet")}`);
    scales = computeScales(series, isLog, width, height);
    const curves = scales ? [...drawGrid(scales, xName, isLog, width, height), ...series.map((line) => drawCurve(line, scales, isLog))] : [];
    svg.replaceChildren(...(curves.length ? [...curves, cursor] : [drawEmpty(width, height)]));
    updateLegend();
  }

  function updateLegend() {
    const x = selected === null || !xs.length ? null : xs[Math.min(selected, xs.length - 1)];
    cursor.setAttribute("visibility", x === null || !scales ? "hidden" : "visible");
    if (x !== null && scales) {
      cursor.setAttribute("x1", scales.x(x));
      cursor.setAttribute("x2", scales.x(x));
    }
    const position = x === null ? null : element("li", { class: "position" }, `${xName} ${formatNumber(x)}`);
    legend.replaceChildren(...[position].filter(Boolean), ...series.map((line) => legendEntry(line, x)));
  }

  svg.addEventListener("pointermove", (event) => {
    if (!scales || !xs.length) return;
    const box = svg.getBoundingClientRect();
    selected = nearestIndex(xs, scales.toX(((event.clientX - box.left) / box.width) * scales.width));
    updateLegend();
  });
  const deselect = () => {
    selected = null;
    updateLegend();
  };
  svg.addEventListener("pointerleave", deselect);
  svg.addEventListener("blur", deselect);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -xs.length, End: xs.length }[event.key];
    if (!step || !xs.length) return;
    event.preventDefault();
    selected = Math.min(xs.length - 1, Math.max(0, (selected ?? xs.length - 1) + step));
    updateLegend();
  });
  new ResizeObserver(redraw).observe(figure);
  return { figure, draw };
}

function distinctXs(series) {
  return [...new Set(series.flatMap(({ points }) => points.map(([x]) => x)))].sort((a, b) => a - b);
}

function legendEntry({ name, color, kind, points }, x) {
  const present = points.filter(([, y]) => y !== null);
  const point = x === null ? present.at(-1) : present[nearestIndex(present.map(([value]) => value), x)];
  const swatch = svgElement("svg", { class: `swatch c${color} ${kind}`, viewBox: "0 0 22 8", "aria-hidden": "true" },
    svgElement("path", { d: "M1 4H21" }));
  return element("li", {}, swatch, name, element("b", {}, point ? formatNumber(point[1]) : "–"));
}

/** Return the index of the value in an ascending list that is nearest to x. */
function nearestIndex(values, x) {
  let low = 0, high = values.length - 1;
  while (low < high) {
    const center = (low + high) >> 1;
    if (values[center] < x) low = center + 1;
    else high = center;
  }
  return low > 0 && x - values[low - 1] < values[low] - x ? low - 1 : low;
}

const isDrawable = (y, isLog) => y !== null && (!isLog || y > 0);

/** Return the functions from values to pixels, or null if there is nothing to draw. */
function computeScales(series, isLog, width, height) {
  const points = series.flatMap((line) => line.points).filter(([, y]) => isDrawable(y, isLog));
  if (!points.length) return null;
  let minX = Infinity, maxX = -Infinity, minY = Infinity, maxY = -Infinity;
  for (const [x, y] of points) {
    minX = Math.min(minX, x); maxX = Math.max(maxX, x);
    minY = Math.min(minY, y); maxY = Math.max(maxY, y);
  }
  if (minX === maxX) { minX -= 0.5; maxX += 0.5; }
  let [bottom, top] = isLog ? [Math.log10(minY), Math.log10(maxY)] : [minY, maxY];
  const margin = (top - bottom) * MARGIN_FRACTION || Math.abs(bottom) * 0.1 || 0.5;
  bottom = !isLog && minY >= 0 && bottom - margin < 0 ? 0 : bottom - margin;
  top += margin;
  const innerWidth = width - LEFT - RIGHT, innerHeight = height - TOP - BOTTOM;
  return {
    width, minX, maxX, bottom, top,
    x: (x) => LEFT + ((x - minX) / (maxX - minX)) * innerWidth,
    y: (y) => TOP + (1 - ((isLog ? Math.log10(y) : y) - bottom) / (top - bottom)) * innerHeight,
    toX: (pixel) => minX + ((pixel - LEFT) / innerWidth) * (maxX - minX),
  };
}

function drawCurve({ points, color, kind }, scales, isLog) {
  let path = "", command = "M", visibleCount = 0;
  const positions = [];
  for (const [x, y] of points) {
    if (!isDrawable(y, isLog)) {
      command = "M";
      continue;
    }
    const position = [scales.x(x).toFixed(1), scales.y(y).toFixed(1)];
    path += command + position.join(" ");
    command = "L";
    visibleCount++;
    positions.push(position);
  }
  const hasDots = visibleCount === 1 || (points.length <= MAX_POINTS_WITH_DOTS && kind !== "faint");
  return svgElement("g", { class: `curve c${color} ${kind}` }, svgElement("path", { d: path || "M0 0" }),
    hasDots ? positions.map(([cx, cy]) => svgElement("circle", { cx, cy, r: 2 })) : []);
}

function drawGrid(scales, xName, isLog, width, height) {
  const nodes = [];
  for (const value of isLog ? logTicks(scales.bottom, scales.top) : linearTicks(scales.bottom, scales.top, Y_TICKS)) {
    const y = scales.y(value).toFixed(1);
    nodes.push(svgElement("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }));
    nodes.push(svgElement("text", { x: LEFT - 8, y, dy: "0.32em", "text-anchor": "end" }, formatNumber(value)));
  }
  for (const value of linearTicks(scales.minX, scales.maxX, Math.max(2, Math.floor(width / PIXELS_PER_X_TICK)))) {
    nodes.push(svgElement("text", { x: scales.x(value).toFixed(1), y: height - 21, "text-anchor": "middle" }, formatNumber(value)));
  }
  const axis = height - BOTTOM + 0.5;
  nodes.push(svgElement("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: axis, y2: axis }));
  nodes.push(svgElement("text", { class: "axis-name", x: width - RIGHT, y: height - 4, "text-anchor": "end" }, xName));
  return nodes;
}

/** Return round numbers from low to high, about `count` of them. */
function linearTicks(low, high, count) {
  const minStep = (high - low) / count, decade = 10 ** Math.floor(Math.log10(minStep));
  const step = [1, 2, 5, 10].map((n) => n * decade).find((n) => n >= minStep * 0.999);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) ticks.push(Number((n * step).toPrecision(12)));
  return ticks;
}

/** Return powers of ten between two logarithms, with their multiples by 2 and 5 if they are few. */
function logTicks(low, high) {
  const ticks = [], factors = high - low < 2.2 ? [1, 2, 5] : [1], skip = Math.ceil((high - low) / 7);
  for (let power = Math.floor(low); power <= Math.ceil(high); power += skip) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (Math.log10(value) >= low && Math.log10(value) <= high) ticks.push(value);
    }
  }
  return ticks.length > 1 ? ticks : linearTicks(10 ** low, 10 ** high, 4).filter((value) => value > 0);
}

function drawEmpty(width, height) {
  return svgElement("text", { class: "empty", x: width / 2, y: height / 2, "text-anchor": "middle" }, message("no data yet"));
}
