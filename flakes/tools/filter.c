/* Copies its input to its output through FILTER, one of the functions below. */
#include <ctype.h>
#include <stdio.h>

__attribute__((unused)) static int upper(int c) { return toupper(c); }

__attribute__((unused)) static int lower(int c) { return tolower(c); }

__attribute__((unused)) static int rot13(int c) {
  if (c >= 'a' && c <= 'z')
    return 'a' + (c - 'a' + 13) % 26;
  if (c >= 'A' && c <= 'Z')
    return 'A' + (c - 'A' + 13) % 26;
  return c;
}

int main(void) {
  int c;
  while ((c = getchar()) != EOF)
    putchar(FILTER(c));
  return 0;
}
