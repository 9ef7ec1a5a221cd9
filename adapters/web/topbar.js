/** @file The top bar: what state the picture is in, so that nobody takes an old one for live. */

import { part, say } from "./dialogs.js";
import { age, clock, known } from "./words.js";

const STALE_S = 3; // pictures leave every 100 ms; three seconds without one is a fault
const LATE_S = 3; // the picture itself is older than its arrival tells: the service is behind

/** @typedef {{kind: "waiting" | "live" | "stale" | "lost" | "replay", words: string}} State */

/**
 * The state in words. Pure.
 * @param {{connected: boolean, pulse: Record<string, any>, since_s: number, status: Record<string, any>,
 *   replay: string}} seen `since_s`: since the page last heard from its server; `replay`: "08:31:02 ×5" or ""
 * @returns {State}
 */
export function stateOf(seen) {
  if (seen.replay) return { kind: "replay", words: `REPLAY ${seen.replay}` };
  if (!seen.connected && seen.since_s > 2) return { kind: "lost", words: `PAGE SERVER LOST ${age(seen.since_s)}` };
  if (seen.pulse["connected"] === false) return { kind: "lost", words: "BROKER LOST" };
  if (!known(seen.pulse["age_s"])) return { kind: "waiting", words: "WAITING" };
  const age_s = seen.pulse["age_s"] + seen.since_s;
  if (seen.status["state"] === "offline") return { kind: "stale", words: `STALE ${age(age_s)}: service offline` };
  if (age_s > STALE_S) return { kind: "stale", words: `STALE ${age(age_s)}` };
  const at = known(seen.pulse["picture_us"]) ? clock(seen.pulse["picture_us"]) : "";
  if (seen.status["state"] === "replay") return { kind: "replay", words: `REPLAY ${at}` };
  const shown_s = age_s + Math.max(0, seen.pulse["lag_s"] ?? 0);
  if (seen.status["state"] === "catching-up") return { kind: "stale", words: `CATCHING UP ${age(shown_s)}` };
  if (shown_s > STALE_S) return { kind: "stale", words: `LATE ${age(shown_s)}` };
  return { kind: "live", words: `LIVE ${age(shown_s)}` };
}

export class TopBar {
  constructor() {
    this.state = part("state");
  }

  /** @param {import("./sky.js").Sky} sky @param {State} state @param {number} time_us @param {number} shown */
  show(sky, state, time_us, shown) {
    say(this.state, state.words);
    this.state.className = `chip ${state.kind}`;
    document.body.dataset["state"] = state.kind;
    say(part("clock"), `${clock(time_us)} UTC`);
    let low = 0;
    for (const t of sky.tracks.values()) if (t.low_slow && !t.cooperative) low += 1;
    const hidden = sky.tracks.size - shown;
    say(part("counts"), `tracks ${sky.tracks.size}${hidden > 0 ? ` (${hidden} filtered out)` : ""} · low+slow ${low}`);
    this.#marks(sky.status);
    const lag_s = sky.pulse["lag_s"] ?? 0;
    const load = sky.status["load_level"] ?? 0;
    const over = part("overload");
    over.hidden = !(load > 0 || (state.kind !== "replay" && lag_s > LATE_S));
    say(over, `▲ OVERLOAD level ${load}, ${age(lag_s)} behind`);
  }

  /** Nothing simulated or exercised passes for real. @param {Record<string, any>} status */
  #marks(status) {
    const words = [status["simulated"] && "SIMULATION", status["mode"] === "exercise" && "EXERCISE", status["mode"] === "tension" && "TENSION"].filter(Boolean).join(" · ");
    for (const id of ["mark", "watermark"]) {
      part(id).hidden = !words || (id === "watermark" && words === "TENSION");
      say(part(id), words);
    }
  }
}
