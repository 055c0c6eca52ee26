#!/usr/bin/env python3
"""Check what no compiler checks: who includes whom, which folder may see which library, how long things are, and, with a
build folder, that every name src gives to the linker starts with hyp_.

usage: tools/check_source.py [FOLDER [BUILD]]     (the repository; default: the one this script is in)

Prints a line for each finding. Ends with status 1 if there is one; long functions are only pointed at.
"""
import json
import os
import re
import subprocess
import sys

# A library's headers belong to the folders whose row of ARCHITECTURE.md's table names it.
LIBRARIES = {
    "llama": r"llama\.h",
    "ggml": r"ggml[a-z-]*\.h",
    "gguf": r"gguf\.h",
    "highs": r"(highs/)?(interfaces/)?highs_c_api\.h",
    "uring": r"liburing\.h",
    "microhttpd": r"microhttpd\.h",
    "editline": r"(histedit|editline/readline)\.h",
}
# Processors differ, systems have files of their own (FILE_linux.c, FILE_macos.c).
PLATFORM = re.compile(r"#\s*(if|ifdef|ifndef|elif)\b.*\b(__APPLE__|__linux__|__MACH__|_WIN32)\b")
# What has no prefix: the entry, the calls that the program interposes, constants that a header of HiGHS defines.
SYSTEM_NAMES = re.compile(r"main|mmap(64)?|(posix_)?madvise|posix_memalign|kHighs\w+|__\w+")
MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 70


def read_table(root):
    """The table of ARCHITECTURE.md as {folder: (allowed folders, libraries)}, and findings about the table itself."""
    rows, findings = {}, []
    with open(os.path.join(root, "ARCHITECTURE.md"), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            row = re.match(r"\| `src/(\w+)` \|[^|]*\|([^|]*)\|([^|]*)\|", line)
            if not row:
                continue
            folder, allowed, libraries = row.group(1), re.findall(r"\w+", row.group(2)), re.findall(r"\w+", row.group(3))
            findings += ["ARCHITECTURE.md:%d: src/%s may not include src/%s, which does not stand above it" % (number, folder, name)
                         for name in allowed if name not in rows]
            findings += ["ARCHITECTURE.md:%d: no library is called %s" % (number, name)
                         for name in libraries if name not in LIBRARIES]
            rows[folder] = (set(allowed), set(libraries))
    if not rows:
        findings.append("ARCHITECTURE.md:1: its table of folders is not there")
    return rows, findings


def check_include(folder, target, system, headers, rows):
    """Why a file of src/`folder` may not include `target`, or None. `headers` are the base names of the headers in git."""
    allowed, libraries = rows[folder]
    if system:
        for name, pattern in LIBRARIES.items():
            if re.fullmatch(pattern, target) and name not in libraries:
                return "<%s> is for src/%s alone" % (target, ", src/".join(f for f in rows if name in rows[f][1]))
        return None
    if "/" not in target and target not in headers:
        return None  # the build makes it
    other = target.split("/")[0]
    if "/" not in target or other not in rows:
        return '"%s" is not named as "folder/file.h"' % target
    if other == folder:
        return None
    if target.endswith("_priv.h"):
        return '"%s" is private to src/%s' % (target, other)
    return None if other in allowed else "src/%s may not include src/%s" % (folder, other)


def check_file(path, lines, headers, rows):
    """Findings and notes of one C file."""
    findings, notes = [], []
    if len(lines) > MAX_FILE_LINES:
        findings.append("%s:1: %d lines; a file has at most %d" % (path, len(lines), MAX_FILE_LINES))
    parts = path.split("/")
    folder = parts[1] if parts[0] == "src" and len(parts) > 2 else None
    if folder is not None and folder not in rows:
        findings.append("%s:1: src/%s is not in ARCHITECTURE.md's table" % (path, folder))
        folder = None
    start = None
    for number, line in enumerate(lines, 1):
        include = re.match(r'#\s*include\s+(["<])([^">]+)[">]', line)
        if include and folder is not None:
            why = check_include(folder, include.group(2), include.group(1) == "<", headers, rows)
            if why:
                findings.append("%s:%d: %s" % (path, number, why))
        if PLATFORM.match(line) and folder is not None and not re.search(r"_(linux|macos)\.c$|/platform[a-z_]*\.h$", path):
            findings.append("%s:%d: what one system has stands in a file of its own (ARCHITECTURE.md)" % (path, number))
        # clang-format puts a function's last brace, and nothing else's brace after "{", at the start of a line.
        if re.match(r"[A-Za-z_].*\)\s*\{$|\s+.*\)\s*\{$", line) and start is None and not line.startswith((" ", "\t")):
            start = number
        elif line == "}" and start is not None:
            if number - start > MAX_FUNCTION_LINES:
                notes.append("%s:%d: note: a function of %d lines" % (path, start, number - start))
            start = None
    return findings, notes


def check_private(users, rows):
    """Findings: headers that only their own folder and its unit tests include, and that are not named *_priv.h. What a
    public header includes is public, too. `users` are {"folder/file.h": files}. Nobody includes the last folder's, so they
    need no name."""
    findings = []
    for header in sorted(users):
        folder = header.split("/")[0]
        own = ("src/%s/" % folder, "tests/unit/")
        public = any(path.endswith(".h") and not path.endswith("_priv.h") for path in users[header])
        own_only = all(path.startswith(own) for path in users[header])
        if folder in list(rows)[:-1] and not header.endswith("_priv.h") and own_only and not public:
            findings.append("src/%s:1: only src/%s includes it, so it is a *_priv.h" % (header, folder))
    return findings


def check_names(root, build):
    """{source file: names without the prefix} of what the objects of src define for the linker."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    sources = {}
    for entry in entries:
        path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), root)
        output = os.path.join(entry["directory"], entry["output"])
        # Of the program and its libraries; a test may compile a file once more for itself.
        if path.startswith("src/") and entry["output"].startswith(("src/", "hypura.p/")) and os.path.exists(output):
            sources[output] = path
    listed = subprocess.run(["nm", "-gA", "--defined-only"] + list(sources), stdout=subprocess.PIPE, check=True).stdout.decode()
    found = {}
    for output, name in re.findall(r"^(.*?):\w* *[A-Z] (\S+)$", listed, re.M):
        if not name.startswith("hyp_") and not SYSTEM_NAMES.fullmatch(name):
            found.setdefault(sources[output], set()).add(name)
    return found


def main():
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    listed = subprocess.run(["git", "-C", root, "ls-files", "*.c", "*.h"], stdout=subprocess.PIPE, check=True).stdout.decode()
    paths = listed.split("\n")
    headers = {os.path.basename(path) for path in paths if path.endswith(".h")}
    rows, findings = read_table(root)
    notes, n, users = [], 0, {}
    for path in paths:
        full = os.path.join(root, path)
        if not path or not os.path.exists(full):
            continue
        with open(full, encoding="utf-8") as source:
            lines = source.read().split("\n")[:-1]
        found, noted = check_file(path, lines, headers, rows)
        for line in lines:
            included = re.match(r'#\s*include\s+"([^"]+)"', line)
            if included:
                users.setdefault(included.group(1), set()).add(path)
        findings += found
        notes += noted
        n += 1
    names = check_names(root, os.path.abspath(sys.argv[2])) if len(sys.argv) > 2 else {}
    findings += check_private(users, rows)
    findings += ["%s:1: external names without hyp_: %s" % (path, " ".join(sorted(names[path]))) for path in sorted(names)]
    for line in notes + findings:
        print(line)
    print("source: %d files, %d findings" % (n, len(findings)))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
