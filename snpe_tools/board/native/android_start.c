/* How a program begins on Android, so that no NDK is needed to build for it.
 *
 * Bionic's dynamic `__libc_init(arguments, unused, main, arrays)` is public ABI: every executable's crtbegin calls it.
 */
#include <stdint.h>

int main(int count, char **arguments, char **environment);
typedef struct { void (**before)(void); void (**first)(void); void (**last)(void); } Arrays;
_Noreturn void __libc_init(void *arguments, void (*unused)(void), int (*main)(int, char **, char **), const Arrays *arrays);

static void (*nothing[])(void) = {(void (*)(void))(intptr_t)-1, 0};

__attribute__((used)) static _Noreturn void begin(void *arguments) {
  Arrays arrays = {nothing, nothing, nothing};
  __libc_init(arguments, 0, main, &arrays);
}

__asm__(".globl _start\n.type _start, %function\n_start:\n  mov x29, #0\n  mov x30, #0\n  mov x0, sp\n  b begin\n");
