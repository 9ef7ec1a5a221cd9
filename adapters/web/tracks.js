/** @file Tracks on the map: a canvas layer of our own, which draws 2,000 of them without a GPU at sixty frames a second. */

import { place } from "./labels.js";
import { scale } from "./scale.js";
import { BEYOND, look, Sheet } from "./sheet.js";
import { symbol } from "./symbols.js";
import { ellipse } from "./uncertainty.js";
import { distance, known, SEVERITY, short } from "./words.js";

/** @typedef {import("./sky.js").Track} Track */

const CIVIL_PX = 9;
const QUIET_PX = 14; // who does not say who he is, without an alert
const FLAGGED_PX = 22;
const LEADER_CIVIL_S = 60;
const LEADER_S = 180;
const CIVIL_LABELS_BELOW = 120; // metres a pixel: closer than that civil traffic is named too
const LINE_PX = 14;
const FONT = "12px system-ui, sans-serif";
const LOST_FOR_MS = 600_000;
const MARGIN = 0.1; // of the drawing, around it: a leader may come in from there
const SCREEN_MAX = 20_000;

/** @typedef {{tracks: Iterable<Track>, lost: Iterable<import("./sky.js").Lost>, shown: (t: Track) => boolean,
 *   selected: string, hovered: string, ellipses: boolean, trails: boolean, now_ms: number, time_us: number,
 *   detail: (id: string) => Record<string, any>}} Scene */
/** @typedef {{lines: string[], priority: number, colour: string}} Label */

/** Draws a `Scene`. */
export class TrackLayer {
  /** @param {() => Scene} scene @param {(g: CanvasRenderingContext2D, now: import("./sheet.js").Look, width: number,
   *   height: number) => void} below draws the ground @param {import("./themes.js").Colours} colours */
  constructor(scene, below, colours) {
    this.scene = scene;
    this.below = below;
    this.colours = colours;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "tracks";
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { alpha: false }));
    this.sheet = new Sheet(this.canvas);
    /** @type {Map<string, number>} */
    this.memory = new Map();
    /** @type {Map<string, import("./labels.js").Placed & {ox: number, oy: number}>} relative to the symbol */
    this.placed = new Map();
    /** @type {Map<string, Label>} */
    this.labels = new Map();
    this.placedAt = "";
    /** what OpenLayers last wanted drawn @type {any} */
    this.frame = null;
    /** rises when something is new: then labels are placed again */
    this.version = 0;
    /** @type {Map<string, number>} widths of texts */
    this.widths = new Map();
    this.layer = new ol.layer.Layer({ render: (/** @type {any} */ frame) => this.render(frame) });
  }

  /** @param {any} frame what OpenLayers wants drawn @returns {HTMLCanvasElement} */
  render(frame) {
    this.frame = frame;
    const now = look(frame);
    if (!this.sheet.move(now)) this.paint(now);
    return this.canvas;
  }

  /** Draw the tracks alone: what lies below has not changed, and costs more than they do. While the drawing is dragged they
   * are drawn where it lies, and not where the hand is by now: for that the ground would be drawn anew. */
  redraw() {
    if (!this.frame) return;
    const now = look(this.frame);
    const held = this.sheet.drawn;
    if (!held || !this.sheet.move(now)) return this.paint(now);
    this.paint(held);
    this.sheet.move(now);
  }

  /** @param {import("./sheet.js").Look} now */
  paint(now) {
    const [width, height] = this.sheet.lay(now);
    const { center, resolution, ratio } = now;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.below(this.context, now, width, height);
    const large = scale(); // a pixel below is one of a desk, and as many of a wall
    this.context.scale(large, large);
    const [west, north] = [center[0] - (width / 2) * resolution, center[1] + (height / 2) * resolution];
    this.draw(this.context, new View(west, north, resolution * large, width / large, height / large), ratio * large);
  }

  /** @param {CanvasRenderingContext2D} g @param {View} view @param {number} ratio */
  draw(g, view, ratio) {
    const scene = this.scene();
    /** @type {Track[]} */
    const civil = [];
    /** @type {Track[]} */
    const others = [];
    for (const t of scene.tracks) {
      if (!scene.shown(t) || !view.holds(t.x, t.y, MARGIN)) continue;
      if (t.cooperative && t.severity === 0 && t.id !== scene.selected) civil.push(t);
      else others.push(t);
    }
    others.sort((a, b) => rank(b) - rank(a));
    this.#lost(g, view, scene);
    this.#leaders(g, view, civil, LEADER_CIVIL_S, this.colours.civil, 1);
    for (const t of civil) this.#symbol(g, view, t, CIVIL_PX, "civil", ratio);
    for (const t of others) this.#under(g, view, t, scene);
    for (const t of others) {
      const size = t.severity > 0 ? FLAGGED_PX : t.cooperative ? CIVIL_PX : QUIET_PX;
      const says = t.cooperative && t.severity === 0 ? "civil" : t.identity;
      this.#symbol(g, view, t, size, says, ratio);
      if (t.severity > 0) this.#edge(g, view, t);
      if (t.id === scene.selected) this.#brackets(g, view, t);
    }
    this.#labels(g, view, scene, civil, others);
  }

  /** @param {CanvasRenderingContext2D} g @param {View} view @param {Track[]} tracks @param {number} seconds
   * @param {string} colour @param {number} width */
  #leaders(g, view, tracks, seconds, colour, width) {
    g.beginPath();
    for (const t of tracks) leader(g, view, t, seconds);
    g.strokeStyle = colour;
    g.lineWidth = width;
    g.stroke();
  }

  /** @param {CanvasRenderingContext2D} g @param {View} view @param {Track} t @param {number} size @param {string} says
   * @param {number} ratio */
  #symbol(g, view, t, size, says, ratio) {
    const s = symbol(says, t.object_class, t.status === "coasting", size, this.colours.civil, ratio);
    const whole = (/** @type {number} */ v) => Math.round(v * ratio) / ratio; // between pixels it is blurred, and slow
    g.drawImage(s.image, whole(view.px(t.x) - s.dx), whole(view.py(t.y) - s.dy), s.image.width / ratio, s.image.height / ratio);
  }

  /** History, leader and uncertainty. @param {CanvasRenderingContext2D} g @param {View} view @param {Track} t
   * @param {Scene} scene */
  #under(g, view, t, scene) {
    const colour = t.severity > 0 ? this.colours.severity[t.severity] ?? this.colours.text : this.colours.dim;
    g.strokeStyle = g.fillStyle = colour;
    if (scene.trails) {
      t.trail.forEach(([x, y], n) => {
        g.globalAlpha = 0.25 + (0.65 * (n + 1)) / t.trail.length;
        g.fillRect(view.px(x) - 1.5, view.py(y) - 1.5, 3, 3);
      });
      g.globalAlpha = 1;
    }
    g.lineWidth = t.severity > 0 ? 2 : 1;
    g.beginPath();
    leader(g, view, t, t.cooperative ? LEADER_CIVIL_S : LEADER_S);
    g.stroke();
    if (!scene.ellipses || (t.severity === 0 && t.id !== scene.selected)) return;
    const axes = ellipse(t, view.metres(t.lat_deg ?? 0));
    if (!axes) return;
    g.setLineDash([4, 3]);
    g.lineWidth = 1.2;
    g.beginPath();
    g.ellipse(view.px(t.x), view.py(t.y), ...axes, 0, 2 * Math.PI);
    g.stroke();
    g.setLineDash([]);
  }

  /** The edge in the colour of the severity, with its number of sides. @param {CanvasRenderingContext2D} g
   * @param {View} view @param {Track} t */
  #edge(g, view, t) {
    g.strokeStyle = this.colours.severity[t.severity] ?? this.colours.text;
    g.lineWidth = t.acknowledged ? 1.5 : 3;
    g.beginPath();
    g.arc(view.px(t.x), view.py(t.y), FLAGGED_PX * 0.95, 0, 2 * Math.PI);
    g.stroke();
  }

  /** @param {CanvasRenderingContext2D} g @param {View} view @param {Track} t */
  #brackets(g, view, t) {
    const [x, y, r] = [view.px(t.x), view.py(t.y), 26];
    g.strokeStyle = this.colours.text;
    g.lineWidth = 1.5;
    g.beginPath();
    for (const [sx, sy] of /** @type {[number, number][]} */ ([[1, 1], [1, -1], [-1, 1], [-1, -1]])) {
      g.moveTo(x + sx * r, y + sy * (r - 8));
      g.lineTo(x + sx * r, y + sy * r);
      g.lineTo(x + sx * (r - 8), y + sy * r);
    }
    g.stroke();
  }

  /** Where lost objects were, and how far they may be by now. @param {CanvasRenderingContext2D} g @param {View} view
   * @param {Scene} scene */
  #lost(g, view, scene) {
    g.strokeStyle = g.fillStyle = this.colours.text;
    g.font = FONT;
    for (const lost of scene.lost) {
      const ago_ms = scene.now_ms - lost.since_ms;
      const [x, y] = view.of(lost.lon_deg, lost.lat_deg);
      if (ago_ms > LOST_FOR_MS || x < -50 || y < -50 || x > view.width + 50 || y > view.height + 50) continue;
      g.globalAlpha = 1 - 0.6 * (ago_ms / LOST_FOR_MS);
      g.lineWidth = 2;
      g.beginPath();
      g.moveTo(x - 5, y - 5);
      g.lineTo(x + 5, y + 5);
      g.moveTo(x + 5, y - 5);
      g.lineTo(x - 5, y + 5);
      g.stroke();
      const radius = (((lost.speed_mps ?? 0) * ago_ms) / 1000) / view.metres(lost.lat_deg);
      if (lost.id === scene.selected || radius * view.metres(lost.lat_deg) > 500) {
        g.lineWidth = 1;
        g.setLineDash([2, 4]);
        g.beginPath();
        g.arc(x, y, Math.min(radius, SCREEN_MAX), 0, 2 * Math.PI);
        g.stroke();
        g.setLineDash([]);
      }
      g.fillText(`lost ${short(ago_ms / 1000)} ago`, x + 8, y + 4);
      g.globalAlpha = 1;
    }
  }

  /** @param {CanvasRenderingContext2D} g @param {View} view @param {Scene} scene @param {Track[]} civil
   * @param {Track[]} others */
  #labels(g, view, scene, civil, others) {
    g.font = FONT;
    const key = `${this.version}|${view.resolution}|${scene.hovered}|${scene.selected}`;
    if (key !== this.placedAt) {
      this.placedAt = key;
      this.#place(g, view, scene, civil, others);
    }
    g.textBaseline = "middle";
    const ordered = [...others].reverse();
    for (const t of [...civil, ...ordered]) {
      const at = this.placed.get(t.id);
      const label = this.labels.get(t.id);
      if (at && label) this.#plate(g, view, t, at, label);
    }
  }

  /** @param {CanvasRenderingContext2D} g @param {View} view @param {Scene} scene @param {Track[]} civil
   * @param {Track[]} others */
  #place(g, view, scene, civil, others) {
    this.labels.clear();
    /** @type {import("./labels.js").Item[]} */
    const items = [];
    const named = view.resolution < CIVIL_LABELS_BELOW ? civil : civil.filter((t) => t.id === scene.hovered);
    for (const t of [...others, ...named]) {
      const label = this.#words(t, scene);
      this.labels.set(t.id, label);
      const widths = label.lines.map((line) => this.#width(g, line) + 12);
      const whole = /** @type {[number, number]} */ ([Math.max(...widths), label.lines.length * LINE_PX + 4]);
      const one = /** @type {[number, number]} */ ([widths[0] ?? 0, LINE_PX + 4]);
      items.push({
        id: t.id, x: view.px(t.x), y: view.py(t.y), priority: label.priority,
        sizes: label.lines.length > 1 ? [whole, one] : [one],
        must: t.severity > 0 || t.id === scene.selected,
        solid: t.severity > 0 || !t.cooperative,
        gap: t.severity > 0 ? 26 : t.id === scene.selected ? 28 : 12,
      });
    }
    this.placed.clear();
    const byId = new Map(items.map((item) => [item.id, item]));
    // Of the drawing only its middle is on the screen until it is dragged.
    const [dx, dy] = [BEYOND, BEYOND].map((part, side) => (part / (1 + 2 * part)) * (side ? view.height : view.width));
    const screen = { left: dx ?? 0, top: dy ?? 0, right: view.width - (dx ?? 0), bottom: view.height - (dy ?? 0) };
    for (const [id, at] of place(items, this.memory, screen)) {
      const item = byId.get(id);
      if (item) this.placed.set(id, { ...at, ox: at.x - item.x, oy: at.y - item.y });
    }
  }

  /** @param {Track} t @param {Scene} scene @returns {Label} */
  #words(t, scene) {
    const name = t.callsign || t.id;
    const coasting = t.status === "coasting" && t.last_plot_us !== null
      ? ` (${short((scene.time_us - t.last_plot_us) / 1e6)} old)` : "";
    const facts = `${known(t.agl_m) ? `${Math.round(t.agl_m)} m` : "height ?"}  ${known(t.speed_mps) ? `${Math.round(t.speed_mps)} m/s` : ""}`;
    if (t.severity === 0) {
      const priority = t.id === scene.selected ? 5 : t.cooperative ? 40 : t.low_slow ? 20 : 30;
      return { lines: [name + coasting, ...(t.id === scene.selected ? [facts] : [])], priority, colour: this.colours.dim };
    }
    const shape = SEVERITY[t.severity]?.shape ?? "";
    const d = t.border_distance_m;
    const until = known(d) && d < 0 ? `in ${distance(d)}` : known(t.time_to_border_s) ? short(t.time_to_border_s) : "";
    return {
      lines: [`${shape}${t.severity} ${name} ${until}${coasting}`, facts],
      priority: rank(t) / 1e7, // before everything without an alert
      colour: this.colours.severity[t.severity] ?? this.colours.text,
    };
  }

  /** @param {CanvasRenderingContext2D} g @param {string} text */
  #width(g, text) {
    let found = this.widths.get(text);
    if (found === undefined) {
      if (this.widths.size > 20_000) this.widths.clear();
      this.widths.set(text, (found = Math.ceil(g.measureText(text).width)));
    }
    return found;
  }

  /** @param {CanvasRenderingContext2D} g @param {View} view @param {Track} t
   * @param {import("./labels.js").Placed & {ox: number, oy: number}} at @param {Label} label */
  #plate(g, view, t, at, label) {
    const [x, y] = [view.px(t.x) + at.ox, view.py(t.y) + at.oy];
    const flagged = t.severity > 0;
    if (at.far) {
      g.strokeStyle = label.colour;
      g.lineWidth = 1;
      g.beginPath();
      g.moveTo(view.px(t.x), view.py(t.y));
      g.lineTo(Math.max(x, Math.min(x + at.w, view.px(t.x))), Math.max(y, Math.min(y + at.h, view.py(t.y))));
      g.stroke();
    }
    if (flagged) {
      g.fillStyle = this.colours.plate;
      g.fillRect(x, y, at.w, at.h);
      g.fillStyle = label.colour;
      g.fillRect(x, y, 3, at.h);
    }
    const lines = at.size === 0 ? label.lines : label.lines.slice(0, 1);
    lines.forEach((line, n) => {
      g.fillStyle = flagged ? this.colours.text : label.colour;
      g.fillText(line, x + 7, y + 2 + LINE_PX * (n + 0.5));
    });
  }

  /** The track nearest to a pixel. @param {any} map @param {[number, number]} pixel @returns {Track | null} */
  at(map, pixel) {
    const [x, y] = map.getCoordinateFromPixel(pixel);
    const reach = 16 * scale() * map.getView().getResolution();
    const scene = this.scene();
    /** @type {Track | null} */
    let best = null;
    let least = reach * reach;
    for (const t of scene.tracks) {
      if (!scene.shown(t)) continue;
      const d = (t.x - x) ** 2 + (t.y - y) ** 2 - (t.severity > 0 ? least / 2 : 0);
      if (d < least) [best, least] = [t, d];
    }
    return best;
  }
}

/** Lower is more urgent: severity, then time to the border. @param {Track} t */
export function rank(t) {
  if (t.severity === 0) return t.cooperative ? 9e9 : 8e9;
  const d = t.border_distance_m;
  const until = known(d) && d < 0 ? 0 : known(t.time_to_border_s) ? t.time_to_border_s : 99_999;
  return t.severity * 1e6 + (t.acknowledged ? 5e5 : 0) + until;
}

/** @param {CanvasRenderingContext2D} g @param {View} view @param {Track} t @param {number} seconds */
function leader(g, view, t, seconds) {
  if (!known(t.speed_mps) || !known(t.course_deg)) return;
  const length = (t.speed_mps * seconds) / view.metres(t.lat_deg ?? 0);
  const course = (t.course_deg * Math.PI) / 180;
  const [x, y] = [view.px(t.x), view.py(t.y)];
  g.moveTo(x, y);
  g.lineTo(x + length * Math.sin(course), y - length * Math.cos(course));
}

/** From the plane of the map to pixels. */
class View {
  /** @param {number} west @param {number} north @param {number} resolution @param {number} width @param {number} height */
  constructor(west, north, resolution, width, height) {
    this.west = west;
    this.north = north;
    this.resolution = resolution;
    this.width = width;
    this.height = height;
  }

  /** @param {number} x */
  px(x) {
    return (x - this.west) / this.resolution;
  }

  /** @param {number} y */
  py(y) {
    return (this.north - y) / this.resolution;
  }

  /** @param {number} lon_deg @param {number} lat_deg @returns {[number, number]} */
  of(lon_deg, lat_deg) {
    const [x, y] = ol.proj.fromLonLat([lon_deg, lat_deg]);
    return [this.px(x), this.py(y)];
  }

  /** Metres on the ground of one pixel there: the plane is stretched. @param {number} lat_deg */
  metres(lat_deg) {
    return this.resolution * Math.cos((lat_deg * Math.PI) / 180);
  }

  /** @param {number} x @param {number} y @param {number} margin of the screen */
  holds(x, y, margin) {
    const [px, py] = [this.px(x), this.py(y)];
    return px > -margin * this.width && px < (1 + margin) * this.width && py > -margin * this.height && py < (1 + margin) * this.height;
  }
}
