#include "selfcheck/selfcheck.h"

#include <iterator>

#include "dispatch.h"
#include "kernels/kernels.h"
#include "selfcheck/checks.h"
#include "selfcheck/data.h"

namespace bifast {
namespace {

struct Check {
  const char* kernel;
  void (*run)(const selfcheck::Place&, const Kernels& scalar);
};

constexpr Check kChecks[] = {
    {"binary_thresholds", selfcheck::check_binary_thresholds},
    {"binary_floats", selfcheck::check_binary_floats},
    {"image_thresholds", selfcheck::check_image_thresholds},
    {"image_floats", selfcheck::check_image_floats},
    {"float_product", selfcheck::check_float_product},
    {"byte_floats", selfcheck::check_byte_floats},
    {"byte_signs", selfcheck::check_byte_signs},
    {"byte_runs", selfcheck::check_byte_runs},
    {"largest", selfcheck::check_largest},
    {"quantise", selfcheck::check_quantise},
    {"memory_row", selfcheck::check_memory_row},
    {"memory_floats", selfcheck::check_memory_floats},
    {"count_thresholds", selfcheck::check_count_thresholds},
    {"count_floats", selfcheck::check_count_floats},
    {"float_rows", selfcheck::check_float_rows},
    {"log_mel", selfcheck::check_log_mel},
};

}  // namespace

size_t kernel_count() { return std::size(kChecks); }

const char* kernel_name(size_t index) { return kChecks[index].kernel; }

void check_kernel(const Kernels& kernels, size_t index) {
  kChecks[index].run({kernels, kChecks[index].kernel}, find_isa("scalar"));
}

}  // namespace bifast
