// The largest of some rows of floats for every instruction set: max pooling.
#ifndef BIFAST_KERNELS_LARGEST_H_
#define BIFAST_KERNELS_LARGEST_H_

#include <cstddef>

#include "kernels/lanes.h"

namespace bifast {
namespace {

template <size_t kLanes>
void largest(const float* const* x, size_t n, size_t cols, float* out) {
  using V = Vec<float, kLanes>;
  size_t c = 0;
  for (; c + kLanes <= cols; c += kLanes) {
    V most = load<V>(x[0] + c);
    for (size_t t = 1; t < n; ++t) {
      const V other = load<V>(x[t] + c);
      most = other > most ? other : most;
    }
    store(out + c, most);
  }
  for (; c < cols; ++c) {
    out[c] = x[0][c];
    for (size_t t = 1; t < n; ++t) out[c] = x[t][c] > out[c] ? x[t][c] : out[c];
  }
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_LARGEST_H_
