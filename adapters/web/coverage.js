/** @file What the sensors cover at a height above ground, as a wash on the map; V goes through the heights. */

import { part, say, toast } from "./dialogs.js";
import { ask } from "./feed.js";

const HEIGHTS_M = [50, 150, 500];

/** After rings alone come the heights, then nothing. Pure. @param {{rings: boolean, cover_m: number}} now
 * @returns {{rings: boolean, cover_m: number}} */
export function next({ rings, cover_m }) {
  const higher = HEIGHTS_M.find((height) => height > cover_m);
  if (!rings) return { rings: true, cover_m: 0 };
  return higher === undefined ? { rings: false, cover_m: 0 } : { rings, cover_m: higher };
}

export class Coverage {
  /** @param {import("./ground.js").Ground} ground */
  constructor(ground) {
    this.ground = ground;
    this.wanted_m = 0;
  }

  /** @param {boolean} rings @param {number} cover_m above ground; 0: none */
  async show(rings, cover_m) {
    this.ground.ringLayer.setVisible(rings);
    if (cover_m === this.wanted_m) return;
    this.wanted_m = cover_m;
    this.ground.covered.clear();
    part("covering").hidden = cover_m === 0;
    if (cover_m === 0) return;
    say(part("covering"), `Coverage at ${cover_m} m above ground: is asked for …`);
    const [found, seen] = await Promise.all([ask(`/coverage?agl_m=${cover_m}`), ask(`/observed?agl_m=${cover_m}`)]);
    if (this.wanted_m !== cover_m) return;
    if (!found) {
      part("covering").hidden = true;
      toast("the coverage cannot be had", true);
      return;
    }
    const read = new ol.format.GeoJSON({ featureProjection: "EPSG:3857" });
    this.ground.covered.addFeatures([...read.readFeatures(found), ...(seen ? read.readFeatures(seen) : [])]);
    const names = found.features.map((/** @type {any} */ f) => f.properties.sensor).join(", ");
    say(part("covering"), `Coverage at ${cover_m} m above ground: ${names || "nothing"}${seen?.features.length ? "; dotted: seen so far" : ""}`);
  }
}
