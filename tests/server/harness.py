"""What the server's tests share: tiny GGUF files, a server on the scripted engine, requests over plain sockets."""
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

BUILD = os.environ.get("HYPURA_BUILD", "build")
FAKE = os.environ.get("HYPURA_FAKE_SERVER", os.path.join(BUILD, "tests", "server", "fake_server"))

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOOLS = (
    "{% if tools %}<|im_start|>system\n# Tools\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}"
    'Answer with <tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>\n{% endif %}'
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINK = CHATML + "{# <think> and </think> #}"


def _string(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def _value(v):
    if isinstance(v, bool):
        return struct.pack("<I", 7) + struct.pack("<?", v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    if isinstance(v, str):
        return struct.pack("<I", 8) + _string(v)
    if isinstance(v, list) and v and isinstance(v[0], str):
        return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(_string(x) for x in v)
    return struct.pack("<IIQ", 9, 5, len(v)) + b"".join(struct.pack("<i", x) for x in v)


def gguf(path, template=CHATML, arch="llama", context=8192, extra=None, salt=0):
    """Write a GGUF that the program accepts: one matrix, a vocabulary of six words."""
    meta = {
        "general.architecture": arch,
        "general.name": "Fake " + os.path.basename(path),
        "general.file_type": 7,
        "general.license": "mit",
        arch + ".block_count": 1,
        arch + ".context_length": context,
        arch + ".embedding_length": 32,
        "tokenizer.ggml.model": "no_vocab",
        "tokenizer.ggml.tokens": ["<s>", "</s>", "a", "b", "c", "d"],
        "tokenizer.ggml.token_type": [3, 3, 1, 1, 1, 1],
    }
    if template is not None:
        meta["tokenizer.chat_template"] = template
    meta.update(extra or {})
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(meta))
    for key, value in meta.items():
        head += _string(key) + _value(value)
    head += _string("token_embd.weight") + struct.pack("<IQQIQ", 2, 32, 6, 0, 0)
    head += b"\0" * (-len(head) % 32)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(head + struct.pack("<192f", *[salt + i for i in range(192)]))
    return path


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def lines(self):
        """NDJSON, held to its rules: one object a line, no blank lines, nothing after the last newline."""
        assert self.body.endswith(b"\n"), self.body[-100:]
        lines = self.body[:-1].split(b"\n")
        assert all(lines), "a blank line"
        return [json.loads(line) for line in lines]

    @property
    def events(self):
        """The data of server-sent events, [DONE] as None."""
        assert self.body.endswith(b"\n\n"), self.body[-100:]
        out = []
        for part in self.body[:-2].split(b"\n\n"):
            assert part.startswith(b"data: ") and b"\n" not in part, part
            out.append(None if part == b"data: [DONE]" else json.loads(part[6:]))
        return out


class Server:
    """A running fake server. Options as fake_server.c names them."""

    def __init__(self, folder, env=None, command=None, **options):
        self.err = tempfile.TemporaryFile()
        command = command or [FAKE, folder] + ["%s=%s" % o for o in options.items()]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.err, env={**os.environ, **(env or {})})
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            self.stop()
            raise RuntimeError("the server did not start: " + self.errors())
        self.port = int(line)

    def errors(self):
        if self.err.closed:
            return self.stderr
        self.err.seek(0)
        return self.err.read().decode(errors="replace")

    def stop(self, sig=signal.SIGTERM, timeout=30):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = "did not end"
        self.process.stdout.close()
        self.stderr = self.errors()
        self.err.close()
        return code

    def request(self, method, path, body=None, headers=None, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            reply = connection.getresponse()
            return Reply(reply.status, reply.headers, reply.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def post(self, path, body, headers=None):
        return self.request("POST", path, body, headers)

    def raw(self, data, timeout=10, half_close=False):
        """Send bytes, return all that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            out = b""
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
                while True:
                    part = s.recv(65536)
                    if not part:
                        return out
                    out += part
            except OSError:  # cut off, which is for the caller to judge
                return out

    def stream(self, path, body):
        """An open connection whose reply is being streamed; the caller reads and closes."""
        data = json.dumps(body).encode()
        s = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        s.sendall(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(data)) + data)
        return s

    def metric(self, name):
        for line in self.get("/metrics").text.splitlines():
            if line.startswith("hypura_" + name + " "):
                return float(line.split()[1])
        raise KeyError(name)

    def wait_metric(self, name, value, timeout=10):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.metric(name) == value:
                return True
            time.sleep(0.02)
        return False


class ServerTest(unittest.TestCase):
    """One server a class, over a folder with models of every capability."""

    options = {}
    env = {}

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.env = {"XDG_CACHE_HOME": os.path.join(cls.folder, "cache"), **cls.env}
        models = os.path.join(cls.folder, "models")
        gguf(models + "/plain-Q4_K_M.gguf")
        gguf(models + "/tools.gguf", TOOLS, salt=1)
        gguf(models + "/think.gguf", THINK, salt=2)
        gguf(models + "/fim.gguf", CHATML, extra={"tokenizer.ggml.fim_pre_token_id": 2}, salt=3)
        gguf(models + "/embed.gguf", None, arch="bert", extra={"bert.pooling_type": 1}, context=64, salt=4)
        gguf(models + "/broken.gguf", extra={"fake.broken": 1}, salt=5)
        cls.models = models
        cls.server = Server(models, env=cls.env, **cls.options)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        errors = cls.server.errors()
        shutil.rmtree(cls.folder)
        assert code == 0, "the server ended with %s: %s" % (code, errors)
        assert errors == "", errors

    def chat(self, content, model="plain", path="/api/chat", **more):
        return self.server.post(path, {"model": model, "messages": [{"role": "user", "content": content}], **more})

    def answer(self, content, **more):
        reply = self.chat(content, stream=False, **more)
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json["message"]["content"]
