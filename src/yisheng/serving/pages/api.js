// Requests to the server, with errors in words.

import { language, message } from "./messages.js";

/** An error with a problem and a remedy, for people. */
export class RequestError extends Error {
  constructor(problem, remedy) {
    super(problem);
    this.remedy = remedy;
  }
}

export const NO_RESPONSE = message("the server does not respond");

/** Return the text of an error that should not happen. */
export const describeDefect = (error) => message("this page has a defect: {error}", { error: error.message });

/** Fetch from the server, whose texts are in the language of the page. */
export function fetchHere(path, options = {}) {
  return fetch(path, { ...options, headers: { "Accept-Language": language, ...options.headers } });
}

/** Return the JSON of the server's response; throws RequestError if anything goes wrong. */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetchHere(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestError(NO_RESPONSE, message("is yisheng serve still running? Start it again, then try again here"));
  }
  let content = null;
  try {
    content = await response.json();
  } catch { /* not JSON: reported below */ }
  if (response.ok && content !== null) return content;
  if (content?.error?.problem) throw new RequestError(String(content.error.problem), String(content.error.remedy ?? ""));
  const { status } = response;
  throw new RequestError(content === null ? message("the server responded with status {status}, and not in JSON", { status })
    : message("the server responded with status {status}", { status }), message("try again; if it fails again, read the server's output"));
}
