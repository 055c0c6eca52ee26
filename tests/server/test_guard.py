"""Host, Origin and key: the tables of the specification over the wire."""
import unittest

from harness import ServerTest

PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


class Origins(ServerTest):
    options = {"origins": "https://good.example, http://*.mine.example:3000"}

    def test_allowed(self):
        for origin in ("http://localhost", "https://localhost:3000", "http://127.0.0.1:8080", "http://0.0.0.0", "app://obsidian.md", "file://",
                       "tauri://localhost", "vscode-webview://abc", "vscode-file://vscode-app", "https://good.example", "http://a.mine.example:3000"):
            reply = self.server.get("/api/version", Origin=origin)
            self.assertEqual((reply.status, reply.headers["Access-Control-Allow-Origin"]), (200, origin))
            self.assertEqual(reply.headers["Vary"], "Origin")
            reply = self.server.request("OPTIONS", "/api/chat", headers={"Origin": origin, **PREFLIGHT})
            self.assertEqual((reply.status, reply.body), (204, b""))
            self.assertIn("POST", reply.headers["Access-Control-Allow-Methods"])
            self.assertIn("Content-Type", reply.headers["Access-Control-Allow-Headers"])
            self.assertEqual(reply.headers["Access-Control-Allow-Origin"], origin)

    def test_refused(self):
        for origin in ("http://localhost.evil.com", "http://evil.com", "http://localhost:80x", "http://localhost@evil.com", "http://127.0.0.1.evil.com",
                       "https://good.example.evil.com", "http://good.example", "null", "http://mine.example:3000", "ftp://localhost", "http://127.0.0.1:"):
            for method, path in (("GET", "/api/version"), ("POST", "/api/chat"), ("OPTIONS", "/api/chat"), ("GET", "/nothing")):
                reply = self.server.request(method, path, headers={"Origin": origin})
                self.assertEqual((reply.status, reply.body), (403, b""), origin)
                self.assertNotIn("Access-Control-Allow-Origin", reply.headers)

    def test_same_origin(self):
        host = "127.0.0.1:%d" % self.server.port
        self.assertEqual(self.server.get("/api/version", Origin="http://" + host, Host=host).status, 200)
        self.assertEqual(self.server.get("/api/version").headers.get("Access-Control-Allow-Origin"), None)


class Hosts(ServerTest):
    def test_table(self):
        for host in ("localhost", "localhost:1", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:11434", "0.0.0.0", "10.1.2.3", "192.168.0.7:1", "172.16.5.5",
                     "box.local", "a.b.internal:9", "x.localhost", "LOCALHOST", "[fd00::1]"):
            self.assertEqual(self.server.get("/api/version", Host=host).status, 200, host)
        for host in ("evil.com", "localhost.evil.com", "8.8.8.8", "local", "172.32.0.1", "evil.com:127", "127.0.0.1.evil.com", "[2001:db8::1]", "a@localhost", "localhost:x"):
            reply = self.server.get("/api/version", Host=host)
            self.assertEqual((reply.status, reply.body), (403, b""), host)


class AnyAddress(ServerTest):
    options = {"host": "0.0.0.0"}

    def test_host_is_free(self):
        self.assertEqual(self.server.get("/api/version", Host="models.example.com").status, 200)


class Keys(ServerTest):
    options = {"key": "sesame"}

    def test_key(self):
        for path in ("/api/tags", "/api/version", "/v1/models", "/metrics", "/nothing", "/ui/state"):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "sesame"}, {"Authorization": "Bearer sesame2"}):
                reply = self.server.request("GET", path, headers=headers)
                self.assertEqual((reply.status, reply.headers["WWW-Authenticate"]), (401, "Bearer"), (path, headers))
            self.assertNotEqual(self.server.request("GET", path, headers={"Authorization": "Bearer sesame"}).status, 401)
        self.assertEqual(self.server.get("/api/tags").json, {"error": "unauthorized"})
        self.assertEqual(self.server.get("/v1/models").json["error"]["code"], "invalid_api_key")
        self.assertEqual(self.server.post("/api/chat", {"model": "plain"}).status, 401)
        for path in ("/", "/ui"):
            self.assertEqual(self.server.get(path).status, 200, "these tell nothing")
        reply = self.server.request("OPTIONS", "/api/chat", headers={"Origin": "http://localhost", **PREFLIGHT})
        self.assertEqual(reply.status, 204, "browsers send no key with it")


if __name__ == "__main__":
    unittest.main()
