// Asking the server, and saying in words when it does not answer.

/** An error with what is wrong and what to do about it. */
export class Trouble extends Error {
  constructor(problem, remedy) {
    super(problem);
    this.remedy = remedy;
  }
}

/** The JSON that the server answers; throws Trouble for whatever goes wrong. */
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("the server does not answer", "is yisheng serve still running? Start it again, and try again here");
  }
  let told = null;
  try {
    told = await answer.json();
  } catch { /* no JSON: said below */ }
  if (answer.ok && told !== null) return told;
  if (told?.error?.problem) throw new Trouble(String(told.error.problem), String(told.error.remedy ?? ""));
  throw new Trouble(`the server answered ${answer.status}${told === null ? ", and not in JSON" : ""}`, "try again; if it stays so, look at the server's output");
}
