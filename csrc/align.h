// Sizes of memory that vectors and cache lines like.
#ifndef BIFAST_ALIGN_H_
#define BIFAST_ALIGN_H_

#include <cstddef>

namespace bifast {

inline constexpr size_t kAlign = 64;

constexpr size_t round_up(size_t n, size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// The next multiple of kAlign.
constexpr size_t align(size_t n_bytes) { return round_up(n_bytes, kAlign); }

}  // namespace bifast

#endif  // BIFAST_ALIGN_H_
