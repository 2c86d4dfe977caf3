// One MQTT connection of mqtt.js, driven by lines on standard input. Arguments, commands and events are those of
// ../python/probe.py, so that one test can drive either.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import mqtt from "mqtt";

const [host, port, version, username, password, ...rest] = process.argv.slice(2);
const options = Object.fromEntries(rest.map((option) => option.split(/=(.*)/s).slice(0, 2)));
const clean = options.clean !== "false";
const will = options.will?.split(/,(.*)/s);

const say = (...words) => console.log(words.join(" "));

const file = (path) => path && readFileSync(path);

const client = mqtt.connect({
  host,
  port: Number(port),
  protocol: options.transport === "ws" ? (options.ca ? "wss" : "ws") : options.ca ? "mqtts" : "mqtt",
  path: "/mqtt",
  ca: file(options.ca),
  cert: file(options.cert),
  key: file(options.key),
  protocolVersion: version === "5" ? 5 : 4,
  clientId: options.id ?? `probe-${process.pid}`,
  username,
  password,
  clean,
  reconnectPeriod: 0,
  will: will && { topic: will[0], payload: will[1], qos: 1, retain: false },
  properties: version === "5" && !clean ? { sessionExpiryInterval: 3600 } : undefined,
});

client.on("packetreceive", (packet) => {
  const code = packet.reasonCode ?? 0;
  switch (packet.cmd) {
    case "connack":
      say("connack", version === "5" ? code : packet.returnCode, ...(packet.sessionPresent ? ["present"] : []));
      break;
    case "suback":
      say("suback", packet.granted.join(","));
      break;
    case "puback":
    case "pubcomp":
      say("ack", code);
      break;
    case "pubrec":
      if (code >= 128) say("ack", code);
      break;
    case "disconnect":
      say("closed", code);
      break;
  }
});
client.on("message", (topic, payload, packet) => say("message", packet.qos, Number(packet.retain), topic, payload));
client.on("close", () => say("closed", 0));
// A refusal is an event above; mqtt.js reports it here once more.
client.on("error", () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...words] = line.split(" ");
  if (verb === "sub") {
    client.subscribe(words.slice(1).join(" "), { qos: Number(words[0]) }, () => {});
  } else if (verb === "pub") {
    const [qos, retain, topic, ...payload] = words;
    client.publish(topic, payload.join(" "), { qos: Number(qos), retain: retain === "1" }, () => {});
  } else if (verb === "die") {
    process.exit(0);
  } else if (verb === "end") {
    break;
  }
}
// Standard input may still be open.
client.end(false, () => process.exit(0));
