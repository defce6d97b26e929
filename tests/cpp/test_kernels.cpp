// The kernels: every instruction set against scalar, scalar against plain +-1 arithmetic, and
// dispatch.
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
#include "selfcheck.h"

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

void test_binary_matmul(const Kernels& scalar) {
  std::mt19937 random(1);
  for (const size_t depth : {16, 32, 48, 256, 512}) {
    const size_t rows = 3, cols = 64;
    const auto a = integers<uint8_t>(random, rows * depth),
               w = integers<uint8_t>(random, cols * depth);
    std::vector<uint16_t> p(rows * cols);
    scalar.binary_matmul(a.data(), depth, w.data(), p.data(), cols, rows, cols, depth);
    bool same = true;
    for (size_t i = 0; i < rows * cols; ++i) {
      float dot = 0.0f;
      for (size_t k = 0; k < 8 * depth; ++k) {
        dot += plus_minus(&a[i / cols * depth], k) * plus_minus(&w[i % cols * depth], k);
      }
      same = same && static_cast<float>(8 * depth) - 2.0f * static_cast<float>(p[i]) == dot;
    }
    expect(same, "scalar binary_matmul is the +-1 product, depth_bytes " + std::to_string(depth));
  }
}

void test_memory_row(const Kernels& scalar) {
  std::mt19937 random(2);
  const size_t n_bytes = 24;
  for (const size_t n_taps : {1, 6, 20, 28, 29, 100}) {
    const auto x = integers<uint8_t>(random, n_taps * n_bytes),
               w = integers<uint8_t>(random, n_taps * n_bytes);
    std::vector<const uint8_t*> x_taps, w_taps;
    for (size_t tap = 0; tap < n_taps; ++tap) {
      x_taps.push_back(&x[tap * n_bytes]);
      w_taps.push_back(&w[tap * n_bytes]);
    }
    std::vector<uint16_t> p(8 * n_bytes);
    scalar.memory_row(x_taps.data(), w_taps.data(), n_taps, p.data(), n_bytes);
    bool same = true;
    for (size_t c = 0; c < 8 * n_bytes; ++c) {
      float dot = 0.0f;
      for (size_t tap = 0; tap < n_taps; ++tap)
        dot += plus_minus(x_taps[tap], c) * plus_minus(w_taps[tap], c);
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
  scalar.threshold_row(p.data(), limit.data(), flip.data(), bits, sizeof(bits));
  bool same = true;
  for (size_t c = 0; c < 64; ++c) {
    same = same &&
           (plus_minus(bits, c) > 0) == ((p[c] <= limit[c]) != (plus_minus(flip.data(), c) > 0));
  }
  expect(same, "scalar threshold_row is (p <= limit) xor flip");

  auto x = reals(random, 61);
  x[0] = -0.0f;
  x[1] = 0.0f;
  x[2] = -1e-45f;
  scalar.sign_row(x.data(), x.size(), bits, sizeof(bits));
  same = true;
  for (size_t c = 0; c < 64; ++c)
    same = same && (plus_minus(bits, c) > 0) == (c < x.size() && x[c] >= 0.0f);
  expect(same, "scalar sign_row is x >= 0, with -0.0 >= 0 and zero padding");
}

void test_floats(const Kernels& scalar) {
  std::mt19937 random(4);
  const size_t n = 37;
  const auto scale = reals(random, n), shift = reals(random, n), slope = reals(random, n);
  const auto residual = reals(random, n), v = reals(random, n);
  const bifast::Affine affine = {scale.data(), shift.data(), slope.data()};
  const auto p = integers<uint16_t>(random, n);
  const std::vector<int32_t> base(n, 1152);
  std::vector<float> y(n), z(n);
  scalar.affine_floats(v.data(), &affine, residual.data(), y.data(), n);
  scalar.affine_counts(p.data(), base.data(), &affine, residual.data(), z.data(), n);
  const auto expected = [&](float value, size_t c) {
    const volatile float product = value * scale[c];
    const volatile float sum = product + shift[c];
    const volatile float activated = sum >= 0.0f ? sum : sum * slope[c];
    return activated + residual[c];
  };
  bool same = true;
  for (size_t c = 0; c < n; ++c) {
    same = same && y[c] == expected(v[c], c) &&
           z[c] == expected(static_cast<float>(base[c] - 2 * p[c]), c);
  }
  expect(same, "scalar affine rows follow the written order");

  const size_t rows = 3, cols = 16, depth = 27;
  const auto a = reals(random, rows * depth), w = reals(random, depth * cols);
  std::vector<uint32_t> offset(depth);  // backwards
  for (size_t k = 0; k < depth; ++k) offset[k] = static_cast<uint32_t>(depth - 1 - k);
  std::vector<float> out(rows * cols);
  scalar.float_matmul(a.data(), depth, offset.data(), w.data(), out.data(), rows, cols, depth);
  same = true;
  for (size_t i = 0; i < out.size(); ++i) {
    float sums[4] = {};
    for (size_t k = 0; k < depth; ++k) {
      const volatile float product = a[i / cols * depth + offset[k]] * w[k * cols + i % cols];
      sums[k % 4] += product;
    }
    same = same && out[i] == (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
  expect(same, "scalar float_matmul adds in the written order");
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

// One count too many in the last column of the last row.
void wrong_matmul(const uint8_t* a, size_t a_stride, const uint8_t* panel, uint16_t* p,
                  size_t p_stride, size_t rows, size_t cols, size_t depth_bytes) {
  bifast::find_isa("scalar").binary_matmul(a, a_stride, panel, p, p_stride, rows, cols,
                                           depth_bytes);
  if (rows > 0) ++p[(rows - 1) * p_stride + cols - 1];
}

void test_selfcheck_finds_faults() {
  Kernels broken = bifast::find_isa("scalar");
  broken.name = "broken";
  broken.binary_matmul = wrong_matmul;
  const std::string text = expect_error(BIFAST_INTERNAL, "a wrong kernel is found",
                                        [&] { bifast::check_kernel(broken, 0); });
  expect(has(text, "broken binary_matmul") && has(text, "rows=1 cols=1 "),
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
  test_binary_matmul(scalar);
  test_memory_row(scalar);
  test_bits(scalar);
  test_floats(scalar);
  for (const Kernels* kernels : bifast::runnable_isas()) test_against_scalar(*kernels);
  test_selfcheck_finds_faults();
  test_dispatch();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
