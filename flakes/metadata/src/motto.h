/* What the program says. */
#define MOTTO "the same inputs give the same bytes"
