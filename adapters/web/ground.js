/** @file The ground below the tracks: land, states, border and band, rings, protected and search areas. It is drawn when
 * it changes and not when tracks do, and laid below them as one picture. */

import { ask } from "./feed.js";
import { scale } from "./scale.js";
import { alike } from "./sheet.js";

/** @typedef {import("./themes.js").Colours} Colours */
/** @typedef {import("./sheet.js").Look} Look */

/** @param {string} words @param {string} colour @param {number} [size] @param {Record<string, any>} [more] */
const text = (words, colour, size = 12, more = {}) => new ol.style.Text({
  text: words, font: `${size * scale()}px system-ui, sans-serif`, fill: new ol.style.Fill({ color: colour }), overflow: true, ...more,
});
/** @param {string} color @param {number} [width] @param {number[]} [lineDash] */
const stroke = (color, width = 1, lineDash = undefined) => new ol.style.Stroke({ color, width: width * scale(), lineDash });
/** @param {string} color */
const fill = (color) => new ol.style.Fill({ color });

/** The northernmost point of an area. @param {any} feature */
function north(feature) {
  const [west, , east, top] = feature.getGeometry().getExtent();
  return new ol.geom.Point([(west + east) / 2, top]);
}

export class Ground {
  /** @param {Colours} colours */
  constructor(colours) {
    this.colours = colours;
    /** told when it looks different @type {() => void} */
    this.changed = () => {};
    /** @type {Record<string, any>} */
    this.base = {};
    const source = () => new ol.source.Vector();
    this.land = source();
    this.states = source();
    this.band = source();
    this.border = source();
    this.names = source();
    this.places = source();
    this.rings = source();
    this.covered = source();
    this.areas = source();
    const layer = (/** @type {any} */ from, /** @type {(f: any) => any} */ style) => new ol.layer.Vector({ source: from, style, declutter: true });
    this.ringLayer = layer(this.rings, (f) => new ol.style.Style({
      stroke: stroke(this.colours.ring, 1, f.get("outer") ? undefined : [2, 5]),
      text: f.get("name") ? text(f.get("name"), this.colours.dim, 12, { offsetY: 14 * scale() }) : undefined,
      image: f.get("name") ? new ol.style.RegularShape({ points: 4, radius: 5 * scale(), fill: fill(this.colours.dim), declutterMode: "obstacle" }) : undefined,
    }));
    // Of names that would lie over one another the later layer's stands: a sensor before a place before a state.
    this.layers = [
      layer(this.land, () => new ol.style.Style({ fill: fill(this.colours.land) })),
      layer(this.states, (f) => new ol.style.Style({
        stroke: stroke(this.colours.line),
        fill: f.get("alliance") === "ally" ? fill(this.colours.allied) : fill(this.colours.land),
      })),
      layer(this.covered, (f) => new ol.style.Style({
        stroke: f.get("observed") ? stroke("#009e73", 2, [2, 5]) : stroke("#009e73"), fill: fill("rgba(0,158,115,0.14)"),
      })),
      layer(this.band, () => new ol.style.Style({ fill: fill(this.colours.band) })),
      layer(this.border, () => new ol.style.Style({ stroke: stroke(this.colours.border, 2) })),
      layer(this.names, (f) => new ol.style.Style({
        text: text(f.get("alliance") === "ally" ? `${f.get("name")} (allied)` : f.get("name"), this.colours.dim, 14),
      })),
      layer(this.places, (f) => [
        new ol.style.Style({ stroke: stroke(this.colours.dim, 1, [6, 4]) }),
        // Above its area: in its middle stands the radar of an airport, with a name of its own.
        new ol.style.Style({ geometry: north, text: text(f.get("name"), this.colours.dim, 12, { textBaseline: "bottom", offsetY: -3 * scale() }) }),
      ]),
      this.ringLayer,
      layer(this.areas, (f) => new ol.style.Style({
        stroke: stroke(this.colours.severity[2] ?? "", 1.2, [6, 4]),
        fill: f.get("kind") === "search" ? fill("rgba(230,159,0,0.10)") : undefined,
        text: f.get("words") ? text(f.get("words"), this.colours.dim) : undefined,
      })),
    ];
    this.element = document.createElement("div");
    this.map = new ol.Map({
      target: this.element, layers: this.layers, controls: [], interactions: [], view: new ol.View({ center: [0, 0], resolution: 1 }),
    });
    /** how large everything was drawn */
    this.scale = scale();
    /** @type {Look | null} what it was drawn for */
    this.drawn = null;
    this.drawing = false;
    this.map.on("postrender", () => this.drawing || this.changed());
  }

  /** Lay it below what is drawn next. @param {CanvasRenderingContext2D} g @param {Look} now @param {number} width
   * @param {number} height of the drawing, which is larger than the screen */
  paint(g, now, width, height) {
    g.fillStyle = this.colours.sea;
    g.fillRect(0, 0, width, height);
    const held = this.drawn;
    // While the zoom changes the old picture is stretched: it is drawn anew when the hand rests.
    const zooming = held && now.moving && held.resolution !== now.resolution && held.ratio === now.ratio;
    const stretched = zooming && held.size.every((v, side) => v === now.size[side]) ? held : null;
    if (!stretched && !(held && alike(held, now))) this.#draw(now, width, height);
    const image = /** @type {HTMLCanvasElement | null} */ (this.element.querySelector("canvas"));
    if (!image || image.width === 0) return;
    if (!stretched) return g.drawImage(image, 0, 0, width, height);
    const larger = stretched.resolution / now.resolution;
    const x = width / 2 + (stretched.center[0] - now.center[0]) / now.resolution;
    const y = height / 2 + (now.center[1] - stretched.center[1]) / now.resolution;
    return g.drawImage(image, x - (width * larger) / 2, y - (height * larger) / 2, width * larger, height * larger);
  }

  /** @param {Look} now @param {number} width @param {number} height */
  #draw(now, width, height) {
    this.drawing = true;
    if (this.scale !== scale()) {
      this.scale = scale();
      for (const layer of this.layers) layer.changed();
    }
    this.map.setSize([width, height]);
    this.map.getView().setCenter(now.center);
    this.map.getView().setResolution(now.resolution);
    this.map.renderSync();
    this.drawing = false;
    this.drawn = now;
  }

  /** Fetch what the configuration gives. @returns {Promise<boolean>} it was there */
  async load() {
    const [land, base] = await Promise.all([ask("/web/vendor/land-50m.json"), ask("/map")]);
    if (land) {
      this.land.addFeatures(new ol.format.TopoJSON({ layers: ["land"] }).readFeatures(land, { featureProjection: "EPSG:3857" }));
    }
    if (!base) return false;
    this.base = base;
    const read = new ol.format.GeoJSON({ featureProjection: "EPSG:3857" });
    this.states.addFeatures(read.readFeatures(base.states));
    this.band.addFeatures(read.readFeatures(base.band));
    this.border.addFeatures(read.readFeatures(base.border));
    this.names.addFeatures(read.readFeatures(base.labels));
    this.places.addFeatures(read.readFeatures(base.protected));
    this.#rings();
    return true;
  }

  /** Rings around sensors that have a place: quarters of the range, and the range. */
  #rings() {
    for (const sensor of this.base["sensors"]) {
      if (sensor.lat_deg === undefined) continue;
      const at = [sensor.lon_deg, sensor.lat_deg];
      for (const part of /** @type {const} */ ([0.25, 0.5, 0.75, 1])) {
        const circle = ol.geom.Polygon.circular(at, sensor.range_max_m * part, 96).transform("EPSG:4326", "EPSG:3857");
        this.rings.addFeature(new ol.Feature({ geometry: new ol.geom.LineString(circle.getCoordinates()[0]), outer: part === 1 }));
      }
      this.rings.addFeature(new ol.Feature({ geometry: new ol.geom.Point(ol.proj.fromLonLat(at)), name: String(sensor.id) }));
    }
  }

  /** Search areas, interference and crowds as they stand. @param {import("./sky.js").Sky} sky */
  areasOf(sky) {
    this.areas.clear(true);
    const read = new ol.format.GeoJSON({ featureProjection: "EPSG:3857" });
    for (const search of sky.all("search").values()) {
      if (search.ended || !Array.isArray(search.features)) continue;
      for (const feature of search.features) {
        const made = read.readFeature(feature);
        if (feature.properties?.kind === "search") {
          made.set("words", `${search.track} ${Math.round(100 * feature.properties.probability)} %`);
        }
        this.areas.addFeature(made);
      }
    }
    for (const kind of ["interference", "area"]) {
      for (const area of sky.all(kind).values()) {
        if (area.state === "over" || typeof area.radius_m !== "number") continue;
        const circle = ol.geom.Polygon.circular([area.lon_deg, area.lat_deg], area.radius_m, 64);
        const words = kind === "area" ? `${area.count} ${area.kind}` : "GNSS interference";
        this.areas.addFeature(new ol.Feature({ geometry: circle.transform("EPSG:4326", "EPSG:3857"), kind, words }));
      }
    }
  }

  /** @param {Colours} colours */
  dress(colours) {
    this.colours = colours;
    for (const layer of this.layers) layer.changed();
  }
}
