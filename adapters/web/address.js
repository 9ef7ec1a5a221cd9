/** @file The whole state of the view in the address, so that it can be shared; saved views 1 to 9. */

/** @typedef {{lat?: number, lon?: number, zoom?: number, filter?: string, low?: boolean, selected?: string, theme?: string,
 *   off?: string[], cover_m?: number, at_us?: number, kiosk?: boolean}} ViewState */

/** @param {string} hash @returns {ViewState} */
export function read(hash) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  /** @type {ViewState} */
  const state = {};
  const at = /^(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?),(\d+(?:\.\d+)?)$/.exec(said.get("at") ?? "");
  if (at) {
    const [lat, lon, zoom] = at.slice(1).map(Number);
    if (lat !== undefined && lon !== undefined && zoom !== undefined && Math.abs(lat) <= 85 && Math.abs(lon) <= 180) Object.assign(state, { lat, lon, zoom });
  }
  const filter = said.get("filter");
  if (filter) state.filter = filter.slice(0, 200);
  if (said.get("low") === "1") state.low = true;
  const selected = said.get("track");
  if (selected && /^[\w:.-]{1,40}$/.test(selected)) state.selected = selected;
  const theme = said.get("theme");
  if (theme && /^[a-z]+$/.test(theme)) state.theme = theme;
  const off = said.get("off");
  if (off) state.off = off.split(",").slice(0, 8);
  const cover = Number(said.get("cover"));
  if (Number.isInteger(cover) && cover >= 10 && cover <= 20_000) state.cover_m = cover;
  const time = Date.parse(said.get("time") ?? "");
  if (Number.isFinite(time)) state.at_us = time * 1000;
  if (said.get("kiosk") === "1") state.kiosk = true;
  return state;
}

/** @param {ViewState} state @returns {string} with its # */
export function write(state) {
  const said = new URLSearchParams();
  if (state.lat !== undefined && state.lon !== undefined && state.zoom !== undefined) {
    said.set("at", `${state.lat.toFixed(4)},${state.lon.toFixed(4)},${state.zoom.toFixed(2)}`);
  }
  if (state.filter) said.set("filter", state.filter);
  if (state.low) said.set("low", "1");
  if (state.selected) said.set("track", state.selected);
  if (state.theme && state.theme !== "dark") said.set("theme", state.theme);
  if (state.off?.length) said.set("off", state.off.join(","));
  if (state.cover_m) said.set("cover", String(state.cover_m));
  if (state.at_us !== undefined) said.set("time", new Date(state.at_us / 1000).toISOString());
  if (state.kiosk) said.set("kiosk", "1");
  return `#${said.toString().replaceAll("%2C", ",").replaceAll("%3A", ":")}`;
}

/** A saved view; empty: none. @param {number} number */
export const saved = (number) => localStorage.getItem(`vedette-view-${number}`) ?? "";
/** @param {number} number @param {string} hash */
export const save = (number, hash) => localStorage.setItem(`vedette-view-${number}`, hash);
/** The name of whoever sits here, where the server does not know it. */
export const operator = () => localStorage.getItem("vedette-operator") ?? "";
/** @param {string} name */
export const setOperator = (name) => localStorage.setItem("vedette-operator", name);
