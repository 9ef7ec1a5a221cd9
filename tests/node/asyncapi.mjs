// Reads an AsyncAPI document with the parser of its makers: node asyncapi.mjs MODULES FILE
// Prints one JSON object: what it complains about (errors and warnings), and the addresses and messages that it found.
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [, , modules, file] = process.argv;
const require = createRequire(pathToFileURL(`${modules}/`));
const { Parser } = require("@asyncapi/parser");

const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf8"));
const complaints = diagnostics.filter((one) => one.severity < 2);
const found = {};
for (const channel of document?.allChannels().all() ?? []) {
  found[channel.address()] = channel.messages().all().map((message) => message.name());
}
const operations = (document?.operations().all() ?? []).map((one) => [one.action(), one.channels().all()[0].address()]);
console.log(
  JSON.stringify({
    complaints: complaints.map((one) => `${one.code} ${one.path.join(".")}: ${one.message}`),
    channels: found,
    operations,
  }),
);
