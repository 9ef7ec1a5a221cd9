/** @file Filters in plain words: `alt<600 speed<80 id:unknown`. Pure. */

/** @typedef {import("./sky.js").Track} Track */
/** @typedef {{test: (t: Track) => boolean, problem: string}} Filter */

/** What can be compared, with its unit as people write it. @type {Record<string, (t: Track) => number | null>} */
const NUMBERS = {
  alt: (t) => t.agl_m,
  height: (t) => t.height_m,
  speed: (t) => t.speed_mps,
  climb: (t) => t.climb_mps,
  km: (t) => (t.border_distance_m === null ? null : t.border_distance_m / 1000),
  time: (t) => t.time_to_border_s,
};

/** What can be named. @type {Record<string, (t: Track, word: string) => boolean>} */
const WORDS = {
  id: (t, word) => (word === "civil" ? t.cooperative : word === "unknown" ? !t.cooperative && t.identity === "unknown" : t.identity === word),
  sensor: (t, word) => t.sensors.some((s) => s.toLowerCase() === word),
  class: (t, word) => t.object_class.includes(word),
  state: (t, word) => t.state.toLowerCase() === word,
  near: (t, word) => t.near_state.toLowerCase() === word,
  is: (t, word) => (word === "alert" ? t.severity > 0 : word === "low" ? t.low_slow : word === "doubted" ? t.doubt !== "" : t.status === word),
};

/** Letters of what a track is called. @param {Track} t @param {string} word in small letters */
export function calls(t, word) {
  return [t.id, t.callsign, t.address, t.mode3a].some((name) => name.toLowerCase().includes(word));
}

/** A filter out of what was typed. What is not known fits no condition on it. @param {string} text @returns {Filter} */
export function filter(text) {
  /** @type {((t: Track) => boolean)[]} */
  const tests = [];
  let problem = "";
  for (const word of text.toLowerCase().split(/\s+/).filter(Boolean)) {
    const not = word.startsWith("-") && word.length > 1;
    const made = condition(not ? word.slice(1) : word);
    if (typeof made === "string") problem = made;
    else tests.push(not ? (t) => !made(t) : made);
  }
  return { test: (t) => tests.every((test) => test(t)), problem };
}

/** @param {string} word @returns {((t: Track) => boolean) | string} */
function condition(word) {
  const compared = /^([a-z]+)(<=|>=|<|>|=)(-?\d+(?:\.\d+)?)$/.exec(word);
  if (compared) {
    const [, name = "", sign, digits] = compared;
    const of = NUMBERS[name];
    const limit = Number(digits);
    if (!of) return `${name}? known: ${Object.keys(NUMBERS).join(", ")}`;
    return (t) => {
      const value = of(t);
      if (value === null) return false;
      if (sign === "<") return value < limit;
      if (sign === ">") return value > limit;
      if (sign === "<=") return value <= limit;
      if (sign === ">=") return value >= limit;
      return Math.round(value) === limit;
    };
  }
  const named = /^([a-z]+):(.+)$/.exec(word);
  if (named) {
    const [, name = "", said = ""] = named;
    const fits = WORDS[name];
    return fits ? (t) => fits(t, said) : `${name}? known: ${Object.keys(WORDS).join(", ")}`;
  }
  if (/[<>=]/.test(word)) return `${word}? write alt<600`;
  return (t) => calls(t, word);
}
