/** @file The ellipse in which an object is likely to be: two sigma of the covariance that the tracker has. Pure. */

import { known } from "./words.js";

const SIGMAS = 2;
export const LEAST_PX = 6; // smaller it would disappear below the symbol

/** Half axes in pixels and the turn of the longer one on the screen, radians clockwise from east; null: nothing is known.
 * @param {import("./sky.js").Track} t @param {number} metres on the ground of one pixel @returns {[number, number, number] | null} */
export function ellipse(t, metres) {
  const [e, n, c] = [t.var_east_m2, t.var_north_m2, t.cov_east_north_m2];
  const px = (/** @type {number} */ sigma_m) => Math.max(LEAST_PX, (SIGMAS * sigma_m) / metres);
  if (!known(e) || !known(n) || !known(c)) {
    return known(t.sigma_horizontal_m) ? [px(t.sigma_horizontal_m), px(t.sigma_horizontal_m), 0] : null;
  }
  const [middle, half] = [(e + n) / 2, Math.hypot((e - n) / 2, c)];
  return [px(Math.sqrt(middle + half)), px(Math.sqrt(Math.max(0, middle - half))), -Math.atan2(2 * c, e - n) / 2];
}
