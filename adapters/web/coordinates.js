/** @file Places as people say them: degrees, minutes and seconds, and MGRS. Pure. */

const A_M = 6378137; // WGS84
const F = 1 / 298.257223563;
const K0 = 0.9996; // NGA.SIG.0012, UTM
const BANDS = "CDEFGHJKLMNPQRSTUVWX";
const COLUMNS = ["ABCDEFGH", "JKLMNPQR", "STUVWXYZ"];
const ROWS = ["ABCDEFGHJKLMNPQRSTUV", "FGHJKLMNPQRSTUVABCDE"];

/** "54°32'35\"N 25°43'47\"E". @param {number} lat_deg @param {number} lon_deg */
export function dms(lat_deg, lon_deg) {
  const one = (/** @type {number} */ value, /** @type {string} */ letters, /** @type {number} */ width) => {
    const total = Math.round(Math.abs(value) * 3600);
    const parts = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
    const [d, m, s] = parts.map((part, n) => String(part).padStart(n === 0 ? width : 2, "0"));
    return `${d}°${m}'${s}"${letters[value < 0 ? 1 : 0]}`;
  };
  return `${one(lat_deg, "NS", 2)} ${one(lon_deg, "EW", 3)}`;
}

/** Zone of UTM, with the exceptions of Norway and Svalbard. @param {number} lat_deg @param {number} lon_deg */
function zoneOf(lat_deg, lon_deg) {
  if (lat_deg >= 56 && lat_deg < 64 && lon_deg >= 3 && lon_deg < 12) return 32;
  if (lat_deg >= 72 && lon_deg >= 0 && lon_deg < 42) return lon_deg < 9 ? 31 : lon_deg < 21 ? 33 : lon_deg < 33 ? 35 : 37;
  return Math.min(60, Math.floor((lon_deg + 180) / 6) + 1);
}

/** Transverse Mercator by the series of Krueger to the fourth order: below a millimetre within a zone.
 * @param {number} lat_deg @param {number} lon_deg @param {number} zone @returns {[number, number]} easting, northing */
function utm(lat_deg, lon_deg, zone) {
  const n = F / (2 - F);
  const big = (A_M / (1 + n)) * (1 + n ** 2 / 4 + n ** 4 / 64);
  const alpha = [
    n / 2 - (2 / 3) * n ** 2 + (5 / 16) * n ** 3 + (41 / 180) * n ** 4,
    (13 / 48) * n ** 2 - (3 / 5) * n ** 3 + (557 / 1440) * n ** 4,
    (61 / 240) * n ** 3 - (103 / 140) * n ** 4,
    (49561 / 161280) * n ** 4,
  ];
  const lat = (lat_deg * Math.PI) / 180;
  const lon = ((lon_deg - (zone * 6 - 183)) * Math.PI) / 180;
  const e = Math.sqrt(F * (2 - F));
  const t = Math.sinh(Math.atanh(Math.sin(lat)) - e * Math.atanh(e * Math.sin(lat)));
  const xi = Math.atan2(t, Math.cos(lon));
  const eta = Math.atanh(Math.sin(lon) / Math.hypot(1, t));
  let [x, y] = [eta, xi];
  alpha.forEach((a, i) => {
    const k = 2 * (i + 1);
    x += a * Math.cos(k * xi) * Math.sinh(k * eta);
    y += a * Math.sin(k * xi) * Math.cosh(k * eta);
  });
  return [500_000 + K0 * big * x, K0 * big * y + (lat_deg < 0 ? 10_000_000 : 0)];
}

/** "35ULA 45678 12345", to the metre; empty beyond 84 N and 80 S. @param {number} lat_deg @param {number} lon_deg */
export function mgrs(lat_deg, lon_deg) {
  if (!(lat_deg >= -80 && lat_deg <= 84)) return "";
  const lon = ((((lon_deg + 180) % 360) + 360) % 360) - 180;
  const zone = zoneOf(lat_deg, lon);
  const [easting, northing] = utm(lat_deg, lon, zone);
  const band = BANDS[Math.min(19, Math.floor((lat_deg + 80) / 8))];
  const column = COLUMNS[(zone - 1) % 3]?.[Math.floor(easting / 100_000) - 1];
  const row = ROWS[(zone - 1) % 2]?.[Math.floor(northing / 100_000) % 20];
  const digits = (/** @type {number} */ v) => String(Math.floor(v % 100_000)).padStart(5, "0");
  return `${zone}${band} ${column}${row} ${digits(easting)} ${digits(northing)}`;
}

/** A place in both forms. @param {number} lat_deg @param {number} lon_deg */
export function both(lat_deg, lon_deg) {
  return `${dms(lat_deg, lon_deg)}  ${mgrs(lat_deg, lon_deg)}`;
}

/** Bearing from true north, degrees, on a sphere. @param {[number, number]} from lon, lat @param {[number, number]} to */
export function bearing(from, to) {
  const rad = Math.PI / 180;
  const [lon1, lat1, lon2, lat2] = [from[0] * rad, from[1] * rad, to[0] * rad, to[1] * rad];
  const y = Math.sin(lon2 - lon1) * Math.cos(lat2);
  const x = Math.cos(lat1) * Math.sin(lat2) - Math.sin(lat1) * Math.cos(lat2) * Math.cos(lon2 - lon1);
  return ((Math.atan2(y, x) / rad) % 360 + 360) % 360;
}
