"""What the log says of requests: who was answered, who was refused and why, and never a prompt's words."""
import os
import re
import unittest

from harness import Server, ServerTest


class Log(ServerTest):
    def log(self, levels, requests, **options):
        """The lines about requests that a server with these levels writes for what `requests` sends it."""
        server = Server(self.models, env=self.env, log=levels, **options)
        try:
            requests(server)
        finally:
            self.assertEqual(server.stop(), 0)
        self.assertNotIn("secret", server.stderr)
        return [line for line in server.stderr.split("\n") if " http: " in line]

    @staticmethod
    def fields(line):
        return dict(re.findall(r"(\w+)=((?:(?! \w+=).)+)", line))

    def one(self, levels, requests, **options):
        lines = self.log(levels, requests, **options)
        self.assertEqual(len(lines), 1, lines)
        return lines[0], self.fields(lines[0])

    def test_what_a_route_answers_at_once(self):
        line, found = self.one("http:debug", lambda server: server.get("/api/tags"))
        self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[\d:.]+Z debug http: reply ")
        self.assertEqual((found["method"], found["route"], found["status"]), ("GET", "/api/tags", "200"))
        self.assertRegex(found["client"], r"^127\.0\.0\.1:\d+$")
        self.assertLess(float(found["total_s"]), 5)
        self.assertNotIn("why", found)
        self.assertEqual(self.log("http:info", lambda server: server.get("/api/tags")), [])

    def test_what_is_refused(self):
        chat = {"model": "plain", "messages": [{"role": "user", "content": "secret words"}]}
        cases = (
            (lambda s: s.get("/api/tags", Origin="http://evil.example"), "403", "the origin is not allowed"),
            (lambda s: s.get("/api/tags", Host="evil.example"), "403", "the Host header names another machine"),
            (lambda s: s.get("/nowhere"), "404", "no such route"),
            (lambda s: s.get("/api/chat"), "405", "the route has other methods"),
            (lambda s: s.post("/api/chat", {**chat, "model": "absent"}), "404", "model 'absent' not found"),
            (lambda s: s.post("/v1/chat/completions", {**chat, "top_p": 2}), "400", "top_p must be between 0 and 1"),
            (lambda s: s.post("/v1/messages", {**chat, "max_tokens": 0}), "400", "max_tokens: a positive number is required"),
            (lambda s: s.post("/api/chat", {**chat, "filler": "x" * 2000}), "413", "the body is too large"))
        lines = self.log("http:info", lambda server: [send(server) for send, _, _ in cases], body=1000)
        self.assertEqual(len(lines), len(cases))
        for line, (_, status, why) in zip(lines, cases):
            found = self.fields(line)
            self.assertIn(" info http: refused ", line)
            self.assertEqual((found["status"], found["why"]), (status, why))

    def test_a_wrong_key(self):
        _, found = self.one("http:info", lambda server: server.get("/api/tags", Authorization="Bearer secret-guess"), key="right")
        self.assertEqual((found["status"], found["why"]), ("401", "no valid API key"))

    def test_a_request_that_never_is_complete(self):
        half = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nsecret"
        line, found = self.one("http:info", lambda server: server.raw(half), timeout=0.3)
        self.assertIn(" info http: gone ", line)
        self.assertEqual((found["route"], found["why"]), ("/api/chat", "the connection ended before the request was complete"))

    def test_what_becomes_work_is_the_sessions(self):
        def send(server):
            chat = {"model": "plain", "messages": [{"role": "user", "content": "say secret"}]}
            self.assertEqual(server.post("/api/chat", {**chat, "stream": False}).status, 200)
            self.assertEqual(server.post("/v1/chat/completions", {**chat, "stream": True}).status, 200)
        self.assertEqual(self.log("http:debug", send), [])

    def test_the_way_of_a_job(self):
        server = Server(self.models, env=self.env, log="session:debug")
        chat = {"model": "plain", "messages": [{"role": "user", "content": "say secret"}], "stream": False}
        try:
            self.assertEqual(server.post("/api/chat", chat).status, 200)
            self.assertEqual(server.post("/api/chat", {**chat, "truncate": False, "options": {"num_ctx": 16}}).status, 400)
        finally:
            self.assertEqual(server.stop(), 0)
        said = [re.sub(r"\d+", "N", line.split(" debug session: ")[1]) for line in server.stderr.split("\n") if " session: job " in line]
        self.assertEqual(said, ["job N: queued, chat of plain", "job N: in preparation", "job N: begun in slot N, N of N tokens found there",
                                "job N: prompt evaluated", "job N: ended in slot N, stop, N tokens",
                                "job N: queued, chat of plain", "job N: in preparation",
                                "job N: failed in the queue: the prompt has N tokens, more than the context of N"])
        self.assertNotIn("secret", server.stderr)

    def test_a_clients_bytes_stay_in_their_line(self):
        _, found = self.one("http:info", lambda server: server.raw(b"GET /a%0ainfo%1b HTTP/1.0\r\n\r\n"))
        self.assertEqual(found["route"], "/a\\x0ainfo\\x1b")

    def test_which_files_are_no_models(self):
        with open(self.models + "/wrong.gguf", "w") as file:
            file.write("this is text")
        try:
            server = Server(self.models, env=self.env, log="session:debug")
            self.assertEqual(server.stop(), 0)
        finally:
            os.remove(self.models + "/wrong.gguf")
        self.assertRegex(server.stderr, r" debug session: left out \S+/wrong\.gguf: .*\n.* debug session: looked for models in \S+/models: 6 of 7 files in ")


if __name__ == "__main__":
    unittest.main()
