/** @file The list of alerts: one card for one object, the most urgent first; acknowledged ones shrink and say by whom. */

import { element, part, say } from "./dialogs.js";
import { rank } from "./tracks.js";
import { against, clock, known, plain, quantity, SEVERITY, spoken, spread, urgency } from "./words.js";

/** @typedef {import("./sky.js").Sky} Sky */
/** @typedef {Record<string, any>} Alert */
/** @typedef {{track: string, alerts: Alert[], worst: Alert, waiting: Alert[], order: number}} Case */
/** @typedef {{card: HTMLElement, head: HTMLElement, name: HTMLElement, facts: HTMLElement, place: HTMLElement,
 *   why: HTMLElement, who: HTMLElement, sentence: HTMLElement, dossier: HTMLElement, buttons: Record<string, HTMLElement>}} Card */

const BEAT_MS = 500; // the edge of a severity 1 that waits

/** One object with its alerts, in the order of urgency; closed ones last. @param {Sky} sky @returns {Case[]} */
export function cases(sky) {
  /** @type {Map<string, Alert[]>} */
  const byTrack = new Map();
  for (const alert of sky.all("alert").values()) {
    const list = byTrack.get(alert.track);
    if (list) list.push(alert);
    else byTrack.set(alert.track, [alert]);
  }
  /** @type {Case[]} */
  const found = [];
  for (const [track, all] of byTrack) {
    const open = all.filter((a) => a.state !== "closed");
    const alerts = open.length > 0 ? open : all;
    const worst = alerts.reduce((a, b) => (b.severity < a.severity || (b.severity === a.severity && b.raised_time > a.raised_time) ? b : a));
    const waiting = open.filter((a) => !a.acknowledged_by);
    const t = sky.tracks.get(track);
    const last = worst.severity * 1e6 + (waiting.length > 0 ? 0 : 5e5) + 199_999;
    found.push({ track, alerts, worst, waiting, order: open.length === 0 ? 1e9 : t ? rank(t) : last });
  }
  return found.sort((a, b) => a.order - b.order || (a.track < b.track ? -1 : 1));
}

/** The list on the page. */
export class AlertList {
  /** @param {{acknowledge: (c: Case) => void, centre: (c: Case) => void, report: (c: Case) => void,
   *   dossier: (c: Case) => void, handed: (c: Case) => string, filed: (c: Case) => string, identify: (c: Case) => void,
   *   handOver: (c: Case) => void, choose: (track: string) => void}} does */
  constructor(does) {
    this.does = does;
    this.list = part("alert-list");
    /** @type {Map<string, Card>} */
    this.cards = new Map();
    /** @type {Case[]} */
    this.cases = [];
    /** @type {Set<string> | null} alerts that were announced; null: the first look, nothing is new */
    this.announced = null;
    setInterval(() => document.body.classList.toggle("beat"), BEAT_MS);
  }

  /** @param {Sky} sky @param {string} selected */
  show(sky, selected) {
    this.cases = cases(sky);
    part("no-alerts").hidden = this.cases.length > 0;
    const names = new Set(this.cases.map((one) => one.track));
    for (const [track, card] of this.cards) {
      if (!names.has(track)) {
        card.card.remove();
        this.cards.delete(track);
      }
    }
    const focused = document.activeElement;
    this.cases.forEach((one, n) => {
      const card = this.cards.get(one.track) ?? this.#make(one.track);
      this.#fill(card, one, sky, selected);
      if (this.list.children[n] !== card.card) this.list.insertBefore(card.card, this.list.children[n] ?? null);
    });
    if (focused instanceof HTMLElement && focused !== document.activeElement && this.list.contains(focused)) focused.focus();
    if (sky.columns.length > 0) this.#announce(); // before the first picture nothing is old, and nothing new
  }

  /** @param {string} track @returns {Card} */
  #make(track) {
    const card = element("li", "", { class: "card", "data-track": track });
    const head = element("p", "", { class: "head" });
    const name = element("button", "", { class: "name", type: "button" });
    name.addEventListener("click", () => this.does.choose(track));
    const texts = ["sentence", "facts", "place", "why", "who", "dossier"].map((kind) => element("p", "", { class: kind }));
    const [sentence, line, place, why, who, dossier] = /** @type {[HTMLElement, HTMLElement, HTMLElement, HTMLElement, HTMLElement, HTMLElement]} */ (texts);
    const row = element("p", "", { class: "row" });
    /** @type {Record<string, HTMLElement>} */
    const buttons = {};
    for (const [key, label] of /** @type {[Exclude<keyof AlertList["does"], "handed" | "filed" | "choose">, string][]} */ ([
      ["acknowledge", "Ack (A)"], ["centre", "Centre (C)"], ["report", "Report (R)"], ["identify", "Identify (D)"],
      ["handOver", "Hand over (H)"], ["dossier", "Dossier (E)"],
    ])) {
      const button = element("button", label, { type: "button" });
      button.addEventListener("click", () => {
        const one = this.of(track);
        if (one) this.does[key](one);
      });
      buttons[key] = button;
      row.append(button);
    }
    card.append(head, name, sentence, line, place, why, who, dossier, row);
    const made = { card, head, name, sentence, facts: line, place, why, who, dossier, buttons };
    this.cards.set(track, made);
    return made;
  }

  /** @param {string} track */
  of(track) {
    return this.cases.find((one) => one.track === track);
  }

  /** @param {Card} card @param {Case} one @param {Sky} sky @param {string} selected */
  #fill(card, one, sky, selected) {
    const t = sky.tracks.get(one.track);
    const a = one.worst;
    const closed = a.state === "closed";
    const acknowledged = one.waiting.length === 0;
    const severity = SEVERITY[a.severity];
    card.card.className = ["card", `severity-${a.severity}`, closed ? "closed" : acknowledged ? "acknowledged" : "waiting",
      one.track === selected ? "chosen" : ""].join(" ");
    const coasting = t?.status === "coasting" ? "COASTING" : "";
    const mark = a.simulated ? "SIMULATED" : a.mode === "exercise" ? "EXERCISE" : "";
    const head = [`${severity?.shape ?? ""} ${severity?.name ?? ""}`, mark, closed ? "CLOSED" : urgency(t), coasting];
    say(card.head, head.filter(Boolean).join(" · "));
    say(card.name, t?.callsign ? `${one.track} ${t.callsign}` : one.track);
    say(card.sentence, a.sentence ?? "");
    const more = sky.detail(one.track);
    say(card.facts, t ? facts(t, more, a.identity) : "not in the picture now");
    say(card.place, t ? against(t, more) + ahead(t, more) : "");
    const all = /** @type {any[]} */ (a.quantities ?? []);
    const reasons = all.filter((q) => q.condition);
    say(card.why, `Why: ${a.rule} v${a.rule_version}: ${(reasons.length > 0 ? reasons : all).map(quantity).join("; ")}; seen by ${(a.sensors ?? []).join(", ")}`);
    say(card.who, told(one, closed) + this.does.handed(one));
    say(card.dossier, this.does.filed(one));
    card.buttons.acknowledge?.toggleAttribute("disabled", acknowledged);
    card.buttons.identify?.toggleAttribute("disabled", closed);
    card.buttons.handOver?.toggleAttribute("disabled", closed);
  }

  /** New ones are read aloud. */
  #announce() {
    const open = this.cases.flatMap((one) => one.alerts).filter((a) => a.state !== "closed");
    const fresh = open.filter((a) => this.announced !== null && !this.announced.has(a.id));
    this.announced = new Set(open.map((a) => a.id));
    if (fresh.length > 0) say(part("said"), fresh.map((a) => `Alert, severity ${a.severity}. ${a.sentence}`).join(" "));
  }

  /** What is open and not acknowledged. */
  waiting() {
    return this.cases.flatMap((one) => one.waiting).map((a) => ({ id: String(a.id), severity: Number(a.severity) }));
  }
}

/** @param {string | undefined} time RFC 3339 */
export function clockOf(time) {
  return time ? clock(Date.parse(time) * 1000) : "?";
}

/** What persons and rules did with it. @param {Case} one @param {boolean} closed */
function told(one, closed) {
  const a = one.worst;
  const others = one.alerts.length > 1 ? ` · ${one.alerts.length} rules` : "";
  const identity = a.identity && a.identity !== "unknown" ? ` · ${a.identity}, says ${a.identity_by ?? "?"}: ${a.identity_reason ?? ""}` : "";
  if (closed) return `closed: ${a.close_reason ?? ""}${identity}`;
  if (a.acknowledged_by) return `acknowledged by ${a.acknowledged_by} at ${clockOf(a.acknowledged_time)}${others}${identity}`;
  return `raised ${clockOf(a.raised_time)}${others}${identity}`;
}

/** A number keeps its unit and its ±: a line does not break between them. @param {string} words */
const whole = (words) => words.replace(/(?<=\d) (?=[±%m])|(?<=±) /g, "\u00a0");

/** One line: what it is and how it flies. @param {import("./sky.js").Track} t @param {Record<string, any>} more
 * @param {string} identity */
function facts(t, more, identity) {
  const words = [identity || "unknown"];
  if (t.object_class) words.push(`likely ${spoken(t.object_class)}${known(more["p_class"]) ? ` ${Math.round(100 * more["p_class"])} %` : ""}`);
  words.push(known(t.agl_m) ? `${plain(Math.round(t.agl_m))}${spread(more["sigma_agl_m"], (v) => plain(Math.round(v)))} m above ground` : "height unknown");
  if (known(t.speed_mps)) words.push(`${plain(t.speed_mps)} m/s`);
  if (known(t.course_deg)) words.push(`${String(Math.round(t.course_deg) % 360).padStart(3, "0")}°`);
  return words.map(whole).join(" · ");
}

/** When it crosses, with ±. @param {import("./sky.js").Track} t @param {Record<string, any>} more */
function ahead(t, more) {
  if (!known(t.time_to_border_s)) return "";
  const sigma = more["sigma_time_s"];
  return `, border\u00a0in ${Math.round(t.time_to_border_s)}${known(sigma) ? ` ± ${Math.round(sigma)}` : ""} s`;
}
