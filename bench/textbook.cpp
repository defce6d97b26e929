// The usual ways to a 1-bit product, and the ceiling of each instruction set, for the report.
//
// A product takes M rows of activations and N rows of weights, K bits each, packed along K in
// 64-bit words, and leaves bit n of a row of outputs = (popcount(a ^ w_n) <= limit[n]): what a
// layer of a 1-bit net hands to the next. N is a multiple of 64, at most 4096; K is 128 or a
// multiple of 256. Every function works `times` times, so that a call from Python costs nothing
// that counts.
//
// A ceiling is what is left when nothing is loaded and nothing is stored: xor, popcount and add (or
// what stands for them) on registers. It returns how many bits it has compared.
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#define TARGET(features) __attribute__((target(features)))
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace {

using Counts = void (*)(const uint64_t* a, const uint64_t* w, uint16_t* p, size_t n, size_t words);

// Row by row: counts, then thresholds. `counts` and `pack` are constants, so they are inlined.
template <auto counts, auto pack>
void product(const uint64_t* a, const uint64_t* w, const uint16_t* limit, uint64_t* bits, size_t m,
             size_t n, size_t words, size_t times) {
  alignas(64) uint16_t p[4096];
  for (; times > 0; --times) {
    for (size_t r = 0; r < m; ++r) {
      counts(a + r * words, w, p, n, words);
      for (size_t c = 0; c < n; c += 64) bits[(r * n + c) / 64] = pack(p + c, limit + c);
    }
    asm volatile("" : : "r"(bits) : "memory");
  }
}

#if defined(__x86_64__)

TARGET("popcnt")
void counts_popcnt(const uint64_t* a, const uint64_t* w, uint16_t* p, size_t n, size_t words) {
  for (size_t c = 0; c < n; ++c, w += words) {
    uint64_t sum = 0;
    for (size_t k = 0; k < words; ++k) {
      sum += static_cast<uint64_t>(__builtin_popcountll(a[k] ^ w[k]));
    }
    p[c] = static_cast<uint16_t>(sum);
  }
}

uint64_t pack_sse2(const uint16_t* p, const uint16_t* limit) {
  uint64_t word = 0;
  for (size_t i = 0; i < 64; i += 16) {
    __m128i low, high;  // p <= limit exactly where the saturated difference is 0
    low = _mm_subs_epu16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i)),
                         _mm_loadu_si128(reinterpret_cast<const __m128i*>(limit + i)));
    high = _mm_subs_epu16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i + 8)),
                          _mm_loadu_si128(reinterpret_cast<const __m128i*>(limit + i + 8)));
    const __m128i zero = _mm_setzero_si128();
    const __m128i bytes = _mm_packs_epi16(_mm_cmpeq_epi16(low, zero), _mm_cmpeq_epi16(high, zero));
    word |= static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(bytes))) << i;
  }
  return word;
}

// Popcounts of the four 64-bit lanes: the look-up of nibbles of Mula, and vpsadbw.
TARGET("avx2") inline __m256i popcount_lanes(__m256i v) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                         0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i nibble = _mm256_set1_epi8(0x0F);
  const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(v, nibble));
  const __m256i high =
      _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));
  return _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256());
}

TARGET("avx2") inline __m256i load(const uint64_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

// The usual way: one output at a time, 256 bits a step, the four lanes added up at the end.
TARGET("avx2")
void counts_pshufb(const uint64_t* a, const uint64_t* w, uint16_t* p, size_t n, size_t words) {
  for (size_t c = 0; c < n; ++c, w += words) {
    __m256i sum = _mm256_setzero_si256();
    size_t k = 0;
    for (; k + 4 <= words; k += 4) {
      sum = _mm256_add_epi64(sum, popcount_lanes(_mm256_xor_si256(load(a + k), load(w + k))));
    }
    if (k < words) {  // 128 bits are left
      const auto* x = reinterpret_cast<const __m128i*>(a + k);
      const auto* y = reinterpret_cast<const __m128i*>(w + k);
      const __m128i differing = _mm_xor_si128(_mm_loadu_si128(x), _mm_loadu_si128(y));
      sum = _mm256_add_epi64(sum, popcount_lanes(_mm256_zextsi128_si256(differing)));
    }
    const __m128i half =
        _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    p[c] = static_cast<uint16_t>(_mm_cvtsi128_si64(half) + _mm_extract_epi64(half, 1));
  }
}

// Four 64-bit numbers as u16.
TARGET("avx2") inline void store_four(__m256i sums, uint16_t* p) {
  const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 0, 0, 0, 0);
  const __m128i four = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(sums, order));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi32(four, four));
}

// [a0 + a1, b0 + b1, a2 + a3, b2 + b3]
TARGET("avx2") inline __m256i add_pairs(__m256i a, __m256i b) {
  return _mm256_add_epi64(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

// The same made better: four channels share what is loaded and what adds up lanes. K = 128: two
// channels in one vector.
TARGET("avx2")
void counts_pshufb4_128(const uint64_t* a, const uint64_t* w, uint16_t* p, size_t n) {
  const __m128i row = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
  const __m256i x = _mm256_broadcastsi128_si256(row);
  for (size_t c = 0; c < n; c += 4, w += 8) {
    const __m256i s01 = popcount_lanes(_mm256_xor_si256(load(w), x));
    const __m256i s23 = popcount_lanes(_mm256_xor_si256(load(w + 4), x));
    store_four(_mm256_permute4x64_epi64(add_pairs(s01, s23), 0xD8), p + c);
  }
}

// K a multiple of 256.
TARGET("avx2")
void counts_pshufb4(const uint64_t* a, const uint64_t* w, uint16_t* p, size_t n, size_t words) {
  if (words == 2) return counts_pshufb4_128(a, w, p, n);
  for (size_t c = 0; c < n; c += 4, w += 4 * words) {
    __m256i s[4] = {};
    for (size_t k = 0; k < words; k += 4) {
      const __m256i x = load(a + k);
#pragma GCC unroll 4
      for (size_t i = 0; i < 4; ++i) {
        const __m256i differing = _mm256_xor_si256(load(w + i * words + k), x);
        s[i] = _mm256_add_epi64(s[i], popcount_lanes(differing));
      }
    }
    const __m256i s01 = add_pairs(s[0], s[1]), s23 = add_pairs(s[2], s[3]);
    store_four(_mm256_add_epi64(_mm256_permute2x128_si256(s01, s23, 0x20),
                                _mm256_permute2x128_si256(s01, s23, 0x31)),
               p + c);
  }
}

#endif

#if defined(__x86_64__) || defined(__aarch64__)
constexpr size_t kUnrolled = 16;
constexpr size_t kSums = 4;  // additions take one cycle; no machine does four a cycle
#endif

}  // namespace

extern "C" {

using BnnLab = void (*)(const uint64_t* x, const uint64_t* w, float* y, int m, int n, int words,
                        int k);

// A kernel of bnn-lab (PyPI), which leaves float sums and no bits.
void repeat_bnn_lab(BnnLab kernel, const uint64_t* x, const uint64_t* w, float* y, int m, int n,
                    int words, int k, size_t times) {
  for (; times > 0; --times) kernel(x, w, y, m, n, words, k);
}

#if defined(__x86_64__)

int has_avx2() { return __builtin_cpu_supports("avx2"); }
int has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vpopcntdq");
}

void product_popcnt(const uint64_t* a, const uint64_t* w, const uint16_t* limit, uint64_t* bits,
                    size_t m, size_t n, size_t words, size_t times) {
  product<counts_popcnt, pack_sse2>(a, w, limit, bits, m, n, words, times);
}

void product_pshufb(const uint64_t* a, const uint64_t* w, const uint16_t* limit, uint64_t* bits,
                    size_t m, size_t n, size_t words, size_t times) {
  product<counts_pshufb, pack_sse2>(a, w, limit, bits, m, n, words, times);
}

void product_pshufb4(const uint64_t* a, const uint64_t* w, const uint16_t* limit, uint64_t* bits,
                     size_t m, size_t n, size_t words, size_t times) {
  product<counts_pshufb4, pack_sse2>(a, w, limit, bits, m, n, words, times);
}

// vpxord, vpopcntd, vpaddd on registers.
TARGET("avx512f,avx512vpopcntdq") uint64_t ceiling_avx512(uint64_t steps) {
  __m512i sum[kSums] = {};
  __m512i x = _mm512_set1_epi64(static_cast<long long>(steps)), w = _mm512_set1_epi32(0x5A5A);
  for (uint64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (size_t j = 0; j < kUnrolled; ++j) {
      asm volatile("" : "+v"(x));  // a new x every time, as far as the compiler knows
      sum[j % kSums] =
          _mm512_add_epi32(sum[j % kSums], _mm512_popcnt_epi32(_mm512_xor_si512(x, w)));
    }
  }
  for (const __m512i& s : sum) asm volatile("" : : "v"(s));
  return steps * kUnrolled * 512;
}

// vfmadd231ps on registers: 16 multiply-adds of FP32. Two a cycle, each four cycles long.
TARGET("avx512f") uint64_t ceiling_fma(uint64_t steps) {
  constexpr size_t kChains = 16;
  __m512 sum[kChains] = {}, x = _mm512_set1_ps(1.25f), w = _mm512_set1_ps(0.75f);
  for (uint64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (__m512& s : sum) {
      asm volatile("" : "+v"(x));
      s = _mm512_fmadd_ps(x, w, s);
    }
  }
  for (const __m512& s : sum) asm volatile("" : : "v"(s));
  return steps * kChains * 16;
}

// tdpbssd on registers: tiles of 0 and 1 by tiles of +2 and -2, as the engine's. Zeros would be
// faster: the clock follows what the multipliers have to do.
uint64_t ceiling_amx(uint64_t steps) {
  struct alignas(64) {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } const config;
  alignas(64) static int8_t a[2][1024], b[2][1024];
  uint32_t state = 1;
  for (size_t i = 0; i < 2048; ++i) {
    state = state * 1664525u + 1013904223u;
    a[i / 1024][i % 1024] = static_cast<int8_t>(state >> 30 & 1);
    b[i / 1024][i % 1024] = static_cast<int8_t>((state >> 31 << 2) - 2);
  }
  asm volatile(
      "ldtilecfg %0\n\ttileloadd (%1,%5,1), %%tmm4\n\ttileloadd (%2,%5,1), %%tmm5\n\t"
      "tileloadd (%3,%5,1), %%tmm6\n\ttileloadd (%4,%5,1), %%tmm7\n\t"
      "tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3"
      :
      : "m"(config), "r"(a[0]), "r"(a[1]), "r"(b[0]), "r"(b[1]), "r"(size_t{64})
      : "memory");
  for (uint64_t i = 0; i < steps; ++i) {
    asm volatile(
        "tdpbssd %%tmm6, %%tmm4, %%tmm0\n\ttdpbssd %%tmm7, %%tmm4, %%tmm1\n\t"
        "tdpbssd %%tmm6, %%tmm5, %%tmm2\n\ttdpbssd %%tmm7, %%tmm5, %%tmm3" ::);
  }
  asm volatile("tilerelease" ::);
  return steps * 4 * 16 * 16 * 64;
}

// What AVX2 has in place of a popcount: two look-ups and two additions for 256 bits. There is no
// xor: the activation chooses the table.
TARGET("avx2") uint64_t ceiling_avx2(uint64_t steps) {
  __m256i sum[kSums] = {};
  __m256i x = _mm256_set1_epi64x(static_cast<long long>(steps)), w = _mm256_set1_epi8(0x05);
  for (uint64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (size_t j = 0; j < kUnrolled; ++j) {
      asm volatile("" : "+x"(x));
      sum[j % kSums] = _mm256_add_epi8(sum[j % kSums], _mm256_shuffle_epi8(x, w));
    }
  }
  for (const __m256i& s : sum) asm volatile("" : : "x"(s));
  return steps * kUnrolled * 128;  // a nibble of each byte
}

// Loads, 32 bytes each, of `bytes` bytes: a multiple of 128.
TARGET("avx2") void read_avx2(const uint8_t* data, size_t bytes, size_t times) {
  for (; times > 0; --times) {
    for (size_t i = 0; i < bytes; i += 128) {
#pragma GCC unroll 4
      for (size_t j = 0; j < 128; j += 32) {
        const auto* from = reinterpret_cast<const __m256i*>(data + i + j);
        asm volatile("" : : "x"(_mm256_loadu_si256(from)));
      }
    }
  }
}

// xor, popcnt, add on 64-bit registers.
TARGET("popcnt") uint64_t ceiling_popcnt(uint64_t steps) {
  uint64_t sum[kSums] = {};
  uint64_t x = steps, w = 0x5A5A;
  for (uint64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (size_t j = 0; j < kUnrolled; ++j) {
      asm volatile("" : "+r"(x));
      sum[j % kSums] += static_cast<uint64_t>(__builtin_popcountll(x ^ w));
    }
  }
  for (uint64_t s : sum) asm volatile("" : : "r"(s));
  return steps * kUnrolled * 64;
}

#elif defined(__aarch64__)

// eor, cnt, add on bytes.
uint64_t ceiling_neon(uint64_t steps) {
  uint8x16_t sum[kSums];
  for (uint8x16_t& s : sum) s = vdupq_n_u8(0);
  uint8x16_t x = vdupq_n_u8(static_cast<uint8_t>(steps)), w = vdupq_n_u8(0x5A);
  for (uint64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (size_t j = 0; j < kUnrolled; ++j) {
      asm volatile("" : "+w"(x));
      sum[j % kSums] = vaddq_u8(sum[j % kSums], vcntq_u8(veorq_u8(x, w)));
    }
  }
  for (const uint8x16_t& s : sum) asm volatile("" : : "w"(s));
  return steps * kUnrolled * 128;
}

#endif

}  // extern "C"
