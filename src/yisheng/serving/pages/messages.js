// Texts in the language of the server: the page contains their translations as JSON, which is data and not a script.

const catalog = JSON.parse(document.getElementById("translations")?.textContent || "{}");

/** The language of the page, which is that of the server. */
export const language = document.documentElement.lang || "en";

const FIELD = /\{(\w+)\}/;

/** Return a text in the language of the page, with values in the places of its {fields}. */
export function message(template, values = {}) {
  return messageParts(template, values).join("");
}

/** Return a text whose English depends on a count, which is its field {count}. */
export function pluralMessage(count, singular, plural, values = {}) {
  return message(count === 1 ? singular : plural, { count, ...values });
}

/** Return the parts of a text, some of which may be elements. */
export function messageParts(template, values) {
  return (catalog[template] ?? template).split(FIELD).map((part, n) => (n % 2 ? values[part] : part));
}
