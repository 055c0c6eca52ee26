#!/usr/bin/env python3
"""Check what no compiler checks: who includes whom, which folder may see which library, and how long things are.

usage: tools/check_source.py [FOLDER]     (the repository; default: the one this script is in)

Prints a line for each finding. Ends with status 1 if there is one; long functions are only pointed at.
"""
import os
import re
import subprocess
import sys

# Lower may not include higher, and folders of one level do not include each other. ARCHITECTURE.md draws it.
LEVELS = [["base"], ["gguf", "hw", "io"], ["predict", "pager", "plan"], ["sidecar"], ["engine"], ["chat", "server", "bench"], ["cli"]]
# Beyond that: the server speaks in chat templates, and the hardware profile holds what io measured of the drive.
ALSO = {"server": {"chat"}, "hw": {"io"}}
# A library's headers belong to the folders that wrap it.
LIBRARIES = [
    (r"llama\.h", {"engine"}),
    (r"ggml[a-z-]*\.h", {"gguf", "hw", "plan", "sidecar", "engine"}),
    (r"gguf\.h", {"gguf", "sidecar", "engine", "server"}),
    (r"(highs/)?(interfaces/)?highs_c_api\.h", {"plan"}),
    (r"liburing\.h", {"io"}),
    (r"microhttpd\.h", {"server"}),
    (r"(histedit|editline/readline)\.h", {"cli"}),
]
MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 80


def level_of(folder):
    for level, names in enumerate(LEVELS):
        if folder in names:
            return level
    return None


def check_include(folder, target, system, headers):
    """Why a file of src/`folder` may not include `target`, or None. `headers` are the base names of the headers in git."""
    if system:
        for pattern, folders in LIBRARIES:
            if re.fullmatch(pattern, target) and folder not in folders:
                return "<%s> is for src/%s alone" % (target, ", src/".join(sorted(folders)))
        return None
    if "/" not in target and target not in headers:
        return None  # the build makes it
    other = target.split("/")[0] if "/" in target else None
    if other is None or level_of(other) is None:
        return '"%s" is not named as "folder/file.h"' % target
    if other == folder:
        return None
    if target.endswith("_priv.h"):
        return '"%s" is private to src/%s' % (target, other)
    mine, theirs = level_of(folder), level_of(other)
    if theirs < mine or other in ALSO.get(folder, set()):
        return None
    return "src/%s may not include src/%s" % (folder, other)


def check_file(path, lines, headers):
    """Findings and notes of one C file."""
    findings, notes = [], []
    if len(lines) > MAX_FILE_LINES:
        findings.append("%s:1: %d lines; a file has at most %d" % (path, len(lines), MAX_FILE_LINES))
    parts = path.split("/")
    folder = parts[1] if parts[0] == "src" and len(parts) > 2 else None
    if folder is not None and level_of(folder) is None:
        findings.append("%s:1: src/%s is not in the order of folders" % (path, folder))
        folder = None
    start = None
    for number, line in enumerate(lines, 1):
        include = re.match(r'#\s*include\s+(["<])([^">]+)[">]', line)
        if include and folder is not None:
            why = check_include(folder, include.group(2), include.group(1) == "<", headers)
            if why:
                findings.append("%s:%d: %s" % (path, number, why))
        # clang-format puts a function's last brace, and nothing else's brace after "{", at the start of a line.
        if re.match(r"[A-Za-z_].*\)\s*\{$|\s+.*\)\s*\{$", line) and start is None and not line.startswith((" ", "\t")):
            start = number
        elif line == "}" and start is not None:
            if number - start > MAX_FUNCTION_LINES:
                notes.append("%s:%d: note: a function of %d lines" % (path, start, number - start))
            start = None
    return findings, notes


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    listed = subprocess.run(["git", "-C", root, "ls-files", "*.c", "*.h"], stdout=subprocess.PIPE, check=True).stdout.decode()
    paths = listed.split("\n")
    headers = {os.path.basename(path) for path in paths if path.endswith(".h")}
    findings, notes, n = [], [], 0
    for path in paths:
        full = os.path.join(root, path)
        if not path or not os.path.exists(full):
            continue
        with open(full, encoding="utf-8") as source:
            found, noted = check_file(path, source.read().split("\n")[:-1], headers)
        findings += found
        notes += noted
        n += 1
    for line in notes + findings:
        print(line)
    print("source: %d files, %d findings" % (n, len(findings)))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
