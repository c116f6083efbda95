/* The headers are another libc's; for what the runner uses they differ from Bionic's in this alone. */
#include <errno.h>
int *__errno(void);
#undef errno
#define errno (*__errno())
