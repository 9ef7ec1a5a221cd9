/** @file Numbers as people read them. Everything that an officer reads is put into words here. */

/** Shape and name of every severity: never colour alone.
 * @type {Readonly<Record<number, {shape: string, name: string}>>} */
export const SEVERITY = Object.freeze({
  1: { shape: "▲", name: "1" },
  2: { shape: "■", name: "2" },
  3: { shape: "●", name: "3" },
});

/** @param {number | null | undefined} value @returns {value is number} */
export const known = (value) => typeof value === "number" && Number.isFinite(value);

/** Seconds as "4 min 10 s". @param {number} seconds */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}

/** Seconds as "4:10". @param {number} seconds */
export function short(seconds) {
  const s = Math.max(0, Math.round(seconds));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

/** An age in a chip: "0.4 s", "12 s". @param {number} seconds */
export function age(seconds) {
  return seconds < 10 ? `${Math.max(0, seconds).toFixed(1)} s` : span(seconds);
}

/** Metres as "640 m" or "7.2 km". @param {number} metres */
export function distance(metres) {
  const m = Math.abs(metres);
  if (m < 1000) return `${Math.round(m)} m`;
  return m < 100_000 ? `${(m / 1000).toFixed(1)} km` : `${Math.round(m / 1000)} km`;
}

/** Bytes as "12 kB" or "3.4 MB". @param {number} bytes */
export function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : bytes < 1e8 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.round(bytes / 1e6)} MB`;
}

/** " ± 66 m", or nothing. @param {number | null | undefined} sigma @param {(v: number) => string} say */
export function spread(sigma, say) {
  return known(sigma) ? ` ± ${say(sigma)}` : "";
}

/** Time of day, UTC, to the second. @param {number} us */
export function clock(us) {
  return new Date(us / 1000).toISOString().slice(11, 19);
}

/** Day and time of day, UTC. @param {number} us */
export function moment(us) {
  return `${new Date(us / 1000).toISOString().slice(0, 10)} ${clock(us)}`;
}

/** Three digits and no exponent. @param {number} value */
export function plain(value) {
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
}

const UNIT = /** @type {Record<string, string>} */ ({
  m: "m", mps: "m/s", s: "s", deg: "°", hz: "/s", ppm: "ppm", count: "",
});

/** "speed_mps" as ["speed", "m/s"]. @param {string} name @returns {[string, string]} */
export function named(name) {
  const parts = name.split("_");
  const unit = parts.length > 1 ? UNIT[parts[parts.length - 1] ?? ""] : undefined;
  return unit === undefined ? [parts.join(" "), ""] : [parts.slice(0, -1).join(" "), unit];
}

/** One quantity of an alert with its uncertainty and what the rule says of it.
 * @param {{name: string, value?: number | string | boolean, sigma?: number, condition?: string}} q */
export function quantity(q) {
  const [name, unit] = named(q.name);
  const say = (/** @type {number} */ v) => plain(v);
  const value = typeof q.value === "number" ? say(q.value) + spread(q.sigma, say) + (unit && ` ${unit}`) : String(q.value);
  return `${name} ${value}${q.condition ? ` (rule: ${q.condition})` : ""}`;
}

/** Where it is against the border, with ±. @param {import("./sky.js").Track} t @param {Record<string, any>} more */
export function against(t, more) {
  const d = t.border_distance_m;
  if (!known(d)) return "no border near";
  const state = t.near_state ? ` ${t.near_state}` : "";
  const at = `${distance(d)}${spread(more["sigma_border_distance_m"], distance)}`;
  return d < 0 ? `${at} inside${state}` : `${at} outside${state}`;
}

/** The head of a card: what is most urgent about it. @param {import("./sky.js").Track | undefined} t */
export function urgency(t) {
  if (!t) return "NOT SEEN NOW";
  if (known(t.border_distance_m) && t.border_distance_m < 0) return `INSIDE ${distance(t.border_distance_m)}`;
  if (known(t.time_to_border_s)) return `BORDER ${span(t.time_to_border_s)}`;
  if (known(t.border_distance_m)) return `NEAR ${distance(t.border_distance_m)}`;
  return "";
}

/** @param {string} word "fixed-wing-drone" */
export const spoken = (word) => word.replaceAll("-", " ");
