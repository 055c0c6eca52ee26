"""What the end-to-end tests share: the binary, the models, the reference tools."""
import json
import os
import signal
import subprocess

# meson fills what malloc() gives with a pattern, which makes memory resident that a program never touches: budgets are about
# what it touches.
os.environ["MALLOC_PERTURB_"] = "0"

ROOT = os.environ["HYPURA_ROOT"]
BUILD = os.environ["HYPURA_BUILD"]
DEPS = os.environ.get("HYPURA_DEPS", "")
HYPURA = os.path.join(BUILD, "hypura")
MODELS = os.environ.get("HYPURA_TEST_MODELS", os.path.join(BUILD, "test-models"))


def demo_model():
    """The real small model, or the synthetic one that stands in for it without a network."""
    done = subprocess.run([os.path.join(ROOT, "tools/fetch-model.sh")], capture_output=True, text=True, check=True,
                          env={**os.environ, "HYPURA_BUILD": BUILD})
    return done.stdout.strip().splitlines()[-1]


def is_real(model):
    return "smollm2" in os.path.basename(model)


def make_model(name, *args):
    """A model of the model maker, made once a build folder."""
    os.makedirs(MODELS, exist_ok=True)
    path = os.path.join(MODELS, name + ".gguf")
    stamp = path + ".args"
    wanted = json.dumps(args)
    known = ""
    if os.path.exists(stamp):
        with open(stamp) as f:
            known = f.read()
    if known != wanted:
        subprocess.run([os.path.join(BUILD, "tools/make-model"), *args, "-o", path], check=True, capture_output=True)
        with open(stamp, "w") as f:
            f.write(wanted)
    first_part = path[:-5] + "-00001-of-"
    for entry in sorted(os.listdir(MODELS)):
        if os.path.join(MODELS, entry).startswith(first_part):
            return os.path.join(MODELS, entry)
    return path


def parse_size(text):
    """Bytes of "12.3 MB ...", as hypura prints them."""
    number, unit = text.split()[:2]
    return round(float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit.rstrip(",")])


def run(*args, timeout=300, **kw):
    return subprocess.run([HYPURA, *args], capture_output=True, encoding="utf-8", errors="replace", timeout=timeout, **kw)


def run_json(*args, **kw):
    """`hypura run ARGS --json`: its object; raises with what was printed when it fails."""
    done = run("run", *args, "--json", "--quiet", **kw)
    if done.returncode != 0:
        raise AssertionError(f"hypura run {' '.join(args)}: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def reference(tool, *args, timeout=300):
    """One of llama.cpp's own tools from the same packages."""
    return subprocess.run([os.path.join(ROOT, "tools/reference.sh"), DEPS, tool, *args], capture_output=True, text=True,
                          timeout=timeout, stdin=subprocess.DEVNULL, check=True)


def interrupt_after(args, seconds, signum=signal.SIGINT):
    """Start hypura, send a signal, and give (stdout, stderr, exit status)."""
    p = subprocess.Popen([HYPURA, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = p.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        p.send_signal(signum)
        out, err = p.communicate(timeout=60)
    return out, err, p.returncode
