/** @file Dossiers: one file of everything about an incident, with its recording. The page's server makes it beside the
 * page, which takes a while; then it is saved, and its head stands on the card. */

import { element, toast } from "./dialogs.js";
import { ask, post } from "./feed.js";
import { size } from "./words.js";

/** @typedef {{state: string, detail: string, head: string, notes: string[], bytes: number, taken_s: number}} Told */

const LOOK_EVERY_MS = 1000;

export class Dossiers {
  /** @param {() => void} changed there are new words */
  constructor(changed) {
    this.changed = changed;
    /** by incident @type {Map<string, string>} */
    this.said = new Map();
  }

  /** Have it made, and save it. @param {string} incident @param {string} track whose it is, for people */
  async make(incident, track) {
    const asked = await post(`/dossier/${encodeURIComponent(incident)}`, {});
    if (!asked.ok) return this.#failed(incident, track, asked.detail);
    this.#say(incident, "Dossier: being made …");
    for (;;) {
      await new Promise((done) => setTimeout(done, LOOK_EVERY_MS));
      /** @type {Told | null} */
      const told = await ask(`/dossier/${encodeURIComponent(incident)}`);
      if (!told) return this.#failed(incident, track, "the page's server does not answer");
      if (told.state === "ready") return this.#ready(incident, track, told);
      if (told.state !== "making") return this.#failed(incident, track, told.detail);
      this.#say(incident, `Dossier: being made, ${Math.round(told.taken_s)} s …`);
    }
  }

  /** What stands on the card; "": nobody asked for one. @param {string} incident */
  words(incident) {
    return this.said.get(incident) ?? "";
  }

  /** @param {string} incident @param {string} track @param {Told} told */
  #ready(incident, track, told) {
    const address = `/dossier/${encodeURIComponent(incident)}.zip`;
    element("a", "", { href: address, download: "" }).click();
    const notes = told.notes.map((note) => ` Note: ${note}.`).join("");
    this.#say(incident, `Dossier saved, ${size(told.bytes)}. Keep its head elsewhere: ${told.head}.${notes}`);
    toast(`Dossier of ${track}: saved, ${size(told.bytes)}`);
  }

  /** @param {string} incident @param {string} track @param {string} why */
  #failed(incident, track, why) {
    this.#say(incident, `Dossier NOT made: ${why}`);
    toast(`Dossier of ${track}: NOT made, ${why}`, true);
  }

  /** @param {string} incident @param {string} words */
  #say(incident, words) {
    this.said.set(incident, words);
    this.changed();
  }
}
