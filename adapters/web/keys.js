/** @file The keyboard: everything on the page has a key, and every key stands on the sheet. */

import { saved, save } from "./address.js";
import { part, toast } from "./dialogs.js";

/** @type {readonly (readonly [string, string])[]} */
export const KEYS = [
  ["N / P", "next, previous alert"], ["A", "acknowledge the chosen alert"], ["C", "centre it"],
  ["R", "report of its incident"], ["E", "dossier of it: one file with the recording, as evidence"], ["D", "identify it, with a reason"], ["H", "hand it over, or say who took it"],
  ["X", "close it, with a reason"], ["G", "report what somebody saw, where the pointer is"], ["W", "watch log"],
  ["L", "low and slow only"], ["F", "filter bar"], ["/", "search"], ["M", "measure"],
  ["V", "rings of sensors; coverage at 50, 150, 500 m above ground; none"], ["I", "uncertainty"],
  ["T", "history dots"], ["B", "theme"], ["S", "mute for five minutes"], ["Shift+1 … 9", "save this view"],
  ["1 … 9", "go to a saved view"], ["Space", "pause, go on"], ["← / →", "five seconds back, forward"],
  ["[ / ]", "begin and end of what is replayed again and again"], ["PgUp / PgDn", "earlier, later recordings on the line"],
  ["End", "back to live"],
  ["+ / -", "zoom (map in focus: arrows move it)"], ["K", "kiosk: the map alone"],
  ["Esc", "close what is open"], ["?", "this sheet"],
];

/** @typedef {{does: Record<string, () => void>, remember: () => string, recall: (hash: string) => void, escape: (typing: boolean) => void,
 *   other: (key: string) => boolean}} Hands */

/** @param {Hands} hands */
export function keyboard(hands) {
  addEventListener("keydown", (e) => pressed(e, hands));
}

/** @param {KeyboardEvent} e @param {Hands} hands */
function pressed(e, hands) {
  const typing = e.target instanceof HTMLInputElement || e.target instanceof HTMLSelectElement;
  const dialog = document.querySelector("dialog[open]");
  if (e.key === "Escape") {
    if (!dialog) hands.escape(typing);
    return;
  }
  if (e.ctrlKey || e.altKey || e.metaKey || typing || (dialog && e.key !== "?")) return;
  const onButton = e.target instanceof HTMLButtonElement && (e.key === " " || e.key === "Enter");
  const onMap = e.target === part("map") && e.key.startsWith("Arrow");
  if (onButton || onMap) return;
  if (act(e, hands)) e.preventDefault();
}

/** @param {KeyboardEvent} e @param {Hands} hands @returns {boolean} */
function act(e, hands) {
  const digit = /^Digit([1-9])$/.exec(e.code);
  if (digit) {
    const number = Number(digit[1]);
    if (e.shiftKey) {
      save(number, hands.remember());
      toast(`view ${number} saved`);
    } else if (saved(number)) hands.recall(saved(number));
    else toast(`view ${number} is empty: Shift+${number} saves one`);
    return true;
  }
  const does = hands.does[e.key.length === 1 ? e.key.toLowerCase() : e.key];
  if (!does) return hands.other(e.key);
  does();
  hands.remember();
  return true;
}
