// The checks: each compares one kernel of an instruction set with the scalar one, on many shapes.
#ifndef BIFAST_SELFCHECK_CHECKS_H_
#define BIFAST_SELFCHECK_CHECKS_H_

#include "kernels/kernels.h"
#include "selfcheck/data.h"

namespace bifast::selfcheck {

// products.cpp
void check_binary_thresholds(const Place& place, const Kernels& scalar);
void check_binary_floats(const Place& place, const Kernels& scalar);
void check_image_thresholds(const Place& place, const Kernels& scalar);
void check_image_floats(const Place& place, const Kernels& scalar);
// rows.cpp
void check_memory_row(const Place& place, const Kernels& scalar);
void check_memory_floats(const Place& place, const Kernels& scalar);
void check_count_thresholds(const Place& place, const Kernels& scalar);
void check_count_floats(const Place& place, const Kernels& scalar);
void check_float_rows(const Place& place, const Kernels& scalar);
void check_float_product(const Place& place, const Kernels& scalar);
// bytes.cpp
void check_byte_floats(const Place& place, const Kernels& scalar);
void check_byte_signs(const Place& place, const Kernels& scalar);
void check_quantise(const Place& place, const Kernels& scalar);
void check_byte_runs(const Place& place, const Kernels& scalar);
void check_largest(const Place& place, const Kernels& scalar);
// log_mel.cpp
void check_log_mel(const Place& place, const Kernels& scalar);

}  // namespace bifast::selfcheck

#endif  // BIFAST_SELFCHECK_CHECKS_H_
