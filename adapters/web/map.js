/** @file The map: land, states, border and band, rings, search areas, and the layer of tracks on top. */

import { ask } from "./feed.js";

const START = { center: [25.3, 54.7], zoom: 8 }; // until the configured border is known
const FAR_ZOOM = 3;
const NEAR_ZOOM = 17;

/** @typedef {import("./themes.js").Colours} Colours */

/** Everything below the tracks. */
export class AirMap {
  /** @param {HTMLElement} target @param {any} tracks layer @param {Colours} colours */
  constructor(target, tracks, colours) {
    this.colours = colours;
    /** @type {Record<string, any>} */
    this.base = {};
    this.covering = false;
    const source = () => new ol.source.Vector();
    this.land = source();
    this.states = source();
    this.band = source();
    this.border = source();
    this.names = source();
    this.places = source();
    this.rings = source();
    this.areas = source();
    this.drawn = source();
    const quiet = { imageRatio: 2 };
    const text = (/** @type {string} */ words, /** @type {string} */ colour, size = 12) => new ol.style.Text({
      text: words, font: `${size}px system-ui, sans-serif`, fill: new ol.style.Fill({ color: colour }), overflow: true,
    });
    const stroke = (/** @type {string} */ color, width = 1, /** @type {number[] | undefined} */ lineDash = undefined) =>
      new ol.style.Stroke({ color, width, lineDash });
    const fill = (/** @type {string} */ color) => new ol.style.Fill({ color });
    const layer = (/** @type {any} */ from, /** @type {(f: any) => any} */ style) =>
      new ol.layer.VectorImage({ source: from, style, ...quiet });
    this.layers = [
      layer(this.land, () => new ol.style.Style({ fill: fill(this.colours.land) })),
      layer(this.states, (f) => new ol.style.Style({
        stroke: stroke(this.colours.line),
        fill: f.get("alliance") === "ally" ? fill(this.colours.allied) : fill(this.colours.land),
      })),
      layer(this.band, () => new ol.style.Style({ fill: fill(this.colours.band) })),
      layer(this.border, () => new ol.style.Style({ stroke: stroke(this.colours.border, 2) })),
      layer(this.rings, (f) => new ol.style.Style({
        stroke: stroke(this.colours.ring, 1, f.get("outer") ? undefined : [2, 5]),
        text: f.get("name") ? text(f.get("name"), this.colours.dim) : undefined,
        image: f.get("name") ? new ol.style.RegularShape({ points: 4, radius: 5, fill: fill(this.colours.dim) }) : undefined,
      })),
      layer(this.places, (f) => new ol.style.Style({
        stroke: stroke(this.colours.dim, 1, [6, 4]), text: text(f.get("name"), this.colours.dim),
      })),
      layer(this.names, (f) => new ol.style.Style({
        text: text(f.get("alliance") === "ally" ? `${f.get("name")} (allied)` : f.get("name"), this.colours.dim, 14),
      })),
      layer(this.areas, (f) => new ol.style.Style({
        stroke: stroke(this.colours.severity[2] ?? "", 1.2, [6, 4]),
        fill: f.get("kind") === "search" ? fill("rgba(230,159,0,0.10)") : undefined,
        text: f.get("words") ? text(f.get("words"), this.colours.dim) : undefined,
      })),
      tracks,
      new ol.layer.Vector({
        source: this.drawn,
        style: () => new ol.style.Style({
          stroke: stroke(this.colours.text, 1.5, [4, 4]),
          image: new ol.style.Circle({ radius: 3, fill: fill(this.colours.text) }),
        }),
      }),
    ];
    this.map = new ol.Map({
      target,
      layers: this.layers,
      controls: [new ol.control.ScaleLine({ units: "metric" }), new ol.control.Zoom()],
      interactions: ol.interaction.defaults.defaults({ altShiftDragRotate: false, pinchRotate: false }),
      keyboardEventTarget: target,
      view: new ol.View({
        center: ol.proj.fromLonLat(START.center), zoom: START.zoom, minZoom: FAR_ZOOM, maxZoom: NEAR_ZOOM,
        enableRotation: false,
      }),
    });
    target.style.background = colours.sea;
  }

  /** Fetch what the configuration gives. @param {boolean} look at it, unless the address said where to look */
  async load(look) {
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
    if (look) this.#lookAtSensors();
    return true;
  }

  /** Rings around sensors that have a place: quarters of the range, and the range. */
  #rings() {
    for (const sensor of this.base["sensors"]) {
      if (sensor.lat_deg === undefined) continue;
      const at = [sensor.lon_deg, sensor.lat_deg];
      const parts = /** @type {const} */ ([0.25, 0.5, 0.75, 1]);
      for (const part of parts) {
        const circle = ol.geom.Polygon.circular(at, sensor.range_max_m * part, 96).transform("EPSG:4326", "EPSG:3857");
        this.rings.addFeature(new ol.Feature({ geometry: new ol.geom.LineString(circle.getCoordinates()[0]), outer: part === 1 }));
      }
      this.rings.addFeature(new ol.Feature({ geometry: new ol.geom.Point(ol.proj.fromLonLat(at)), name: `\n\n${sensor.id}` }));
    }
  }

  #lookAtSensors() {
    const placed = this.base["sensors"].filter((/** @type {any} */ s) => s.lat_deg !== undefined && s.kind.startsWith("radar"));
    if (placed.length === 0) return;
    const points = placed.map((/** @type {any} */ s) => ol.proj.fromLonLat([s.lon_deg, s.lat_deg]));
    this.map.getView().fit(ol.extent.buffer(ol.extent.boundingExtent(points), 110_000), { size: this.map.getSize() });
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
    this.map.getTargetElement().style.background = colours.sea;
    for (const layer of this.layers) layer.changed();
  }

  /** Rings and names of sensors, on or off. @param {boolean} on */
  cover(on) {
    this.covering = on;
    this.layers[4]?.setVisible(on);
  }

  /** @param {number} lon_deg @param {number} lat_deg @param {number} [zoom] */
  go(lon_deg, lat_deg, zoom) {
    const view = this.map.getView();
    view.setCenter(ol.proj.fromLonLat([lon_deg, lat_deg]));
    if (zoom !== undefined) view.setZoom(zoom);
  }

  /** @returns {{lat: number, lon: number, zoom: number}} */
  where() {
    const view = this.map.getView();
    const [lon, lat] = ol.proj.toLonLat(view.getCenter());
    return { lat, lon, zoom: view.getZoom() };
  }
}
