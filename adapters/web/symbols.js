/** @file Symbols by identity and kind: APP-6 frames (milsymbol), drawn once each and kept. */

/** Digit of the standard identity in a symbol's code. @type {Record<string, string>} */
const IDENTITY = { unknown: "1", friend: "3", neutral: "4", suspect: "5", hostile: "6" };
/** Air entity of a class (APP-6D, symbol set 01); no kind is claimed where none is known. @type {Record<string, string>} */
const ENTITY = {
  "": "000000",
  "fixed-wing-drone": "110300",
  "small-multicopter": "110300",
  "light-aircraft": "120100",
  ultralight: "120100",
  airliner: "120100",
  glider: "120100",
  "fast-jet": "110100",
  rotorcraft: "120200",
  balloon: "120400",
};
/** Frames without a fill take the colour of the fill. @type {Record<string, string>} */
const COASTING = { unknown: "#ffff80", friend: "#80e0ff", neutral: "#aaffaa", suspect: "#ffe599", hostile: "#ff8080" };
const PRESENT = "0";
const ANTICIPATED = "1"; // a dashed frame: where it should be by now
const KEPT = 400;

/** @type {Map<string, {image: HTMLCanvasElement, dx: number, dy: number}>} */
const kept = new Map();

/** The code of a symbol. @param {string} identity @param {string} kind @param {boolean} coasting */
export function code(identity, kind, coasting) {
  const entity = ENTITY[kind] ?? "000000";
  return `100${IDENTITY[identity] ?? "1"}01${coasting ? ANTICIPATED : PRESENT}000${entity}0000`;
}

/**
 * A symbol as a picture, and where its middle is.
 * @param {string} identity friend, neutral, suspect, hostile, unknown; civil: one that says who it is
 * @param {string} kind class of the object
 * @param {boolean} coasting hollow, dashed
 * @param {number} size_px of the frame
 * @param {string} grey colour of civil frames
 * @param {number} ratio pixels of the screen per pixel of the page
 */
export function symbol(identity, kind, coasting, size_px, grey, ratio) {
  const key = `${identity}|${kind}|${coasting}|${size_px}|${grey}|${ratio}`;
  const found = kept.get(key);
  if (found) return found;
  const civil = identity === "civil";
  const options = {
    size: size_px,
    infoFields: false,
    fill: !civil && !coasting,
    ...(civil ? { monoColor: grey, icon: false, strokeWidth: 8 } : { outlineWidth: 6, outlineColor: "#0d1117" }),
    ...(coasting && !civil ? { monoColor: COASTING[identity] ?? "#ffff80" } : {}),
  };
  const drawn = new ms.Symbol(code(civil ? "neutral" : identity, kind, coasting), options);
  const image = /** @type {HTMLCanvasElement} */ (drawn.asCanvas(ratio));
  const anchor = drawn.getAnchor();
  const made = { image, dx: anchor.x, dy: anchor.y };
  if (kept.size >= KEPT) kept.clear();
  kept.set(key, made);
  return made;
}
