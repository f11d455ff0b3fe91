/* Greets, and says how it was started: its arguments and its user. */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
  printf("hello from nix\n");
  for (int i = 0; i < argc; i++)
    printf("argv[%d]=%s\n", i, argv[i]);
  printf("uid=%u gid=%u\n", (unsigned)getuid(), (unsigned)getgid());
  return 0;
}
