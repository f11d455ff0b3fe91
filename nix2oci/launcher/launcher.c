/* The launcher: does what a makeWrapper script does to the environment, argv and working
 * directory, and executes the program.
 *
 * It has no libc, no writable data, and opens no file: what it has to do is in `operations`, which
 * the encoder (__init__.py) puts in a segment of its own behind the code. docs/launcher.md says
 * what is promised. The hard part is to be bash to the byte, down to the separator that stays at
 * the end of a value.
 */

#include "kernel.h"

/* The codes are the encoder's. A name in the data ends in its `=`, so that it can be compared with
 * an entry of the environment as it is. */
enum operation {
  END = 0,
  SET = 'S',          /* NAME=value */
  DEFAULT = 'D',      /* NAME=value */
  UNSET = 'U',        /* NAME= */
  PREFIX = 'P',       /* NAME=, separator, value */
  SUFFIX = 'X',       /* NAME=, separator, value */
  PREFIX_WHOLE = 'p', /* NAME=, separator, value */
  SUFFIX_WHOLE = 'x', /* NAME=, separator, value */
  CHDIR = 'C',        /* the directory, PWD= and its normal form */
};

enum argv0 { TARGET = 'T', EXECFN = 'E', LITERAL = 'L' };

enum { EXIT_CHDIR = 1, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

enum { ENOENT = 2 };

/* After the header: the operations up to END, each text with a NUL; the target; the kind of
 * argv[0], with its text where it is LITERAL; the words before and the words after. */
struct header {
  char magic[8];
  unsigned int file_size; /* of the whole launcher */
  unsigned int entries;   /* that the operations can add to the environment */
  unsigned int before;
  unsigned int after;
};

/* The encoder replaces it. */
__attribute__((section(".operations"), used)) static const struct header placeholder = {
    {'N', '2', 'O', 'C', 'I', 'O', 'P', '1'}, 0, 0, 0, 0};

struct launcher {
  const struct header *header;
  const char *name; /* what bash has in $0 */
  const char **environment;
  size_t entries;
  const char *cursor; /* in the operations */
  char *free;
  size_t room;
};

/* --- text ---------------------------------------------------------------------------------- */

static size_t length(const char *text) {
  size_t n = 0;
  while (text[n]) n++;
  return n;
}

static int same(const char *one, const char *other, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (one[i] != other[i]) return 0;
  return 1;
}

static int equal(const char *one, const char *other) {
  return same(one, other, length(other) + 1);
}

/* The place after the copy. Where they overlap, the target lies before the source. */
static char *copy(char *to, const char *from, size_t n) {
  for (size_t i = 0; i < n; i++) to[i] = from[i];
  return to + n;
}

/* The text with its `=`. Unlike an entry of the environment, a name of ours always has one. */
static size_t name_length(const char *text) {
  size_t n = 0;
  while (text[n] != '=') n++;
  return n + 1;
}

/* --- failing ------------------------------------------------------------------------------- */

/* Error number, text, NUL. One array, since one of pointers would need relocations. */
static const char errors[] =
    "\1Operation not permitted\0"
    "\2No such file or directory\0"
    "\5Input/output error\0"
    "\7Argument list too long\0"
    "\10Exec format error\0"
    "\14Cannot allocate memory\0"
    "\15Permission denied\0"
    "\24Not a directory\0"
    "\26Invalid argument\0"
    "\27Too many open files in system\0"
    "\30Too many open files\0"
    "\32Text file busy\0"
    "\44File name too long\0"
    "\50Too many levels of symbolic links\0"
    "\120Accessing a corrupted shared library\0";

static struct piece piece(const char *text) {
  return (struct piece){text, length(text)};
}

static _Noreturn void fail(const struct launcher *self, const char *did, const char *what,
                           long error, int status) {
  const char *text = errors;
  while (*text && *text != error) text += length(text) + 1;
  const struct piece message[] = {
      piece(self->name), piece(": "), piece(did), piece(what), piece(": "),
      piece(*text ? text + 1 : "Unknown error"), piece("\n")};
  write_error(message, sizeof message / sizeof *message);
  leave(status);
}

/* --- memory -------------------------------------------------------------------------------- */

static void *allocate(struct launcher *self, size_t size) {
  enum { CHUNK = 1 << 16, PAGE = 1 << 12, ALIGN = 16 };
  size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
  if (size > self->room) {
    size_t mapped = size < CHUNK ? CHUNK : (size + PAGE - 1) & ~(size_t)(PAGE - 1);
    long address = map(mapped);
    if (address < 0 && address > -4096)
      fail(self, "", "launcher", -address, EXIT_NOT_EXECUTABLE);
    self->free = (char *)address;
    self->room = mapped;
  }
  void *result = self->free;
  self->free += size;
  self->room -= size;
  return result;
}

/* --- the environment ----------------------------------------------------------------------- */

/* The value that counts, or NULL: of several entries with one name bash takes the last. */
static const char *value_of(const struct launcher *self, const char *name) {
  size_t n = name_length(name);
  const char *found = NULL;
  for (size_t i = 0; i < self->entries; i++)
    if (same(self->environment[i], name, n)) found = self->environment[i] + n;
  return found;
}

/* Puts `entry` where the entry that counts was, or at the end; NULL removes. Other entries of the
 * name go, and the order of all else stays. */
static void replace(struct launcher *self, const char *name, const char *entry) {
  size_t n = name_length(name);
  size_t last = self->entries;
  size_t kept = 0;
  for (size_t i = 0; i < self->entries; i++)
    if (same(self->environment[i], name, n)) last = i;
  for (size_t i = 0; i <= self->entries; i++) {
    if (i == last) {
      if (entry) self->environment[kept++] = entry;
    } else if (i < self->entries && !same(self->environment[i], name, n)) {
      self->environment[kept++] = self->environment[i];
    }
  }
  self->entries = kept;
}

/* One, two or three texts after the name. */
static void assign(struct launcher *self, const char *name, const char *one, const char *two,
                   const char *three) {
  size_t n = name_length(name), a = length(one), b = length(two), c = length(three);
  char *entry = allocate(self, n + a + b + c + 1);
  char *end = copy(copy(copy(copy(entry, name, n), one, a), two, b), three, c);
  *end = 0;
  replace(self, name, entry);
}

/* --- elements of a value ------------------------------------------------------------------- */

struct element {
  const char *separator;
  size_t separator_length;
  const char *value;
  size_t value_length;
};

static int is_separator(const struct element *e, const char *text) {
  return same(text, e->separator, e->separator_length);
}

/* The first place of separator, value, separator in the text, or NULL. */
static char *find(const struct element *e, char *text, const char *end) {
  size_t framed = e->separator_length * 2 + e->value_length;
  for (; (size_t)(end - text) >= framed; text++)
    if (is_separator(e, text) && same(text + e->separator_length, e->value, e->value_length) &&
        is_separator(e, text + e->separator_length + e->value_length))
      return text;
  return NULL;
}

/* ${V:+S$VS}: nothing, or the old value between two separators. */
static char *frame(const struct element *e, char *to, const char *old) {
  size_t n = length(old);
  if (!n) return to;
  to = copy(to, e->separator, e->separator_length);
  to = copy(to, old, n);
  return copy(to, e->separator, e->separator_length);
}

static void add_element(struct launcher *self, int in_front, const char *name, const char *old,
                        const char *separator, const char *value) {
  const struct element e = {separator, length(separator), value, length(value)};
  size_t n = name_length(name);
  char *entry = allocate(self, n + length(old) + e.separator_length * 2 + e.value_length + 1);
  char *body = copy(entry, name, n);
  char *rest = in_front ? copy(body, value, e.value_length) : body;
  char *end = frame(&e, rest, old);
  char *found = find(&e, rest, end);
  if (in_front && found) {
    /* V=${V/S'v'S/S}: the element and one of its separators go. */
    char *after = found + e.separator_length + e.value_length;
    end = copy(found, after, (size_t)(end - after));
  } else if (!in_front && !found) {
    end = copy(end, value, e.value_length);
  }
  /* V=${V#S}, V=${V%S} */
  if ((size_t)(end - body) >= e.separator_length && is_separator(&e, body))
    end = copy(body, body + e.separator_length, (size_t)(end - body) - e.separator_length);
  if ((size_t)(end - body) >= e.separator_length && is_separator(&e, end - e.separator_length))
    end -= e.separator_length;
  *end = 0;
  replace(self, name, entry);
}

/* --- the working directory ----------------------------------------------------------------- */

/* $PWD where it names the working directory, else what the kernel calls it: bash does so. */
static const char *working_directory(struct launcher *self) {
  const char *told = value_of(self, "PWD=");
  struct status one, other;
  if (told && *told == '/' && stat(told, &one) == 0 && stat(".", &other) == 0 &&
      one.device == other.device && one.inode == other.inode)
    return told;
  char *buffer = allocate(self, PATH_MAX);
  if (getcwd(buffer, PATH_MAX) > 0) return buffer;
  return told ? told : "";
}

static void change_directory(struct launcher *self, const char *directory, const char *pwd) {
  const char *old = working_directory(self);
  long error = chdir(directory);
  if (error) fail(self, "cd: ", directory, -error, EXIT_CHDIR);
  assign(self, "OLDPWD=", old, "", "");
  replace(self, pwd, pwd);
}

/* --- all of it ----------------------------------------------------------------------------- */

static const char *next(struct launcher *self) {
  const char *text = self->cursor;
  self->cursor += length(text) + 1;
  return text;
}

static void operate(struct launcher *self) {
  for (;;) {
    char code = *self->cursor++;
    if (code == END) return;
    const char *name = next(self);
    if (code == CHDIR) {
      change_directory(self, name, next(self));
      continue;
    }
    const char *old = value_of(self, name);
    if (code == UNSET) {
      replace(self, name, NULL);
    } else if (code == SET || code == DEFAULT) {
      if (code == SET || !old) replace(self, name, name);
    } else {
      const char *separator = next(self);
      const char *value = next(self);
      if (!old) old = "";
      if (code == PREFIX || code == SUFFIX)
        add_element(self, code == PREFIX, name, old, separator, value);
      else if (code == PREFIX_WHOLE)
        assign(self, name, value, *old ? separator : "", old);
      else
        assign(self, name, old, *old ? separator : "", value);
    }
  }
}

/* What bash has in $0: the path given to execve, except where the kernel ran this file as the
 * interpreter of a script. Then AT_EXECFN is the script, also among the arguments, and argv[0] is
 * the path on its first line. The size tells whether that file is this one, should somebody pass
 * a program its own path. */
static const char *own_name(const struct launcher *self, const char *const *argv, size_t argc,
                            const char *execfn) {
  struct status status;
  for (size_t i = 1; i < argc; i++)
    if (equal(argv[i], execfn)) {
      int other = stat(execfn, &status) == 0 && status.size != self->header->file_size;
      return other ? argv[0] : execfn;
    }
  return execfn;
}

static const char **arguments(struct launcher *self, const char *target, const char *const *argv,
                              size_t argc) {
  size_t before = self->header->before, after = self->header->after;
  const char **words = allocate(self, (argc + before + after + 2) * sizeof *words);
  const char **word = words;
  char kind = *self->cursor++;
  *word++ = kind == TARGET ? target : kind == EXECFN ? self->name : next(self);
  while (before--) *word++ = next(self);
  for (size_t i = 1; i < argc; i++) *word++ = argv[i];
  while (after--) *word++ = next(self);
  *word = NULL;
  return words;
}

__attribute__((used)) static _Noreturn void start(const long *stack) {
  size_t argc = (size_t)*stack;
  const char *const *argv = (const char *const *)(stack + 1);
  const char *const *given = argv + argc + 1;
  const struct header *header = &placeholder;
  /* The compiler shall not conclude from the placeholder what is in there, or that it ends. */
  __asm__("" : "+r"(header));
  struct launcher self = {.header = header, .cursor = (const char *)(header + 1)};
  size_t entries = 0;
  while (given[entries]) entries++;
  const char *execfn = argc ? argv[0] : "";
  const struct auxiliary *a = (const struct auxiliary *)(given + entries + 1);
  for (; a->type != AT_NULL; a++)
    if (a->type == AT_EXECFN) execfn = (const char *)a->value;
  self.name = own_name(&self, argv, argc, execfn);
  self.environment = allocate(&self, (entries + header->entries + 1) * sizeof *self.environment);
  while (self.entries < entries) {
    self.environment[self.entries] = given[self.entries];
    self.entries++;
  }
  operate(&self);
  self.environment[self.entries] = NULL;
  const char *target = next(&self);
  const char **words = arguments(&self, target, argv, argc);
  long error = -execve(target, words, self.environment);
  fail(&self, "", target, error, error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}
