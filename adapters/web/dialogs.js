/** @file Questions and the sheet of keys. What comes from the network is only ever text here. */

/** One element with text and attributes. @param {string} tag @param {string} [text] @param {Record<string, string>} [attributes]
 * @returns {HTMLElement} */
export function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** @param {string} id @returns {HTMLElement} */
export function part(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no #${id} on this page`);
  return found;
}

/** Text that changes only when it does: a screen reader is not told the same again. @param {HTMLElement} at @param {string} text */
export function say(at, text) {
  if (at.textContent !== text) at.textContent = text;
}

/** @typedef {{name: string, label: string, value?: string, choices?: string[], hints?: string[], needed?: boolean, most?: number}} Field */

/** Ask for some values. @param {string} title @param {Field[]} fields @param {string} yes
 * @returns {Promise<Record<string, string> | null>} null: given up */
export function ask(title, fields, yes) {
  const dialog = /** @type {HTMLDialogElement} */ (part("ask"));
  if (dialog.open) return Promise.resolve(null);
  dialog.replaceChildren();
  const form = /** @type {HTMLFormElement} */ (element("form", "", { method: "dialog" }));
  form.append(element("h2", title, { id: "ask-title" }));
  for (const field of fields) {
    const id = `ask-${field.name}`;
    form.append(element("label", field.label, { for: id }));
    const attributes = { id, name: field.name, ...(field.needed ? { required: "" } : {}) };
    if (field.choices) {
      const select = element("select", "", attributes);
      for (const choice of field.choices) select.append(element("option", choice, { value: choice }));
      form.append(select);
    } else {
      const hints = field.hints?.length ? { list: `${id}-hints` } : {};
      form.append(element("input", "", { ...attributes, ...hints, value: field.value ?? "", maxlength: String(field.most ?? 200), autocomplete: "off" }));
      if (field.hints?.length) {
        const list = element("datalist", "", { id: `${id}-hints` });
        for (const hint of field.hints) list.append(element("option", "", { value: hint }));
        form.append(list);
      }
    }
  }
  const row = element("p", "", { class: "row" });
  const cancel = element("button", "Cancel (Esc)", { type: "button" });
  cancel.addEventListener("click", () => dialog.close(""));
  row.append(element("button", `${yes} (Enter)`, { value: "yes" }), cancel);
  form.append(row);
  dialog.append(form);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const values = /** @type {Record<string, string>} */ (Object.fromEntries([...new FormData(form)].map(([k, v]) => [k, String(v).trim()])));
      resolve(dialog.returnValue === "yes" ? values : null);
    }, { once: true });
  });
}

/** @param {readonly (readonly [string, string])[]} keys */
export function sheet(keys) {
  const dialog = /** @type {HTMLDialogElement} */ (part("sheet"));
  if (dialog.open) {
    dialog.close();
    return;
  }
  const half = Math.ceil(keys.length / 2); // beside each other: all of them are seen at once
  const tables = element("div", "", { id: "sheet-keys" });
  tables.append(listed(keys.slice(0, half)), listed(keys.slice(half)));
  const close = element("button", "Close (Esc)", { type: "button" });
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(element("h2", "Keys", { id: "sheet-title" }), tables, element("p", "Filter words: alt (above ground, m), height, speed (m/s), climb, km (to the border), time (s) with < > =; id: sensor: class: state: near: is: (alert, low, coasting, doubted); a minus before a word turns it round."), close);
  dialog.showModal();
}

/** @param {readonly (readonly [string, string])[]} keys */
function listed(keys) {
  const table = element("table");
  for (const [key, what] of keys) {
    const row = element("tr");
    const cell = element("th", "", { scope: "row" });
    cell.append(element("kbd", key));
    row.append(cell, element("td", what));
    table.append(row);
  }
  return table;
}

let toastTimer = 0;
/** A line that goes away by itself. @param {string} text @param {boolean} [bad] */
export function toast(text, bad = false) {
  const at = part("toast");
  at.textContent = text;
  at.classList.toggle("bad", bad);
  at.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (at.hidden = true), 6000);
}
