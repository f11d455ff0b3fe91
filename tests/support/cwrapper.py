"""Wrapper binaries as makeBinaryWrapper makes them: C of the same shape, compiled by gcc here.

Written from the description of the program, for the tests; the texts that its error messages quote
are the ones by which a generation is known.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from nix2oci.wrappers.binary import Generation, Option, write_command

_SURROUNDED = """
static int stands_alone(char *text, char *at, unsigned long n, char *sep) {
  unsigned long sep_len = strlen(sep);
  if (at != text && (at - text < (long)sep_len || strncmp(sep, at - sep_len, sep_len))) return 0;
  return !at[n] || !strncmp(sep, at + n, sep_len);
}
"""

_JOIN = """
void set_env_KIND(char *env, char *sep, char *KIND) {
  char *existing_env = getenv(env), *existing = existing_env, *val;
  if (!existing) { assert_success(setenv(env, KIND, 1)); return; }
  BODY
  assert_success(setenv(env, val, 1));
  free(val);
}
"""

_MOVE = """
  char *existing_KIND = strstr(existing_env, KIND);
  unsigned long KIND_len = strlen(KIND);
  if (existing_KIND && stands_alone(existing_env, existing_KIND, KIND_len, sep)) {
    unsigned long sep_len = strlen(sep);
    int n_before = existing_KIND - existing_env;
    if (DONE) return;
    MOVED
  } else {
    assert_success(asprintf(&val, "%s%s%s", ADDED));
  }
"""

_MOVED_PREFIX = {
    Generation.G1: """assert_success(asprintf(&val, "%s%s%.*s%s", prefix, sep, n_before,
        existing_env, existing_prefix + prefix_len + sep_len));""",
    Generation.G2: """assert_success(asprintf(&val, "%s%s%.*s%s", prefix, sep,
        n_before - (int)sep_len, existing_env, existing_prefix + prefix_len));""",
    Generation.G3: """n_before -= sep_len;
      assert_success(asprintf(&val, "%s%s%.*s%s", prefix, sep, n_before, existing_env,
        existing_prefix + prefix_len));""",
}

_MOVED_SUFFIX = """assert_success(asprintf(&val, "%.*s%s%s%s", n_before, existing_env,
      existing_suffix + suffix_len + sep_len, sep, suffix));"""

_RESOLVE = """
char *resolve_argv0(char *argv0) {
  char *path = getenv("PATH"), *copy = path && !strchr(argv0, '/') ? strdup(path) : NULL;
  for (char *dir = copy ? strtok(copy, ":") : NULL; dir; dir = strtok(NULL, ":")) {
    char *candidate = malloc(strlen(dir) + strlen(argv0) + 2);
    if (!candidate) break;
    sprintf(candidate, "%s/%s", dir, argv0);
    if (access(candidate, X_OK) == 0) { free(copy); return candidate; }
    free(candidate);
  }
  free(copy);
  return argv0;
}
"""


def source(
    target: bytes,
    command: Sequence[Option],
    generation: Generation = Generation.G3,
    *,
    resolve: bool = False,
    extra: str = "",
    description: bytes | None = None,
) -> bytes:
    """The C of a wrapper; `extra` are statements that its description does not tell."""
    names = {option.name for option in command}
    joins = [kind for kind in ("prefix", "suffix") if b"--" + kind.encode() in names]
    parts = ["#define _GNU_SOURCE"]
    parts += [f"#include <{name}.h>" for name in ("unistd", "stdlib", "assert", "stdio", "string")]
    parts.append("#define assert_success(e) do { if ((e) < 0) { perror(#e); abort(); } } while (0)")
    parts += [_SURROUNDED] if joins and generation is not Generation.G0 else []
    parts += [_join(kind, generation) for kind in joins]
    parts += [_RESOLVE] if resolve else []
    body = [*_statements(command), extra, *_arguments(target, command)]
    body += ["argv[0] = resolve_argv0(argv[0]);"] if resolve else []
    parts += ["int main(int argc, char **argv) {", *body, f"return execv({_c(target)}, argv);", "}"]
    text = write_command(target, command) if description is None else description
    parts.append(f"const char * DOCSTRING = {_c(text)};")
    return "\n".join(parts).encode("latin-1")


def compile_wrapper(text: bytes, output: Path, *flags: str) -> bytes:
    """The binary, without debug information, as a package has it."""
    options = flags or ("-Os",)
    command = ["gcc", *options, "-Wno-sign-compare", "-x", "c", "-o", str(output), "-"]
    subprocess.run(command, input=text, check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["strip", "-S", str(output)], check=True)
    return output.read_bytes()


def _join(kind: str, generation: Generation) -> str:
    existing = "existing" if generation is Generation.G0 else "existing_env"
    added = f"prefix, sep, {existing}" if kind == "prefix" else f"{existing}, sep, suffix"
    if generation is Generation.G0:
        body = f'assert_success(asprintf(&val, "%s%s%s", {added}));'
    else:
        moved = _MOVED_PREFIX[generation] if kind == "prefix" else _MOVED_SUFFIX
        done = "!n_before" if kind == "prefix" else "!existing_suffix[suffix_len]"
        body = _MOVE.replace("DONE", done).replace("MOVED", moved).replace("ADDED", added)
    return _JOIN.replace("BODY", body).replace("KIND", kind)


def _statements(command: Sequence[Option]) -> Iterator[str]:
    for option in command:
        words = [_c(argument) for argument in option.arguments]
        match option.name:
            case b"--set":
                yield f"putenv({_c(b'='.join(option.arguments))});"
            case b"--set-default":
                yield f"assert_success(setenv({words[0]}, {words[1]}, 0));"
            case b"--unset":
                yield f"assert_success(unsetenv({words[0]}));"
            case b"--chdir":
                yield f"assert_success(chdir({words[0]}));"
            case b"--prefix" | b"--suffix":
                yield f"set_env_{option.name[2:].decode()}({', '.join(words)});"


def _arguments(target: bytes, command: Sequence[Option]) -> Iterator[str]:
    before, after = _flags(command, b"--add-flag"), _flags(command, b"--append-flag")
    if before or after:
        count = f"{len(before)} + argc + {len(after)} + 1"
        yield f"char **argv_tmp = calloc({count}, sizeof(*argv_tmp));"
        yield "assert(argv_tmp != NULL);"
        yield "argv_tmp[0] = argv[0];"
        for at, flag in enumerate(before):
            yield f"argv_tmp[{at + 1}] = {_c(flag)};"
        yield f"for (int i = 1; i < argc; ++i) {{ argv_tmp[{len(before)} + i] = argv[i]; }}"
        for at, flag in enumerate(after):
            yield f"argv_tmp[{len(before)} + argc + {at}] = {_c(flag)};"
        yield f"argv_tmp[{len(before)} + argc + {len(after)}] = NULL;"
        yield "argv = argv_tmp;"
    named = [o for o in command if o.name in (b"--argv0", b"--inherit-argv0")]
    if not named or named[-1].name == b"--argv0":
        yield f"argv[0] = {_c((named[-1].arguments[0] if named else b'') or target)};"


def _flags(command: Sequence[Option], name: bytes) -> list[bytes]:
    found: list[bytes] = []
    for option in command:
        if option.name == name:
            found += option.arguments
        elif option.name == name + b"s":
            found += re.findall(rb"[^ \t\n]+", option.arguments[0].partition(b"\n")[0])
    return found


def _c(text: bytes) -> str:
    """A literal, escaped as little as makeBinaryWrapper does."""
    shown = text.decode("latin-1")
    for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        shown = shown.replace(character, escape)
    return f'"{shown}"'
