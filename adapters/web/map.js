/** @file The map: where it looks, how it is moved, and what is drawn on top of it by hand. */

import { scale } from "./scale.js";

const START = { center: [25.3, 54.7], zoom: 8 }; // until the configured border is known
const FAR_ZOOM = 3;
const NEAR_ZOOM = 17;
const SCALE_PX = 64; // the least length of the scale

/** @typedef {import("./themes.js").Colours} Colours */

/** The air picture on its ground. */
export class AirMap {
  /** @param {HTMLElement} target @param {any} tracks layer, with the ground below them @param {import("./ground.js").Ground} ground
   * @param {Colours} colours */
  constructor(target, tracks, ground, colours) {
    this.ground = ground;
    this.colours = colours;
    this.hand = new ol.layer.Vector({
      source: new ol.source.Vector(),
      visible: false,
      style: () => new ol.style.Style({
        stroke: new ol.style.Stroke({ color: this.colours.text, width: 1.5, lineDash: [4, 4] }),
        image: new ol.style.Circle({ radius: 3, fill: new ol.style.Fill({ color: this.colours.text }) }),
      }),
    });
    this.map = new ol.Map({
      target,
      layers: [tracks, this.hand],
      controls: [scaleLine(), new ol.control.Zoom()],
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
    const there = await this.ground.load();
    if (there && look) this.#lookAtSensors();
    return there;
  }

  #lookAtSensors() {
    const placed = this.ground.base["sensors"].filter((/** @type {any} */ s) => s.lat_deg !== undefined && s.kind.startsWith("radar"));
    if (placed.length === 0) return;
    const points = placed.map((/** @type {any} */ s) => ol.proj.fromLonLat([s.lon_deg, s.lat_deg]));
    this.map.getView().fit(ol.extent.buffer(ol.extent.boundingExtent(points), 110_000), { size: this.map.getSize() });
  }

  /** @param {Colours} colours */
  dress(colours) {
    this.colours = colours;
    this.map.getTargetElement().style.background = colours.sea;
    this.ground.dress(colours);
    this.hand.changed();
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

/** A scale that waits until the hand rests: its width changes with the latitude, and with it the whole page is laid out
 * anew. */
function scaleLine() {
  const line = new ol.control.ScaleLine({ units: "metric", minWidth: SCALE_PX * scale() });
  const render = line.render;
  line.render = (/** @type {any} */ event) => {
    if (event.frameState?.viewHints.every((/** @type {number} */ hint) => hint === 0)) render.call(line, event);
  };
  return line;
}
