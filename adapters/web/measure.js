/** @file The measuring tool: distance and bearing between two places. */

import { bearing } from "./coordinates.js";
import { part, say } from "./dialogs.js";
import { distance } from "./words.js";

export class Measure {
  /** @param {any} map of OpenLayers @param {any} layer on top; an empty one would cost as much as the tracks */
  constructor(map, layer) {
    this.map = map;
    this.layer = layer;
    this.source = layer.getSource();
    this.on = false;
    /** @type {[number, number] | null} lon, lat */
    this.from = null;
  }

  /** @param {boolean} on */
  turn(on) {
    this.on = on;
    this.from = null;
    this.source.clear(true);
    this.layer.setVisible(on);
    part("measured").hidden = !on;
    if (on) say(part("measured"), "Measure: click two places (Esc ends)");
    this.map.getTargetElement().classList.toggle("measuring", on);
  }

  /** @param {[number, number]} place of the map's plane @param {boolean} click */
  point(place, click) {
    const here = /** @type {[number, number]} */ (ol.proj.toLonLat(place));
    if (this.from) {
      const metres = ol.sphere.getDistance(this.from, here);
      const line = new ol.geom.LineString([ol.proj.fromLonLat(this.from), place]);
      this.source.clear(true);
      this.source.addFeature(new ol.Feature(line));
      say(part("measured"), `${distance(metres)} (${(metres / 1852).toFixed(1)} NM), bearing ${bearing(this.from, here).toFixed(1)}°`);
      if (click) this.from = null;
    } else if (click) {
      this.from = here;
      this.source.clear(true);
    }
  }
}
