"""The ollama command pointed at the server: one-shot commands, then `ollama run` on a terminal as people type it."""
import atexit
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

ollama, url, model = sys.argv[1], os.environ["HYPURA_URL"], os.environ["HYPURA_MODEL"]
home = tempfile.mkdtemp()
atexit.register(shutil.rmtree, home)
env = {**os.environ, "OLLAMA_HOST": url, "HOME": home, "TERM": "xterm"}
screen_codes = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|[\r\u2800-\u28ff]")


def plain(data):
    return screen_codes.sub("", data)


def run(*words, code=0, stdin=""):
    done = subprocess.run([ollama, *words], env=env, input=stdin, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return plain(done.stdout + done.stderr)  # progress and statistics go to standard error


class Terminal:
    """`ollama run` on a pseudo-terminal."""

    def __init__(self, *words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(ollama, [ollama, *words], env)
        self.seen = ""

    def until(self, pattern, seconds=240):
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.seen)
            if found:
                before, self.seen = self.seen[:found.start()], self.seen[found.end():]
                return before
            assert time.monotonic() < end, "never seen: %s; the screen holds %r" % (pattern, self.seen[-800:])
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    self.seen += plain(os.read(self.fd, 65536).decode(errors="replace"))
                except OSError:
                    raise AssertionError("ended: %r" % self.seen)

    def type(self, text):
        for c in text:  # its line editor reads key by key
            os.write(self.fd, c.encode())
            time.sleep(0.002)

    def ask(self, text):
        self.until(">>> ")
        self.type(text + "\r")

    def end(self):
        self.ask("/bye")
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


assert re.search(r"\d+\.\d+\.\d+", run("--version")), "version"
listed = run("list")
assert re.search(r"NAME +ID +SIZE +MODIFIED", listed) and re.search(re.escape(model) + r" +[0-9a-f]{12} +\d+ [MG]B +\S", listed), listed
shown = run("show", model)
assert re.search(r"architecture +\w+", shown) and "completion" in shown and re.search(r"num_ctx +\d+", shown), shown
assert run("show", model, "--modelfile").count("FROM " + model) == 1 and "num_ctx" in run("show", model, "--parameters") and run("show", model, "--template")
run("stop", model)
assert run("run", model, "Name a colour in one word.").strip()
assert run("run", model, stdin="Name a colour in one word.").strip(), "the prompt on standard input"
assert "eval rate:" in run("run", model, "--verbose", "Name a colour.")
assert re.search(re.escape(model) + r" +[0-9a-f]{12} +\d+ [MG]B +\S.* +\d+ +\d+ minutes", run("ps")), run("ps")
run("stop", model)
assert model not in run("ps")
assert "success" in run("pull", model)
assert "file does not exist" in run("pull", "no-such-model", code=1)
assert "file does not exist" in run("run", "no-such-model", "Hi", code=1)
run("cp", model, "a-copy")
assert "a-copy:latest" in run("list")
run("rm", "a-copy")
assert "a-copy" not in run("list")
assert "does not delete" in run("rm", model, code=1)
with open(home + "/Modelfile", "w") as out:
    out.write('FROM %s\nSYSTEM "You are a pirate."\nPARAMETER temperature 0\nPARAMETER num_predict 12\n' % model)
run("create", "pirate", "-f", home + "/Modelfile")
assert "You are a pirate." in run("show", "pirate")
assert run("run", "pirate", "Who are you?").strip()
assert "{" in run("run", "pirate", "--format", "json", "--keepalive", "90m", "A colour, as a JSON object.")
assert re.search("pirate.* hour", run("ps")), run("ps")
run("rm", "pirate")

terminal = Terminal("run", model)
terminal.ask("/set parameter num_predict 24")
terminal.ask("/set parameter temperature 0")
terminal.ask("/set system You only know colours.")
terminal.ask("My name is Ada. Name a colour.")
terminal.ask("/show system")
terminal.until("You only know colours")
terminal.ask('"""Two lines:')
terminal.until(r"\.\.\. ")
terminal.type('name another one."""\r')
terminal.ask("/save ada")
terminal.until("Created new model 'ada'")
terminal.ask("/clear")
terminal.ask("/load ada")
terminal.ask("/set verbose")
terminal.ask("What is my name?")
terminal.until(r"eval rate: +[\d.]+ tokens/s")
terminal.ask("/set parameter num_predict 4000")
terminal.ask("Write a very long story about the sea, the sky and the moon.")
time.sleep(2)
terminal.type("\x03")
terminal.ask("/show info")
terminal.until("Capabilities")
assert terminal.end() == 0
run("rm", "ada")
