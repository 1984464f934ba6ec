// Requests to the server, with errors in words.

/** An error with a problem and a remedy, for people. */
export class RequestError extends Error {
  constructor(problem, remedy) {
    super(problem);
    this.remedy = remedy;
  }
}

export const NO_RESPONSE = "the server does not respond";

/** Return the JSON of the server's response; throws RequestError if anything goes wrong. */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestError(NO_RESPONSE, "is yisheng serve still running? Start it again, then try again here");
  }
  let content = null;
  try {
    content = await response.json();
  } catch { /* not JSON: reported below */ }
  if (response.ok && content !== null) return content;
  if (content?.error?.problem) throw new RequestError(String(content.error.problem), String(content.error.remedy ?? ""));
  const isJson = content === null ? ", and not in JSON" : "";
  throw new RequestError(`the server responded with status ${response.status}${isJson}`, "try again; if it fails again, read the server's output");
}
