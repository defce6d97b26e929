// Runs the kernels of an instruction set against the scalar ones on this very machine.
//
// The data are pseudo-random but the same on every run, and include the widest counts that the
// contracts allow.
#ifndef BIFAST_SELFCHECK_SELFCHECK_H_
#define BIFAST_SELFCHECK_SELFCHECK_H_

#include <cstddef>

#include "kernels/kernels.h"

namespace bifast {

size_t kernel_count();
// Name of kernel `index` < kernel_count(), as in the kernel table.
const char* kernel_name(size_t index);

// Throws Error(BIFAST_INTERNAL) naming instruction set, kernel, shape and element where a result,
// or a byte outside the result, differs from the scalar kernel's.
void check_kernel(const Kernels& kernels, size_t index);

}  // namespace bifast

#endif  // BIFAST_SELFCHECK_SELFCHECK_H_
