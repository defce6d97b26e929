// The kernels: every instruction set against scalar, scalar against plain +-1 arithmetic, and
// dispatch.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "bifast.h"
#include "dispatch.h"
#include "error.h"
#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "selfcheck/selfcheck.h"

namespace {

using bifast::Kernels;

int passed = 0;
int failed = 0;

void expect(bool condition, const std::string& what) {
  if (condition) {
    ++passed;
    return;
  }
  ++failed;
  std::printf("FAILED: %s\n", what.c_str());
}

// The text of the Error that `call` throws with `status`; empty, and a failure, where it does not.
template <typename Call>
std::string expect_error(bifast_status status, const std::string& what, Call call) {
  try {
    call();
    expect(false, what + ": no error");
  } catch (const bifast::Error& error) {
    expect(error.status == status, what + ": wrong status: " + error.what());
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

template <typename T>
std::vector<T> integers(std::mt19937& random, size_t n) {
  std::vector<T> values(n);
  for (T& value : values) value = static_cast<T>(random());
  return values;
}

std::vector<float> reals(std::mt19937& random, size_t n) {
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(random() % 2001) / 256.0f - 4.0f;
  return values;
}

float plus_minus(const uint8_t* row, size_t bit) {
  return (row[bit / 8] >> (bit % 8)) & 1 ? 1.0f : -1.0f;
}

// Tables of steps, and a residual of nothing, for 64 channels.
std::vector<float> steps_of(const std::vector<float>& scale, const std::vector<float>& shift,
                            const std::vector<float>& slope, const std::vector<float>& bounds) {
  std::vector<float> steps;
  for (size_t c = 0; c < 64; c += bifast::kFloatBlock) {
    for (const float* table : {&scale[c], &shift[c], &slope[c], &bounds[c], &bounds[64 + c]}) {
      steps.insert(steps.end(), table, table + bifast::kFloatBlock);
    }
  }
  return steps;
}

const std::vector<float> kOnes(64, 1.0f), kMinusZeros(64, -0.0f), kZeros(128, 0.0f);
const std::vector<float> kPlain = steps_of(kOnes, kMinusZeros, kOnes, kZeros);

void test_binary_product(const Kernels& scalar) {
  std::mt19937 random(1);
  for (const size_t depth : {16, 32, 48, 256, 512}) {
    const size_t rows = 3, cols = 64;
    const auto a = integers<uint8_t>(random, rows * depth),
               w = integers<uint8_t>(random, cols * depth);
    const std::vector<int32_t> base(cols, static_cast<int32_t>(8 * depth));
    const bifast::BinaryProduct product{a.data(), depth, 0, w.data(), depth};
    const bifast::FloatStage stage{base.data(), 0.0f, kPlain.data()};
    std::vector<float> y(rows * cols);
    const bifast::Results to{rows, cols, nullptr, kMinusZeros.data(), 0, y.data(), nullptr, 0, 0};
    scalar.binary_floats(&product, &stage, &to);
    bool same = true;
    for (size_t i = 0; i < rows * cols; ++i) {
      float dot = 0.0f;
      for (size_t k = 0; k < 8 * depth; ++k) {
        dot += plus_minus(&a[i / cols * depth], k) * plus_minus(&w[i % cols * depth], k);
      }
      same = same && y[i] == dot;
    }
    expect(same, "scalar binary_floats is the +-1 product, depth_bytes " + std::to_string(depth));
  }
}

void test_memory_row(const Kernels& scalar) {
  std::mt19937 random(2);
  const size_t n_bytes = 24;
  for (const size_t n_taps : {1, 6, 20, 28, 29, 100}) {
    const auto x = integers<uint8_t>(random, n_taps * n_bytes),
               w = integers<uint8_t>(random, n_taps * n_bytes);
    std::vector<uint16_t> p(8 * n_bytes);
    scalar.memory_row(x.data(), n_bytes, w.data(), n_taps, p.data(), n_bytes);
    bool same = true;
    for (size_t c = 0; c < 8 * n_bytes; ++c) {
      float dot = 0.0f;
      for (size_t tap = 0; tap < n_taps; ++tap) {
        dot += plus_minus(&x[tap * n_bytes], c) * plus_minus(&w[tap * n_bytes], c);
      }
      same = same && static_cast<float>(n_taps) - 2.0f * static_cast<float>(p[c]) == dot;
    }
    expect(same, "scalar memory_row is the +-1 filter, taps " + std::to_string(n_taps));
  }
}

void test_bits(const Kernels& scalar) {
  std::mt19937 random(3);
  auto p = integers<uint16_t>(random, 64), limit = integers<uint16_t>(random, 64);
  p[5] = limit[5];
  const auto flip = integers<uint8_t>(random, 8);
  uint8_t bits[8];
  const bifast::CountRows counts{p.data(), nullptr, 64};
  const bifast::ThresholdStage thresholds{limit.data(), flip.data(), nullptr};
  bifast::Results to{1, 64, nullptr, kMinusZeros.data(), 0, nullptr, bits, sizeof(bits), 0};
  scalar.count_thresholds(&counts, &thresholds, &to);
  bool same = true;
  for (size_t c = 0; c < 64; ++c) {
    same = same &&
           (plus_minus(bits, c) > 0) == ((p[c] <= limit[c]) != (plus_minus(flip.data(), c) > 0));
  }
  expect(same, "scalar count_thresholds is (p <= limit) xor flip");

  auto x = reals(random, 61);
  x[0] = -0.0f;
  x[1] = 0.0f;
  x[2] = -1e-45f;
  const bifast::FloatRows floats{x.data(), x.size()};
  const bifast::FloatStage signs{nullptr, 0.0f, kPlain.data()};
  to.channels = x.size();
  scalar.float_rows(&floats, &signs, &to);
  same = true;
  for (size_t c = 0; c < 64; ++c)
    same = same && (plus_minus(bits, c) > 0) == (c < x.size() && x[c] >= 0.0f);
  expect(same, "scalar float_rows gives x >= 0, with -0.0 >= 0 and zero padding");
}

void test_floats(const Kernels& scalar) {
  std::mt19937 random(4);
  const size_t n = 37;
  const auto scale = reals(random, 64), shift = reals(random, 64), slope = reals(random, 64);
  const auto residual = reals(random, n), v = reals(random, n), signs = reals(random, 128);
  const auto p = integers<uint16_t>(random, 128);
  const std::vector<int32_t> base(64, 1152);
  std::vector<float> y(n), z(n);
  uint8_t bits[16];
  const std::vector<float> steps = steps_of(scale, shift, slope, signs);
  const bifast::FloatStage stage{base.data(), 0.75f, steps.data()};
  const bifast::FloatRows floats{v.data(), n};
  const bifast::CountRows counts{p.data(), p.data() + 64, 64};
  bifast::Results to{1, n, nullptr, residual.data(), n, y.data(), nullptr, 8, 0};
  scalar.float_rows(&floats, &stage, &to);
  to.y = z.data();
  to.bits = bits;
  to.plane_bytes = 8;
  scalar.count_floats(&counts, &stage, &to);
  const auto expected = [&](float value, size_t c) {
    const volatile float product = value * scale[c];
    const volatile float sum = product + shift[c];
    const volatile float activated = sum >= 0.0f ? sum : sum * slope[c];
    return activated + residual[c];
  };
  bool same = true, same_bits = true;
  for (size_t c = 0; c < n; ++c) {
    const volatile float second = static_cast<float>(base[c] - 2 * p[64 + c]) * 0.75f;
    const float sum = static_cast<float>(base[c] - 2 * p[c]) + second;
    same = same && y[c] == expected(v[c], c) && z[c] == expected(sum, c);
    const float first = z[c] >= signs[c] ? 1.0f : -1.0f;
    same_bits = same_bits && plus_minus(bits, c) == first &&
                (plus_minus(bits + 8, c) > 0) == (z[c] - first >= signs[64 + c]);
  }
  expect(same, "scalar rows of floats follow the written order");
  expect(same_bits, "scalar rows of floats end in two planes of signs");

  const size_t rows = 3, cols = 16, depth = 27;
  const auto a = reals(random, rows * depth), w = reals(random, depth * cols);
  std::vector<uint32_t> offset(depth);  // backwards
  for (size_t k = 0; k < depth; ++k) offset[k] = static_cast<uint32_t>(depth - 1 - k);
  std::vector<float> out(rows * cols);
  const bifast::FloatProduct product{a.data(), depth, offset.data(), w.data(), cols, depth};
  const bifast::FloatStage plain{nullptr, 0.0f, kPlain.data()};
  const bifast::Results sums_to{rows,    cols, nullptr, kMinusZeros.data(), 0, out.data(),
                                nullptr, 0,    0};
  scalar.float_product(&product, &plain, &sums_to);
  same = true;
  for (size_t i = 0; i < out.size(); ++i) {
    float sums[4] = {};
    for (size_t k = 0; k < depth; ++k) {
      const volatile float term = a[i / cols * depth + offset[k]] * w[k * cols + i % cols];
      sums[k % 4] += term;
    }
    same = same && out[i] == (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
  expect(same, "scalar float_product adds in the written order");
}

// Random bits, and exponents and last bits that meet: ties, cancellation, subnormal results.
void test_fused() {
  std::mt19937 random(5);
  const auto any = [&] { return std::bit_cast<float>(static_cast<uint32_t>(random())); };
  const auto near_one = [&] {
    const auto sign = static_cast<uint32_t>(random()) & 0x80000000u;
    const auto low = static_cast<uint32_t>(random() % 16), bit = 1u << random() % 23;
    return std::bit_cast<float>(sign | (0x3F800000u + low) | bit);
  };
  bool same = true;
  for (int i = 0; i < 400000; ++i) {
    float a = any(), b = any(), c = any();
    if (i % 4 != 0) a = near_one(), b = near_one(), c = near_one();
    if (i % 4 == 2) c = std::ldexp(c, static_cast<int>(random() % 80) - 60);
    if (i % 4 == 3) {  // a product about 2^-149, and about what is added to it
      a = std::ldexp(a, -70 - static_cast<int>(random() % 60));
      b = std::ldexp(b, -70);
      c = std::ldexp(c, -120 - static_cast<int>(random() % 30));
    }
    if (i % 64 == 0) c = -a * b;
    if (i % 128 == 0) b = 0.0f;
    using V = bifast::Vec<float, 4>;
    const float fused = bifast::fused_by_element<4>(c - V{}, a - V{}, b - V{})[i % 4];
    const float expected = std::fma(a, b, c);
    same = same && (std::bit_cast<uint32_t>(fused) == std::bit_cast<uint32_t>(expected) ||
                    (std::isnan(fused) && std::isnan(expected)));
  }
  expect(same, "fused_by_element is fma");
}

void test_against_scalar(const Kernels& kernels) {
  for (size_t i = 0; i < bifast::kernel_count(); ++i) {
    const std::string what = std::string(kernels.name) + " " + bifast::kernel_name(i);
    try {
      bifast::check_kernel(kernels, i);
      expect(true, what);
    } catch (const bifast::Error& error) {
      expect(false, what + ": " + error.what());
    }
  }
}

// One bit wrong in the last row.
void wrong_product(const bifast::BinaryProduct* product, const bifast::ThresholdStage* stage,
                   const bifast::Results* to) {
  bifast::find_isa("scalar").binary_thresholds(product, stage, to);
  if (to->rows > 0) to->bits[(to->rows - 1) * to->bits_stride] ^= 1;
}

void test_selfcheck_finds_faults() {
  Kernels broken = bifast::find_isa("scalar");
  broken.name = "broken";
  broken.binary_thresholds = wrong_product;
  const std::string text = expect_error(BIFAST_INTERNAL, "a wrong kernel is found",
                                        [&] { bifast::check_kernel(broken, 0); });
  expect(has(text, "broken binary_thresholds") && has(text, "rows=1 cols=1 "),
         "the fault is named: " + text);
}

void test_dispatch() {
  unsetenv("BIFAST_ISA");
  const auto isas = bifast::runnable_isas();
  expect(!isas.empty() && std::string(isas.back()->name) == "scalar", "scalar is the last resort");
  expect(&bifast::find_isa(nullptr) == isas.front(), "the best runnable set is the default");
  for (const Kernels* kernels : isas) {
    expect(&bifast::find_isa(kernels->name) == kernels,
           std::string("found by name: ") + kernels->name);
    setenv("BIFAST_ISA", kernels->name, 1);
    expect(&bifast::find_isa(nullptr) == kernels, std::string("BIFAST_ISA picks ") + kernels->name);
  }
  setenv("BIFAST_ISA", "sse9", 1);
  std::string text = expect_error(BIFAST_INVALID_ARGUMENT, "unknown BIFAST_ISA",
                                  [] { bifast::find_isa(nullptr); });
  expect(has(text, "'sse9'") && has(text, "scalar") && has(text, "BIFAST_ISA"),
         "names are listed: " + text);
  expect(&bifast::find_isa("scalar") == isas.back(), "a name given goes before BIFAST_ISA");
  unsetenv("BIFAST_ISA");
  expect_error(BIFAST_INVALID_ARGUMENT, "unknown name", [] { bifast::find_isa("mmx"); });
  for (const char* name : {"avx512", "avx2", "neon"}) {
    try {
      bifast::find_isa(name);
    } catch (const bifast::Error& error) {
      const bool known = has(error.what(), "cannot run");
      expect(error.status == (known ? BIFAST_UNSUPPORTED : BIFAST_INVALID_ARGUMENT),
             std::string("status of ") + name + ": " + error.what());
    }
  }
}

}  // namespace

int main() {
  const Kernels& scalar = bifast::find_isa("scalar");
  test_binary_product(scalar);
  test_memory_row(scalar);
  test_bits(scalar);
  test_floats(scalar);
  test_fused();
  for (const Kernels* kernels : bifast::runnable_isas()) test_against_scalar(*kernels);
  test_selfcheck_finds_faults();
  test_dispatch();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
