/** @file How large everything is drawn: on a wall it is read from across the room. page.css says it by the window. */

let held = 0;
addEventListener("resize", () => (held = 0));

/** Pixels of the page for one of a desk. */
export function scale() {
  held ||= Number(window.getComputedStyle(document.documentElement).getPropertyValue("--scale")) || 1;
  return held;
}
