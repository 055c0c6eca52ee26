"""The chat in the terminal, driven through a pseudo-terminal as a person would."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

from support import HYPURA, demo_model, run, run_json

PROMPT, MORE = ">>> ", "... "
CTRL_C, CTRL_D = "\x03", "\x04"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[()=>].?|\r")


class Chat:
    """`hypura run MODEL` on a terminal of its own."""

    def __init__(self, *args, folder, timeout=240, columns=0):
        self.timeout, self.seen, self.mark = timeout, "", 0
        self.raw = b""
        env = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", "XDG_CACHE_HOME": folder, "HOME": folder}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if columns else 0, columns, 0, 0))
            os.execve(HYPURA, [HYPURA, "run", *args], env)

    def __enter__(self):
        self.wait_for(PROMPT)
        return self

    def __exit__(self, *_):
        os.close(self.fd)
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def read(self, until):
        ready, _, _ = select.select([self.fd], [], [], max(0, until - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # Linux's way to say that the other side is closed
            return False
        self.raw += data
        self.seen = ESCAPES.sub("", self.raw.decode(errors="replace"))
        return bool(data)

    def wait_for(self, text):
        """What came since the last wait, up to and including `text`."""
        until = time.monotonic() + self.timeout
        while text not in self.seen[self.mark:]:
            if not self.read(until):
                raise AssertionError(f"no {text!r} in {self.seen[self.mark:]!r}")
        end = self.seen.index(text, self.mark) + len(text)
        part, self.mark = self.seen[self.mark:end], end
        # The editor shows its prompt before it takes the terminal over: what is typed in between is echoed twice.
        while text in (PROMPT, MORE) and termios.tcgetattr(self.fd)[3] & termios.ICANON and time.monotonic() < until:
            time.sleep(0.01)
        return part

    def type(self, text):
        os.write(self.fd, text.encode())

    def say(self, text, then=PROMPT):
        """Type a line; what is shown between it and the next prompt."""
        self.type(text + "\n")
        self.wait_for("\n")  # the editor's echo
        return self.wait_for(then)[:-len(then)]

    def end(self):
        """The exit status."""
        until = time.monotonic() + self.timeout
        while self.read(until):
            pass
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)


def lines_shown(raw):
    """The lines of a terminal after these bytes, where the only movement is back over the characters of a word."""
    lines = [""]
    for back, escape, char in re.findall(r"\x1b\[(\d+)D\x1b\[K|(\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r)|(.|\n)", raw):
        if back:
            lines[-1] = lines[-1][:-int(back)]
        elif char == "\n":
            lines.append("")
        elif not escape:
            lines[-1] += char
    return lines


def evaluated(text):
    """Tokens of the prompt that were evaluated, as the figures after an answer tell."""
    return int(re.search(r"prefill [0-9.]+ tok/s \(([0-9]+) tokens?\)", text).group(1))


def said(text):
    """The answer without the figures."""
    return re.split(r"\(stopped after|load [0-9.]+ s", text)[0].strip()


class Interactive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = demo_model()

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name

    def chat(self, *args):
        return Chat(self.model, "-t", "1", "--temp", "0", *args, folder=self.folder)

    def test_only_what_is_new_is_evaluated(self):
        long = "Remember these words: " + " ".join(f"word{i}" for i in range(100)) + "."
        with self.chat("-n", "8", "--stats") as c:
            first, second = evaluated(c.say(long)), evaluated(c.say("And now?"))
            self.assertGreater(first, 200)
            self.assertLess(second, 60)
            # Anew: everything but the words before the first message is forgotten.
            self.assertIn("Cleared", c.say("/clear"))
            self.assertLess(evaluated(c.say("And now?")), 60)
            c.type("/bye\n")
            self.assertEqual(c.end(), 0)

    def test_an_answer_is_that_of_run_chat(self):
        question = "Name three colours."
        with self.chat("-n", "16") as c:
            answer = said(c.say(question))
        alone = run("run", self.model, "--chat", "-p", question, "-n", "16", "--temp", "0", "-t", "1", "-q").stdout
        self.assertTrue(answer)
        self.assertEqual(answer, alone.strip())

    def test_settings(self):
        with self.chat("-n", "4") as c:
            self.assertIn("Set parameter 'temperature' to '0.25'", c.say("/set parameter temperature 0.25"))
            self.assertIn("Set parameter 'top_k' to '7'", c.say("/set top_k 7"))
            self.assertIn("cannot be", c.say("/set temperature hot"))
            shown = c.say("/show")
            self.assertRegex(shown, r"temperature +0\.25\n")
            self.assertRegex(shown, r"top_k +7\n")
            self.assertRegex(shown, r"mode +resident")
            self.assertIn("Set system message", c.say("/set system Answer in French."))
            self.assertEqual(c.say("/show system").strip(), "Answer in French.")
            self.assertIn("{%", c.say("/show template"))
            self.assertIn("/bye", c.say("/?"))
            self.assertIn("num_predict", c.say("/? set"))
            self.assertIn("Unknown command '/sing'", c.say("/sing"))
            self.assertEqual(c.say("").strip(), "")
            c.type(CTRL_D)
            self.assertEqual(c.end(), 0)

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        with self.chat("-n", "100000", "--ignore-eos") as c:
            c.say("/set num_predict -1")
            c.type("Count from one to a million, one number a line.\n")
            c.wait_for("\n")
            c.wait_for(" ")
            c.type(CTRL_C)
            self.assertIn("(stopped)", c.wait_for(PROMPT))
            c.say("/set num_predict 4")
            self.assertTrue(said(c.say("Thank you.")))
            # While a line is edited it throws the line away.
            c.type("half a tho" + CTRL_C)
            self.assertIn("/bye to exit", c.wait_for(PROMPT))
            self.assertNotIn("half a tho", c.say("/show messages"))
            c.type("/bye\n")
            self.assertEqual(c.end(), 0)

    def test_save_and_load(self):
        with self.chat("-n", "6") as c:
            c.say("My name is Ada.")
            self.assertIn("Saved 2 messages in chat.json", c.say("/save chat.json"))
            self.assertIn("cannot", c.say("/save missing/folder/chat.json"))
            c.type("/bye\n")
            self.assertEqual(c.end(), 0)
        with open(os.path.join(self.folder, "chat.json")) as f:
            saved = json.load(f)
        self.assertEqual([m["role"] for m in saved["messages"]], ["user", "assistant"])
        self.assertEqual(saved["messages"][0]["content"], "My name is Ada.")
        with self.chat("-n", "6", "--stats") as c:
            self.assertIn("Loaded 2 messages from chat.json", c.say("/load chat.json"))
            self.assertIn("My name is Ada.", c.say("/show messages"))
            more = evaluated(c.say("What is it?"))
            c.say("/clear")
            self.assertGreater(more, evaluated(c.say("What is it?")))
            self.assertIn("hint", c.say("/load chat.jsn\n/load") + c.wait_for(PROMPT))

    def test_several_lines(self):
        with self.chat("-n", "2") as c:
            c.type('"""first\n')
            c.wait_for(MORE)
            c.type("/bye\n")
            c.wait_for(MORE)
            c.say('last"""')
            self.assertIn("user: first\n/bye\nlast\n", c.say("/show messages"))

    def test_history_and_editing(self):
        with self.chat("-n", "2") as c:
            c.say("/set top_k 11")
            c.say("/set top_k 12")
        with self.chat("-n", "2") as c:
            c.type("\x1b[A\x1b[A")  # up, up
            c.type("\x7f5")  # 11 becomes 15
            self.assertIn("'15'", c.say(""))

    def test_characters_beyond_ascii(self):
        with self.chat("-n", "2") as c:
            c.say("Grüße, 世界 😀!")
            self.assertIn("user: Grüße, 世界 😀!", c.say("/show messages"))

    def test_lines_break_between_words(self):
        question = ("--chat", "-p", "Tell a story of a little river.", "-n", "40", "--temp", "0", "-t", "1", "-q")
        whole = run("run", self.model, *question).stdout
        for options in ((), ("--no-wordwrap",)):
            chat = Chat(self.model, *question, *options, folder=self.folder, columns=30)
            self.assertEqual(chat.end(), 0)
            lines = lines_shown(chat.raw.decode())
            os.close(chat.fd)
            if options:
                self.assertEqual("\n".join(lines).strip(), whole.strip())
                continue
            self.assertEqual(" ".join(lines).split(), whole.split())
            self.assertGreater(len(lines), 4)
            self.assertLess(max(map(len, lines)), 30)
        with Chat(self.model, *question[3:], "-i", folder=self.folder, columns=30) as c:
            self.assertIn("Set 'nowordwrap' mode", c.say("/set nowordwrap"))
            self.assertIn("Set 'wordwrap' mode", c.say("/set wordwrap"))
            c.type("/bye\n")
            self.assertEqual(c.end(), 0)

    def test_progress_stays_on_its_line(self):
        chat = Chat(self.model, "-p", "x", "-n", "1", folder=self.folder, columns=24)
        self.assertEqual(chat.end(), 0)
        os.close(chat.fd)
        progress = [line for line in re.split(r"\r|\n", ESCAPES.sub("\r", chat.raw.decode())) if line.startswith("loading")]
        self.assertTrue(progress)
        self.assertLess(max(map(len, progress)), 24)

    def test_an_output_that_takes_nothing_is_an_error(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([HYPURA, "run", self.model, "-p", "x", "-n", "4", "-t", "1", "-q"], stdout=full,
                                  stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, timeout=240)
        self.assertEqual((done.returncode, done.stderr), (1, "hypura: cannot write to standard output: No space left on device\n"))

    def test_what_cannot_be_used_is_said(self):
        def said_of(*args, **how):
            done = run("run", self.model, "-q", "-n", "1", "-t", "1", *args, **how)
            return done.returncode, done.stderr
        self.assertEqual(said_of("-p", "x", "--vram", "1G", "--device", "none"),
                         (0, "warning: --vram changes nothing: no device is used beside the CPU\n"))
        self.assertEqual(said_of("-p", "x", "--sidecar", "missing"),
                         (0, "warning: the packed copy is not read: in this mode nothing is streamed\n"))
        self.assertEqual(said_of("-p", "x", "--system", "y"),
                         (2, "hypura: --system needs --chat: a plain prompt has no system message\n"))
        self.assertEqual(said_of("Why?"), (2, 'hypura: unexpected argument "Why?"\nhint: a prompt is given with --prompt "..."\n'))
        self.assertEqual(said_of(input="a\0b"), (2, "hypura: what is piped in is not text: it has a zero byte\n"))

    def test_without_a_limit_the_model_ends_it(self):
        report = run_json(self.model, "-p", "One, two, three,", "-n", "-1", "--temp", "0", "--stop", ",", "-t", "1")
        self.assertEqual(report["stop_reason"], "stop")

    def test_without_a_terminal(self):
        piped = run("run", self.model, "-n", "4", "--temp", "0", "-q", "-t", "1", input="The capital of France is\n")
        named = run("run", self.model, "-n", "4", "--temp", "0", "-q", "-t", "1", "-p", "The capital of France is")
        self.assertEqual((piped.returncode, piped.stdout), (0, named.stdout))
        nothing = run("run", self.model, stdin=subprocess.DEVNULL)
        self.assertEqual(nothing.returncode, 2)
        self.assertIn("there is no prompt", nothing.stderr)
        both = run("run", self.model, "--interactive", "-p", "x", stdin=subprocess.DEVNULL)
        self.assertEqual(both.returncode, 2)
        script = run("run", self.model, "--interactive", "-q", "-t", "1", "-n", "3", "--temp", "0",
                     input="/set top_k 3\nHello\n/show messages\n", env={**os.environ, "XDG_CACHE_HOME": self.folder})
        self.assertEqual(script.returncode, 0, script.stderr)
        self.assertIn("user: Hello\nassistant: ", script.stdout)
        self.assertEqual(script.stderr, "")


if __name__ == "__main__":
    unittest.main()
