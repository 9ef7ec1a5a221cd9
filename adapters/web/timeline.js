/** @file The timeline: ticks of alerts, and the past as it was recorded. Dragging leaves the present; End comes back. */

import { part, say } from "./dialogs.js";
import { ask } from "./feed.js";
import { scale } from "./scale.js";
import { Sky } from "./sky.js";
import { moment } from "./words.js";

const LOOK_EVERY_MS = 10_000; // at what there is
const AHEAD_S = 20; // seconds of the past that are asked for at once
const BACK_AFTER_MS = 300_000; // a forgotten replay goes back to live, with a warning before
const WARN_MS = 30_000;
const LEAST_SPAN_US = 60e6;
const STEP_S = 5;

/** @typedef {{t_us: number, severity: number, track: string, state: string}} Tick */

export class Timeline {
  /** @param {(replaying: boolean) => void} changed @param {import("./themes.js").Colours} colours */
  constructor(changed, colours) {
    this.changed = changed;
    this.colours = colours;
    this.canvas = /** @type {HTMLCanvasElement} */ (part("ticks"));
    this.from_us = 0;
    this.to_us = 0;
    /** the oldest and the newest that is recorded at all */
    this.first_us = 0;
    this.newest_us = 0;
    /** where the line ends; 0: at the newest */
    this.until_us = 0;
    /** stretches that are recorded @type {[number, number][]} */
    this.recorded = [];
    /** @type {Tick[]} */
    this.ticks = [];
    /** -1: live */
    this.at_us = -1;
    this.playing = false;
    this.speed = 1;
    /** what is replayed again and again; empty: once @type {[number, number] | null} */
    this.loop = null;
    this.past = new Sky();
    /** pictures of the past by their second @type {Map<number, import("./sky.js").Message>} */
    this.held = new Map();
    this.asking = false;
    this.shown_s = -1;
    this.touched_ms = 0;
    this.last_ms = performance.now();
    this.dragging = false;
    this.canvas.addEventListener("pointerdown", (e) => {
      this.dragging = true;
      this.canvas.setPointerCapture(e.pointerId);
      this.#drag(e);
    });
    this.canvas.addEventListener("pointermove", (e) => this.dragging && this.#drag(e));
    this.canvas.addEventListener("pointerup", () => (this.dragging = false));
    part("play").addEventListener("click", () => this.pause());
    part("live").addEventListener("click", () => this.live());
    part("speed").addEventListener("change", (e) => {
      this.speed = Number(/** @type {HTMLSelectElement} */ (e.target).value);
      this.touched_ms = performance.now();
    });
    part("earlier").addEventListener("click", () => this.shift(-1));
    part("later").addEventListener("click", () => this.shift(1));
    part("loop").addEventListener("click", () => this.again(this.loop ? null : this.#span()));
    part("span").addEventListener("change", () => this.look());
    setInterval(() => this.look(), LOOK_EVERY_MS);
    this.look();
  }

  get replaying() {
    return this.at_us >= 0;
  }

  /** For the state chip; empty while live. */
  get words() {
    if (!this.replaying) return "";
    const left_ms = BACK_AFTER_MS - (performance.now() - this.touched_ms);
    const soon = left_ms < WARN_MS ? ` · live again in ${Math.ceil(left_ms / 1000)} s` : "";
    return `${moment(this.at_us)} ${this.playing ? `×${this.speed}` : "paused"}${soon}`;
  }

  async look() {
    const to = this.until_us > 0 ? `&to_s=${Math.ceil(this.until_us / 1e6)}` : "";
    const found = await ask(`/timeline?span_s=${this.#length() / 1e6}${to}`);
    if (!found) return;
    [this.from_us, this.to_us, this.ticks, this.recorded] = [found.from_us, found.to_us, found.alerts, found.recorded];
    [this.first_us, this.newest_us] = [found.first_us, found.newest_us];
    this.draw();
  }

  /** Of the line, microseconds. */
  #length() {
    return Number(/** @type {HTMLSelectElement} */ (part("span")).value) * 1e6;
  }

  /** Half a line earlier or later; later than the newest: it follows again. @param {-1 | 1} way */
  async shift(way) {
    const until_us = (this.until_us || this.newest_us) + (way * this.#length()) / 2;
    this.until_us = until_us >= this.newest_us ? 0 : Math.max(until_us, this.first_us + this.#length() / 2);
    this.touched_ms = performance.now();
    await this.look();
  }

  /** Show a moment wherever it lies. @param {number} at_us */
  async find(at_us) {
    await this.look();
    if (at_us < this.from_us || at_us > this.to_us) {
      this.until_us = at_us + this.#length() / 2 >= this.newest_us ? 0 : at_us + this.#length() / 2;
      await this.look();
    }
    this.go(at_us);
  }

  /** @param {PointerEvent} e */
  #drag(e) {
    const box = this.canvas.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (e.clientX - box.left) / box.width));
    const [from, to] = this.#span();
    if (share >= 0.995 && this.until_us === 0) this.live();
    else this.go(from + share * (to - from));
  }

  /** @returns {[number, number]} */
  #span() {
    return [Math.min(this.from_us, this.to_us - LEAST_SPAN_US), this.to_us];
  }

  /** Show a moment of the past. @param {number} at_us */
  go(at_us) {
    if (this.to_us <= 0) return;
    const before = this.replaying;
    this.at_us = Math.max(this.from_us, Math.min(this.to_us, at_us));
    this.touched_ms = this.last_ms = performance.now();
    if (!before) this.changed(true);
    this.turn();
  }

  /** @param {number} seconds */
  step(seconds) {
    this.go((this.replaying ? this.at_us : this.to_us) + seconds * 1e6);
  }

  /** Pause, or go on; from live: hold the present. */
  pause() {
    if (!this.replaying) {
      this.playing = false;
      this.go(this.to_us);
    } else {
      this.playing = !this.playing;
      this.touched_ms = this.last_ms = performance.now();
    }
    this.draw();
  }

  /** Replay this again and again. @param {[number, number] | null} loop null: once */
  again(loop) {
    this.loop = loop;
    this.touched_ms = performance.now();
    this.draw();
  }

  /** The moment shown becomes its begin or its end. @param {0 | 1} side */
  #mark(side) {
    const loop = /** @type {[number, number]} */ ([...(this.loop ?? this.#span())]);
    loop[side] = this.replaying ? this.at_us : this.to_us;
    this.again(loop[0] < loop[1] ? loop : null);
  }

  live() {
    if (!this.replaying) return;
    this.at_us = this.shown_s = -1;
    this.held.clear();
    this.changed(false);
    this.draw();
    if (this.until_us === 0) return;
    this.until_us = 0;
    this.look();
  }

  /** Go on in the past; several times a second. @returns {boolean} true when there is a new picture */
  turn() {
    const now_ms = performance.now();
    if (!this.replaying) return false;
    if (now_ms - this.touched_ms > BACK_AFTER_MS) {
      this.live();
      return false;
    }
    if (this.playing && !this.dragging) {
      const next_us = this.at_us + (now_ms - this.last_ms) * 1000 * this.speed;
      this.at_us = this.loop && next_us >= this.loop[1] ? this.loop[0] : Math.min(this.to_us, next_us);
    }
    this.last_ms = now_ms;
    const second = Math.floor(this.at_us / 1e6);
    const message = this.held.get(second);
    this.#fetch(second);
    this.draw();
    if (!message || second === this.shown_s) return false;
    this.shown_s = second;
    this.past.take(message, now_ms);
    return true;
  }

  /** Ask for what comes, before it is needed. @param {number} second */
  async #fetch(second) {
    let missing = second;
    while (missing < second + AHEAD_S / 2 && this.held.has(missing)) missing += 1;
    if (this.asking || missing >= second + AHEAD_S / 2 || missing * 1e6 > this.to_us) return;
    this.asking = true;
    const found = await ask(`/past?from_s=${missing}&to_s=${missing + AHEAD_S}`);
    this.asking = false;
    if (!found || !this.replaying) return;
    if (this.held.size > 600) this.held.clear();
    for (const [s, message] of found.pictures) this.held.set(s, message);
  }

  /** Keys of the slider. @param {string} key @returns {boolean} */
  key(key) {
    if (key === "ArrowLeft") this.step(-STEP_S);
    else if (key === "ArrowRight") this.step(STEP_S);
    else if (key === " ") this.pause();
    else if (key === "End") this.live();
    else if (key === "Home") this.go(this.from_us);
    else if (key === "PageUp" || key === "PageDown") this.shift(key === "PageUp" ? -1 : 1);
    else if (key === "[" || key === "]") this.#mark(key === "[" ? 0 : 1);
    else return false;
    return true;
  }

  draw() {
    const canvas = this.canvas;
    const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio * scale()];
    if (width === 0) return;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const g = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    const [from, to] = this.#span();
    const x = (/** @type {number} */ us) => ((us - from) / Math.max(1, to - from)) * width;
    g.fillStyle = this.colours.dim;
    g.font = "11px system-ui, sans-serif";
    const minute = 60e6;
    const each = [1, 2, 5, 10, 15, 30, 60, 120, 360].find((m) => ((to - from) / minute / m) * 70 < width) ?? 720;
    if (this.to_us > 0) {
      for (let us = Math.ceil(from / (each * minute)) * each * minute; us < to; us += each * minute) {
        g.fillRect(x(us), height - 6, 1, 6);
        g.fillText(new Date(us / 1000).toISOString().slice(11, 16), x(us) + 3, height - 2);
      }
    }
    g.fillStyle = this.colours.civil;
    for (const [start, end] of this.recorded) g.fillRect(x(start), height - 2, Math.max(1, x(end) - x(start)), 2);
    if (this.loop) {
      g.fillStyle = this.colours.band;
      g.fillRect(x(this.loop[0]), 0, x(this.loop[1]) - x(this.loop[0]), height);
    }
    for (const tick of this.ticks) {
      g.fillStyle = this.colours.severity[tick.severity] ?? this.colours.dim;
      g.fillRect(x(tick.t_us) - 1.5, 4 + 5 * (tick.severity - 1), 3, height - 22 - 5 * (tick.severity - 1));
    }
    g.fillStyle = this.replaying ? "#3b82f6" : this.colours.text;
    g.fillRect(Math.min(width - 2, x(this.replaying ? this.at_us : to) - 1), 0, 2, height);
    canvas.setAttribute("aria-valuemin", String(Math.round(from / 1e6)));
    canvas.setAttribute("aria-valuemax", String(Math.round(to / 1e6)));
    canvas.setAttribute("aria-valuenow", String(Math.round((this.replaying ? this.at_us : to) / 1e6)));
    canvas.setAttribute("aria-valuetext", this.replaying ? moment(this.at_us) : "live");
    part("earlier").toggleAttribute("disabled", this.from_us <= this.first_us);
    part("later").toggleAttribute("disabled", this.until_us === 0);
    part("loop").setAttribute("aria-pressed", String(this.loop !== null));
    part("live").toggleAttribute("disabled", !this.replaying);
    say(part("play"), this.replaying && !this.playing ? "Play" : "Pause");
    say(part("shown"), this.replaying ? moment(this.at_us) : this.to_us > 0 ? "live" : "nothing recorded");
  }
}
