// Frames of samples to log-mel features, written once for every instruction set.
//
// A real FFT of n_fft points is a complex one of n = n_fft / 2. Its first stage (radix-4,
// decimation in frequency) leaves four transforms of n / 4 points, which share all twiddles: they
// take the four lanes of a quad, and kFrames frames take the quads of a vector. Then power
// spectrum, triangular mel bands, decibels. Sums over bins have four parts, bin k in part k % 4:
// the lanes of a quad again. So the number of frames that share a vector does not change a bit of
// the result. Included by ISA files only (law 8: no other headers).
//
// Single precision leaves bands alone that are not far below their frame; a frame with a quieter
// one is transformed again in double precision. Powers are positive, so their sums need no more
// than single precision.
#ifndef BIFAST_KERNELS_LOG_MEL_H_
#define BIFAST_KERNELS_LOG_MEL_H_

#include "kernels/kernels.h"
#include "kernels/lanes.h"

namespace bifast {
namespace {

// ---- quads: four lanes of each frame ------------------------------------------------------------

#if defined(__clang__) || __GNUC__ >= 12
#define BIFAST_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define BIFAST_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, decltype(a < b){__VA_ARGS__})
#endif

// Lane i of each quad of the result is lane k_i of a's quad, or lane k_i - 4 of b's.
template <int k0, int k1, int k2, int k3, typename T>
[[gnu::always_inline]] inline Vec<T, 4> shuffle(const Vec<T, 4>& a, const Vec<T, 4>& b) {
  return BIFAST_SHUFFLE(a, b, k0, k1, k2, k3);
}

template <int k0, int k1, int k2, int k3, typename T>
[[gnu::always_inline]] inline Vec<T, 8> shuffle(const Vec<T, 8>& a, const Vec<T, 8>& b) {
  constexpr auto at = [](int k) { return k < 4 ? k : k + 4; };
  return BIFAST_SHUFFLE(a, b, at(k0), at(k1), at(k2), at(k3), at(k0) + 4, at(k1) + 4, at(k2) + 4,
                        at(k3) + 4);
}

template <int k0, int k1, int k2, int k3, typename T>
[[gnu::always_inline]] inline Vec<T, 16> shuffle(const Vec<T, 16>& a, const Vec<T, 16>& b) {
  constexpr auto at = [](int k) { return k < 4 ? k : k + 12; };
  return BIFAST_SHUFFLE(a, b, at(k0), at(k1), at(k2), at(k3), at(k0) + 4, at(k1) + 4, at(k2) + 4,
                        at(k3) + 4, at(k0) + 8, at(k1) + 8, at(k2) + 8, at(k3) + 8, at(k0) + 12,
                        at(k1) + 12, at(k2) + 12, at(k3) + 12);
}

// Lane i of result r is lane r of rows[i], in each quad.
template <typename T, size_t kLanes>
[[gnu::always_inline]] inline void transpose(Vec<T, kLanes>* rows) {
  using V = Vec<T, kLanes>;
  const V a = rows[0], b = rows[1], c = rows[2], d = rows[3];
  if constexpr (sizeof(T) == 4) {  // by what one instruction does: pairs, then halves
    const V ab_low = shuffle<0, 4, 1, 5, T>(a, b), ab_high = shuffle<2, 6, 3, 7, T>(a, b);
    const V cd_low = shuffle<0, 4, 1, 5, T>(c, d), cd_high = shuffle<2, 6, 3, 7, T>(c, d);
    rows[0] = shuffle<0, 1, 4, 5, T>(ab_low, cd_low);
    rows[1] = shuffle<2, 3, 6, 7, T>(ab_low, cd_low);
    rows[2] = shuffle<0, 1, 4, 5, T>(ab_high, cd_high);
    rows[3] = shuffle<2, 3, 6, 7, T>(ab_high, cd_high);
  } else {
    const V ab_even = shuffle<0, 4, 2, 6, T>(a, b), ab_odd = shuffle<1, 5, 3, 7, T>(a, b);
    const V cd_even = shuffle<0, 4, 2, 6, T>(c, d), cd_odd = shuffle<1, 5, 3, 7, T>(c, d);
    rows[0] = shuffle<0, 1, 4, 5, T>(ab_even, cd_even);
    rows[1] = shuffle<0, 1, 4, 5, T>(ab_odd, cd_odd);
    rows[2] = shuffle<2, 3, 6, 7, T>(ab_even, cd_even);
    rows[3] = shuffle<2, 3, 6, 7, T>(ab_odd, cd_odd);
  }
}

// The quads of all frames, of which quad(frame) is one.
template <size_t kFrames, typename T, typename Quad>
[[gnu::always_inline]] inline Vec<T, 4 * kFrames> join(const Quad& quad) {
  if constexpr (kFrames == 1) {
    return quad(0);
  } else {
    const Vec<T, 4> a = quad(0), b = quad(1);
    const Vec<T, 8> two = BIFAST_SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
    if constexpr (kFrames == 2) {
      return two;
    } else {
      const Vec<T, 4> c = quad(2), d = quad(3);
      const Vec<T, 8> more = BIFAST_SHUFFLE(c, d, 0, 1, 2, 3, 4, 5, 6, 7);
      return BIFAST_SHUFFLE(two, more, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    }
  }
}

template <size_t kFrames, typename T>
[[gnu::always_inline]] inline Vec<T, 4 * kFrames> spread(const T* quad) {
  const auto v = load<Vec<T, 4>>(quad);
  return join<kFrames, T>([&](size_t) __attribute__((always_inline)) { return v; });
}

// ---- samples to power spectrum ------------------------------------------------------------------

template <typename T, size_t kFrames>
struct Spectrum {
  static constexpr size_t kLanes = 4 * kFrames;
  using V = Vec<T, kLanes>;
  using Power = Vec<float, kLanes>;
  struct Complex {
    V re, im;
  };

  // Part by part: GCC copies whole structs of vectors through memory, sixteen bytes at a time.
  static Complex load(const Complex& from) { return {from.re, from.im}; }
  static void store(Complex& to, const Complex& value) {
    to.re = value.re;
    to.im = value.im;
  }

  // w: a scalar, or one value for each lane.
  template <typename W>
  static Complex multiply(const Complex& a, W wr, W wi) {
    return {a.re * wr - a.im * wi, a.re * wi + a.im * wr};
  }

  struct Butterfly {
    Complex y0, y1, y2, y3;
  };

  static Butterfly butterfly(const Complex& a, const Complex& b, const Complex& c,
                             const Complex& d) {
    const Complex t0{a.re + c.re, a.im + c.im}, t1{a.re - c.re, a.im - c.im};
    const Complex t2{b.re + d.re, b.im + d.im}, t3{b.im - d.im, d.re - b.re};  // t3 = -i (b - d)
    return {{t0.re + t2.re, t0.im + t2.im},
            {t1.re + t3.re, t1.im + t3.im},
            {t0.re - t2.re, t0.im - t2.im},
            {t1.re - t3.re, t1.im - t3.im}};
  }

  static Butterfly butterfly(const Complex* z, size_t q) {
    return butterfly(load(z[0]), load(z[q]), load(z[2 * q]), load(z[3 * q]));
  }

  // Four samples of each frame, windowed.
  static V windowed(const float* const* frames, const T* window, size_t at) {
    const auto quads = join<kFrames, float>([&](size_t frame) __attribute__((always_inline)) {
      return bifast::load<Vec<float, 4>>(frames[frame] + at);
    });
    return __builtin_convertvector(quads, V) * spread<kFrames>(window + at);
  }

  // Points j .. j + 3: samples 2 j .. 2 j + 7.
  static Complex points(const float* const* frames, const T* window, size_t j) {
    const V low = windowed(frames, window, 2 * j), high = windowed(frames, window, 2 * j + 4);
    return {shuffle<0, 2, 4, 6, T>(low, high), shuffle<1, 3, 5, 7, T>(low, high)};
  }

  // Window and first stage: z[j] holds point j of the four transforms of q points.
  static void first_stage(const SpectrumTables<T>& t, const float* const* frames, Complex* z,
                          size_t q) {
    const T* w = t.first;
    for (size_t j = 0; j < q; j += 4, w += 24) {
      const Butterfly y =
          butterfly(points(frames, t.window, j), points(frames, t.window, j + q),
                    points(frames, t.window, j + 2 * q), points(frames, t.window, j + 3 * q));
      const Complex y1 = multiply(y.y1, spread<kFrames>(w), spread<kFrames>(w + 4));
      const Complex y2 = multiply(y.y2, spread<kFrames>(w + 8), spread<kFrames>(w + 12));
      const Complex y3 = multiply(y.y3, spread<kFrames>(w + 16), spread<kFrames>(w + 20));
      V re[4] = {y.y0.re, y1.re, y2.re, y3.re}, im[4] = {y.y0.im, y1.im, y2.im, y3.im};
      transpose<T, kLanes>(re);
      transpose<T, kLanes>(im);
      for (size_t i = 0; i < 4; ++i) store(z[j + i], {re[i], im[i]});
    }
  }

  // One radix-4 stage over each `span` of n points.
  static void stage(const T* w, Complex* z, size_t n, size_t span) {
    const size_t q = span / 4;
    for (size_t block = 0; block < n; block += span) {  // twiddle 1
      const Butterfly y = butterfly(z + block, q);
      store(z[block], y.y0);
      store(z[block + q], y.y1);
      store(z[block + 2 * q], y.y2);
      store(z[block + 3 * q], y.y3);
    }
    for (size_t j = 1; j < q; ++j) {
      const T* wj = w + 6 * j;
      for (size_t block = j; block < n; block += span) {
        const Butterfly y = butterfly(z + block, q);
        store(z[block], y.y0);
        store(z[block + q], multiply(y.y1, wj[0], wj[1]));
        store(z[block + 2 * q], multiply(y.y2, wj[2], wj[3]));
        store(z[block + 3 * q], multiply(y.y3, wj[4], wj[5]));
      }
    }
  }

  // Transforms q points; a last radix-2 stage for odd powers of two. Frequency k ends at order[k].
  static void transform(const SpectrumTables<T>& t, Complex* z, size_t q) {
    const T* w = t.stages;
    size_t span = q;
    for (; span >= 4; w += 6 * (span / 4), span /= 4) stage(w, z, q, span);
    if (span != 2) return;
    for (size_t i = 0; i < q; i += 2) {
      const Complex a = load(z[i]), b = load(z[i + 1]);
      store(z[i], {a.re + b.re, a.im + b.im});
      store(z[i + 1], {a.re - b.re, a.im - b.im});
    }
  }

  // Lane k % 4 of quad k / 4: |2 X_k|^2 of the real signal, k <= n; zeros in the last quad behind
  // k = n. The factor 4 is in the band weights. Quad i lies where z[order[i]] was, which is read no
  // more. Returns the sum over k, less that of k = n / 2, of each lane.
  static Power power_spectrum(const SpectrumTables<T>& t, const uint32_t* order, Complex* z,
                              size_t q) {
    const auto put = [&](size_t quad, const Power& power) __attribute__((always_inline)) {
      bifast::store(&z[order[quad]].re, power);
    };
    Power sum{}, mirrored{};
    for (size_t k = 0; k <= q / 2; ++k) {  // bins 4 k .. 4 k + 3, and n - 4 k .. n - 4 k - 3
      const Complex a = load(z[order[k]]);
      const Complex& high = z[order[k == q / 2 ? k : q - 1 - k]];  // not used in the last round
      const Complex& low = z[order[(q - k) & (q - 1)]];
      const Complex b{shuffle<4, 3, 2, 1, T>(high.re, low.re),
                      shuffle<4, 3, 2, 1, T>(high.im, low.im)};
      const V wr = spread<kFrames>(t.split + 8 * k), wi = spread<kFrames>(t.split + 8 * k + 4);
      const V er = a.re + b.re, ei = a.im - b.im;
      const V dr = a.re - b.re, di = a.im + b.im;
      const V tr = di * wr + dr * wi, ti = di * wi - dr * wr;
      const V pr = er + tr, pi = ei + ti, mr = er - tr, mi = ei - ti;
      const Power plus = __builtin_convertvector(pr * pr + pi * pi, Power);
      const Power minus = __builtin_convertvector(mr * mr + mi * mi, Power);
      put(q - k, k == 0 ? shuffle<0, 4, 4, 4, float>(minus, Power{})
                        : shuffle<4, 3, 2, 1, float>(mirrored, minus));
      mirrored = minus;
      if (k == q / 2) break;
      put(k, plus);
      sum = sum + (plus + minus);
    }
    return sum;
  }

  static Power run(const SpectrumTables<T>& t, const FrontendTables& tables,
                   const float* const* frames, void* work) {
    auto* z = static_cast<Complex*>(work);
    const size_t q = tables.n_fft / 8;
    first_stage(t, frames, z, q);
    transform(t, z, q);
    return power_spectrum(t, tables.order, z, q);
  }
};

// ---- power spectrum to decibels -----------------------------------------------------------------

template <size_t kFrames>
struct Bands {
  static constexpr size_t kLanes = 4 * kFrames;
  using Floats = Vec<float, kLanes>;
  using Ints = Vec<int32_t, kLanes>;

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

  // (s0 + s1) + (s2 + s3) of each quad of four rows, row i in lane i.
  static Floats sum_of_parts(Floats* rows) {
    transpose<float, kLanes>(rows);
    return (rows[0] + rows[1]) + (rows[2] + rows[3]);
  }

  // power: as Spectrum leaves it, quads order[i] * quad_bytes from its start. out[frame][n_mels].
  // Returns a mask: lanes of a frame that has a band below `energy` times its limit, but not below
  // the floor.
  template <size_t quad_bytes>
  static Ints run(const FrontendTables& t, const void* power, Floats energy, float* const* out) {
    Ints quiet{};
    const float* weights = t.band_weights;
    for (size_t m = 0; m < t.n_mels; m += 4) {
      Floats sums[4];
      for (size_t i = 0; i < 4; ++i) {
        const uint32_t* order = t.order + t.band_start[m + i];
        Floats sum{};
        for (size_t quad = 0; quad < t.band_size[m + i]; ++quad, weights += 4) {
          const auto* p = static_cast<const uint8_t*>(power) + order[quad] * quad_bytes;
          sum = sum + load<Floats>(p) * spread<kFrames>(weights);
        }
        sums[i] = sum;
      }
      const Floats total = sum_of_parts(sums);
      quiet |= (total > t.floor) & (total < energy * spread<kFrames>(t.band_limit + m));
      const Floats db = decibels(total > t.floor ? total : (Floats{} + t.floor));
      const size_t used = t.n_mels - m < 4 ? t.n_mels - m : 4;
      for (size_t frame = 0; frame < kFrames; ++frame) {
        float values[kLanes];
        __builtin_memcpy(values, &db, sizeof(db));
        if (used == 4) {
          __builtin_memcpy(out[frame] + m, values + 4 * frame, 4 * sizeof(float));
        } else {
          __builtin_memcpy(out[frame] + m, values + 4 * frame, used * sizeof(float));
        }
      }
    }
    return quiet;
  }
};

template <size_t kFrames>
void log_mel(const FrontendTables* tables, const float* const* frames, void* work,
             float* const* out) {
  if constexpr (kFrames == 4) {  // one or two frames are cheaper in half the lanes
    if (frames[2] == frames[0]) return log_mel<2>(tables, frames, work, out);
  }
  using Single = Spectrum<float, kFrames>;
  using Double = Spectrum<double, 1>;

  typename Single::Power rows[4] = {};
  rows[0] = Single::run(tables->single, *tables, frames, work);
  // The energy of each frame in all lanes of its quad.
  for (size_t i = 1; i < 4; ++i) rows[i] = rows[0];
  const auto energy = Bands<kFrames>::sum_of_parts(rows);
  const auto quiet =
      Bands<kFrames>::template run<sizeof(typename Single::Complex)>(*tables, work, energy, out);
  for (size_t frame = 0; frame < kFrames; ++frame) {
    int32_t any = 0;
    for (size_t i = 0; i < 4; ++i) any |= quiet[4 * frame + i];
    if (any == 0) continue;
    Double::run(tables->exact, *tables, frames + frame, work);
    Bands<1>::run<sizeof(Double::Complex)>(*tables, work, Double::Power{}, out + frame);
  }
}

#undef BIFAST_SHUFFLE

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_LOG_MEL_H_
