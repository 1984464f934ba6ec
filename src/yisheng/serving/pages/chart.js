// Curves as SVG: thin and crisp at every width, with the values under the pointer (or the arrow keys) in the legend.

import { drawn, element, written } from "./dom.js";

const HEIGHT = 232, LEFT = 58, RIGHT = 10, TOP = 10, BOTTOM = 38;

/**
 * A chart: its element, and draw(series, xName). A series is {name, colour, kind, points: [[x, y], ...]}; y may be null
 * (a gap); kind is "line", "dashed" or "faint". `logarithmic` begins with a logarithmic axis, null offers none.
 */
export function chart(title, { logarithmic = false, height = HEIGHT } = {}) {
  let series = [], xName = "", log = logarithmic === true, at = null, scales = null, xs = [];
  const image = drawn("svg", { class: "curves", role: "img", tabindex: "0", height });
  const legend = element("ul", { class: "legend" });
  const toggle = element("button", { type: "button", class: "small", "aria-pressed": String(log), onclick: turn }, "log");
  const head = element("div", { class: "chart-head" }, element("h3", {}, title), logarithmic === null ? null : toggle);
  const whole = element("figure", { class: "chart" }, head, image, legend);
  const cross = drawn("line", { class: "cross", y1: TOP, y2: height - BOTTOM });

  function turn() {
    log = !log;
    toggle.setAttribute("aria-pressed", String(log));
    redraw();
  }

  function draw(newSeries, newName) {
    series = newSeries;
    xName = newName;
    xs = [...new Set(series.filter((one) => one.kind !== "faint").flatMap((one) => one.points.map((p) => p[0])))];
    if (xs.length < 2) xs = [...new Set(series.flatMap((one) => one.points.map((p) => p[0])))];
    xs.sort((a, b) => a - b);
    redraw();
  }

  function redraw() {
    const width = Math.max(240, whole.clientWidth || 480);
    image.setAttribute("viewBox", `0 0 ${width} ${height}`);
    image.setAttribute("aria-label", `${title}: ${series.map((one) => one.name).join(", ") || "nothing yet"}`);
    scales = scaled(series, log, width, height);
    const marks = scales ? [...grid(scales, xName, log, width, height), ...series.map((one) => curve(one, scales, log))] : [];
    image.replaceChildren(...(marks.length ? [...marks, cross] : [empty(width, height)]));
    tell();
  }

  function tell() {
    const x = at === null || !xs.length ? null : xs[Math.min(at, xs.length - 1)];
    cross.setAttribute("visibility", x === null || !scales ? "hidden" : "visible");
    if (x !== null && scales) {
      cross.setAttribute("x1", scales.x(x));
      cross.setAttribute("x2", scales.x(x));
    }
    const where = x === null ? null : element("li", { class: "where" }, `${xName} ${written(x)}`);
    legend.replaceChildren(...[where].filter(Boolean), ...series.map((one) => entry(one, x)));
  }

  function point(event) {
    if (!scales || !xs.length) return;
    const box = image.getBoundingClientRect();
    const x = scales.from(((event.clientX - box.left) / box.width) * scales.width);
    at = nearest(xs, x);
    tell();
  }

  function leave() {
    at = null;
    tell();
  }

  image.addEventListener("pointermove", point);
  image.addEventListener("pointerleave", leave);
  image.addEventListener("blur", leave);
  image.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: -1, ArrowRight: 1, Home: -xs.length, End: xs.length }[event.key];
    if (!to || !xs.length) return;
    event.preventDefault();
    at = Math.min(xs.length - 1, Math.max(0, (at ?? xs.length - 1) + to));
    tell();
  });
  new ResizeObserver(redraw).observe(whole);
  return { whole, draw };
}

/** The sample of a curve's line as it is drawn. */
function swatch(one) {
  return drawn("svg", { class: `swatch c${one.colour} ${one.kind}`, viewBox: "0 0 22 8", "aria-hidden": "true" },
    drawn("path", { d: "M1 4H21" }));
}

function entry(one, x) {
  const known = one.points.filter((p) => p[1] !== null);
  const shown = x === null ? known.at(-1) : known[nearest(known.map((p) => p[0]), x)];
  return element("li", {}, swatch(one), one.name, element("b", {}, shown ? written(shown[1]) : "–"));
}

/** Number of the value in an ascending list that is nearest to x. */
function nearest(values, x) {
  let low = 0, high = values.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - values[low - 1] < values[low] - x ? low - 1 : low;
}

/** From values to places in the image, or null where there is nothing to draw. */
function scaled(series, log, width, height) {
  let left = Infinity, right = -Infinity, low = Infinity, high = -Infinity;
  for (const { points } of series) {
    for (const [x, y] of points) {
      if (y === null || (log && y <= 0)) continue;
      left = Math.min(left, x); right = Math.max(right, x);
      low = Math.min(low, y); high = Math.max(high, y);
    }
  }
  if (left > right) return null;
  if (left === right) { left -= 0.5; right += 0.5; }
  let [from, to] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
  const kind = (to - from) * 0.04 || Math.abs(from) * 0.1 || 0.5;
  from = !log && low >= 0 && from - kind < 0 ? 0 : from - kind;
  to += kind;
  const wide = width - LEFT - RIGHT, tall = height - TOP - BOTTOM;
  return {
    width, left, right,
    x: (x) => LEFT + ((x - left) / (right - left)) * wide,
    y: (y) => TOP + (1 - ((log ? Math.log10(y) : y) - from) / (to - from)) * tall,
    from: (place) => left + ((place - LEFT) / wide) * (right - left),
    low: from, high: to,
  };
}

function curve(one, scales, log) {
  let path = "", pen = "M", last = null, lone = true, dots = [];
  for (const [x, y] of one.points) {
    if (y === null || (log && y <= 0)) {
      pen = "M";
      continue;
    }
    const place = `${scales.x(x).toFixed(1)} ${scales.y(y).toFixed(1)}`;
    path += pen + place;
    if (last) lone = false;
    last = place;
    if (one.points.length <= 40 && one.kind !== "faint") dots.push(place.split(" "));
    pen = "L";
  }
  const marks = lone && last ? [last.split(" ")] : dots;
  return drawn("g", { class: `curve c${one.colour} ${one.kind}` }, drawn("path", { d: path || "M0 0" }),
    marks.map(([cx, cy]) => drawn("circle", { cx, cy, r: 2 })));
}

function grid(scales, xName, log, width, height) {
  const marks = [];
  for (const value of log ? decades(scales.low, scales.high) : ticks(scales.low, scales.high, 5)) {
    const y = scales.y(value).toFixed(1);
    marks.push(drawn("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }));
    marks.push(drawn("text", { x: LEFT - 8, y, dy: "0.32em", "text-anchor": "end" }, written(value)));
  }
  for (const value of ticks(scales.left, scales.right, Math.max(2, Math.floor(width / 75)))) {
    const x = scales.x(value).toFixed(1);
    marks.push(drawn("text", { x, y: height - 21, "text-anchor": "middle" }, written(value)));
  }
  const floor = height - BOTTOM + 0.5;
  marks.push(drawn("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: floor, y2: floor }));
  marks.push(drawn("text", { class: "axis-name", x: width - RIGHT, y: height - 4, "text-anchor": "end" }, xName));
  return marks;
}

/** Round numbers from low to high, about as many as wanted. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted, size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * size).find((n) => n >= rough * 0.999);
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(Number((n * step).toPrecision(12)));
  return found;
}

/** Powers of ten between two logarithms, with 2 and 5 between them where they are few. */
function decades(low, high) {
  const found = [], between = high - low < 2.2 ? [1, 2, 5] : [1], skip = Math.ceil((high - low) / 7);
  for (let power = Math.floor(low); power <= Math.ceil(high); power += skip) {
    for (const n of between) {
      const value = n * 10 ** power;
      if (Math.log10(value) >= low && Math.log10(value) <= high) found.push(value);
    }
  }
  return found.length > 1 ? found : ticks(10 ** low, 10 ** high, 4).filter((value) => value > 0);
}

function empty(width, height) {
  return drawn("text", { class: "empty", x: width / 2, y: height / 2, "text-anchor": "middle" }, "nothing yet");
}
