/** @file A drawing that is larger than the screen: while it is dragged it is moved, and nothing is drawn anew. */

/** How much is drawn beyond each edge of the screen, of its width and height. */
export const BEYOND = 0.25;

/** @typedef {{center: [number, number], resolution: number, size: [number, number], moving: boolean, ratio: number}} Look */

/** What a frame of OpenLayers looks at. @param {any} frame @returns {Look} */
export function look(frame) {
  const { center, resolution } = frame.viewState;
  const moving = frame.viewHints.some((/** @type {number} */ hint) => hint > 0);
  return { center: [center[0], center[1]], resolution, size: [frame.size[0], frame.size[1]], moving, ratio: frame.pixelRatio };
}

/** Is the same to be seen? @param {Look} a @param {Look} b */
export function alike(a, b) {
  return a.resolution === b.resolution && a.ratio === b.ratio
    && [0, 1].every((side) => a.center[side] === b.center[side] && a.size[side] === b.size[side]);
}

/** How far a drawing is moved to show what is looked at now, in pixels; null: it does not reach. Pure.
 * @param {Look} drawn what it was drawn for @param {Look} now @returns {[number, number] | null} */
export function moved(drawn, now) {
  if (drawn.resolution !== now.resolution || drawn.ratio !== now.ratio) return null;
  const whole = (/** @type {number} */ v) => Math.round(v * now.ratio) / now.ratio; // half a pixel is blurred, and slow
  const x = whole((drawn.center[0] - now.center[0]) / now.resolution);
  const y = whole((now.center[1] - drawn.center[1]) / now.resolution);
  const [width, height] = now.size;
  if (drawn.size[0] !== width || drawn.size[1] !== height) return null;
  return Math.abs(x) <= BEYOND * width && Math.abs(y) <= BEYOND * height ? [x, y] : null;
}

/** The canvas of such a drawing. */
export class Sheet {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    /** @type {Look | null} */
    this.drawn = null;
  }

  /** Move it to what is looked at. @param {Look} now @returns {boolean} false: draw it anew */
  move(now) {
    const by = this.drawn && now.moving ? moved(this.drawn, now) : null;
    if (by) this.canvas.style.transform = `translate(${by[0]}px, ${by[1]}px)`;
    return by !== null;
  }

  /** Make it ready to be drawn on. @param {Look} now @returns {[number, number]} its width and height */
  lay(now) {
    const { canvas, drawn } = this;
    const [width, height] = now.size;
    const [dx, dy] = [Math.round(BEYOND * width), Math.round(BEYOND * height)];
    const [wide, high] = [width + 2 * dx, height + 2 * dy];
    if (!drawn || drawn.size[0] !== width || drawn.size[1] !== height || drawn.ratio !== now.ratio) {
      canvas.width = Math.round(wide * now.ratio);
      canvas.height = Math.round(high * now.ratio);
      Object.assign(canvas.style, { left: `${-dx}px`, top: `${-dy}px`, width: `${wide}px`, height: `${high}px` });
    }
    canvas.style.transform = "";
    this.drawn = now;
    return [wide, high];
  }
}
