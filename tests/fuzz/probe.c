/* The program behind a wrapper in the tests: writes what execve gave it.
 *
 * Output: the working directory, the words of argv, an empty marker of its own (the byte 0xFF,
 * which the generator gives no word), the entries of the environment; each ends in a NUL.
 * It has no libc, since a libc may look at its environment first, and starts fast.
 */

#include "../../nix2oci/launcher/kernel.h"

static char output[1 << 22];
static size_t written;

static void put(const char *text) {
  do {
    if (written == sizeof output) leave(99);
    output[written++] = *text;
  } while (*text++);
}

__attribute__((used)) static _Noreturn void start(const long *stack) {
  const char *const *word = (const char *const *)(stack + 1);
  char directory[PATH_MAX];
  put(getcwd(directory, sizeof directory) > 0 ? directory : "");
  for (; *word; word++) put(*word);
  put("\377");
  for (word++; *word; word++) put(*word);
  const struct piece piece = {output, written};
  leave(call(SYS_WRITEV, 1, (long)&piece, 1, 0, 0, 0) == (long)written ? 0 : 98);
}
