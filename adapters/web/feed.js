/** @file The socket that tells what is new, and its reconnection. */

const FIRST_PAUSE_MS = 300;
const LAST_PAUSE_MS = 5000;
const SILENT_MS = 6000; // a server that is there says something every second

/**
 * Listen for ever.
 * @param {(message: import("./sky.js").Message) => void} take
 * @param {(connected: boolean) => void} changed
 */
export function listen(take, changed) {
  let pause_ms = FIRST_PAUSE_MS;
  let heard_ms = 0;
  /** @type {WebSocket | null} */
  let socket = null;

  function open() {
    const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/feed`;
    const mine = (socket = new WebSocket(address));
    heard_ms = performance.now();
    mine.addEventListener("message", (event) => {
      heard_ms = performance.now();
      pause_ms = FIRST_PAUSE_MS;
      take(JSON.parse(event.data));
    });
    mine.addEventListener("open", () => changed(true));
    mine.addEventListener("close", () => {
      if (socket !== mine) return;
      socket = null;
      changed(false);
      setTimeout(open, pause_ms * (0.75 + Math.random() / 2));
      pause_ms = Math.min(LAST_PAUSE_MS, 2 * pause_ms);
    });
  }

  setInterval(() => {
    if (socket && performance.now() - heard_ms > SILENT_MS) socket.close();
  }, 1000);
  open();
}

/** One command; what became of it. @param {string} verb @param {Record<string, string>} order */
export const command = (verb, order) => post(`/command/${verb}`, order);

/** Tell the page's server something; what became of it. @param {string} address @param {Record<string, string>} order
 * @returns {Promise<{ok: boolean, detail: string}>} */
export async function post(address, order) {
  try {
    const answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(order),
    });
    const text = await answer.text();
    try {
      const said = JSON.parse(text);
      return { ok: Boolean(said.ok), detail: String(said.detail ?? (said.ok ? "done" : "refused")) };
    } catch {
      return { ok: false, detail: text.trim() || `status ${answer.status}` };
    }
  } catch {
    return { ok: false, detail: "the page's server does not answer" };
  }
}

/** What an address holds as JSON; null when it has none. @param {string} address @returns {Promise<any>} */
export async function ask(address) {
  try {
    const answer = await fetch(address);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}
