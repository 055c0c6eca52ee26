// Continue's own Ollama provider (the compiled class of its package), driven as its core does. Its base class would pull in a
// gigabyte of unrelated packages; what the provider uses of it stands here instead.
import assert from "node:assert";
import { register } from "node:module";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(process.argv[2] + "/").href;
const base = `export class BaseLLM {
  constructor(options) { Object.assign(this, { completionOptions: {}, contextLength: 4096 }, this.constructor.defaultOptions, options); }
  fetch(url, init) { return (globalThis.calls ??= []).push(String(url)), fetch(url, init); }
}`;
register("data:text/javascript," + encodeURIComponent(`export async function resolve(name, context, next) {
  if (name === "../index.js" && context.parentURL.startsWith(${JSON.stringify(folder)}))
    return { url: "data:text/javascript," + encodeURIComponent(${JSON.stringify(base)}), shortCircuit: true };
  return next(name, context);
}`));
const { default: Ollama } = await import(folder + "llms/Ollama.js");

const { HYPURA_URL, HYPURA_MODEL, HYPURA_TOOLS_URL, HYPURA_TOOLS_NAME } = process.env;
const signal = new AbortController().signal;
const made = async (apiBase, model) => {
  const provider = new Ollama({ apiBase: apiBase + "/", model });
  for (let i = 0; i < 20 && provider.contextLength === 4096; i++) await new Promise((done) => setTimeout(done, 50));
  return provider;
};
const all = async (stream) => {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
};

const provider = await made(HYPURA_URL, HYPURA_MODEL);
assert.ok((await provider.listModels()).includes(HYPURA_MODEL));
const options = { temperature: 0, maxTokens: 12, stream: true, stop: ["<|im_end|>"], keepAlive: 1800 };
const chat = await all(provider._streamChat([{ role: "system", content: "Be brief." }, { role: "user", content: "Name a colour." }], signal, options));
assert.ok(chat.every((m) => m.role === "assistant" && typeof m.content === "string"), JSON.stringify(chat));
assert.ok(chat.map((m) => m.content).join("").length > 2);
const parts = await all(provider._streamChat([{ role: "user", content: [{ type: "text", text: "Name a colour." }] }], signal, options));
assert.ok(parts.map((m) => m.content).join("").length > 2);
const raw = await all(provider._streamComplete("Once upon a time", signal, { ...options, raw: true }));
assert.ok(raw.join("").length > 2, "autocompletion with raw");
const stop = new AbortController();
await assert.rejects(async () => {
  for await (const _ of provider._streamChat([{ role: "user", content: "Tell a long story." }], stop.signal, { ...options, maxTokens: 2000 })) stop.abort();
}, /abort/i);
await assert.rejects(all(new Ollama({ apiBase: HYPURA_URL + "/", model: "nope" })._streamChat([{ role: "user", content: "x" }], signal, options)), /not found/);
if (!provider.supportsFim()) await assert.rejects(all(provider._streamFim("a", "b", signal, options)), /does not support insert/);
await provider._embed(["a cat", "a dog"]).then((v) => assert.ok(v.length === 2 && v[0].length > 8),
  (e) => assert.match(String(e), /does not support embeddings/));

if (HYPURA_TOOLS_URL) { // a coding model: filling in the middle, and a tool call
  const coder = await made(HYPURA_TOOLS_URL, HYPURA_TOOLS_NAME);
  assert.ok(coder.contextLength > 4096 && coder.supportsFim(), "context and insert as /api/show tells them");
  const filled = (await all(coder._streamFim("def add(a, b):\n    return ", "\n\nprint(add(1, 2))\n", signal, { ...options, maxTokens: 16 }))).join("");
  assert.match(filled, /a\s*\+\s*b/);
  const tools = [{ type: "function", function: { name: "weather", description: "Tell the weather of a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }];
  const [called] = await all(coder._streamChat([{ role: "user", content: "What is the weather in Paris? Use the tool." }], signal, { ...options, maxTokens: 64, tools }));
  assert.equal(called.toolCalls?.[0].function.name, "weather", JSON.stringify(called));
  assert.match(JSON.parse(called.toolCalls[0].function.arguments).city, /paris/i);
}
