/** @file Puts the page together: what is new goes into the sky, and from there to everything that shows it. */

import { read, write } from "./address.js";
import { AlertList } from "./alerts.js";
import { both } from "./coordinates.js";
import { Coverage, next as nextCoverage } from "./coverage.js";
import { part, say, sheet, toast } from "./dialogs.js";
import { ask, listen } from "./feed.js";
import { calls, filter } from "./filters.js";
import { Ground } from "./ground.js";
import { KEYS, keyboard } from "./keys.js";
import { AirMap } from "./map.js";
import { Measure } from "./measure.js";
import { Orders } from "./orders.js";
import { SelectedTrack } from "./selected.js";
import { SensorList } from "./sensors.js";
import { Sky } from "./sky.js";
import { Sounds } from "./sounds.js";
import { COLOURS, THEMES } from "./themes.js";
import { Timeline } from "./timeline.js";
import { stateOf, TopBar } from "./topbar.js";
import { TrackLayer } from "./tracks.js";
import { WatchLog } from "./watchlog.js";

const TURN_MS = 250;
const DRAW_MS = 450; // between two drawings of all tracks, unless an alert changed: most of the page's CPU
const CLOSE_ZOOM = 11;
const LAYERS = /** @type {const} */ (["ellipses", "trails", "rings"]);

const asked = read(location.hash);
const view = {
  filter: "", low: false, selected: "", hovered: "", ellipses: true, trails: true, rings: true, cover_m: 0, kiosk: false,
  ...asked, theme: THEMES.find((one) => one === asked.theme) ?? "dark",
};
for (const off of asked.off ?? []) if (off === "ellipses" || off === "trails" || off === "rings") view[off] = false;

const live = new Sky();
let connected = false;
let heard_ms = performance.now();
let fits = filter(view.filter);
let dirty = true;
let drawn_ms = -Infinity;
/** latitude and longitude below it @type {[number, number] | null} */
let pointer = null;
let drawn_version = -1;

const timeline = new Timeline((replaying) => {
  document.body.classList.toggle("replaying", replaying);
  dirty = true;
}, COLOURS[view.theme]);
const sky = () => (timeline.replaying ? timeline.past : live);
const time_us = () => {
  if (timeline.replaying) return timeline.at_us;
  const picture_us = live.pulse["picture_us"];
  return live.status["state"] === "replay" && picture_us ? picture_us : Date.now() * 1000;
};
/** @param {import("./sky.js").Track} t */
const shown = (t) => (!view.low || (t.low_slow && !t.cooperative) || t.severity > 0) && (fits.test(t) || t.severity > 0);

const ground = new Ground(COLOURS[view.theme]);
const tracks = new TrackLayer(() => ({
  tracks: sky().tracks.values(), lost: sky().lost.values(), shown, selected: view.selected, hovered: view.hovered,
  ellipses: view.ellipses, trails: view.trails, now_ms: performance.now(), time_us: time_us(),
  detail: (id) => sky().detail(id),
}), (g, now, width, height) => ground.paint(g, now, width, height), COLOURS[view.theme]);
ground.changed = () => tracks.redraw();
const air = new AirMap(part("map"), tracks.layer, ground, COLOURS[view.theme]);
const coverage = new Coverage(ground);
const measure = new Measure(air.map, air.hand);
const sounds = new Sounds(part("blocked"), part("mute"));
const bar = new TopBar();
const sensors = new SensorList();
const selected = new SelectedTrack();

const orders = new Orders(live, () => timeline.replaying, () => ground.base, () => (dirty = true));
const watch = new WatchLog(() => orders.name());
const list = new AlertList({
  acknowledge: (one) => orders.acknowledge(one),
  centre: (one) => centre(one.track),
  report: (one) => orders.report(one),
  identify: (one) => orders.identify(one),
  handOver: (one) => orders.handOver(one),
  handed: (one) => orders.handed(one),
  dossier: (one) => orders.dossier(one),
  filed: (one) => orders.filed(one),
  choose: (track) => {
    choose(track);
    centre(track);
  },
});

// --- what a person does -----------------------------------------------------------------------------------------

/** @param {string} track */
function choose(track) {
  view.selected = track;
  dirty = true;
  drawn_ms = -Infinity;
  remember();
}

/** @param {string} track */
function centre(track) {
  const t = sky().tracks.get(track);
  const a = list.of(track)?.worst;
  const [lat, lon] = t ? [t.lat_deg, t.lon_deg] : [a?.lat_deg, a?.lon_deg];
  if (typeof lat !== "number" || typeof lon !== "number") return;
  air.go(lon, lat, Math.max(air.where().zoom, CLOSE_ZOOM));
}

/** @param {number} by */
function next(by) {
  const all = list.cases;
  if (all.length === 0) return toast("no alert is open");
  const at = all.findIndex((one) => one.track === view.selected);
  const one = all[(at + by + all.length + (at < 0 && by < 0 ? 1 : 0)) % all.length];
  if (!one) return;
  choose(one.track);
  centre(one.track);
  list.cards.get(one.track)?.buttons["acknowledge"]?.focus();
  list.cards.get(one.track)?.card.scrollIntoView({ block: "nearest" });
}

function chosen() {
  return list.of(view.selected) ?? list.cases[0];
}

function remember() {
  const off = LAYERS.filter((kind) => !view[kind]);
  const at = timeline.replaying ? { at_us: timeline.at_us } : {};
  const hash = write({ ...air.where(), filter: view.filter, low: view.low, selected: view.selected, theme: view.theme, off, cover_m: view.cover_m, kiosk: view.kiosk, ...at });
  if (hash !== location.hash) history.replaceState(null, "", hash);
  return hash;
}

/** @param {string} hash */
function recall(hash) {
  const said = read(hash);
  if (said.lat !== undefined && said.lon !== undefined) air.go(said.lon, said.lat, said.zoom);
  view.selected = said.selected ?? "";
  view.low = said.low ?? false;
  filtered(said.filter ?? "");
  if (said.theme) dress(/** @type {keyof typeof COLOURS} */ (said.theme));
  for (const kind of LAYERS) view[kind] = !(said.off ?? []).includes(kind);
  view.cover_m = said.cover_m ?? 0;
  coverage.show(view.rings, view.cover_m);
  if (said.at_us !== undefined) timeline.find(said.at_us);
  dirty = true;
}

/** @param {keyof typeof COLOURS} theme */
function dress(theme) {
  if (!THEMES.includes(theme)) return;
  view.theme = theme;
  document.body.dataset["theme"] = theme;
  tracks.colours = timeline.colours = COLOURS[theme];
  air.dress(COLOURS[theme]);
  timeline.draw();
  dirty = true;
}

/** @param {string} text */
function filtered(text) {
  view.filter = text;
  fits = filter(text);
  const input = /** @type {HTMLInputElement} */ (part("filter"));
  if (input.value !== text) input.value = text;
  dirty = true;
}

/** @param {string} input filter or search @param {boolean} on */
function opened(input, on) {
  part(`${input}-bar`).hidden = !on;
  if (on) part(input).focus();
  else part("map").focus();
}

/** @param {string} text @param {boolean} go */
function searched(text, go) {
  const word = text.trim().toLowerCase();
  const found = word ? [...sky().tracks.values()].filter((t) => calls(t, word)) : [];
  say(part("search-said"), word ? `${found.length} found` : "");
  const first = found.find((t) => t.id === word) ?? found[0];
  if (go && first) {
    choose(first.id);
    centre(first.id);
    opened("search", false);
  }
}

/** @param {boolean} typing */
function escape(typing) {
  for (const one of ["filter", "search"]) part(`${one}-bar`).hidden = true;
  if (measure.on) measure.turn(false);
  else if (!typing) choose("");
  part("map").focus();
}

/** @param {(one: import("./alerts.js").Case) => unknown} order of the chosen alert */
const ofChosen = (order) => () => {
  const one = chosen();
  if (one) order(one);
  else toast("no alert is open");
};

keyboard({
  does: {
    n: () => next(1), p: () => next(-1), a: ofChosen((one) => orders.acknowledge(one)), c: () => centre(chosen()?.track ?? view.selected),
    r: ofChosen((one) => orders.report(one)), e: ofChosen((one) => orders.dossier(one)), d: ofChosen((one) => orders.identify(one)), h: ofChosen((one) => orders.handOver(one)),
    x: ofChosen((one) => orders.close(one)), g: () => orders.sighting(...(pointer ?? [air.where().lat, air.where().lon])),
    f: () => opened("filter", Boolean(part("filter-bar").hidden)), "/": () => opened("search", true),
    w: () => watch.toggle(), m: () => measure.turn(!measure.on), s: () => sounds.mute(), l: () => toggle("low"), i: () => toggle("ellipses"),
    t: () => toggle("trails"), v: () => cover(), k: () => toggle("kiosk"),
    b: () => dress(THEMES[(THEMES.indexOf(view.theme) + 1) % THEMES.length] ?? "dark"),
    "?": () => sheet(KEYS), "+": () => zoom(1), "-": () => zoom(-1),
  },
  remember, recall, escape, other: (key) => timeline.key(key),
});

/** @param {"low" | "ellipses" | "trails" | "kiosk"} what */
function toggle(what) {
  view[what] = !view[what];
  if (what === "kiosk") document.body.classList.toggle("kiosk", view.kiosk);
  else toast(`${{ low: "low and slow only", ellipses: "uncertainty", trails: "history dots" }[what]}: ${view[what] ? "on" : "off"}`);
  dirty = true;
}

function cover() {
  Object.assign(view, nextCoverage(view));
  coverage.show(view.rings, view.cover_m);
  if (view.cover_m === 0) toast(`rings of sensors: ${view.rings ? "on" : "off"}`);
}

/** @param {number} by */
function zoom(by) {
  air.map.getView().animate({ zoom: air.where().zoom + by, duration: 100 });
}

// --- what is shown ----------------------------------------------------------------------------------------------

let areas = "";

function show() {
  const now = sky();
  const now_ms = performance.now();
  let visible = 0;
  for (const t of now.tracks.values()) if (shown(t)) visible += 1;
  const since_s = (now_ms - heard_ms) / 1000;
  const state = stateOf({ connected, pulse: live.pulse, since_s, status: live.status, replay: timeline.words });
  bar.show(now, state, time_us(), visible);
  list.show(now, view.selected);
  if (!timeline.replaying) sounds.sound(list.waiting());
  selected.show(view.selected, now, now_ms, time_us(), !timeline.replaying);
  sensors.show(live, timeline.replaying ? Date.now() * 1000 : time_us()); // nobody recorded how they were
  say(part("sensors-title"), timeline.replaying ? "Sensors, as they are now" : "Sensors");
  say(part("filter-said"), fits.problem || (view.filter ? `${visible} of ${now.tracks.size}` : ""));
  const fresh = ["search", "interference", "area"].map((kind) => [...now.all(kind).values()].map((a) => `${a.seq}`).join()).join("|");
  if (fresh !== areas) {
    areas = fresh;
    ground.areasOf(now);
  }
  if (now_ms - drawn_ms < DRAW_MS && live.alerts_version === drawn_version && !timeline.replaying) return;
  [drawn_ms, drawn_version] = [now_ms, live.alerts_version];
  tracks.version += 1;
  tracks.redraw();
}

setInterval(() => {
  if (timeline.turn()) dirty = true;
  const idle = performance.now() - heard_ms > 1000 || timeline.replaying;
  if (dirty || idle) {
    dirty = false;
    show();
  }
}, TURN_MS);

listen((message) => {
  const urgent = live.alerts_version;
  live.take(message, performance.now());
  heard_ms = performance.now();
  dirty = true;
  if (live.alerts_version !== urgent && !timeline.replaying) {
    dirty = false;
    show();
  }
}, (up) => {
  connected = up;
  dirty = true;
});

addEventListener("hashchange", () => recall(location.hash));
part("keys").addEventListener("click", () => sheet(KEYS));
part("log").addEventListener("click", () => watch.toggle());
part("theme").addEventListener("click", () => {
  dress(THEMES[(THEMES.indexOf(view.theme) + 1) % THEMES.length] ?? "dark");
  remember();
});
part("filter").addEventListener("input", (e) => filtered(/** @type {HTMLInputElement} */ (e.target).value));
part("search").addEventListener("input", (e) => searched(/** @type {HTMLInputElement} */ (e.target).value, false));
for (const one of ["filter", "search"]) {
  part(`${one}-bar`).addEventListener("submit", (e) => {
    e.preventDefault();
    if (one === "search") searched(/** @type {HTMLInputElement} */ (part("search")).value, true);
    remember();
    part("map").focus();
  });
}
air.map.on("pointermove", (/** @type {any} */ e) => {
  if (e.dragging) return;
  const [lon, lat] = ol.proj.toLonLat(e.coordinate);
  pointer = [lat, lon];
  say(part("cursor"), both(lat, lon));
  if (measure.on) measure.point(e.coordinate, false);
  const hovered = tracks.at(air.map, e.pixel)?.id ?? "";
  if (hovered !== view.hovered) {
    view.hovered = hovered;
    tracks.redraw();
  }
});
air.map.on("click", (/** @type {any} */ e) => {
  if (measure.on) measure.point(e.coordinate, true);
  else choose(tracks.at(air.map, e.pixel)?.id ?? "");
});
air.map.on("moveend", () => remember());

dress(view.theme);
coverage.show(view.rings, view.cover_m);
document.body.classList.toggle("kiosk", view.kiosk);
filtered(view.filter);
if (view.filter) part("filter-bar").hidden = false;
if (asked.lat !== undefined && asked.lon !== undefined) air.go(asked.lon, asked.lat, asked.zoom);
const wanted_us = asked.at_us;
ask("/who").then((said) => {
  if (said) orders.person = said;
});
say(part("credit"), "drawing the map …");
air.load(asked.lat === undefined).then((there) => {
  say(part("credit"), there ? `Borders ${ground.base["attribution"]}. Land: Natural Earth.` : "the map cannot be had");
});
if (wanted_us !== undefined) timeline.find(wanted_us);
