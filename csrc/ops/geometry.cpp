// Gathering of the patches that a convolution reads.
#include "ops/geometry.h"

#include <cstring>

namespace bifast {

void Geometry::gather(const uint8_t* input, size_t row_bytes, size_t position,
                      uint8_t* patch) const {
  const size_t oy = position / x.out, ox = position % x.out;
  const Axis::Taps ys = y.classes[y.class_of[oy]], xs = x.classes[x.class_of[ox]];
  const size_t line_bytes = x.kernel * row_bytes;
  if (ys.last - ys.first != y.kernel || xs.last - xs.first != x.kernel) {
    std::memset(patch, 0, y.kernel * line_bytes);
  }
  if (xs.first == xs.last) return;
  for (size_t ty = ys.first; ty < ys.last; ++ty) {
    const uint8_t* line = input + y.input_of(oy, ty) * x.in * row_bytes;
    uint8_t* to = patch + ty * line_bytes;
    if (x.dilation == 1) {
      std::memcpy(to + xs.first * row_bytes, line + x.input_of(ox, xs.first) * row_bytes,
                  (xs.last - xs.first) * row_bytes);
      continue;
    }
    for (size_t tx = xs.first; tx < xs.last; ++tx) {
      std::memcpy(to + tx * row_bytes, line + x.input_of(ox, tx) * row_bytes, row_bytes);
    }
  }
}

}  // namespace bifast
