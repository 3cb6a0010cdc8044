// libFuzzer as a library. SwiftPM gives each executable a `main` of its own, so libFuzzer's cannot be it.
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *count, char ***arguments, int (*target)(const uint8_t *bytes, size_t count));
