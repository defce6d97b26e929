// Which instruction set runs: the ordered list from CMakeLists.txt, the CPU's word, and BIFAST_ISA.
#ifndef BIFAST_DISPATCH_H_
#define BIFAST_DISPATCH_H_

#include <span>

#include "kernels/kernels.h"

namespace bifast {

// The instruction sets of this build that this CPU can run, best first. Ends with "scalar".
std::span<const Kernels* const> runnable_isas();

// The instruction set of that name. A null name means the environment variable BIFAST_ISA, and
// where that is unset or empty the best one. Throws Error: BIFAST_INVALID_ARGUMENT for a name that
// this build does not know, BIFAST_UNSUPPORTED for one that this CPU cannot run.
const Kernels& find_isa(const char* name);

}  // namespace bifast

#endif  // BIFAST_DISPATCH_H_
