"""The devices that the tests of tiers need: Mesa's software Vulkan device, and ggml's RPC server."""
import glob
import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

from support import DEPS, HYPURA, ROOT, run

VULKAN = "Vulkan0"


def vulkan_env():
    """The environment in which ggml sees llvmpipe as a GPU, or None without its driver."""
    found = sorted(glob.glob(os.path.join(DEPS or "/", "usr/share/vulkan/icd.d/lvp_icd*.json")))
    if not found:
        return None
    env = {**os.environ, "VK_DRIVER_FILES": found[0], "VK_ICD_FILENAMES": found[0], "GGML_VK_VISIBLE_DEVICES": "0"}
    if DEPS:
        env["LD_LIBRARY_PATH"] = os.path.join(DEPS, "lib")  # the driver's own libraries do not find each other else
    return env


def why_no_vulkan(model):
    """None when the software device can be used, else the reason."""
    env = vulkan_env()
    if env is None:
        return "Mesa's software Vulkan driver (lvp_icd.json) is not installed"
    done = run("inspect", model, "--device", VULKAN, "--json", env=env)
    return None if done.returncode == 0 else f"ggml does not see the software Vulkan device: {done.stderr.strip()}"


def plan_of(model, *args, env=None):
    """The plan that `inspect` shows: (object, {tier: bytes})."""
    done = run("inspect", model, "--json", *args, env=env)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    plan = json.loads(done.stdout)["plan"]
    return plan, {t["tier"]: t["bytes"] for t in plan["tiers"]}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class RpcServer:
    """One ggml-rpc-server on this machine, computing on the CPU with one thread."""

    def __init__(self, port=0):
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log = open(os.path.join(os.environ["HYPURA_BUILD"], f"rpc-{self.port}.log"), "w+")
        self.process = subprocess.Popen(
            [os.path.join(ROOT, "tools/reference.sh"), DEPS, "ggml-rpc-server", "-H", "127.0.0.1", "-p", str(self.port), "-t", "1",
             "-d", "CPU"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise AssertionError("ggml-rpc-server does not start")
                time.sleep(0.1)
        self.idle_bytes = self.resident_bytes()

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        if os.path.exists(self.log.name):
            os.unlink(self.log.name)


class Serve:
    """`hypura serve ARGS` on a free port."""

    def __init__(self, *args, env=None):
        self.process = subprocess.Popen([HYPURA, "serve", *args, "--port", "0", "--quiet"], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=env)
        self.url = self.next_url()
        with urllib.request.urlopen(self.url + "/v1/models", timeout=60) as answer:
            self.model = json.load(answer)["data"][0]["id"]

    def next_url(self):
        """The endpoint that is announced next: the server was started, or started again."""
        for line in self.process.stdout:
            found = re.match(r"endpoint (http://\S+)", line)
            if found:
                return found.group(1)
        raise AssertionError(f"hypura serve ended: {self.process.stderr.read()}")

    def post(self, path, body, timeout=300):
        """(status, object); status 0 when the connection broke."""
        request = urllib.request.Request(self.url + path, json.dumps({"model": self.model, **body}).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as e:
            with e:
                return e.code, json.load(e)
        except OSError:
            return 0, None

    def get_text(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return answer.read().decode()

    def get(self, path):
        return json.loads(self.get_text(path))

    def stop(self):
        self.process.terminate()
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, err
