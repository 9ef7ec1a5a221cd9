/** @file Colours of what is drawn on the map, by theme. What is page and not map stands in page.css. */

export const THEMES = /** @type {const} */ (["dark", "day", "contrast"]);
/** @typedef {typeof THEMES[number]} Theme */

/**
 * @typedef {object} Colours
 * @property {string} sea
 * @property {string} land
 * @property {string} allied
 * @property {string} line outlines of states
 * @property {string} border
 * @property {string} band
 * @property {string} ring
 * @property {string} text
 * @property {string} dim
 * @property {string} plate behind labels
 * @property {string} civil
 * @property {Record<number, string>} severity
 */

const SEVERITY = { 1: "#d55e00", 2: "#e69f00", 3: "#56b4e9" };

/** @type {Record<Theme, Colours>} */
export const COLOURS = {
  dark: {
    sea: "#0a1420", land: "#18212b", allied: "#1d2a35", line: "#33414e", border: "#c9a54a",
    band: "rgba(201,165,74,0.10)", ring: "rgba(139,152,165,0.28)", text: "#d6dee6", dim: "#8b98a5",
    plate: "rgba(13,17,23,0.86)", civil: "#9aa7b4", severity: SEVERITY,
  },
  day: {
    sea: "#cfdde8", land: "#f0efe9", allied: "#fbfaf5", line: "#b5b8b5", border: "#7a5c00",
    band: "rgba(160,120,20,0.13)", ring: "rgba(70,80,90,0.30)", text: "#14191e", dim: "#4a555f",
    plate: "rgba(255,255,255,0.90)", civil: "#4e5a66", severity: { 1: "#b34700", 2: "#8a5a00", 3: "#0f6aa6" },
  },
  contrast: {
    sea: "#000000", land: "#000000", allied: "#101010", line: "#7a7a7a", border: "#ffd75e",
    band: "rgba(255,215,94,0.16)", ring: "rgba(255,255,255,0.45)", text: "#ffffff", dim: "#dddddd",
    plate: "rgba(0,0,0,0.95)", civil: "#ffffff", severity: { 1: "#ff7b29", 2: "#ffc04d", 3: "#8ad0ff" },
  },
};
