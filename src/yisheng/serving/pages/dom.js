// Elements with their attributes and children. What comes from a server goes in as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; a property that begins with "on" listens, null and false leave an attribute out. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A number for people: four figures that count. */
export function written(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2).replace("-", "−").replace("e+", "e");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

/** A share from 0 to 1 in percent: never 100% where a little is missing, nor 0% where there is a little. */
export function percent(share) {
  if (!Number.isFinite(share)) return "–";
  const shown = share * 100;
  if (shown > 0 && shown < 0.1) return "< 0.1%";
  if (shown < 100 && shown > 99.9) return "> 99.9%";
  return `${shown.toFixed(1)}%`;
}

/** Seconds for people: "40 s", "3 min", "2 h 5 min". */
export function lasting(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
