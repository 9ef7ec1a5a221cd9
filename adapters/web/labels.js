/** @file Where labels go: by priority, never over one another, and not jumping. Pure: no drawing, no page. */

/**
 * @typedef {object} Item
 * @property {string} id
 * @property {number} x pixels
 * @property {number} y
 * @property {number} priority lower is placed first
 * @property {[number, number][]} sizes widths and heights, the fullest first: a label that does not fit gets shorter
 * @property {boolean} must never left out: it moves further away until there is room
 * @property {boolean} [solid] no label may lie over its symbol; so it is of all that must
 * @property {number} gap from the middle of the symbol
 */
/** @typedef {{x: number, y: number, w: number, h: number, size: number, far: boolean}} Placed top left corner, pixels */
/** @typedef {Map<string, number>} Memory slot that each label had */
/** @typedef {{left: number, top: number, right: number, bottom: number}} Box what is on the screen, pixels */

const CELL_PX = 64;
/** East first, as people read; then round. Unit vectors. @type {readonly (readonly [number, number])[]} */
const SLOTS = [[1, -1], [1, 1], [-1, -1], [-1, 1], [1, 0], [-1, 0], [0, -1], [0, 1]];
const RINGS = 24; // how often a label that must stand moves further out
const RING_PX = 18;

/** @param {Box} box @param {number} x @param {number} y @param {number} w @param {number} h */
const holds = (box, x, y, w, h) => x >= box.left && y >= box.top && x + w <= box.right && y + h <= box.bottom;

/** Rectangles that are taken, by cells of the screen. */
class Taken {
  constructor() {
    /** @type {Map<number, number[]>} */
    this.cells = new Map();
    /** @type {number[]} four numbers each */
    this.boxes = [];
  }

  /** @param {number} x @param {number} y @param {number} w @param {number} h @param {(key: number) => boolean} each */
  #cells(x, y, w, h, each) {
    for (let i = Math.floor(x / CELL_PX); i <= Math.floor((x + w) / CELL_PX); i++) {
      for (let j = Math.floor(y / CELL_PX); j <= Math.floor((y + h) / CELL_PX); j++) {
        if (each(i * 65536 + j)) return true;
      }
    }
    return false;
  }

  /** @param {number} x @param {number} y @param {number} w @param {number} h */
  hits(x, y, w, h) {
    const boxes = this.boxes;
    return this.#cells(x, y, w, h, (key) => {
      const cell = this.cells.get(key);
      if (!cell) return false;
      for (const at of cell) {
        const bx = /** @type {number} */ (boxes[at]);
        const by = /** @type {number} */ (boxes[at + 1]);
        const bw = /** @type {number} */ (boxes[at + 2]);
        const bh = /** @type {number} */ (boxes[at + 3]);
        if (x < bx + bw && bx < x + w && y < by + bh && by < y + h) return true;
      }
      return false;
    });
  }

  /** @param {number} x @param {number} y @param {number} w @param {number} h */
  add(x, y, w, h) {
    const at = this.boxes.push(x, y, w, h) - 4;
    this.#cells(x, y, w, h, (key) => {
      const cell = this.cells.get(key);
      if (cell) cell.push(at);
      else this.cells.set(key, [at]);
      return false;
    });
  }
}

/** Top left corner in a slot. @param {Item} item @param {number} slot @param {number} w @param {number} h
 * @param {number} out further away than next to the symbol @returns {[number, number]} */
function corner(item, slot, w, h, out) {
  const [sx, sy] = /** @type {readonly [number, number]} */ (SLOTS[slot]);
  const away = item.gap + out;
  const x = sx > 0 ? item.x + away : sx < 0 ? item.x - away - w : item.x - w / 2;
  const y = sy > 0 ? item.y + away / 2 : sy < 0 ? item.y - away / 2 - h : item.y - h / 2;
  return [x, sx === 0 ? (sy > 0 ? item.y + away : item.y - away - h) : y];
}

/**
 * Place labels. Symbols of labels that must stand are kept free too.
 * @param {readonly Item[]} items
 * @param {Memory} memory is brought up to date
 * @param {Box | null} [screen] a symbol on it has its label on it, where there is room; null: all of the plane is
 * @returns {Map<string, Placed>} what found room
 */
export function place(items, memory, screen = null) {
  const taken = new Taken();
  const ordered = [...items].sort((a, b) => a.priority - b.priority || (a.id < b.id ? -1 : 1));
  for (const item of ordered) {
    if (item.must || item.solid) taken.add(item.x - item.gap / 2, item.y - item.gap / 2, item.gap, item.gap);
  }
  /** @type {Map<string, Placed>} */
  const placed = new Map();
  /** @type {Memory} */
  const kept = new Map();
  for (const item of ordered) {
    const inside = screen && holds(screen, item.x, item.y, 0, 0) ? screen : null;
    const before = memory.get(item.id);
    const found = near(item, taken, before, inside) ?? (item.must ? far(item, taken, inside) ?? (inside && far(item, taken, null)) : null);
    if (!found) continue;
    const [slot, at] = found;
    taken.add(at.x, at.y, at.w, at.h);
    placed.set(item.id, at);
    kept.set(item.id, slot);
  }
  memory.clear();
  for (const [id, slot] of kept) memory.set(id, slot);
  return placed;
}

/** Beside the symbol: the slot it had, then the others; a shorter label before none.
 * @param {Item} item @param {Taken} taken @param {number | undefined} before @param {Box | null} inside
 * @returns {[number, Placed] | null} */
function near(item, taken, before, inside) {
  for (let size = 0; size < item.sizes.length; size++) {
    const [w, h] = /** @type {[number, number]} */ (item.sizes[size]);
    for (let n = before === undefined ? 0 : -1; n < SLOTS.length; n++) {
      const slot = n < 0 ? /** @type {number} */ (before) : n;
      const [x, y] = corner(item, slot, w, h, 0);
      if ((!inside || holds(inside, x, y, w, h)) && !taken.hits(x, y, w, h)) return [slot, { x, y, w, h, size, far: false }];
    }
  }
  return null;
}

/** Further away, joined by a line. @param {Item} item @param {Taken} taken @param {Box | null} inside
 * @returns {[number, Placed] | null} */
function far(item, taken, inside) {
  const size = item.sizes.length - 1;
  const [w, h] = /** @type {[number, number]} */ (item.sizes[size]);
  for (let ring = 1; ring <= RINGS; ring++) {
    for (let slot = 0; slot < SLOTS.length; slot++) {
      const [x, y] = corner(item, slot, w, h, ring * RING_PX);
      if ((!inside || holds(inside, x, y, w, h)) && !taken.hits(x, y, w, h)) return [slot, { x, y, w, h, size, far: true }];
    }
  }
  return null;
}
