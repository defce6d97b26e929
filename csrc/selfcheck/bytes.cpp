// Sums of bytes, floats to bytes, and the largest of some rows.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include "kernels/kernels.h"
#include "selfcheck/checks.h"
#include "selfcheck/data.h"

namespace bifast::selfcheck {

void check_byte_matmul(const Place& place, const Kernels& scalar) {
  Random random;
  for (const size_t depth : {1, 2, 3, 4, 7, 42, 130}) {
    std::vector<uint32_t> offset(depth);
    for (uint32_t& k : offset) k = static_cast<uint32_t>(random.word() % (4 * depth));
    for (const size_t cols : {16, 32, 48, 64, 144}) {
      for (size_t rows = 0; rows < 10; ++rows) {
        const size_t stride = depth + rows % 3;
        auto a = random.integers<uint8_t>(rows * stride + 4 * depth + 4);
        const auto w = random.integers<int8_t>(4 * depth * cols);
        if (rows == 9) std::fill(a.begin(), a.end(), uint8_t{255});
        std::vector<float> expected(rows * cols + kGuard, 123.0f), got(expected);
        scalar.byte_matmul(a.data(), stride, offset.data(), w.data(), expected.data(), rows, cols,
                           depth);
        place.kernels.byte_matmul(a.data(), stride, offset.data(), w.data(), got.data(), rows, cols,
                                  depth);
        expect_same(place,
                    text("rows", rows) + " " + text("cols", cols) + " " + text("depth", depth),
                    expected, got);
      }
    }
  }
}

void check_quantise(const Place& place, const Kernels& scalar) {
  Random random;
  for (const size_t n : {0, 1, 3, 15, 16, 17, 64, 100, 1024}) {
    auto x = random.reals(n);
    for (size_t i = 0; i < n; i += 7) {
      const float edges[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, -0.0f, 0.5f};
      x[i] = edges[i / 7 % std::size(edges)];
    }
    for (const float scale : {1.0f, -37.3f, 100.0f, 0.0f}) {
      std::vector<uint8_t> expected(n + kGuard, 123), got(expected);
      scalar.quantise(x.data(), n, scale, 128.5f, expected.data());
      place.kernels.quantise(x.data(), n, scale, 128.5f, got.data());
      expect_same(place, text("n", n), expected, got);
    }
  }
}

void check_byte_runs(const Place& place, const Kernels& scalar) {
  if (place.kernels.byte_runs == nullptr) return;
  Random random;
  for (const size_t length : {1, 6, 16}) {
    for (const size_t n_runs : {1, 7, 40}) {
      const size_t depth = length * n_runs;
      std::vector<uint32_t> starts(n_runs), offset(depth);
      for (uint32_t& start : starts) start = static_cast<uint32_t>(random.word() % (4 * depth));
      for (size_t k = 0; k < depth; ++k) {
        offset[k] = starts[k / length] + static_cast<uint32_t>(4 * (k % length));
      }
      for (const size_t cols : {32, 96}) {
        for (const size_t rows : {32, 33, 64, 95}) {
          const size_t stride = 1 + random.word() % 70;
          const auto a = random.integers<uint8_t>(rows * stride + 8 * depth);
          const auto w = random.integers<int8_t>(4 * depth * cols);
          std::vector<float> expected(rows * cols + kGuard, 123.0f), got(expected);
          scalar.byte_matmul(a.data(), stride, offset.data(), w.data(), expected.data(), rows, cols,
                             depth);
          place.kernels.byte_runs(a.data(), stride, starts.data(), n_runs, length, w.data(),
                                  got.data(), rows, cols);
          expect_same(place,
                      text("rows", rows) + " " + text("cols", cols) + " " + text("runs", n_runs) +
                          " " + text("length", length),
                      expected, got);
        }
      }
    }
  }
}

void check_largest(const Place& place, const Kernels& scalar) {
  Random random;
  for (size_t n = 1; n < 11; ++n) {
    for (size_t cols = 1; cols < 70; ++cols) {
      std::vector<float> values = random.reals(n * cols);
      for (float& value : values) {
        if (random.word() % 8 == 0) value = std::nanf("");
      }
      std::vector<const float*> x;
      for (size_t t = 0; t < n; ++t) x.push_back(values.data() + t * cols);
      std::vector<float> expected(cols + kGuard, 123.0f), got(expected);
      scalar.largest(x.data(), n, cols, expected.data());
      place.kernels.largest(x.data(), n, cols, got.data());
      expect_same(place, text("n", n) + " " + text("cols", cols), expected, got);
    }
  }
}

}  // namespace bifast::selfcheck
