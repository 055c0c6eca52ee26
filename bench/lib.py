"""What the benchmark scripts share: a memory cgroup, dropping one file's page cache, interleaved runs, medians.

A small machine is made out of this one with a memory control group (v1 or v2; needs root). Figures are ratios within one
run: the variants take turns (A B A B ...), so that a drift of the machine hits all of them.
"""
import contextlib
import glob
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("HYPURA_BUILD", os.path.join(ROOT, "build"))
HYPURA = os.path.join(BUILD, "hypura")


def parts_of(model):
    """Every file of a model: the parts of a split one, else itself."""
    if "-00001-of-" not in model:
        return [model]
    return sorted(glob.glob(model.split("-00001-of-")[0] + "-*-of-*.gguf"))


def drop_cache(model):
    """Drop the page cache of this model's files only: the next read comes from the disk."""
    for path in parts_of(model):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def warm_cache(model):
    """Read the model once, so that what fits is in the page cache."""
    for path in parts_of(model):
        with open(path, "rb", buffering=0) as f:
            buf = bytearray(8 << 20)
            while f.readinto(buf):
                pass


def touch_memory(n_bytes):
    """Make the kernel's free memory real: a child writes to every page of n_bytes and ends."""
    touch = "import mmap,sys; n = int(sys.argv[1]); m = mmap.mmap(-1, n); [m.__setitem__(i, 1) for i in range(0, n, 4096)]"
    subprocess.run([sys.executable, "-c", touch, str(n_bytes)], check=True)


@contextlib.contextmanager
def memory_cgroup(limit_bytes, name="hypura-bench"):
    """A memory control group of `limit_bytes`; yields a function to run in a child before exec, or None without a limit."""
    if not limit_bytes:
        yield None
        return
    v1, v2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
    is_v1 = os.path.exists(f"{v1}/memory.limit_in_bytes")
    path = f"{v1 if is_v1 else v2}/{name}-{os.getpid()}"
    os.makedirs(path)
    try:
        limit_file = "memory.limit_in_bytes" if is_v1 else "memory.max"
        with open(f"{path}/{limit_file}", "w") as f:
            f.write(str(int(limit_bytes)))

        def join():
            with open(f"{path}/cgroup.procs", "w") as f:
                f.write(str(os.getpid()))

        yield join
    finally:
        # Pages of the file charged to the group go with it.
        with contextlib.suppress(OSError), open(f"{path}/memory.force_empty", "w") as f:
            f.write("0")
        with contextlib.suppress(OSError):
            os.rmdir(path)


def read_ahead_file(model):
    device = os.stat(model).st_dev
    return f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb"


def read_ahead_kb(model):
    """How much the model's drive reads ahead at a page fault, on which plain mmap's speed depends; None where it is not known."""
    try:
        with open(read_ahead_file(model)) as f:
            return int(f.read())
    except OSError:
        return None


@contextlib.contextmanager
def read_ahead(model, kb):
    """The drive of `model` with this read-ahead, in KB, and as it was afterwards; 0 leaves it, and so does a file system that does
    not tell its drive. Needs root."""
    before = read_ahead_kb(model)
    if kb == 0 or before is None or kb == before:
        yield
        return
    with open(read_ahead_file(model), "w") as f:
        f.write(str(kb))
    try:
        yield
    finally:
        with open(read_ahead_file(model), "w") as f:
            f.write(str(before))


def run_json(args, join=None, timeout=1800):
    """Run `hypura ARGS --json` and return its object; a failure ends the benchmark with what was printed."""
    done = subprocess.run([HYPURA, *args, "--json", "--quiet"], preexec_fn=join, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        sys.exit(f"{' '.join(args)}: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def spread(values):
    """'median (min-max)' with sensible digits."""
    m = statistics.median(values)
    digits = 0 if m >= 100 else 1 if m >= 10 else 2
    return f"{m:.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def ratio(a, b):
    """Median of the pairwise ratios a/b."""
    return statistics.median([x / y for x, y in zip(a, b)])
