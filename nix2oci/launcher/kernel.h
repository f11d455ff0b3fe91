/* The kernel, without a libc: where a program starts, and the system calls that the launcher makes.
 *
 * A call gives the kernel's answer: a negative value above -4096 is an error number.
 */

#include <stddef.h>

#if defined(__x86_64__)

enum {
  SYS_MMAP = 9,
  SYS_WRITEV = 20,
  SYS_EXECVE = 59,
  SYS_GETCWD = 79,
  SYS_CHDIR = 80,
  SYS_EXIT_GROUP = 231,
  SYS_NEWFSTATAT = 262,
};

/* Linux hands over a stack that starts with argc; C wants it aligned and as an argument. */
__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call start\n");

static long call(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

#elif defined(__aarch64__)

enum {
  SYS_GETCWD = 17,
  SYS_CHDIR = 49,
  SYS_WRITEV = 66,
  SYS_NEWFSTATAT = 79,
  SYS_EXIT_GROUP = 94,
  SYS_EXECVE = 221,
  SYS_MMAP = 222,
};

__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov x0, sp\n"
    "  bl start\n");

static long call(long number, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
}

#endif

enum { AT_NULL = 0, AT_EXECFN = 31, AT_FDCWD = -100, PATH_MAX = 4096 };

struct auxiliary {
  unsigned long type;
  unsigned long value;
};

struct piece {
  const char *text;
  size_t length;
};

/* The fields that both architectures have at the same place; the rest of the 144 bytes is not
 * looked at. */
struct status {
  unsigned long device;
  unsigned long inode;
  unsigned long others[4];
  unsigned long size;
  unsigned long rest[11];
};

static _Noreturn void leave(int status) {
  for (;;) call(SYS_EXIT_GROUP, status, 0, 0, 0, 0, 0);
}

static long execve(const char *path, const char *const *argv, const char *const *environment) {
  return call(SYS_EXECVE, (long)path, (long)argv, (long)environment, 0, 0, 0);
}

static long chdir(const char *directory) {
  return call(SYS_CHDIR, (long)directory, 0, 0, 0, 0, 0);
}

/* The length with the NUL, or an error. */
static long getcwd(char *buffer, size_t size) {
  return call(SYS_GETCWD, (long)buffer, (long)size, 0, 0, 0, 0);
}

/* Follows links. newfstatat, since statx came with Linux 4.11 only. */
static long stat(const char *path, struct status *status) {
  return call(SYS_NEWFSTATAT, AT_FDCWD, (long)path, (long)status, 0, 0, 0);
}

static void write_error(const struct piece *pieces, int count) {
  call(SYS_WRITEV, 2, (long)pieces, count, 0, 0, 0);
}

/* Zeroed memory, readable and writable; an error number in place of an address. */
static long map(size_t size) {
  enum { READ_WRITE = 3, PRIVATE_ANONYMOUS = 0x22 };
  return call(SYS_MMAP, 0, (long)size, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0);
}
