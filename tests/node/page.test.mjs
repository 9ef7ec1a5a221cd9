// What of the page needs no browser: labels, filters, places, words, the state chip, the address. Run by tests/test_web.py
// as: node --test page.test.mjs, with MODULES naming the folder that holds node_modules.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { read, write } from "../../adapters/web/address.js";
import { next } from "../../adapters/web/coverage.js";
import { bearing, dms, mgrs } from "../../adapters/web/coordinates.js";
import { filter } from "../../adapters/web/filters.js";
import { place } from "../../adapters/web/labels.js";
import { alike, moved } from "../../adapters/web/sheet.js";
import { Sky } from "../../adapters/web/sky.js";
import { stateOf } from "../../adapters/web/topbar.js";
import { ellipse } from "../../adapters/web/uncertainty.js";
import { age, distance, quantity, short, span } from "../../adapters/web/words.js";

const require = createRequire(pathToFileURL(`${process.env.MODULES}/`));
const oracle = require("mgrs");

/** A generator of numbers from a seed (mulberry32). */
function seeded(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function sky(count, seed, must = 40) {
  const random = seeded(seed);
  return Array.from({ length: count }, (_, n) => ({
    id: `1:${n}`, x: random() * 1600, y: random() * 900, priority: n < must ? 0.1 + n / 1000 : 30,
    sizes: n < must ? [[110, 32], [80, 18]] : [[50, 18]], must: n < must, gap: n < must ? 26 : 12,
  }));
}

function overlaps(boxes) {
  let found = 0;
  for (let i = 0; i < boxes.length; i++) {
    for (let j = i + 1; j < boxes.length; j++) {
      const [a, b] = [boxes[i], boxes[j]];
      if (a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h) found += 1;
    }
  }
  return found;
}

test("no two labels overlap at 2,000 tracks, and no alert loses its label", () => {
  for (const seed of [1, 2, 3]) {
    const items = sky(2000, seed);
    const placed = place(items, new Map());
    assert.equal(overlaps([...placed.values()]), 0);
    assert.equal(items.filter((i) => i.must && !placed.has(i.id)).length, 0);
    assert.ok(placed.size > 300, `only ${placed.size} found room`);
  }
});

test("a crowd of alerts in one place keeps every label apart", () => {
  const items = sky(60, 5, 60).map((item, n) => ({ ...item, x: 800 + (n % 3), y: 450 + (n % 2) }));
  const placed = place(items, new Map());
  assert.equal(placed.size, 60);
  assert.equal(overlaps([...placed.values()]), 0);
});

test("a label of what is on the screen is on the screen, also at its edge, and lies over no drone", () => {
  const screen = { left: 400, top: 225, right: 1200, bottom: 675 };
  const within = (b) => b.x >= 400 && b.y >= 225 && b.x + b.w <= 1200 && b.y + b.h <= 675;
  const at = (x, y, more) => ({ id: `1:${x},${y}`, x, y, priority: 1, sizes: [[110, 32], [80, 18]], must: true, gap: 26, ...more });
  const corners = [[405, 230], [1195, 230], [405, 670], [1195, 670], [800, 226], [1199, 450]].map(([x, y]) => at(x, y));
  for (const [id, box] of place(corners, new Map(), screen)) assert.ok(within(box), id);
  const outside = at(300, 450);
  assert.ok(!within(place([outside], new Map(), screen).get(outside.id)), "what is not on the screen stays where it is");
  const drone = at(840, 440, { must: false, solid: true, gap: 12, sizes: [[50, 18]], priority: 30 });
  const label = place([at(800, 450), drone], new Map(), screen).get("1:800,450");
  assert.equal(overlaps([label, { x: 834, y: 434, w: 12, h: 12 }]), 0);
  const full = Array.from({ length: 60 }, (_, n) => at(800, 450, { id: `2:${n}` }));
  assert.equal(place(full, new Map(), screen).size, 60, "where there is no room left on it they go beyond");
});

test("labels keep their slots while the picture moves a little", () => {
  const memory = new Map();
  const items = sky(300, 7);
  const before = place(items, memory);
  const after = place(items.map((i) => ({ ...i, x: i.x + 1.5, y: i.y - 1 })), memory);
  let stayed = 0;
  for (const [id, a] of before) {
    const b = after.get(id);
    if (b && Math.abs(b.x - a.x - 1.5) < 1e-6 && Math.abs(b.y - a.y + 1) < 1e-6) stayed += 1;
  }
  assert.ok(stayed > 0.95 * before.size, `${stayed} of ${before.size}`);
});

test("what is drawn is moved while it reaches over the screen, by whole pixels, and drawn anew where it does not", () => {
  const drawn = { center: [1000, 2000], resolution: 10, size: [800, 600], moving: true, ratio: 1 };
  const at = (more) => moved(drawn, { ...drawn, ...more });
  assert.deepEqual(at({ center: [1000 + 1234, 2000 + 567] }), [-123, 57]);
  assert.deepEqual(at({ center: [1000 - 2000, 2000 - 1500] }), [200, -150]);
  assert.equal(at({ center: [1000 - 2010, 2000] }), null);
  assert.equal(at({ center: [1000, 2000 + 1510] }), null);
  assert.equal(at({ resolution: 11 }), null);
  assert.equal(at({ size: [801, 600] }), null);
  assert.equal(at({ ratio: 2 }), null);
  assert.ok(alike(drawn, { ...drawn, moving: false }) && !alike(drawn, { ...drawn, center: [1001, 2000] }));
});

test("the ellipse is that of the covariance: every point of its rim is two sigma away", () => {
  const random = seeded(21);
  for (let k = 0; k < 200; k++) {
    const [a, b, turn] = [200 + 2000 * random(), 150 + 100 * random(), Math.PI * random()];
    const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
    const [e, n, c] = [a * a * cos * cos + b * b * sin * sin, a * a * sin * sin + b * b * cos * cos, (a * a - b * b) * cos * sin];
    const [long, narrow, angle] = ellipse({ var_east_m2: e, var_north_m2: n, cov_east_north_m2: c, sigma_horizontal_m: 1 }, 10);
    for (let s = 0; s < 6.3; s += 0.7) {
      const [x, y] = [long * Math.cos(s), narrow * Math.sin(s)];
      const east = 10 * (x * Math.cos(angle) - y * Math.sin(angle));
      const north = -10 * (x * Math.sin(angle) + y * Math.cos(angle)); // the screen's y points south
      const squared = (n * east * east - 2 * c * east * north + e * north * north) / (e * n - c * c);
      assert.ok(Math.abs(Math.sqrt(squared) - 2) < 1e-6);
    }
  }
  assert.deepEqual(ellipse({ var_east_m2: 1, var_north_m2: 4, cov_east_north_m2: 0 }, 100).slice(0, 2), [6, 6]);
  assert.deepEqual(ellipse({ sigma_horizontal_m: 500 }, 10), [100, 100, 0]);
  assert.equal(ellipse({ sigma_horizontal_m: null }, 10), null);
});

test("placing does not depend on the order of the tracks", () => {
  const items = sky(500, 9);
  assert.deepEqual([...place(items, new Map())].sort(), [...place([...items].reverse(), new Map())].sort());
});

test("MGRS is what an independent converter says", () => {
  const random = seeded(11);
  for (let n = 0; n < 3000; n++) {
    const [lat, lon] = [random() * 160 - 78, random() * 359.9 - 179.95];
    const [ours, theirs] = [mgrs(lat, lon).replaceAll(" ", ""), oracle.forward([lon, lat], 5)];
    if (ours === theirs) continue;
    // Both cut to a metre; a hair's breadth may fall on either side of one.
    const [head, digits] = [ours.slice(0, -10), ours.slice(-10)];
    assert.equal(head, theirs.slice(0, -10), `${lat} ${lon}`);
    for (const at of [0, 5]) assert.ok(Math.abs(Number(digits.slice(at, at + 5)) - Number(theirs.slice(-10).slice(at, at + 5))) <= 1, `${ours} ${theirs}`);
  }
  assert.equal(mgrs(85, 0), "");
});

test("degrees, bearings, distances and times as people read them", () => {
  assert.equal(dms(54.5431, 25.7298), "54°32'35\"N 025°43'47\"E");
  assert.equal(dms(-0.99999, -179.99999), "01°00'00\"S 180°00'00\"W");
  assert.ok(Math.abs(bearing([25, 54], [25, 55])) < 1e-9);
  assert.ok(Math.abs(bearing([0, 0], [1, 0]) - 90) < 1e-9);
  assert.deepEqual([distance(640), distance(7190), distance(123_456)], ["640 m", "7.2 km", "123 km"]);
  assert.deepEqual([span(9.6), span(250), span(7265)], ["10 s", "4 min 10 s", "2 h 01 min"]);
  assert.deepEqual([short(250), age(0.42), age(75)], ["4:10", "0.4 s", "1 min 15 s"]);
  assert.equal(quantity({ name: "speed_mps", value: 41.6, sigma: 2.4, condition: "<= 80" }), "speed 41.6 ± 2.4 m/s (rule: <= 80)");
});

const TRACK = {
  id: "5:17", agl_m: 200, height_m: 380, speed_mps: 41, climb_mps: 0, border_distance_m: 7000, time_to_border_s: 170, cooperative: false,
  identity: "unknown", sensors: ["R1"], object_class: "fixed-wing-drone", state: "BY", near_state: "LT", severity: 0, low_slow: true,
  doubt: "", status: "confirmed", callsign: "", address: "", mode3a: "",
};

test("V goes from rings through the heights to nothing and round", () => {
  let at = { rings: true, cover_m: 0 };
  const seen = Array.from({ length: 6 }, () => `${(at = next(at)).rings} ${at.cover_m}`);
  assert.deepEqual(seen, ["true 50", "true 150", "true 500", "false 0", "true 0", "true 50"]);
  assert.deepEqual(next({ rings: true, cover_m: 300 }), { rings: true, cover_m: 500 });
});

test("filters say what they mean", () => {
  const fits = (text, more = {}) => filter(text).test({ ...TRACK, ...more });
  assert.ok(fits("") && fits("alt<600 speed<80 id:unknown") && fits("5:17") && fits("sensor:r1 near:lt class:drone km<8 -is:alert"));
  assert.ok(!fits("alt<100") && !fits("id:civil") && !fits("-sensor:r1") && !fits("alt<600", { agl_m: null }) && !fits("alt>600", { agl_m: null }));
  assert.match(filter("colour<3").problem, /known: alt/);
  assert.match(filter("a<b").problem, /alt<600/);
  assert.match(filter("who:me").problem, /known: id/);
});

test("the chip never says LIVE of what is old, replayed or lost", () => {
  const seen = { connected: true, since_s: 0.1, status: { state: "live" }, replay: "", pulse: { connected: true, age_s: 0.2, lag_s: 0.1 } };
  assert.deepEqual(stateOf(seen), { kind: "live", words: "LIVE 0.4 s" });
  assert.equal(stateOf({ ...seen, pulse: { ...seen.pulse, age_s: 9 } }).kind, "stale");
  assert.equal(stateOf({ ...seen, pulse: { ...seen.pulse, lag_s: 9 } }).kind, "stale");
  assert.equal(stateOf({ ...seen, since_s: 9 }).kind, "stale");
  assert.equal(stateOf({ ...seen, since_s: 9, connected: false }).kind, "lost");
  assert.equal(stateOf({ ...seen, pulse: { connected: false } }).kind, "lost");
  assert.equal(stateOf({ ...seen, pulse: { connected: true } }).kind, "waiting");
  assert.equal(stateOf({ ...seen, status: { state: "replay" } }).kind, "replay");
  assert.equal(stateOf({ ...seen, status: { state: "catching-up" } }).kind, "stale");
  assert.equal(stateOf({ ...seen, status: { state: "offline" } }).kind, "stale");
  assert.equal(stateOf({ ...seen, replay: "08:31 ×5" }).kind, "replay");
});

test("the address holds the whole view, and a crooked one harms nothing", () => {
  const state = { lat: 54.5, lon: 25.7, zoom: 9.25, filter: "alt<600 id:unknown", low: true, selected: "5:17", theme: "day",
    off: ["trails"], at_us: 1795414500000000, kiosk: true };
  assert.deepEqual(read(write(state)), state);
  for (const bad of ["#at=1e9,2,3", "#at=99,2,3", "#track=<script>", "#time=never", "#%%%", "#theme=../x"]) assert.deepEqual(read(bad), {});
});

test("news after a whole picture makes the same sky as a whole picture later", () => {
  const columns = ["id", "lat_deg", "lon_deg", "cooperative", "status"];
  const [a, b] = [new Sky(), new Sky()];
  const row = (n, lat) => [`1:${n}`, lat, 25, n > 3, "confirmed"];
  const alert = { id: "a", track: "1:2", severity: 2, state: "raised", acknowledged_by: "" };
  a.take({ kind: "whole", version: 1, columns, rows: [row(1, 54), row(2, 54), row(3, 54)], things: [], pulse: {} }, 0);
  a.take({ kind: "news", version: 2, rows: [row(2, 55)], gone: ["1:1"], things: [["alert", "a", alert]], pulse: {} }, 10);
  b.take({ kind: "whole", version: 2, columns, rows: [row(2, 55), row(3, 54)], things: [["alert", "a", alert]], pulse: {} }, 10);
  const plain = (sky) => [...sky.tracks.values()].map((t) => [t.id, t.lat_deg, t.x, t.y, t.severity]).sort();
  assert.deepEqual(plain(a), plain(b));
  assert.equal(a.tracks.get("1:2").severity, 2);
  a.take({ kind: "news", version: 3, things: [["alert", "a", null]], pulse: {} }, 20);
  assert.equal(a.tracks.get("1:2").severity, 0);
});
