// Samples to power spectrum, written once for every instruction set and both precisions.
//
// A real FFT of N points is a complex one of n = N / 2. Each stage splits polynomials modulo x^4s -
// c^4 into four modulo x^s - c, -i c, -c and i c, so that a block of a stage has one twiddle and
// each butterfly of radix 4 is four of radix 2, of six fused operations: p = a + w b, and then a -
// w b = 2 a - p (E. Linzer, E. Feig: Implementation of efficient FFT algorithms on fused
// multiply-add architectures, 1993). The first two stages run over neighbouring points in lanes and
// leave kBins transforms of n / kBins points, which then take the lanes. So a row of the result is
// kBins frequencies in a row, and how many of them share a vector does not change a bit.
//
// a - w b is computed as p - 2 a, for which every instruction set has an instruction: a block comes
// with the wrong sign where it is the second or third of four, or the last of two. Only the split
// into the real spectrum reads two blocks at once, and it has the signs in its table.
#ifndef BIFAST_KERNELS_SPECTRUM_H_
#define BIFAST_KERNELS_SPECTRUM_H_

#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "kernels/quads.h"

namespace bifast {
namespace {

// Functions that are not inlined are so because GCC 12 has registers enough for each alone.
//
// Op: V, vectors; add_product(c, a, b) = c + a b and subtract_product(c, a, b) = c - a b; keep(v)
// does nothing, with v in a register, where the compiler would load it again for each use.
template <typename Op>
struct Spectrum {
  using V = typename Op::V;
  using T = typename Op::Element;
  static constexpr size_t kLanes = sizeof(V) / sizeof(T), kQuads = kLanes / 4;
  static constexpr size_t kParts = kBins / kLanes;
  using Power = Vec<float, kLanes>;
  struct Complex {
    V re, im;
  };
  // Each vector of real parts has its imaginary parts behind it.
  static constexpr size_t kRow = 2 * kBins, kPart = 2 * kLanes;
  struct Twiddles {
    Complex w, w2;
  };

  [[gnu::always_inline]] static V plus(V c, V a, V b) { return Op::add_product(c, a, b); }
  [[gnu::always_inline]] static V minus(V c, V a, V b) { return Op::subtract_product(c, a, b); }
  [[gnu::always_inline]] static V all(T value) { return value - V{}; }

  // p = a + w b in a's place, p - 2 a in b's.
  [[gnu::always_inline]] static void cross(Complex& a, Complex& b, const Complex& w) {
    const V re = minus(plus(a.re, w.re, b.re), w.im, b.im);
    const V im = plus(plus(a.im, w.re, b.im), w.im, b.re);
    b = {minus(re, all(2), a.re), minus(im, all(2), a.im)};
    a = {re, im};
  }

  // The same with -i w.
  [[gnu::always_inline]] static void cross_turned(Complex& a, Complex& b, const Complex& w) {
    const V re = plus(plus(a.re, w.im, b.re), w.re, b.im);
    const V im = minus(plus(a.im, w.im, b.im), w.re, b.re);
    b = {minus(re, all(2), a.re), minus(im, all(2), a.im)};
    a = {re, im};
  }

  // x[i] becomes the remainder of block i.
  [[gnu::always_inline]] static void butterfly(Complex* x, const Twiddles& t) {
    cross(x[0], x[2], t.w2);
    cross(x[1], x[3], t.w2);
    cross(x[0], x[1], t.w);
    cross_turned(x[2], x[3], t.w);
    const Complex second = x[2];
    x[2] = x[1];
    x[1] = second;
  }

  [[gnu::always_inline]] static V samples(const float* from) {
    return __builtin_convertvector(load<Power>(from), V);
  }

  // Window and first stage of kLanes points from sample `at` on, `step` samples apart.
  [[gnu::always_inline]] static void first_stage(const float* frame, const T* window, size_t at,
                                                 size_t step, Complex* y) {
    V sum[2][2], difference[2][2];  // [points 0 and 2, 1 and 3][half]
    for (size_t pair = 0; pair < 2; ++pair) {
      for (size_t half = 0; half < 2; ++half) {
        const size_t a = at + pair * step + half * kLanes, b = a + 2 * step;
        const V wb = load<V>(window + b), xb = samples(frame + b);
        const V xa = samples(frame + a) * load<V>(window + a);
        sum[pair][half] = plus(xa, wb, xb);
        difference[pair][half] = minus(xa, wb, xb);
      }
    }
    const auto complex = [](const V* v) __attribute__((always_inline)) {
      return Complex{shuffle<0, 2, 4, 6, T>(v[0], v[1]), shuffle<1, 3, 5, 7, T>(v[0], v[1])};
    };
    const Complex p = complex(sum[0]), q = complex(sum[1]);
    const Complex d = complex(difference[0]), e = complex(difference[1]);
    y[0] = {p.re + q.re, p.im + q.im};
    y[1] = {d.re + e.im, d.im - e.re};
    y[2] = {p.re - q.re, p.im - q.im};
    y[3] = {d.re - e.im, d.im + e.re};
  }

  // The point that lane 4 q + i of what first_stage leaves belongs to.
  static constexpr size_t point_of(size_t q, size_t i) {
    return i < 2 ? 2 * q + i : kLanes / 2 + 2 * q + i - 2;
  }

  [[gnu::always_inline]] static Complex complex(const T* from, size_t imaginary = kLanes) {
    return {load<V>(from), load<V>(from + imaginary)};
  }
  [[gnu::always_inline]] static Twiddles twiddles(const T* from) {
    return {complex(from, kBins), complex(from + 2 * kBins, kBins)};
  }
  [[gnu::always_inline]] static void put(T* to, const Complex& x) {
    store(to, x.re);
    store(to + kLanes, x.im);
  }

  // Two stages, which leave point j of all transforms in row j.
  [[gnu::noinline]] static void first_stages(const SpectrumTables<T>& t, const float* frame, T* z,
                                             size_t rows) {
    for (size_t j = 0; j < rows; j += kLanes, z += kLanes * kRow) {
      Complex y[kParts][kQuads][4];  // quads of blocks, lanes of points
      for (size_t i = 0; i < 4; ++i) {
        Complex x[4];
        first_stage(frame, t.window, 2 * (j + i * rows), 8 * rows, x);
        for (size_t part = 0; part < kParts; ++part) {
          V re[kQuads], im[kQuads];
          for (size_t q = 0; q < kQuads; ++q) {
            re[q] = x[part * kQuads + q].re;
            im[q] = x[part * kQuads + q].im;
          }
          exchange_quads<T>(re);
          exchange_quads<T>(im);
          for (size_t q = 0; q < kQuads; ++q) y[part][q][i] = {re[q], im[q]};
        }
      }
      for (size_t part = 0; part < kParts; ++part) {
        const Twiddles w = twiddles(t.second + part * kLanes);
        for (size_t q = 0; q < kQuads; ++q) {
          Complex x[4];
          for (size_t i = 0; i < 4; ++i) x[i] = {y[part][q][i].re, y[part][q][i].im};
          butterfly(x, w);
          V re[4] = {x[0].re, x[1].re, x[2].re, x[3].re};
          V im[4] = {x[0].im, x[1].im, x[2].im, x[3].im};
          transpose<T, kLanes>(re);
          transpose<T, kLanes>(im);
          for (size_t i = 0; i < 4; ++i) {
            put(z + point_of(q, i) * kRow + part * kPart, {re[i], im[i]});
          }
        }
      }
    }
  }

  // ---- the transforms in lanes; z is the same part of each row ----

  [[gnu::noinline]] static void transform(const T* w, T* z, size_t rows) {
    size_t span = rows;
    for (; span >= 4; span /= 4) {
      const size_t step = span / 4 * kRow;
      for (size_t block = 0; block < rows; block += span, w += 4 * kBins) {
        const Twiddles t = twiddles(w);
        T* at = z + block * kRow;
        for (const T* end = at + step; at != end; at += kRow) {
          Complex x[4] = {complex(at), complex(at + step), complex(at + 2 * step),
                          complex(at + 3 * step)};
          for (Complex& leg : x) {
            Op::keep(leg.re);
            Op::keep(leg.im);
          }
          butterfly(x, t);
          put(at, x[0]);
          put(at + step, x[1]);
          put(at + 2 * step, x[2]);
          put(at + 3 * step, x[3]);
        }
      }
    }
    if (span != 2) return;
    for (size_t row = 0; row < rows; row += 2, w += 2 * kBins) {
      Complex a = complex(z + row * kRow), b = complex(z + (row + 1) * kRow);
      cross(a, b, complex(w, kBins));
      put(z + row * kRow, a);
      put(z + (row + 1) * kRow, b);
    }
  }

  [[gnu::always_inline]] static Power power_of(const Complex& x) {
    return __builtin_convertvector(plus(x.re * x.re, x.im, x.im), Power);
  }

  // power: |2 X_k|^2 of the real signal, k <= n, as FrontendTables says; the factor 4 is in the
  // band weights. energy: the sum over k, less that of k = n / 2, of each lane.
  [[gnu::noinline]] static void power_spectrum(const SpectrumTables<T>& t, const uint32_t* order,
                                               const T* z, size_t rows, float (*power)[kBins],
                                               float* energy) {
    Power sums[kParts] = {};
    const T* w = t.split;
    for (size_t r = 0; r <= rows / 2; ++r, w += 3 * kBins) {
      const T* row = z + order[r] * kRow;
      const T* high = z + order[rows - 1 - r] * kRow;
      const T* low = z + order[(rows - r) & (rows - 1)] * kRow;
      for (size_t part = 0; part < kParts; ++part) {
        const size_t at = part * kLanes;
        const Complex a = complex(row + part * kPart);
        const Complex b{mirrored<V>(high, low, part),
                        mirrored<V>(high + kLanes, low + kLanes, part)};
        const V sign = load<V>(w + 2 * kBins + at);
        Complex even{plus(a.re, sign, b.re), minus(a.im, sign, b.im)};
        Complex odd{minus(a.re, sign, b.re), plus(a.im, sign, b.im)};
        cross_turned(even, odd,
                     complex(w + at, kBins));  // 2 X_k, and -2 X_{n - k} as its conjugate
        const Power here = power_of(even);
        store(power[r] + at, here);
        if (r == rows / 2) continue;
        const Power there = power_of(odd);
        store(power[rows - r] + at, there);
        sums[part] = sums[part] + (here + there);
      }
    }
    for (size_t part = 0; part < kParts; ++part) {
      store(energy + part * kLanes, sums[part]);
      store(power[rows + 1] + part * kLanes, Power{});
    }
  }

  static void run(const SpectrumTables<T>& t, const FrontendTables& tables, const float* frame,
                  void* work, float (*power)[kBins], float* energy) {
    auto* z = static_cast<T*>(work);
    first_stages(t, frame, z, tables.rows);
    for (size_t part = 0; part < kParts; ++part) {
      transform(t.stages + part * kLanes, z + part * kPart, tables.rows);
    }
    power_spectrum(t, tables.order, z, tables.rows, power, energy);
  }
};

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_SPECTRUM_H_
