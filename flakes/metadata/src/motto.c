/* Prints the motto; built with CHECK it only says whether there is one. */
#include <stdio.h>

#include "motto.h"

int main(void) {
#ifdef CHECK
  return sizeof MOTTO > 1 ? 0 : 1;
#else
  printf("%s (motto %s)\n", MOTTO, VERSION);
  return 0;
#endif
}
