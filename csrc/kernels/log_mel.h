// A frame of samples to log-mel features: power spectrum, triangular mel bands, decibels.
//
// Single precision leaves bands alone that are not far below their frame; a frame with a quieter
// one is transformed again in double precision. Powers are positive, so their sums need no more
// than single precision. Included by ISA files only (law 8: no other headers).
//
// Isa is the class that an instruction set's file defines, of which this needs
//   kLanes                       floats in a register
//   add_product(c, a, b)         c + a * b, rounded once
//   subtract_product(c, a, b)    c - a * b, rounded once
//   keep(v)                      does nothing, with v in a register
#ifndef BIFAST_KERNELS_LOG_MEL_H_
#define BIFAST_KERNELS_LOG_MEL_H_

#include "kernels/kernels.h"
#include "kernels/lanes.h"
#include "kernels/quads.h"
#include "kernels/spectrum.h"

namespace bifast {
namespace {

template <typename Isa>
struct SingleOps {
  using Element = float;
  using V = Vec<float, Isa::kLanes>;
  [[gnu::always_inline]] static V add_product(V c, V a, V b) { return Isa::add_product(c, a, b); }
  [[gnu::always_inline]] static V subtract_product(V c, V a, V b) {
    return Isa::subtract_product(c, a, b);
  }
  [[gnu::always_inline]] static void keep(V& v) { Isa::keep(v); }
};

// Rounded twice: a frame in twenty needs it, and plain x86-64 and NumPy cannot fuse doubles.
struct DoubleOps {
  using Element = double;
  using V = Vec<double, 4>;
  [[gnu::always_inline]] static V add_product(V c, V a, V b) { return c + a * b; }
  [[gnu::always_inline]] static V subtract_product(V c, V a, V b) { return c - a * b; }
  static void keep(V&) {}
};

template <typename Isa>
struct Bands {
  static constexpr size_t kLanes = Isa::kLanes, kQuads = kLanes / 4, kParts = kBins / kLanes;
  using Floats = Vec<float, kLanes>;
  using Ints = Vec<int32_t, kLanes>;

  // 10 * log10(x) for positive normal x: x = 2^e m with m in [sqrt(1/2), sqrt(2)), log m = 2
  // atanh((m - 1) / (m + 1)).
  static Floats decibels(Floats x) {
    const auto plus = [](Floats c, Floats a, float b) {
      return Isa::add_product(c, a, Floats{} + b);
    };
    const Ints bits = reinterpret_cast<Ints>(x);
    const Ints e = (bits - 0x3f3504f3) >> 23;
    const Floats m = reinterpret_cast<Floats>(bits - (e << 23));
    const Floats s = (m - 1.0f) / (m + 1.0f);
    const Floats z = s * s;
    Floats p = plus(Floats{} + 1.24084138f, z, 0.965098848f);  // 20 / ln 10 times 1/9, .. 1/3, 1
    p = Isa::add_product(Floats{} + 1.73717793f, p, z);
    p = Isa::add_product(Floats{} + 2.89529655f, p, z);
    p = Isa::add_product(Floats{} + 8.68588964f, p, z);
    return plus(s * p, __builtin_convertvector(e, Floats), 3.01029996f);
  }

  // Sums of one band: lane i of quad q in (q0 + q2) + (q1 + q3), of as many bands as quads.
  struct Sums {
    Floats parts[kParts];
  };

  [[gnu::always_inline]] static Sums band(const float (*power)[kBins], size_t size,
                                          const float* weights) {
    Sums sums{};
    for (const float* end = weights + size * kBins; weights != end; power += 2) {
      for (size_t i = 0; i < 2 * kParts; ++i, weights += kLanes) {
        Floats& sum = sums.parts[i % kParts];
        sum = Isa::add_product(sum, load<Floats>(power[0] + i * kLanes), load<Floats>(weights));
      }
    }
    return sums;
  }

  // (q0 + q2) + (q1 + q3) of each of kQuads bands, one in each quad.
  [[gnu::always_inline]] static Floats sum_of_quads(const Sums* bands) {
    if constexpr (kQuads == 1) {
      const Floats* q = bands[0].parts;
      return (q[0] + q[2]) + (q[1] + q[3]);
    } else {
      Floats rows[kQuads];
      for (size_t b = 0; b < kQuads; ++b) {
        rows[b] = kParts == 2 ? bands[b].parts[0] + bands[b].parts[kParts - 1] : bands[b].parts[0];
      }
      exchange_quads<float>(rows);
      if constexpr (kQuads == 2)
        return rows[0] + rows[1];
      else
        return (rows[0] + rows[2]) + (rows[1] + rows[kQuads - 1]);
    }
  }

  // (s0 + s1) + (s2 + s3) of each quad of four rows, row i in lane i.
  [[gnu::always_inline]] static Floats sum_of_parts(Floats* rows) {
    transpose<float, kLanes>(rows);
    return (rows[0] + rows[1]) + (rows[2] + rows[3]);
  }

  static float sum(const float* lanes) {
    float s[4];
    for (size_t i = 0; i < 4; ++i)
      s[i] = (lanes[i] + lanes[8 + i]) + (lanes[4 + i] + lanes[12 + i]);
    return (s[0] + s[1]) + (s[2] + s[3]);
  }

  // Whether a band is below `energy` times its limit, but not below the floor.
  static bool run(const FrontendTables& t, const float (*power)[kBins], float energy, float* out) {
    Ints quiet{};
    const float* weights = t.band_weights;
    for (size_t m = 0; m < t.n_mels; m += kLanes) {
      Floats rows[4];
      for (size_t i = 0; i < 4; ++i) {
        Sums bands[kQuads];
        for (size_t q = 0; q < kQuads; ++q) {
          const size_t b = m + kQuads * i + q, size = t.band_size[b];
          bands[q] = band(power + t.band_start[b], size, weights);
          weights += size * kBins;
        }
        rows[i] = sum_of_quads(bands);
      }
      const Floats total = quads_to_lanes<float>(sum_of_parts(rows));
      quiet |= (total > t.floor) & (total < energy * load<Floats>(t.band_limit + m));
      const Floats db = decibels(total > t.floor ? total : (Floats{} + t.floor));
      if (t.n_mels - m >= kLanes) {
        store(out + m, db);
      } else {
        __builtin_memcpy(out + m, &db, (t.n_mels - m) * sizeof(float));
      }
    }
    int32_t any = 0;
    for (size_t i = 0; i < kLanes; ++i) any |= quiet[i];
    return any != 0;
  }
};

template <typename Isa>
void log_mel(const FrontendTables* tables, const float* frame, void* work, float* out) {
  using Single = Spectrum<SingleOps<Isa>>;
  using Double = Spectrum<DoubleOps>;
  // Powers behind the rows.
  auto* power =
      reinterpret_cast<float (*)[kBins]>(static_cast<double*>(work) + Double::kRow * tables->rows);
  float energy[kBins];
  Single::run(tables->single, *tables, frame, work, power, energy);
  if (!Bands<Isa>::run(*tables, power, Bands<Isa>::sum(energy), out)) return;
  Double::run(tables->exact, *tables, frame, work, power, energy);
  Bands<Isa>::run(*tables, power, 0.0f, out);
}

}  // namespace
}  // namespace bifast

#endif  // BIFAST_KERNELS_LOG_MEL_H_
