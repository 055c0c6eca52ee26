"""What clients must not be able to do: block, crash or starve the server. And what happens when it or they go away."""
import http.client
import json
import os
import random
import signal
import socket
import tempfile
import threading
import time
import unittest

from harness import Server, ServerTest, gguf


class Robust(ServerTest):
    options = {"timeout": 1, "parallel": 2, "body": 1 << 20}

    def alive(self):
        self.assertEqual(self.answer("say alive"), "alive")

    def test_slow_request(self):
        """A byte now and then keeps no connection open."""
        for start in (b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nX: ", b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"):
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as s:
                s.sendall(start)
                begun = time.monotonic()
                closed = False
                while time.monotonic() - begun < 8 and not closed:
                    time.sleep(0.2)
                    try:
                        s.sendall(b"a")
                        s.settimeout(0.01)
                        closed = s.recv(1000) == b""
                    except socket.timeout:
                        pass
                    except (ConnectionResetError, BrokenPipeError):
                        closed = True
                self.assertTrue(closed)
                self.assertLess(time.monotonic() - begun, 5)
        self.alive()

    def test_garbage(self):
        rng = random.Random(7)
        for data in (b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(200), b"GET / HTTP/9.9\r\n\r\n",
                     b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                     b"GET /%00%ff%2e%2e/ HTTP/1.1\r\nHost: localhost\r\n\r\n", rng.randbytes(5000), b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
                     b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            self.server.raw(data, timeout=4, half_close=True)
        for body in (b"{", b"{\"model\":", b"\xff\xfe", b"null", b"\"x\"", b"[]", b"{}{}", b"0" * 5000):
            for path in ("/api/chat", "/api/generate", "/api/show", "/api/embed", "/api/pull", "/api/copy", "/api/create", "/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
                status = self.server.post(path, body).status
                self.assertIn(status, (400, 404, 501), (path, body))
        self.alive()

    def test_mutated_requests(self):
        """Random edits of good requests: any documented status, never a crash."""
        rng = random.Random(int(os.environ.get("HYPURA_SEED", "1")))
        seeds = [("/api/chat", {"model": "plain", "messages": [{"role": "user", "content": "say x"}], "options": {"num_predict": 3, "stop": ["a"]}, "think": False}),
                 ("/v1/chat/completions", {"model": "tools", "messages": [{"role": "user", "content": [{"type": "text", "text": "say x"}]}], "max_tokens": 3, "tools": [
                     {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}], "tool_choice": "auto"}),
                 ("/api/generate", {"model": "plain", "prompt": "say x", "context": [1, 2], "options": {"num_predict": 3}, "keep_alive": "5m"}),
                 ("/api/embed", {"model": "embed", "input": ["a", "b"], "dimensions": 4})]
        junk = [None, True, -1, 1.5, "", "x" * 300, [], {}, [[]], {"a": {"b": []}}, 1 << 60, "\u0000", "{{ .X }}"]

        def mutate(value):
            if rng.random() < 0.15:
                return rng.choice(junk)
            if isinstance(value, dict):
                return {k: mutate(v) for k, v in value.items() if rng.random() > 0.05}
            if isinstance(value, list):
                return [mutate(v) for v in value]
            return value

        for _ in range(300):
            path, body = rng.choice(seeds)
            data = json.dumps(mutate(body)).encode()
            if rng.random() < 0.3:
                data = bytearray(data)
                for _ in range(rng.randrange(1, 4)):
                    data[rng.randrange(len(data))] = rng.randrange(256)
                data = bytes(data)
            reply = self.server.post(path, data)
            self.assertIn(reply.status, (200, 400, 404, 500), data)
        self.alive()

    def test_nesting(self):
        for depth, words in ((127, None), (130, "nested"), (100000, "nested")):
            reply = self.server.post("/api/show", '{"model":"plain","x":' + "[" * depth + "]" * depth + "}")
            if words is None:
                self.assertEqual(reply.status, 200)
            else:
                self.assertEqual(reply.status, 400)
                self.assertIn(words, reply.json["error"])
        self.assertEqual(self.server.post("/api/show", '{"model":"plain","x":"' + "[" * 5000 + '"}').status, 200, "brackets in a string do not count")

    def test_too_large(self):
        reply = self.server.raw(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", timeout=5)
        self.assertIn(b" 413 ", reply.split(b"\r\n")[0])
        part = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        reply = self.server.raw(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + part * 20 + b"0\r\n\r\n", timeout=5)
        self.assertIn(b" 413 ", reply.split(b"\r\n")[0])
        self.alive()

    def test_half_closed(self):
        """A client that has sent its request and closed its sending side still gets a quick answer; its generation counts
        as abandoned."""
        reply = self.server.raw(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", half_close=True)
        self.assertIn(b'{"version":', reply)
        body = b'{"model":"plain","messages":[{"role":"user","content":"forever"}]}'
        before = self.server.metric("jobs_cancelled_total")
        self.server.raw(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body, half_close=True, timeout=5)
        self.assertTrue(self.server.wait_metric("jobs_cancelled_total", before + 1))
        self.alive()

    def test_keep_alive_and_pipelining(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port)
        for _ in range(3):
            connection.request("POST", "/api/chat", json.dumps({"model": "plain", "messages": [{"role": "user", "content": "say x"}]}))
            self.assertIn(b'"done":true', connection.getresponse().read())
        connection.close()
        reply = self.server.raw(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2 + b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self.assertEqual((reply.count(b'{"version"'), reply.count(b"Ollama is running")), (2, 1))

    def test_http10(self):
        body = b'{"model":"plain","messages":[{"role":"user","content":"say old"}]}'
        reply = self.server.raw(b"POST /api/chat HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        self.assertIn(b'"content":"l"', reply)
        self.assertTrue(reply.endswith(b"}\n"))

    def test_disconnect_cancels(self):
        for stream in (True, False):
            before = self.server.metric("jobs_cancelled_total")
            s = self.server.stream("/api/chat", {"model": "plain", "messages": [{"role": "user", "content": "slow 5 " + "x" * 2000}], "stream": stream})
            if stream:
                self.assertIn(b"200 OK", s.recv(1000))
            else:
                time.sleep(0.2)
            self.assertEqual(self.server.metric("jobs_active"), 1)
            s.close()
            self.assertTrue(self.server.wait_metric("jobs_cancelled_total", before + 1, 5))
            self.assertTrue(self.server.wait_metric("jobs_active", 0, 5))

    def test_disconnect_in_queue(self):
        body = {"model": "plain", "messages": [{"role": "user", "content": "slow 20 " + "x" * 100}]}
        streams = [self.server.stream("/api/chat", body) for _ in range(5)]
        self.assertTrue(self.server.wait_metric("jobs_waiting", 3, 5))
        streams[4].close()
        self.assertTrue(self.server.wait_metric("jobs_waiting", 2, 5))
        for s in streams:
            s.close()
        self.assertTrue(self.server.wait_metric("jobs_active", 0, 10))

    def test_slow_reader(self):
        """A client that does not read stops its own answer and nobody else's."""
        body = {"model": "plain", "messages": [{"role": "user", "content": "forever"}], "options": {"num_predict": 1000000}}
        stalled = socket.socket()
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(("127.0.0.1", self.server.port))
        data = json.dumps({**body, "options": {"num_predict": 100000, "num_ctx": 4096}}).encode()
        stalled.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        time.sleep(0.3)
        for _ in range(5):
            begun = time.monotonic()
            self.alive()
            self.assertLess(time.monotonic() - begun, 2)
        stalled.close()
        self.assertTrue(self.server.wait_metric("jobs_active", 0, 10))

    def test_metadata_while_generating(self):
        streams = [self.server.stream("/api/chat", {"model": "plain", "messages": [{"role": "user", "content": "slow 10 " + "x" * 500}]}) for _ in range(2)]
        self.assertTrue(self.server.wait_metric("jobs_active", 2, 5))
        for path in ("/", "/api/tags", "/api/ps", "/api/version", "/v1/models"):
            begun = time.monotonic()
            self.assertEqual(self.server.get(path).status, 200)
            self.assertLess(time.monotonic() - begun, 1)
        begun = time.monotonic()
        self.assertEqual(self.server.post("/api/show", {"model": "plain"}).status, 200)
        self.assertLess(time.monotonic() - begun, 1)
        for s in streams:
            s.close()
        self.assertTrue(self.server.wait_metric("jobs_active", 0, 10))


class Queue(ServerTest):
    options = {"parallel": 1, "queue": 2}

    def test_full(self):
        body = {"model": "plain", "messages": [{"role": "user", "content": "slow 20 " + "x" * 500}]}
        first = self.server.stream("/api/chat", body)
        self.assertTrue(self.server.wait_metric("jobs_active", 1, 5))
        others = [self.server.stream("/api/chat", body) for _ in range(2)]
        self.assertTrue(self.server.wait_metric("jobs_waiting", 2, 5))
        reply = self.server.post("/api/chat", body)
        self.assertEqual((reply.status, reply.json["error"]), (503, "server busy, please try again.  maximum pending requests exceeded"))
        reply = self.server.post("/v1/chat/completions", body)
        self.assertEqual((reply.status, reply.json["error"]["type"]), (503, "api_error"))
        self.assertEqual(self.server.get("/api/tags").status, 200)
        for s in [first] + others:
            s.close()
        self.assertTrue(self.server.wait_metric("jobs_active", 0, 10))
        self.assertEqual(self.answer("say ok"), "ok")


class Ending(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        gguf(self.folder.name + "/models/plain.gguf")

    def tearDown(self):
        self.folder.cleanup()

    def start(self, env=None, **options):
        return Server(self.folder.name + "/models", env={"XDG_CACHE_HOME": self.folder.name, **(env or {})}, **options)

    def test_signal_mid_stream(self):
        """Streams end with an error line and a whole chunked body; so do requests that wait."""
        for sig in (signal.SIGTERM, signal.SIGINT):
            server = self.start(parallel=1)
            replies = []

            def read(body):
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
                connection.request("POST", "/api/chat", json.dumps(body))
                reply = connection.getresponse()
                replies.append((reply.status, reply.read()))
                connection.close()

            body = {"model": "plain", "messages": [{"role": "user", "content": "slow 10 " + "x" * 3000}]}
            threads = [threading.Thread(target=read, args=(b,)) for b in (body, {**body, "stream": False})]
            for t in threads:
                t.start()
                time.sleep(0.3)
            begun = time.monotonic()
            self.assertEqual(server.stop(sig), 0)
            self.assertLess(time.monotonic() - begun, 6)
            for t in threads:
                t.join()
            replies.sort()
            status, streamed = replies[0]
            self.assertEqual(status, 200)
            lines = [json.loads(line) for line in streamed.decode().splitlines()]
            self.assertEqual(lines[-1], {"error": "the server is shutting down"})
            self.assertGreater(len(lines), 5)
            self.assertEqual((replies[1][0], json.loads(replies[1][1])), (503, {"error": "the server is shutting down"}))
            self.assertEqual(server.errors(), "")

    def test_signal_while_loading(self):
        server = self.start(load_ms=20000)
        s = server.stream("/api/generate", {"model": "plain"})
        time.sleep(0.3)
        begun = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - begun, 6)
        s.close()

    def test_signal_with_idle_connections(self):
        server = self.start()
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        idle[0].sendall(b"GET / HTTP/1.1\r\nHo")
        self.assertEqual(server.stop(), 0)
        for s in idle:
            s.close()

    def test_ready_is_told(self):
        path = os.path.join(self.folder.name, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(path)
            listener.settimeout(5)
            server = self.start(env={"NOTIFY_SOCKET": path})
            self.assertEqual(listener.recv(100), b"READY=1")
            self.assertEqual(server.stop(), 0)

    def test_gone_while_loading(self):
        server = self.start(load_ms=3000)
        s = server.stream("/api/generate", {"model": "plain"})
        time.sleep(0.2)
        s.close()
        self.assertTrue(server.wait_metric("jobs_waiting", 0, 2))
        self.assertEqual(server.metric("model_loads_total"), 0, "loading was given up")
        self.assertEqual(server.stop(), 0)

    def test_address_that_is_not_ours(self):
        with self.assertRaisesRegex(RuntimeError, "cannot listen on 203.0.113.1"):
            self.start(host="203.0.113.1")


if __name__ == "__main__":
    unittest.main()
