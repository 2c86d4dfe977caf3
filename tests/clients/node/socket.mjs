// One raw WebSocket, driven by lines on standard input: each line is sent as one frame.
//
//   node socket.mjs URL [AUTHORIZATION [CA_FILE [CERTIFICATE_FILE KEY_FILE]]]
//
// Output, one event a line: `open`, `message TEXT`, `refused STATUS`, `closed CODE REASON`.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [url, authorization, ca, cert, key] = process.argv.slice(2);
const socket = new WebSocket(url, {
  headers: authorization ? { authorization } : {},
  ca: ca && readFileSync(ca),
  cert: cert && readFileSync(cert),
  key: key && readFileSync(key),
});
const say = (...words) => console.log(words.join(" "));

socket.on("open", () => say("open"));
socket.on("message", (data, binary) => say(binary ? "message" : "text", data.toString()));
socket.on("unexpected-response", (_request, response) => {
  say("refused", response.statusCode);
  process.exit(0);
});
socket.on("close", (code, reason) => say("closed", code, reason.toString()));
socket.on("error", () => {});

for await (const line of createInterface({ input: process.stdin })) socket.send(line);
socket.close();
