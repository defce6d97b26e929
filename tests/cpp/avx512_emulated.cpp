// The AVX-512 kernels on emulated instructions, for CPUs without them: the same source, another
// name.
#define BIFAST_SIMDE
#define SIMDE_ENABLE_NATIVE_ALIASES
#define avx512_kernels avx512_emulated_kernels
#include "kernels/avx512.cpp"
