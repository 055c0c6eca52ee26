// What ollama-js accepts from the server.
import assert from "node:assert";
import { Ollama } from "ollama";

const ollama = new Ollama({ host: process.env.HYPURA_URL });
const model = process.env.HYPURA_MODEL;
const options = { num_predict: 8, temperature: 0, seed: 1 };

const { models } = await ollama.list();
assert.ok(models.some((m) => m.model === model && m.size > 0));
assert.ok((await ollama.show({ model })).model_info);
const messages = [{ role: "user", content: "Name a colour." }];
const plain = await ollama.chat({ model, messages, options });
assert.ok(plain.message.content && plain.done && plain.eval_count > 0);
let text = "", done = false;
for await (const part of await ollama.chat({ model, messages, options, stream: true })) {
  text += part.message.content;
  done = part.done;
}
assert.equal(text, plain.message.content);
assert.ok(done);
const generated = await ollama.generate({ model, prompt: "Say hi.", options });
assert.ok(generated.response);
let last;
for await (const part of await ollama.pull({ model, stream: true })) last = part;
assert.equal(last.status, "success");
await assert.rejects(ollama.pull({ model: "nope" }), /file does not exist/);
await assert.rejects(ollama.chat({ model: "nope", messages }), /not found/);
const stream = await ollama.generate({ model, prompt: "Once upon a time", raw: true, options: { num_predict: 2000 }, stream: true });
await assert.rejects(async () => {
  for await (const part of stream) if (!part.done) stream.abort();
}, /abort/i);
assert.equal((await ollama.ps()).models[0].model, model);
