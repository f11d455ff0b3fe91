// Says how it was started: its arguments, where, and with which variables.
#include <stdio.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
  char directory[4096];
  for (int i = 0; i < argc; i++) printf("argument %d: %s\n", i, argv[i]);
  printf("directory: %s\n", getcwd(directory, sizeof directory) ? directory : "?");
  for (char **entry = environ; *entry; entry++) printf("variable: %s\n", *entry);
  return 0;
}
