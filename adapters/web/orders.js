/** @file What a person orders and tells: acknowledge, identify, close, hand over, report a sighting. Each goes to the
 * service with his name, and the service's answer is shown. */

import { operator, setOperator } from "./address.js";
import { ask, toast } from "./dialogs.js";
import { Dossiers } from "./dossier.js";
import { ask as fetched, command, post } from "./feed.js";

/** @typedef {import("./alerts.js").Case} Case */
/** @typedef {Record<string, any>} Incident */

const IDENTITIES = ["unknown", "friend", "neutral", "suspect", "hostile"];

export class Orders {
  /** @param {import("./sky.js").Sky} live the present @param {() => boolean} replaying the past takes no orders
   * @param {() => Record<string, any>} base what the configuration gives @param {() => void} changed there are new words */
  constructor(live, replaying, base, changed) {
    this.live = live;
    this.replaying = replaying;
    this.base = base;
    this.person = { name: "", role: "admin" };
    /** @type {Record<string, string>} what was typed of a sighting that was not taken: nobody types it twice */
    this.draft = {};
    this.dossiers = new Dossiers(changed);
    /** of which incident a dossier was asked for, by alert @type {Map<string, string>} */
    this.asked = new Map();
  }

  /** Who gives the order; asked once where the server does not know. @returns {Promise<string>} "": nobody */
  async name() {
    if (this.person.name) return this.person.name;
    if (operator()) return operator();
    const said = await ask("Your name, for the record", [{ name: "operator", label: "Name", needed: true, most: 64 }], "Go on");
    if (!said?.operator) return "";
    setOperator(said.operator);
    return said.operator;
  }

  /** Nothing is ordered of the past, and by nobody who only views. @returns {boolean} */
  #may() {
    if (this.replaying()) toast("this is the past: End goes back to live", true);
    else if (this.person.role === "view") toast("your role is to view", true);
    else return true;
    return false;
  }

  /** @param {string} verb @param {Record<string, string>[]} orders @param {string} what */
  async #give(verb, orders, what) {
    if (!this.#may()) return;
    const by = await this.name();
    if (!by) return;
    for (const order of orders) {
      const answer = await command(verb, { ...order, operator: by });
      toast(`${what}: ${answer.ok ? "done" : "NOT done"}${answer.detail ? `, ${answer.detail}` : ""}`, !answer.ok);
    }
  }

  /** @param {Case} one */
  acknowledge(one) {
    if (one.waiting.length === 0) return toast("nothing here waits for an acknowledgement");
    return this.#give("acknowledge", one.waiting.map((a) => ({ alert_id: String(a.id) })), `Acknowledge ${one.track}`);
  }

  /** @param {Case} one */
  async identify(one) {
    if (!this.#may()) return;
    const said = await ask(`Identify ${one.track}`, [
      { name: "identity", label: "It is", choices: IDENTITIES },
      { name: "reason", label: "Because", needed: true, most: 500 },
    ], "Identify");
    if (!said) return;
    const order = { identity: said["identity"] ?? "", reason: said["reason"] ?? "" };
    await this.#give("identify", open(one).map((a) => ({ alert_id: String(a.id), ...order })), `Identify ${one.track}`);
  }

  /** @param {Case} one */
  async close(one) {
    if (!this.#may()) return;
    const said = await ask(`Close the alerts of ${one.track}`, [{ name: "reason", label: "Because", needed: true, most: 500 }], "Close them");
    if (!said) return;
    await this.#give("close", open(one).map((a) => ({ alert_id: String(a.id), reason: said["reason"] ?? "" })), `Close ${one.track}`);
  }

  /** To a neighbour, who takes it; then once more: that he has taken it. @param {Case} one */
  async handOver(one) {
    if (!this.#may()) return;
    const incident = this.incident(one);
    if (!incident) return toast(`no incident of ${one.track} is known`, true);
    const handed = incident["state"] === "handed-over" && !incident["taken_by"];
    const to = { name: "to", label: handed ? "Taken over by" : "To", needed: true, most: 64, hints: this.base()["partners"] ?? [], value: incident["handed_to"] ?? "" };
    const fields = handed ? [to] : [to, { name: "reason", label: "Because", needed: true, most: 500 }];
    const said = await ask(handed ? `Taken over: ${one.track}` : `Hand over ${one.track}`, fields, handed ? "Taken" : "Hand over");
    if (!said) return;
    const order = { incident_id: String(incident["id"]), to: said["to"] ?? "", reason: said["reason"] ?? "" };
    await this.#give(handed ? "take" : "hand-over", [order], handed ? `Taken over ${one.track}` : `Hand over ${one.track}`);
  }

  /** What somebody saw or heard. @param {number} lat_deg @param {number} lon_deg where the pointer is */
  async sighting(lat_deg, lon_deg) {
    const sensors = (this.base()["sensors"] ?? []).filter((/** @type {any} */ s) => s.kind === "sighting").map((/** @type {any} */ s) => String(s.id));
    if (sensors.length === 0) return toast("no sensor of kind sighting is configured", true);
    if (!this.#may()) return;
    const said = await ask("What was seen or heard", [
      { name: "place", label: "Place: latitude, longitude in degrees (of the object, or of the observer with a bearing)", needed: true, value: `${lat_deg.toFixed(5)}, ${lon_deg.toFixed(5)}` },
      { name: "time", label: "Time, UTC (05:00 or 05:00:30)", needed: true, value: new Date().toISOString().slice(11, 19) },
      { name: "bearing", label: "Bearing from the observer, degrees from north, if known", value: this.draft["bearing"] ?? "" },
      { name: "words", label: "In which words", needed: true, value: this.draft["words"] ?? "", most: 500 },
      { name: "reporter", label: "Who reports (a role, no private name)", value: this.draft["reporter"] ?? "operator", most: 64 },
      ...(sensors.length > 1 ? [{ name: "sensor", label: "As which source", choices: sensors }] : []),
    ], "Report");
    if (!said) return;
    this.draft = said;
    const by = await this.name();
    if (!by) return;
    const answer = await post("/sighting", { sensor: sensors[0] ?? "", ...said, operator: by });
    if (answer.ok) this.draft = {};
    toast(`Sighting: ${answer.ok ? "taken" : "NOT taken"}${answer.detail ? `, ${answer.detail}` : ""}`, !answer.ok);
  }

  /** @param {Case} one @returns {Incident | null} */
  incident(one) {
    for (const incident of this.live.all("incident").values()) {
      const mine = (/** @type {any} */ m) => m.track === one.track || one.alerts.some((a) => m.alerts?.includes(a.id));
      if (incident.members?.some(mine)) return incident;
    }
    return null;
  }

  /** Who has it now, in words. @param {Case} one */
  handed(one) {
    const incident = this.incident(one);
    if (incident?.["state"] !== "handed-over") return "";
    const taken = incident["taken_by"];
    return taken ? ` · taken by ${incident["handed_to"]}, says ${taken}` : ` · handed over to ${incident["handed_to"]}`;
  }

  /** Its incident's id. Of what is over the broker knows nothing: the database is asked. @param {Case} one
   * @returns {Promise<string>} "": none, and that was said */
  async #incidentId(one) {
    const incident = this.incident(one);
    if (incident) return String(incident["id"]);
    const found = await fetched(`/incident-of/${encodeURIComponent(String(one.worst.id))}`);
    if (!found?.incident) toast(`no incident of ${one.track} is known`, true);
    return found?.incident ?? "";
  }

  /** @param {Case} one */
  async report(one) {
    const id = await this.#incidentId(one);
    if (id) window.open(`/report/${encodeURIComponent(id)}`, "_blank", "noopener");
  }

  /** How far its dossier is. @param {Case} one */
  filed(one) {
    const id = this.asked.get(String(one.worst.id));
    return id ? this.dossiers.words(id) : "";
  }

  /** It changes nothing, so it may be asked for of the past too. @param {Case} one */
  async dossier(one) {
    const { role } = this.person;
    if (role === "view") return toast("your role is to view: a dossier needs acknowledge", true);
    const id = await this.#incidentId(one);
    if (!id) return undefined;
    for (const a of one.alerts) this.asked.set(String(a.id), id);
    return this.dossiers.make(id, one.track);
  }
}

/** @param {Case} one */
function open(one) {
  return one.alerts.filter((a) => a.state !== "closed");
}
