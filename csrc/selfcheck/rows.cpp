// Rows that end in a layer's output stage: counts, memories, floats, and float products.
#include <string>
#include <vector>

#include "align.h"
#include "kernels/kernels.h"
#include "selfcheck/checks.h"
#include "selfcheck/data.h"

namespace bifast::selfcheck {

void check_memory_row(const Place& place, const Kernels& scalar) {
  Random random;
  for (const size_t n_bytes : {8, 16, 24, 32, 40, 128}) {
    for (const size_t n_taps : {0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 20, 27, 28, 29, 31, 57, 300}) {
      const size_t step = n_bytes + n_taps % 3 * 8;
      auto x = random.integers<uint8_t>((n_taps + 1) * step);
      const auto w = random.integers<uint8_t>((n_taps + 1) * n_bytes);
      // The first byte differs in every tap.
      for (size_t tap = 0; tap < n_taps; ++tap) {
        x[tap * step] = static_cast<uint8_t>(~w[tap * n_bytes]);
      }
      std::vector<uint16_t> expected(8 * n_bytes + kGuard, 0xABCD), got(expected);
      scalar.memory_row(x.data(), step, w.data(), n_taps, expected.data(), n_bytes);
      place.kernels.memory_row(x.data(), step, w.data(), n_taps, got.data(), n_bytes);
      expect_same(place, text("n_bytes", n_bytes) + " " + text("n_taps", n_taps), expected, got);
    }
  }
}

void check_memory_floats(const Place& place, const Kernels& scalar) {
  Random random;
  unsigned steps = 0;
  for (const size_t channels : {8, 30, 64, 72, 128, 200, 256}) {
    for (const size_t most_taps : {1, 3, 5, 7, 8, 20, 31, 60}) {
      const size_t rows = 5, n_bytes = round_up((channels + 7) / 8, 8), step = n_bytes + 8;
      const auto x = random.integers<uint8_t>((rows + most_taps) * step);
      const auto w = random.integers<uint8_t>((most_taps + 1) * n_bytes);
      Ending ending(random, rows, channels, steps = (steps + 37) % Ending::kCombinations);
      const std::vector<MemoryRow> from = [&] {
        std::vector<MemoryRow> list;
        for (size_t r = 0; r < rows; ++r) {
          const size_t n_taps = ending.class_of(r) * most_taps / 2;
          list.push_back({x.data() + r * step, w.data(), n_taps});
        }
        return list;
      }();
      for (size_t id = 0; id < 3; ++id) ending.set_base(id, id * most_taps / 2);
      const FloatStage stage = ending.floats();
      compare(place, scalar, text("channels", channels) + " " + text("taps", most_taps), ending,
              true, [&](const Kernels& k, const Results& to) {
                k.memory_floats(from.data(), step, n_bytes, &stage, &to);
              });
    }
  }
}

namespace {

// Calls check(rows, channels, ending, stride) on many shapes.
template <typename Check>
void for_rows(const Check& check) {
  Random random;
  for (size_t channels = 1; channels <= 300; channels += channels < 70 ? 1 : 23) {
    for (unsigned steps = 0; steps < Ending::kCombinations; steps += channels < 20 ? 1 : 5) {
      const size_t rows = 1 + steps % 3;
      Ending ending(random, rows, channels, steps);
      check(random, text("channels", channels) + " " + text("steps", steps), rows, channels,
            ending);
    }
  }
}

}  // namespace

void check_count_thresholds(const Place& place, const Kernels& scalar) {
  for_rows([&](Random& random, const std::string& shape, size_t rows, size_t channels,
               Ending& ending) {
    const size_t stride = round_up(channels, kColumnBlock);
    auto p = random.integers<uint16_t>(rows * stride);
    if (channels % 2 == 0) {  // small ranges make p == limit frequent
      ending.set_depth(5);
      for (uint16_t& value : p) value %= 6;
    }
    p[0] = 65535;
    const CountRows from{p.data(), nullptr, stride};
    const ThresholdStage stage = ending.thresholds();
    compare(place, scalar, shape, ending, false,
            [&](const Kernels& k, const Results& to) { k.count_thresholds(&from, &stage, &to); });
  });
}

void check_count_floats(const Place& place, const Kernels& scalar) {
  for_rows([&](Random& random, const std::string& shape, size_t rows, size_t channels,
               const Ending& ending) {
    const size_t stride = round_up(channels, kColumnBlock) + 64;
    const auto p = random.integers<uint16_t>(2 * rows * stride);
    const bool two = channels % 3 == 0;
    const CountRows from{p.data(), two ? p.data() + rows * stride : nullptr, stride};
    const FloatStage stage = ending.floats();
    compare(place, scalar, shape, ending, true,
            [&](const Kernels& k, const Results& to) { k.count_floats(&from, &stage, &to); });
  });
}

void check_float_rows(const Place& place, const Kernels& scalar) {
  for_rows([&](Random& random, const std::string& shape, size_t rows, size_t channels,
               const Ending& ending) {
    const auto v = random.reals(rows * (channels + 3));
    const FloatStage stage = ending.floats();
    compare(place, scalar, shape, ending, true, [&](const Kernels& k, const Results& to) {
      // Without a residual, also in place.
      const bool in_place = to.y != nullptr && to.residual_stride == 0;
      const FloatRows from{in_place ? to.y : v.data(), in_place ? channels : channels + 3};
      k.float_rows(&from, &stage, &to);
    });
  });
}

void check_float_product(const Place& place, const Kernels& scalar) {
  Random random;
  unsigned steps = 0;
  for (const size_t depth : {1, 2, 3, 4, 5, 6, 7, 8, 25, 64, 130}) {
    std::vector<uint32_t> offset(depth);
    for (uint32_t& k : offset) k = static_cast<uint32_t>(random.word() % (2 * depth));
    for (const size_t channels : {1, 10, 16, 32, 47, 128}) {
      for (size_t rows = 0; rows < 10; ++rows) {
        const size_t stride = depth + rows % 3, cols = round_up(channels, kFloatBlock);
        const auto a = random.reals(rows * stride + depth), w = random.reals(depth * cols);
        const FloatProduct product{a.data(), stride, offset.data(), w.data(), cols, depth};
        const Ending ending(random, rows, channels, steps = (steps + 37) % Ending::kCombinations);
        const FloatStage stage = ending.floats();
        compare(place, scalar,
                text("rows", rows) + " " + text("channels", channels) + " " + text("depth", depth),
                ending, true, [&](const Kernels& k, const Results& to) {
                  k.float_product(&product, &stage, &to);
                });
      }
    }
  }
}

}  // namespace bifast::selfcheck
