/** @file The watch log: what operators write for those who come after them, among what happened to alerts. */

import { element, part, say } from "./dialogs.js";
import { ask, post } from "./feed.js";
import { moment } from "./words.js";

const LOOK_MS = 5000; // while it is open

export class WatchLog {
  /** @param {() => Promise<string>} name who writes */
  constructor(name) {
    this.name = name;
    this.dialog = /** @type {HTMLDialogElement} */ (part("watch"));
    this.written = "";
    this.busy = false; // a note is under way: Enter twice is one note
    part("watch-form").addEventListener("submit", (e) => {
      e.preventDefault();
      if (this.busy) return;
      this.busy = true;
      this.#write().finally(() => (this.busy = false));
    });
    part("watch-close").addEventListener("click", () => this.dialog.close());
    setInterval(() => this.dialog.open && this.#look(), LOOK_MS);
  }

  toggle() {
    if (this.dialog.open) return this.dialog.close();
    this.dialog.showModal();
    part("watch-words").focus();
    return this.#look();
  }

  async #write() {
    const input = /** @type {HTMLInputElement} */ (part("watch-words"));
    const words = input.value.trim();
    if (!words) return;
    this.dialog.close(); // the question for a name is a dialog too
    const by = await this.name();
    this.dialog.showModal();
    if (!by) return;
    const answer = await post("/watch", { words, operator: by });
    say(part("watch-said"), answer.ok ? "" : `NOT written: ${answer.detail}`);
    if (answer.ok) input.value = "";
    await this.#look();
    input.focus();
  }

  async #look() {
    const told = await ask("/watch");
    if (!told) return;
    if (told.problem) say(part("watch-said"), told.problem);
    const text = JSON.stringify(told.lines);
    if (text === this.written) return;
    this.written = text;
    const rows = told.lines.map((/** @type {any} */ line) => {
      const row = element("li", "", { class: line.note ? "note" : "" });
      row.append(element("span", moment(line.time_us), { class: "number" }), element("b", line.who || "rules"), element("span", line.words));
      return row;
    });
    if (rows.length === 0) rows.push(element("li", "Nothing was noted, and no alert was told, in this time.", { class: "none" }));
    const list = part("watch-lines");
    list.replaceChildren(...rows);
    list.scrollTop = list.scrollHeight;
  }
}
