/** @file The sensors: state, age, rate, how much of what they should see they see; bad ones as chips in the bar. */

import { element, part, say } from "./dialogs.js";
import { age, known, plain } from "./words.js";

export class SensorList {
  constructor() {
    this.body = /** @type {HTMLElement} */ (part("sensor-list").querySelector("tbody"));
    this.written = "";
  }

  /** @param {import("./sky.js").Sky} sky @param {number} time_us */
  show(sky, time_us) {
    const sensors = [...sky.all("sensor").values()].sort((a, b) => (a.sensor < b.sensor ? -1 : 1));
    const rows = sensors.map((s) => {
      const bias = s.bias ? `${s.bias.state}${s.bias.detail ? `: ${s.bias.detail}` : ""}` : "";
      const looks = (s.hits_count ?? 0) + (s.misses_count ?? 0);
      return [
        String(s.sensor), String(s.state), s.last_arrival_time ? age((time_us - Date.parse(s.last_arrival_time) * 1000) / 1e6) : "",
        known(s.rate_hz) ? `${plain(s.rate_hz)}/s` : "", looks > 0 ? `${Math.round((100 * s.hits_count) / looks)} %` : "", bias,
      ];
    });
    const bad = sensors.filter((s) => s.state !== "ok");
    say(part("sensor-count"), sensors.length > 0 ? `sensors ${sensors.length - bad.length}/${sensors.length}` : "no sensors");
    const text = JSON.stringify(rows);
    if (text === this.written) return;
    this.written = text;
    part("sensor-chips").replaceChildren(...bad.map((s) => element("span", `▲ ${s.sensor} ${s.state}${s.detail ? `: ${s.detail}` : ""}`, { class: "chip warn" })));
    this.body.replaceChildren(...rows.flatMap(([name, state, since, rate, seen, bias]) => {
      const row = element("tr", "", { class: state === "ok" ? "" : "bad" });
      for (const value of [name, state === "ok" ? "✓ ok" : `▲ ${state}`, since, rate, seen]) row.append(element("td", value));
      if (!bias) return [row];
      const more = element("tr", "", { class: "more" });
      more.append(element("td", `bias ${bias}`, { colspan: "5" }));
      return [row, more];
    }));
  }
}
