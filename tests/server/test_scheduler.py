"""Slots: answers are the same whatever is shared, reused, copied or restored; and only new tokens are evaluated."""
import json
import threading
import time
import unittest

from harness import ServerTest


class Slots(ServerTest):
    options = {"parallel": 4}

    def conversation(self, turns, label, **more):
        """A chat of several turns; returns how many prompt tokens each turn evaluated."""
        messages, evaluated = [{"role": "system", "content": "you are " + label}], []
        for i in range(turns):
            messages.append({"role": "user", "content": "say %s %d {TOKENS}" % (label, i)})
            before = self.server.metric("prompt_tokens_total")
            reply = self.server.post("/api/chat", {"model": "plain", "messages": messages, "stream": False, **more}).json
            evaluated.append(self.server.metric("prompt_tokens_total") - before)
            self.assertEqual(reply["message"]["content"], "%s %d %d" % (label, i, reply["prompt_eval_count"]))
            messages.append(reply["message"])
        return evaluated

    def test_next_turn_evaluates_the_new_tokens(self):
        evaluated = self.conversation(8, "alpha" * 20)
        self.assertGreater(evaluated[0], 100)
        for later in evaluated[1:]:
            self.assertLess(later, 160, evaluated)

    def test_conversations_keep_their_slots(self):
        """Two chats in turn do not evict each other."""
        chats = {"beta" * 30: [], "gamma" * 30: []}
        for i in range(5):
            for label, messages in chats.items():
                messages.append({"role": "user", "content": "say %d" % i})
                before = self.server.metric("prompt_tokens_total")
                reply = self.server.post("/api/chat", {"model": "plain", "messages": [{"role": "system", "content": label}] + messages, "stream": False}).json
                self.assertEqual(reply["message"]["content"], str(i))
                messages.append(reply["message"])
                if i > 0:
                    self.assertLess(self.server.metric("prompt_tokens_total") - before, 50)

    def test_shared_system_prompt_is_copied(self):
        """A second conversation beside a first one begins with a copy of what they share."""
        system = {"role": "system", "content": "shared " * 100}
        first = self.server.stream("/api/chat", {"model": "plain", "messages": [system, {"role": "user", "content": "slow 10 " + "x" * 100}]})
        self.assertTrue(self.server.wait_metric("jobs_active", 1, 5))
        time.sleep(0.2)
        before = self.server.metric("prompt_tokens_total")
        reply = self.server.post("/api/chat", {"model": "plain", "messages": [system, {"role": "user", "content": "say {TOKENS}"}], "stream": False}).json
        self.assertEqual(int(reply["message"]["content"]), reply["prompt_eval_count"])
        self.assertLess(self.server.metric("prompt_tokens_total") - before, 60)
        text = b""
        while b'"done":true' not in text:
            text += first.recv(65536)
        first.close()
        self.assertEqual(text.count(b'"content":"x"'), 100, "the first is not disturbed")

    def test_parallel_answers(self):
        """Many clients at once: every one gets its own answer."""
        results = {}

        def run(i):
            results[i] = self.answer("say client %d says %s" % (i, "z" * (i * 7 % 50)))

        threads = [threading.Thread(target=run, args=(i,)) for i in range(32)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, {i: "client %d says %s" % (i, "z" * (i * 7 % 50)) for i in range(32)})

    def test_requests_share_batches(self):
        self.answer("say warm")
        tokens, decodes = self.server.metric("decoded_tokens_total"), self.server.metric("decodes_total")
        threads = [threading.Thread(target=self.answer, args=("slow 2 " + "y" * 200,)) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        tokens, decodes = self.server.metric("decoded_tokens_total") - tokens, self.server.metric("decodes_total") - decodes
        self.assertGreater(tokens / decodes, 2, "four streams, yet a batch each")

    def test_order_across_models(self):
        """A request for another model is not starved by a stream of requests for the loaded one."""
        stop = threading.Event()

        def hammer():
            while not stop.is_set():
                self.answer("slow 1 " + "x" * 20)

        threads = [threading.Thread(target=hammer) for _ in range(6)]
        for t in threads:
            t.start()
        begun = time.monotonic()
        self.assertEqual(self.answer("say other", model="tools"), "other")
        took = time.monotonic() - begun
        stop.set()
        for t in threads:
            t.join()
        self.assertLess(took, 10)

    def test_embeddings_beside_text(self):
        s = self.server.stream("/api/chat", {"model": "plain", "messages": [{"role": "user", "content": "slow 5 " + "x" * 500}]})
        self.assertTrue(self.server.wait_metric("jobs_active", 1, 5))
        self.assertEqual(len(self.server.post("/api/embed", {"model": "embed", "input": ["a"] * 20}).json["embeddings"]), 20)
        self.assertEqual(self.server.metric("jobs_active"), 1, "the text model stayed")
        s.close()


class SmallBatches(Slots):
    """The same with prompts evaluated in many pieces."""

    options = {"parallel": 4, "max_batch": 16}


class Checkpoints(ServerTest):
    """A model whose state cannot be cut (recurrent, sliding window)."""

    options = {"parallel": 2, "checkpoints": 1}

    def test_answers_and_reuse(self):
        messages, evaluated = [{"role": "system", "content": "s" * 300}], []
        for i in range(6):
            messages.append({"role": "user", "content": "say %d {TOKENS}" % i})
            before = self.server.metric("prompt_tokens_total")
            reply = self.server.post("/api/chat", {"model": "plain", "messages": messages, "stream": False}).json
            evaluated.append(self.server.metric("prompt_tokens_total") - before)
            self.assertEqual(reply["message"]["content"], "%d %d" % (i, reply["prompt_eval_count"]))
            messages.append({"role": "assistant", "content": "something else than was said %d" % i})
        self.assertGreater(evaluated[0], 300)
        for later in evaluated[1:]:
            self.assertLess(later, 150, "the checkpoint before the answer was restored: %s" % evaluated)

    def test_same_prompt_again(self):
        for _ in range(3):
            self.assertEqual(self.answer("say the same"), "the same")

    def test_unrelated(self):
        for i in range(6):
            self.assertEqual(self.answer("say %d" % (i * 1111)), str(i * 1111))


class Fairness(ServerTest):
    options = {"parallel": 2, "decode_us": 2000, "max_batch": 64, "context": 8192}

    def test_long_prompt_does_not_stop_others(self):
        s = self.server.stream("/api/chat", {"model": "plain", "messages": [{"role": "user", "content": "forever"}]})
        buffer = b""
        while buffer.count(b'"content":"x"') < 10:
            buffer += s.recv(65536)
        worker = threading.Thread(target=self.answer, args=("say " + "p" * 5000,), kwargs={"options": {"num_predict": 1}})
        worker.start()
        gaps, last = [], time.monotonic()
        while worker.is_alive():
            part = s.recv(65536)
            self.assertTrue(part)
            gaps.append(time.monotonic() - last)
            last = time.monotonic()
        worker.join()
        s.close()
        self.assertGreater(len(gaps), 10)
        self.assertLess(max(gaps), 1)


class SignOfLife(ServerTest):
    """A stream that waits for long says something harmless, so that clients do not give up."""
    options = {"load_ms": 2500, "sign": 0.4, "keep_alive_s": 0}

    def test_ollama(self):
        lines = self.chat("say hi").lines
        self.assertGreater(len([1 for line in lines[:-1] if line["message"] == {"role": "assistant", "content": ""} and not line["done"]]), 1)
        self.assertEqual("".join(line["message"]["content"] for line in lines), "hi")
        self.assertEqual(self.chat("say hi", stream=False).json["message"]["content"], "hi")
        lines = self.server.post("/api/generate", {"model": "plain", "prompt": "say hi"}).lines
        self.assertEqual((lines[0]["response"], lines[0]["done"], "".join(line["response"] for line in lines)), ("", False, "hi"))

    def test_openai(self):
        parts = self.chat("say hi", path="/v1/chat/completions", stream=True).body.split(b"\n\n")
        self.assertEqual(parts[0], b": working")
        data = [p for p in parts if not p.startswith(b":")]
        self.assertIn(b'"role":"assistant"', data[0])
        self.assertEqual(data[-2:], [b"data: [DONE]", b""])

    def test_error(self):
        reply = self.chat("say hi", model="broken")
        self.assertEqual((reply.status, list(reply.lines[-1])), (200, ["error"]), "it comes after the first sign")
        self.assertEqual(self.chat("say hi", model="broken", stream=False).status, 500)
        parts = self.chat("say hi", model="broken", stream=True, path="/v1/chat/completions").body.split(b"\n\n")
        self.assertEqual((parts[0], parts[-1]), (b": working", b""))
        self.assertEqual(json.loads(parts[-2][len(b"data: "):]), {"error": {"message": "this model is broken (take another)", "type": "api_error", "param": None, "code": None}})


if __name__ == "__main__":
    unittest.main()
