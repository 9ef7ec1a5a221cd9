/** @file What the page knows of the sky: tracks, alerts and everything else, as the feed tells it. No drawing here. */

/**
 * @typedef {object} Track
 * @property {string} id
 * @property {number | null} lat_deg
 * @property {number | null} lon_deg
 * @property {number | null} course_deg
 * @property {number | null} speed_mps
 * @property {number | null} height_m
 * @property {number | null} agl_m
 * @property {number | null} climb_mps
 * @property {number | null} sigma_horizontal_m
 * @property {number | null} var_east_m2
 * @property {number | null} var_north_m2
 * @property {number | null} cov_east_north_m2
 * @property {string} status
 * @property {boolean} cooperative
 * @property {boolean} contradicted
 * @property {string} doubt
 * @property {boolean} disputed
 * @property {string} object_class
 * @property {string} state
 * @property {string} near_state
 * @property {number | null} border_distance_m
 * @property {number | null} time_to_border_s
 * @property {string} callsign
 * @property {string} address
 * @property {string} mode3a
 * @property {number} category
 * @property {string[]} sensors
 * @property {boolean} low_slow
 * @property {number | null} last_plot_us
 * @property {number} x web Mercator, metres
 * @property {number} y
 * @property {[number, number][]} trail web Mercator, oldest first
 * @property {number} trail_ms when the trail last grew
 * @property {number} severity of its worst open alert; 0: none
 * @property {boolean} acknowledged all its open alerts are
 * @property {string} identity friend, neutral, suspect, hostile or unknown
 */
/** @typedef {Record<string, any>} Alert */
/** @typedef {{id: string, lat_deg: number, lon_deg: number, speed_mps: number | null, reason: string, since_ms: number}} Lost */
/** @typedef {{kind: string, version: number, columns?: string[], rows?: any[][], gone?: string[], lost?: any[],
 *   things?: [string, string, any][], trails?: Record<string, [number, number][]>, pulse: Record<string, any>}} Message */

const RADIUS_M = 6378137;
const TRAIL_EVERY_MS = 6000;
const TRAIL_POINTS = 10;

/** Web Mercator (EPSG:3857). @param {number} lon_deg @param {number} lat_deg @returns {[number, number]} */
export function mercator(lon_deg, lat_deg) {
  const lat = (Math.max(-85, Math.min(85, lat_deg)) * Math.PI) / 180;
  return [(RADIUS_M * lon_deg * Math.PI) / 180, RADIUS_M * Math.log(Math.tan(Math.PI / 4 + lat / 2))];
}

/** Everything known now. Listeners are told after each message. */
export class Sky {
  constructor() {
    /** @type {Map<string, Track>} */
    this.tracks = new Map();
    /** kind, then name @type {Map<string, Map<string, any>>} */
    this.things = new Map();
    /** @type {Map<string, Lost>} */
    this.lost = new Map();
    /** @type {Record<string, any>} */
    this.pulse = {};
    /** when the pulse came, of a clock that never falls */
    this.pulse_ms = -Infinity;
    /** @type {string[]} */
    this.columns = [];
    /** rises with every message that changed an alert */
    this.alerts_version = 0;
  }

  /** All of one kind. @param {string} kind @returns {Map<string, any>} */
  all(kind) {
    let found = this.things.get(kind);
    if (!found) this.things.set(kind, (found = new Map()));
    return found;
  }

  /** The service's own state. @returns {Record<string, any>} */
  get status() {
    return this.all("status").get("") ?? {};
  }

  /** @param {Message} message @param {number} now_ms */
  take(message, now_ms) {
    if (message.kind === "whole") {
      const before = this.tracks;
      this.columns = message.columns ?? [];
      this.tracks = new Map();
      this.things = new Map();
      this.lost = new Map();
      this.alerts_version += 1;
      for (const row of message.rows ?? []) this.#row(row, now_ms, before.get(String(row[0])));
      for (const [id, trail] of Object.entries(message.trails ?? {})) {
        const track = this.tracks.get(id);
        if (track) track.trail = trail.map(([lat, lon]) => mercator(lon, lat));
      }
    } else {
      for (const row of message.rows ?? []) this.#row(row, now_ms, undefined);
      for (const id of message.gone ?? []) this.tracks.delete(id);
    }
    for (const lost of message.lost ?? []) this.lost.set(lost.id, { ...lost, since_ms: now_ms - 1000 * lost.ago_s });
    for (const [kind, name, body] of message.things ?? []) {
      if (body === null) this.all(kind).delete(name);
      else this.all(kind).set(name, body);
      if (kind === "alert" || kind === "incident") this.alerts_version += 1;
    }
    this.pulse = message.pulse;
    this.pulse_ms = now_ms;
    this.#mark();
  }

  /** @param {any[]} row @param {number} now_ms @param {Track | undefined} old */
  #row(row, now_ms, old) {
    const id = String(row[0]);
    const held = this.tracks.get(id) ?? old;
    const track = held ?? /** @type {Track} */ (/** @type {unknown} */ ({
      trail: [], trail_ms: -Infinity, severity: 0, acknowledged: false, identity: "unknown", x: NaN, y: NaN,
    }));
    const columns = this.columns;
    const into = /** @type {Record<string, any>} */ (/** @type {unknown} */ (track));
    for (let i = 0; i < columns.length; i++) into[columns[i] ?? ""] = row[i];
    if (track.lat_deg !== null && track.lon_deg !== null) {
      [track.x, track.y] = mercator(track.lon_deg, track.lat_deg);
      if (now_ms - track.trail_ms >= TRAIL_EVERY_MS) {
        track.trail_ms = now_ms;
        track.trail.push([track.x, track.y]);
        if (track.trail.length > TRAIL_POINTS) track.trail.shift();
      }
    }
    this.tracks.set(id, track);
    this.lost.delete(id);
  }

  /** What alerts say of tracks. */
  #mark() {
    for (const track of this.tracks.values()) {
      track.severity = 0;
      track.identity = "unknown";
    }
    for (const alert of this.all("alert").values()) {
      const track = this.tracks.get(alert.track);
      if (!track || alert.state === "closed") continue;
      const first = track.severity === 0;
      track.severity = first ? alert.severity : Math.min(track.severity, alert.severity);
      track.acknowledged = (first || track.acknowledged) && Boolean(alert.acknowledged_by);
      if (alert.identity && alert.identity !== "unknown") track.identity = alert.identity;
    }
  }

  /** The newest whole message of a track with an open alert. @param {string} id @returns {Record<string, any>} */
  detail(id) {
    return this.all("detail").get(id) ?? {};
  }
}
