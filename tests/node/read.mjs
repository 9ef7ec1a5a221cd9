// Opens a recording with the MCAP library of npm, through its index: node read.mjs MODULES FILE
// Prints one JSON object: messages by topic, schemas by topic, and whether every message is JSON of its schema's fields.
import { createRequire } from "node:module";
import { open } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [, , modules, file] = process.argv;
const require = createRequire(pathToFileURL(`${modules}/`));
const { McapIndexedReader } = require("@mcap/core");
const fzstd = require("fzstd");

const handle = await open(file, "r");
const readable = {
  size: async () => BigInt((await handle.stat()).size),
  read: async (offset, length) => {
    const buffer = new Uint8Array(Number(length));
    await handle.read(buffer, 0, Number(length), Number(offset));
    return buffer;
  },
};
const decompressHandlers = { zstd: (data, size) => fzstd.decompress(data, new Uint8Array(Number(size))) };
const reader = await McapIndexedReader.Initialize({ readable, decompressHandlers });
const counts = {};
const schemas = {};
let strange = 0;
for await (const message of reader.readMessages()) {
  const channel = reader.channelsById.get(message.channelId);
  counts[channel.topic] = (counts[channel.topic] ?? 0) + 1;
  const schema = reader.schemasById.get(channel.schemaId);
  if (schema === undefined) continue;
  schemas[channel.topic] = schema.name;
  const { type, properties } = JSON.parse(new TextDecoder().decode(schema.data));
  const told = JSON.parse(new TextDecoder().decode(message.data));
  if (type !== "object" || !Object.keys(told).some((key) => key in properties)) strange += 1;
}
console.log(JSON.stringify({ counts, schemas, strange }));
