// Frames of samples to log-mel features, one frame per SIMD lane, written once for every
// instruction set.
//
// Window, then real FFT of n_fft points as a complex FFT of n = n_fft / 2 points (radix-4,
// decimation in frequency, in place; frequency k ends at order[k]), power spectrum, triangular mel
// bands, decibels. Nothing sums across lanes, so the lane count does not change a bit of the
// result. Included by ISA files only (law 8: no other headers).
//
// Up to the power spectrum everything is double: a quiet band beside one that is 90 dB louder would
// be off by 2e-3 dB in single precision. Powers are positive, so their sums need no more than
// single precision.
#ifndef BIFAST_KERNELS_LOG_MEL_H_
#define BIFAST_KERNELS_LOG_MEL_H_

#include "kernels/kernels.h"
#include "kernels/lanes.h"

namespace bifast {
namespace {

template <size_t L>
struct LogMel {
  using Doubles = Vec<double, L>;
  using Floats = Vec<float, L>;
  using Ints = Vec<int32_t, L>;
  struct Complex {
    Doubles re, im;
  };
  // Half of the smallest L1 data cache in use, which also holds the twiddles.
  static constexpr size_t kCacheBytes = 16384;

  // Part by part: GCC copies whole structs of vectors through memory, sixteen bytes at a time.
  static Complex load(const Complex& from) { return {from.re, from.im}; }
  static void store(Complex& to, const Complex& value) {
    to.re = value.re;
    to.im = value.im;
  }

  static Complex multiply(Complex a, double wr, double wi) {
    return {a.re * wr - a.im * wi, a.re * wi + a.im * wr};
  }

  // work[i] holds the windowed sample i of all frames: lane t is frame t.
  static void interleave(const FrontendTables& t, const float* frames, Doubles* work) {
    for (size_t i = 0; i < t.n_fft; ++i) {
      Floats v;
      for (size_t lane = 0; lane < L; ++lane) v[lane] = frames[lane * t.n_fft + i];
      work[i] = __builtin_convertvector(v, Doubles) * t.window[i];
    }
  }

  struct Butterfly {
    Complex y0, y1, y2, y3;
  };

  static Butterfly butterfly(const Complex* z, size_t q) {
    const Complex a = load(z[0]), b = load(z[q]), c = load(z[2 * q]), d = load(z[3 * q]);
    const Complex t0{a.re + c.re, a.im + c.im}, t1{a.re - c.re, a.im - c.im};
    const Complex t2{b.re + d.re, b.im + d.im}, t3{b.im - d.im, d.re - b.re};  // t3 = -i (b - d)
    return {{t0.re + t2.re, t0.im + t2.im},
            {t1.re + t3.re, t1.im + t3.im},
            {t0.re - t2.re, t0.im - t2.im},
            {t1.re - t3.re, t1.im - t3.im}};
  }

  // One radix-4 stage over each `span` of n points.
  static void stage(const FrontendTables& t, Complex* z, size_t n, size_t span) {
    const size_t q = span / 4;
    const size_t step = t.n_fft / span;
    for (size_t block = 0; block < n; block += span) {  // twiddle 1
      const Butterfly y = butterfly(z + block, q);
      store(z[block], y.y0);
      store(z[block + q], y.y1);
      store(z[block + 2 * q], y.y2);
      store(z[block + 3 * q], y.y3);
    }
    for (size_t j = 1; j < q; ++j) {
      const double* w1 = t.twiddle + 2 * j * step;
      const double* w2 = t.twiddle + 4 * j * step;
      const double* w3 = t.twiddle + 6 * j * step;
      for (size_t block = j; block < n; block += span) {
        const Butterfly y = butterfly(z + block, q);
        store(z[block], y.y0);
        store(z[block + q], multiply(y.y1, w1[0], w1[1]));
        store(z[block + 2 * q], multiply(y.y2, w2[0], w2[1]));
        store(z[block + 3 * q], multiply(y.y3, w3[0], w3[1]));
      }
    }
  }

  // Transforms n points. Depth first: the quarters that a stage leaves are transformed one after
  // another, so that all but the first stages find their points in the L1 cache.
  static void fft(const FrontendTables& t, Complex* z, size_t n) {
    if (n * sizeof(Complex) > kCacheBytes) {
      stage(t, z, n, n);
      for (size_t i = 0; i < 4; ++i) fft(t, z + i * n / 4, n / 4);
      return;
    }
    size_t span = n;
    for (; span >= 4; span /= 4) stage(t, z, n, span);
    if (span == 2) {
      for (size_t i = 0; i < n; i += 2) {
        const Complex a = load(z[i]), b = load(z[i + 1]);
        store(z[i], {a.re + b.re, a.im + b.im});
        store(z[i + 1], {a.re - b.re, a.im - b.im});
      }
    }
  }

  // power[k] = |2 X_k|^2 of the real signal, k <= n; the factor 4 is in the band weights.
  static void power_spectrum(const FrontendTables& t, const Complex* z, Floats* power) {
    const size_t n = t.n_fft / 2;
    for (size_t k = 0; k <= n / 2; ++k) {
      const Complex a = load(z[t.order[k]]), b = load(z[t.order[(n - k) & (n - 1)]]);
      const double wr = t.twiddle[2 * k], wi = t.twiddle[2 * k + 1];
      const Doubles er = a.re + b.re, ei = a.im - b.im;
      const Doubles dr = a.re - b.re, di = a.im + b.im;
      const Doubles tr = di * wr + dr * wi, ti = di * wi - dr * wr;
      const Doubles pr = er + tr, pi = ei + ti, mr = er - tr, mi = ei - ti;
      power[k] = __builtin_convertvector(pr * pr + pi * pi, Floats);
      power[n - k] = __builtin_convertvector(mr * mr + mi * mi, Floats);
    }
  }

  // 10 * log10(x) for positive normal x: x = 2^e m with m in [sqrt(1/2), sqrt(2)), log m = 2
  // atanh((m - 1) / (m + 1)).
  static Floats decibels(Floats x) {
    const Ints bits = reinterpret_cast<Ints>(x);
    const Ints e = (bits - 0x3f3504f3) >> 23;
    const Floats m = reinterpret_cast<Floats>(bits - (e << 23));
    const Floats f = m - 1.0f;
    const Floats s = f / (m + 1.0f);
    const Floats z = s * s;
    Floats p = z * 0.965098848f + 1.24084138f;  // 20 / ln 10 times 1/9, 1/7, 1/5, 1/3, 1
    p = p * z + 1.73717793f;
    p = p * z + 2.89529655f;
    p = p * z + 8.68588964f;
    return __builtin_convertvector(e, Floats) * 3.01029996f + s * p;
  }

  static void bands(const FrontendTables& t, const Floats* power, float* out) {
    const float* weights = t.band_weights;
    for (size_t m = 0; m < t.n_mels; ++m) {
      const Floats* p = power + t.band_start[m];
      const size_t size = t.band_size[m];
      Floats sum[4] = {};
      size_t i = 0;
      for (; i + 4 <= size; i += 4) {
        for (size_t j = 0; j < 4; ++j) sum[j] = sum[j] + p[i + j] * weights[i + j];
      }
      for (size_t j = 0; i + j < size; ++j) sum[j] = sum[j] + p[i + j] * weights[i + j];
      weights += size;
      const Floats total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
      const Floats floored = total > t.floor ? total : (Floats{} + t.floor);
      const Floats db = decibels(floored);
      __builtin_memcpy(out + m * L, &db, sizeof(db));
    }
  }

  static void run(const FrontendTables* t, float* frames, double* work, float* out) {
    interleave(*t, frames, reinterpret_cast<Doubles*>(work));
    Complex* z = reinterpret_cast<Complex*>(work);
    fft(*t, z, t->n_fft / 2);
    Floats* power = reinterpret_cast<Floats*>(frames);
    power_spectrum(*t, z, power);
    bands(*t, power, out);
  }
};

template <size_t L>
void log_mel(const FrontendTables* tables, float* frames, double* work, float* out) {
  LogMel<L>::run(tables, frames, work, out);
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_LOG_MEL_H_
