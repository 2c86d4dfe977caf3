// Draws /openapi.json: one section per service, one fold per operation, one table per schema.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

const byId = (id) => document.getElementById(id);

/** An element with attributes and children; text becomes text, never markup. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** Text in which `words` between backticks are code and empty lines part paragraphs. */
function prose(text) {
  const inline = (part) => part.split("`").map((piece, i) => (i % 2 ? el("code", {}, piece) : piece));
  return text.split("\n\n").map((paragraph) => el("p", {}, inline(paragraph)));
}

const nameOf = (schema) => schema.$ref && schema.$ref.split("/").pop();
const derefAnswer = (api, answer) => (answer.$ref ? api.components.responses[nameOf(answer)] : answer);
const deref = (api, schema) => (schema && schema.$ref ? api.components.schemas[nameOf(schema)] : schema) || {};

/** Whichever of the alternatives says something; utoipa writes an optional reference as `oneOf: [null, ref]`. */
function plain(schema) {
  const options = (schema.oneOf || schema.anyOf || []).filter((option) => option.type !== "null");
  return options.length === 1 ? { ...options[0], description: schema.description || options[0].description } : schema;
}

/** A schema's type in a few words, with a link where it has a name. */
function typeOf(schema) {
  schema = plain(schema || {});
  if (schema.$ref) return [el("a", { href: `#schema-${nameOf(schema)}` }, nameOf(schema))];
  const types = [schema.type || (schema.properties ? "object" : "any")].flat().filter((type) => type !== "null");
  if (types.includes("array")) return ["list of ", ...typeOf(schema.items)];
  if (schema.enum) return [schema.enum.map((word) => `"${word}"`).join(" | ")];
  const alternatives = schema.oneOf || schema.anyOf;
  if (alternatives) return alternatives.flatMap((option, i) => [i ? " | " : "", ...typeOf(option)]);
  return [types.join(" | ") + (schema.format ? ` (${schema.format})` : "")];
}

/** The properties of a schema, those that it combines included. */
function propertiesOf(api, schema) {
  schema = deref(api, schema);
  const parts = (schema.allOf || []).map((part) => propertiesOf(api, part));
  const own = Object.entries(schema.properties || {}).map(([name, property]) => ({
    name, property, required: (schema.required || []).includes(name),
  }));
  return [...parts.flat(), ...own];
}

function table(head, rows) {
  const cells = (row, tag) => el("tr", {}, row.map((cell) => el(tag, {}, cell)));
  return el("div", { class: "table" },
    el("table", {}, el("thead", {}, cells(head, "th")), el("tbody", {}, rows.map((row) => cells(row, "td")))));
}

const required = (is) => (is ? el("span", { class: "must" }, " required") : "");

function schemaTable(api, schema) {
  const rows = propertiesOf(api, schema).map((field) => [
    [el("code", {}, field.name), required(field.required)],
    typeOf(field.property),
    plain(field.property).description || "",
  ]);
  return rows.length ? table(["Field", "Type", "Meaning"], rows) : el("p", {}, typeOf(schema));
}

/** A value of the schema's shape. `seen` ends what refers to itself. */
function example(api, schema, seen = []) {
  schema = plain(schema || {});
  const name = nameOf(schema);
  if (name && seen.includes(name)) return {};
  const inner = name ? [...seen, name] : seen;
  const resolved = deref(api, schema);
  if (resolved.example !== undefined) return resolved.example;
  if (resolved.examples && resolved.examples.length) return resolved.examples[0];
  if (resolved.default !== undefined && resolved.default !== null) return resolved.default;
  if (resolved.enum) return resolved.enum[0];
  const fields = propertiesOf(api, resolved);
  if (fields.length) return Object.fromEntries(fields.map((f) => [f.name, example(api, f.property, inner)]));
  if (resolved.oneOf || resolved.anyOf) return example(api, (resolved.oneOf || resolved.anyOf)[0], inner);
  const type = [resolved.type].flat().find((one) => one && one !== "null");
  if (type === "array") return [example(api, resolved.items, inner)];
  if (type === "integer" || type === "number") return 0;
  if (type === "boolean") return false;
  if (type === "object") return {};
  if (resolved.format === "uuid") return "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";
  if (resolved.format === "date-time") return "2026-01-31T12:00:00Z";
  return type === "string" ? "text" : null;
}

const bodyOf = (content) => Object.entries(content || {})[0] || [null, null];
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(api, method, path, operation) {
  const lines = [`curl ${quoted(location.origin + path)}`];
  if (method !== "get") lines[0] = `curl -X ${method.toUpperCase()} ${quoted(location.origin + path)}`;
  if (operation.security) lines.push('  -H "Authorization: Bearer $TOKEN"');
  const [type, body] = bodyOf(operation.requestBody && operation.requestBody.content);
  if (type) lines.push(`  -H ${quoted(`Content-Type: ${type}`)}`);
  if (type === "application/json") lines.push(`  -d ${quoted(JSON.stringify(example(api, body.schema), null, 2))}`);
  else if (type) lines.push("  --data-binary @file");
  return lines.join(" \\\n");
}

function code(text) {
  const copy = el("button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Select and copy";
    }
  });
  return el("div", { class: "code" }, el("pre", { tabindex: "0" }, text), copy);
}

const methodTag = (method) => el("span", { class: `method ${method}` }, method.toUpperCase());

function operationFold(api, { method, path, operation }) {
  const [, request] = bodyOf(operation.requestBody && operation.requestBody.content);
  const parameters = (operation.parameters || []).map((parameter) => [
    [el("code", {}, parameter.name), required(parameter.required)],
    parameter.in,
    typeOf(parameter.schema),
    parameter.description || "",
  ]);
  const answers = Object.entries(operation.responses || {}).map(([status, given]) => {
    const answer = derefAnswer(api, given);
    const [, body] = bodyOf(answer.content);
    return [el("code", {}, status), answer.description || "", body ? typeOf(body.schema) : "empty"];
  });
  const success = Object.entries(operation.responses || {}).find(([status]) => status.startsWith("2"));
  const [successType, successBody] = bodyOf(success && success[1].content);
  const json = successType === "application/json" && successBody.schema;
  const fold = el("details", { id: `op-${operation.operationId}` },
    el("summary", {}, methodTag(method), el("span", { class: "path" }, path),
      el("span", { class: "what" }, operation.summary || operation.operationId)));
  // The inside is drawn when it is first opened: the page is quick however long the document is.
  fold.addEventListener("toggle", () => {
    if (!fold.open || fold.querySelector(".body")) return;
    fold.append(el("div", { class: "body" },
      prose(operation.description || ""),
      parameters.length ? [el("h3", {}, "Parameters"), table(["Name", "In", "Type", "Meaning"], parameters)] : [],
      request ? [el("h3", {}, "Request body: ", typeOf(request.schema)), schemaTable(api, request.schema)] : [],
      el("h3", {}, "Answers"), table(["Status", "When", "Body"], answers),
      json ? [el("h3", {}, "Example answer"), code(JSON.stringify(example(api, json), null, 2))] : [],
      el("h3", {}, "Try it"), code(curl(api, method, path, operation))));
  });
  return fold;
}

/** The operations by tag, in the document's order. */
function groupsOf(api) {
  const groups = new Map((api.tags || []).map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((one) => item[one])) {
      const operation = item[method];
      const tag = (operation.tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push({ method, path, operation });
    }
  }
  return groups;
}

function draw(api) {
  byId("about").append(el("h2", {}, `${api.info.title} ${api.info.version}`), ...prose(api.info.description || ""),
    el("p", {}, el("a", { href: "/openapi.json" }, "The document as OpenAPI 3.1")));
  const found = [];
  for (const [tag, operations] of groupsOf(api)) {
    const links = operations.map((one) => {
      const id = `op-${one.operation.operationId}`;
      const fold = operationFold(api, one);
      const link = el("li", {}, el("a", { href: `#${id}` }, methodTag(one.method), " ", one.operation.summary || id));
      const words = `${tag} ${one.method} ${one.path} ${one.operation.operationId} ${one.operation.summary || ""}`;
      found.push({ words: words.toLowerCase(), nodes: [fold, link] });
      return { fold, link };
    });
    const section = el("section", {}, el("h2", {}, tag), links.map(({ fold }) => fold));
    const menu = el("div", {}, el("h2", {}, tag), el("ul", {}, links.map(({ link }) => link)));
    byId("operations").append(section);
    byId("menu").append(menu);
  }
  const schemas = Object.entries(api.components.schemas || {});
  byId("schemas").append(el("h2", {}, "Schemas"), ...schemas.map(([name, schema]) =>
    el("details", { id: `schema-${name}` }, el("summary", {}, el("code", {}, name)),
      el("div", { class: "body" }, prose(schema.description || ""), schemaTable(api, schema)))));
  byId("find").addEventListener("input", (event) => filter(found, event.target.value));
  addEventListener("hashchange", openTarget);
  openTarget();
}

function filter(found, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const { words: known, nodes } of found) {
    const fits = words.every((word) => known.includes(word));
    for (const node of nodes) node.hidden = !fits;
  }
  for (const group of document.querySelectorAll("#operations > section, #menu > div")) {
    group.hidden = !group.querySelector("details:not([hidden]), li:not([hidden])");
  }
}

/** Opens and shows what the address names. */
function openTarget() {
  const target = location.hash.length > 1 && byId(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.tagName === "DETAILS") target.open = true;
  target.scrollIntoView();
}

async function start() {
  const state = byId("state");
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    draw(await answer.json());
    state.hidden = true;
  } catch (error) {
    state.textContent = `The API document could not be read: ${error.message}. Reload the page to try again.`;
  }
}

start();
