/** @file Alarms that can be told apart with closed eyes: three tones, one tone, a soft one; until acknowledged. */

/** Tones of a severity: Hz, and seconds after the first. @type {Record<number, [number, number][]>} */
const TONES = { 1: [[880, 0], [880, 0.28], [1175, 0.56]], 2: [[660, 0]], 3: [[440, 0]] };
const LENGTH_S = 0.2;
const LOUD = /** @type {Record<number, number>} */ ({ 1: 0.35, 2: 0.25, 3: 0.1 });
const AGAIN_MS = 10_000; // severity 1, until it is acknowledged
const MUTED_MS = 300_000; // then it is armed again by itself

export class Sounds {
  /** @param {HTMLElement} bar shown while the browser blocks sound @param {HTMLElement} button mutes */
  constructor(bar, button) {
    this.bar = bar;
    this.button = button;
    /** @type {AudioContext | null} */
    this.audio = typeof AudioContext === "function" ? new AudioContext() : null;
    this.muted_until_ms = 0;
    /** @type {Set<string>} alerts that have sounded */
    this.sounded = new Set();
    this.first = true;
    this.last_ms = -Infinity;
    /** how often each severity sounded, for who wants to know @type {Record<number, number>} */
    this.count = { 1: 0, 2: 0, 3: 0 };
    bar.addEventListener("click", () => this.unblock());
    button.addEventListener("click", () => this.mute());
    for (const kind of ["click", "keydown"]) addEventListener(kind, () => this.unblock());
    setInterval(() => this.show(), 1000);
    this.show();
  }

  get blocked() {
    return this.audio !== null && this.audio.state !== "running";
  }

  unblock() {
    if (this.blocked) this.audio?.resume().then(() => this.show(), () => this.show());
  }

  mute() {
    this.muted_until_ms = performance.now() < this.muted_until_ms ? 0 : performance.now() + MUTED_MS;
    this.show();
  }

  show() {
    const left_ms = this.muted_until_ms - performance.now();
    const muted = left_ms > 0;
    this.bar.hidden = !this.blocked;
    document.body.classList.toggle("silenced", this.blocked);
    this.button.textContent = muted ? `Muted ${Math.ceil(left_ms / 60_000)} min` : "Sound on";
    this.button.setAttribute("aria-pressed", String(muted));
  }

  /** The alerts that are open and not acknowledged. @param {{id: string, severity: number}[]} waiting */
  sound(waiting) {
    const now_ms = performance.now();
    const fresh = waiting.filter((alert) => !this.sounded.has(alert.id));
    this.sounded = new Set(waiting.map((alert) => alert.id));
    let severity = Math.min(...fresh.map((alert) => alert.severity));
    if (waiting.some((alert) => alert.severity === 1) && now_ms - this.last_ms >= AGAIN_MS) severity = 1;
    if (!Number.isFinite(severity)) return;
    if (severity === 1) this.last_ms = now_ms;
    this.#play(severity);
  }

  /** @param {number} severity */
  #play(severity) {
    const audio = this.audio;
    if (!audio || this.blocked || performance.now() < this.muted_until_ms) return;
    this.count[severity] = (this.count[severity] ?? 0) + 1;
    for (const [hz, after_s] of TONES[severity] ?? []) {
      const tone = new OscillatorNode(audio, { frequency: hz, type: severity === 3 ? "sine" : "triangle" });
      const gain = new GainNode(audio, { gain: 0 });
      const at = audio.currentTime + 0.02 + after_s;
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(LOUD[severity] ?? 0.1, at + 0.01);
      gain.gain.linearRampToValueAtTime(0, at + LENGTH_S);
      tone.connect(gain).connect(audio.destination);
      tone.start(at);
      tone.stop(at + LENGTH_S + 0.05);
    }
  }
}
