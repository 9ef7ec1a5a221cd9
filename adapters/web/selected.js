/** @file The selected track: everything that is known of it, asked for when it is chosen. */

import { clockOf } from "./alerts.js";
import { both } from "./coordinates.js";
import { element, part } from "./dialogs.js";
import { ask } from "./feed.js";
import { against, age, distance, known, plain, spoken, spread } from "./words.js";

/** @typedef {import("./sky.js").Track} Track */

export class SelectedTrack {
  constructor() {
    this.at = part("selected-facts");
    this.id = "";
    /** @type {Record<string, any>} */
    this.whole = {};
    this.written = "";
    this.asked_ms = -Infinity;
  }

  /** @param {string} id "": none @param {import("./sky.js").Sky} sky @param {number} now_ms @param {number} time_us
   * @param {boolean} live what is past is not asked for */
  show(id, sky, now_ms, time_us, live) {
    if (id !== this.id) {
      this.id = id;
      this.whole = {};
      this.asked_ms = -Infinity;
    }
    if (id && live && now_ms - this.asked_ms > 1000) {
      this.asked_ms = now_ms;
      ask(`/track/${encodeURIComponent(id)}`).then((whole) => {
        if (whole && whole.id === this.id) this.whole = whole;
      });
    }
    const t = sky.tracks.get(id);
    const rows = t ? lines(t, this.whole, time_us) : id ? [["", `${id} is not in the picture now`]] : [];
    part("none-selected").hidden = id !== "";
    const text = JSON.stringify(rows);
    if (text === this.written) return;
    this.written = text;
    const list = element("dl");
    for (const [name, value] of rows) list.append(element("dt", name), element("dd", value));
    this.at.replaceChildren(...(rows.length > 0 ? [element("p", id, { class: "name" }), list] : []));
  }
}

/** @param {Track} t @param {Record<string, any>} whole @param {number} time_us
 * @returns {[string, string][]} */
function lines(t, whole, time_us) {
  const said = (/** @type {string | undefined} */ time) => (time ? `${age((time_us - Date.parse(time) * 1000) / 1e6)} ago` : "");
  const ledger = whole.ledger;
  const states = (ledger?.entries ?? []).map((/** @type {any} */ e) => `${e.kind} ${e.state} ${clockOf(e.time)}`);
  const rows = [
    ...identity(t, whole),
    ...motion(t, whole),
    ["Sensors", t.sensors.join(", ")],
    ["Newest plot", t.last_plot_us === null ? "" : `${age((time_us - t.last_plot_us) / 1e6)} ago`],
    ["Newest radar", said(whole.last_radar_time)],
    ["Newest claim", said(whole.last_claim_time)],
    ["First seen", whole.first_plot_time ? clockOf(whole.first_plot_time) : ""],
    ["Protected", whole.protected_area ? `${whole.protected_area}, ${distance(whole.protected_distance_m ?? 0)}` : ""],
    ["States", states.join(", ")],
  ];
  return rows.filter(([, value]) => value).map(([name, value]) => [String(name), String(value)]);
}

/** @param {string} name @param {number | undefined} p */
const likely = (name, p) => `${spoken(name)}${known(p) ? ` ${Math.round(100 * p)} %` : ""}`;
const metres = (/** @type {number} */ v) => `${plain(Math.round(v))} m`;

/** @param {Track} t @param {Record<string, any>} whole */
function identity(t, whole) {
  const names = [t.callsign, t.address, t.mode3a && `squawk ${t.mode3a}`, whole.serial].filter(Boolean).join(" ");
  const others = (whole.other_classes ?? []).map((/** @type {any} */ c) => likely(c.object_class, c.p_class));
  const classes = [...(t.object_class ? [likely(t.object_class, whole.p_class)] : []), ...others];
  const exists = known(whole.existence) ? `, exists ${Math.round(1000 * whole.existence) / 10} %` : "";
  return [
    ["Identity", `${t.cooperative ? "says who it is" : t.identity}${names ? `: ${names}` : ""}`],
    ["Doubt", t.contradicted ? `its own report is contradicted: ${spoken(t.doubt)}` : t.doubt && spoken(t.doubt)],
    ["Likely", classes.join(", ")],
    ["Status", `${t.status}${exists}${known(whole.plots_count) ? `, ${whole.plots_count} plots` : ""}`],
  ];
}

/** @param {Track} t @param {Record<string, any>} whole */
function motion(t, whole) {
  const time_s = t.time_to_border_s;
  const crossing = known(time_s) ? `${Math.round(time_s)}${spread(whole.sigma_time_s, (v) => String(Math.round(v)))} s` : "";
  const chance = known(whole.p_crossing) ? `, ${Math.round(100 * whole.p_crossing)} %` : "";
  const above = `above ground ${known(t.agl_m) ? metres(t.agl_m) : "?"}${spread(whole.sigma_agl_m, metres)}`;
  const course = known(t.course_deg) ? `, course ${Math.round(t.course_deg)}°` : "";
  const climb = known(t.climb_mps) ? `, climb ${plain(t.climb_mps)} m/s` : "";
  return [
    ["Place", known(t.lat_deg) && known(t.lon_deg) ? both(t.lat_deg, t.lon_deg) + spread(t.sigma_horizontal_m, metres) : ""],
    ["Over", [t.state, t.disputed && "disputed"].filter(Boolean).join(", ")],
    ["Border", against(t, whole)],
    ["Crossing", crossing && crossing + chance],
    ["Height", known(t.height_m) ? `${metres(t.height_m)}${spread(whole.sigma_height_m, metres)}; ${above}` : "unknown"],
    ["Speed", known(t.speed_mps) ? `${plain(t.speed_mps)} m/s${spread(whole.sigma_speed_mps, plain)}${course}${climb}` : ""],
  ];
}
