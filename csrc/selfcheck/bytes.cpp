// Sums of bytes, floats to bytes, and the largest of some rows.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.h"
#include "selfcheck/checks.h"
#include "selfcheck/data.h"

namespace bifast::selfcheck {

namespace {

// Random bytes and weights; offset: of groups of the depth.
struct Bytes {
  std::vector<uint32_t> offset;
  size_t rows, cols, stride;
  std::vector<uint8_t> a;
  std::vector<int8_t> w;
  std::vector<int32_t> totals, bound;
  std::vector<uint8_t> flip;

  Bytes(Random& random, std::vector<uint32_t> offset_in, size_t n_rows, size_t n_cols,
        size_t stride_in, bool lowest)
      : offset(std::move(offset_in)),
        rows(n_rows),
        cols(n_cols),
        stride(stride_in),
        a(random.integers<uint8_t>(rows * stride + 8 * offset.size())),
        w(random.integers<int8_t>(4 * offset.size() * cols)),
        totals(cols, 0),
        bound(random.integers<int32_t>(round_up(cols, kColumnBlock))),
        flip(random.integers<uint8_t>(round_up(cols, kColumnBlock) / 8)) {
    if (lowest) {  // the largest sums of a column
      std::fill(a.begin(), a.end(), uint8_t{0});
      for (size_t i = 0; i < w.size(); i += 4 * cols) std::fill_n(&w[i], 8, int8_t{-128});
    } else {
      std::replace(w.begin(), w.end(), int8_t{-128}, int8_t{-127});
    }
    for (size_t i = 0; i < w.size(); ++i) totals[i / 4 % cols] += w[i];
    for (size_t c = 0; c < bound.size(); ++c) {
      const int32_t typical = totals[c % cols] * 127;
      bound[c] = c % 5 == 0 ? typical : typical + bound[c] % 100000;
    }
  }
  ByteProduct product() const {
    const bool lowest = std::find(w.begin(), w.end(), int8_t{-128}) != w.end();
    return {a.data(), stride, offset.data(), w.data(), totals.data(), cols, offset.size(), lowest};
  }
  std::string shape() const {
    return text("rows", rows) + " " + text("cols", cols) + " " + text("depth", offset.size());
  }
};

// Calls check(bytes, ending) on many shapes.
template <typename Check>
void for_bytes(const Check& check) {
  Random random;
  unsigned steps = 0;
  for (const size_t depth : {1, 2, 3, 4, 7, 42, 130, 258}) {
    std::vector<uint32_t> offset(depth);
    for (uint32_t& k : offset) k = static_cast<uint32_t>(random.word() % (4 * depth));
    for (const size_t cols : {16, 32, 48, 64, 144}) {
      for (size_t rows = 0; rows < 11; ++rows) {
        const Bytes bytes(random, offset, rows, cols, depth + rows % 3, rows == 9);
        const size_t channels = cols - rows % 3 * 5;
        check(bytes, Ending(random, rows, channels, steps = (steps + 37) % Ending::kCombinations));
      }
    }
  }
}

}  // namespace

void check_byte_floats(const Place& place, const Kernels& scalar) {
  for_bytes([&](const Bytes& bytes, const Ending& ending) {
    const ByteProduct product = bytes.product();
    const FloatStage stage = ending.floats();
    compare(place, scalar, bytes.shape(), ending, true,
            [&](const Kernels& k, const Results& to) { k.byte_floats(&product, &stage, &to); });
  });
}

void check_byte_signs(const Place& place, const Kernels& scalar) {
  for_bytes([&](Bytes bytes, const Ending& ending) {
    const size_t channels = ending.channels();
    std::fill(bytes.bound.begin() + static_cast<std::ptrdiff_t>(channels), bytes.bound.end(),
              INT32_MAX);
    for (size_t c = channels; c < bytes.bound.size(); ++c) {
      bytes.flip[c / 8] &= static_cast<uint8_t>(~(1u << (c % 8)));
    }
    const ByteProduct product = bytes.product();
    const SumStage stage{bytes.bound.data(), bytes.flip.data()};
    compare(place, scalar, bytes.shape(), ending, false,
            [&](const Kernels& k, const Results& to) { k.byte_signs(&product, &stage, &to); });
  });
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
  const Ending plain(random, 1, 96, 0);
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
          const Bytes bytes(random, offset, rows, cols, 1 + random.word() % 70, false);
          std::vector<float> expected(rows * cols + kGuard, 123.0f), got(expected);
          const ByteProduct product = bytes.product();
          const FloatStage stage = plain.floats();
          const std::vector<float> none(cols, -0.0f);
          const Results to{rows, cols, nullptr, none.data(), 0, expected.data(), nullptr, 0, 0};
          scalar.byte_floats(&product, &stage, &to);
          place.kernels.byte_runs(bytes.a.data(), bytes.stride, starts.data(), n_runs, length,
                                  bytes.w.data(), got.data(), rows, cols);
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
