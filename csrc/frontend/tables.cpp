// Constant tables of a front-end setting, from arithmetic that is the same on every machine.
#include "frontend/tables.h"

#include <algorithm>
#include <cmath>

#include "align.h"

namespace bifast {
namespace {

constexpr double kPiOver4 = 0.785398163397448309616;
constexpr double kLn2 = 0.693147180559945309417;

struct Turn {
  double cosine, sine;
};

// Cosine and sine of 2 pi k / n for 0 <= k < n: Taylor series in the first octant, the rest by
// symmetry.
Turn turn(uint64_t k, uint64_t n) {
  const uint64_t octant = 8 * k / n;
  const uint64_t rest = 8 * k - octant * n;
  const uint64_t mirrored = octant % 2 == 1 ? n - rest : rest;
  const double t = static_cast<double>(mirrored) / static_cast<double>(n) * kPiOver4;
  const double t2 = t * t;
  double sine = 0.0, cosine = 0.0;
  for (int i = 10; i >= 1; --i) {  // t^21 / 21! is below 2^-70
    sine = (1.0 + sine) * (-t2 / ((2.0 * i) * (2.0 * i + 1.0)));
    cosine = (1.0 + cosine) * (-t2 / ((2.0 * i - 1.0) * (2.0 * i)));
  }
  sine = t * (1.0 + sine);
  cosine = 1.0 + cosine;
  switch (octant) {
    case 0:
      return {cosine, sine};
    case 1:
      return {sine, cosine};
    case 2:
      return {-sine, cosine};
    case 3:
      return {-cosine, sine};
    case 4:
      return {-cosine, -sine};
    case 5:
      return {-sine, -cosine};
    case 6:
      return {sine, -cosine};
    default:
      return {cosine, -sine};
  }
}

// Natural logarithm of x > 0: x = 2^e m, log m = 2 atanh((m - 1) / (m + 1)).
double natural_log(double x) {
  int e = 0;
  double m = std::frexp(x, &e);  // exact
  if (m < 0.70710678118654752) {
    m *= 2.0;
    --e;
  }
  const double s = (m - 1.0) / (m + 1.0), z = s * s;
  double sum = 0.0;
  for (int i = 12; i >= 1; --i) sum = (1.0 / (2.0 * i + 1.0) + sum) * z;
  return e * kLn2 + 2.0 * s * (1.0 + sum);
}

double exponential(double x) {
  const double n = std::floor(x / kLn2 + 0.5);
  const double r = x - n * kLn2;
  double sum = 0.0;
  for (int i = 18; i >= 1; --i) sum = (1.0 + sum) * (r / i);
  return std::ldexp(1.0 + sum, static_cast<int>(n));  // exact
}

// Where an in-place FFT of `span` points, of radix 4 and last of radix 2 for odd powers of two,
// leaves frequency k.
uint32_t position_of_frequency(size_t k, size_t span) {
  size_t position = 0;
  for (; span >= 4; span /= 4, k /= 4) position += (k % 4) * (span / 4);
  return static_cast<uint32_t>(position + (span == 2 ? k % 2 : 0));
}

// The sign that frequency k of n comes with (kernels/spectrum.h); the first stage changes none.
int sign_of_frequency(size_t k, size_t n) {
  int sign = 1;
  for (k /= 4, n /= 4; n >= 4; k /= 4, n /= 4) {
    if (k % 4 == 1 || k % 4 == 2) sign = -sign;
  }
  return n == 2 && k % 2 == 1 ? -sign : sign;
}

// Edge i of the n_mels + 2 band edges in Hz, equally spaced on the HTK scale: 1 + f / 700 is a
// geometric sequence.
double band_edge(const bifast_frontend_params& p, size_t i) {
  const double low = 1.0 + p.f_min / 700.0, high = 1.0 + p.f_max / 700.0;
  const double part = static_cast<double>(i) / (p.n_mels + 1.0);
  return 700.0 * (low * exponential(part * natural_log(high / low)) - 1.0);
}

// A band that lies this far below the mean bin of its frame is exact to 6e-4 dB in single
// precision, as measured on speech; a quieter one calls for double precision.
constexpr double kQuiet = 1e-6;

// exp(-2 pi i k / n) of kBins k: real parts, then imaginary ones.
template <typename T, typename Function>
void push_turns(AlignedVector<T>& table, uint64_t n, const Function& k) {
  for (size_t i = 0; i < kBins; ++i) table.push_back(static_cast<T>(turn(k(i) % n, n).cosine));
  for (size_t i = 0; i < kBins; ++i) table.push_back(static_cast<T>(-turn(k(i) % n, n).sine));
}

}  // namespace

template <typename T>
SpectrumTableData<T>::SpectrumTableData(const bifast_frontend_params& p) {
  const size_t points = fft_points(p.n_fft), n = points / 2, rows = n / kBins;
  const size_t margin = (p.n_fft - p.win_length) / 2;
  window.resize(points, T{0});
  for (size_t i = 0; i < p.win_length; ++i) {
    window[margin + i] = static_cast<T>(0.5 - 0.5 * turn(i, p.win_length).cosine);
  }
  const auto quad = [](size_t lane) { return lane / 4; };
  push_turns(second, 16, quad);
  push_turns(second, 8, quad);
  size_t blocks = 1;
  for (; rows / blocks >= 2; blocks *= 4) {
    const size_t radix = rows / blocks == 2 ? 2 : 4;
    std::vector<size_t> frequency(blocks);  // of each block, without the lane's
    for (size_t f = 0; f < blocks; ++f) frequency[position_of_frequency(f, blocks)] = kBins * f;
    for (const size_t f : frequency) {
      const auto k = [&](size_t lane) { return f + frequency_of(lane); };
      push_turns(stages, radix * kBins * blocks, k);
      if (radix == 4) push_turns(stages, 2 * kBins * blocks, k);
    }
  }
  for (size_t row = 0; row <= rows / 2; ++row) {
    const auto k = [&](size_t lane) { return kBins * row + frequency_of(lane); };
    push_turns(split, points, k);
    for (size_t i = 0; i < kBins; ++i) {
      split.push_back(
          static_cast<T>(sign_of_frequency(k(i), n) * sign_of_frequency((n - k(i)) % n, n)));
    }
  }
}

FrontendTableData::FrontendTableData(const bifast_frontend_params& p) : single(p), exact(p) {
  // Bins of a longer FFT: every stride-th is one of n_fft points.
  const size_t points = fft_points(p.n_fft), rows = points / 2 / kBins, stride = points / p.n_fft;
  for (size_t r = 0; r < rows; ++r) order.push_back(position_of_frequency(r, rows));
  const double bin_hz = static_cast<double>(p.sample_rate) / p.n_fft;
  for (size_t m = 0; m < round_up(p.n_mels, kBins); ++m) {
    if (m >= p.n_mels) {
      push_band(0, {});
      continue;
    }
    const double left = band_edge(p, m), center = band_edge(p, m + 1), right = band_edge(p, m + 2);
    size_t first = 0;
    std::vector<double> weights;
    for (auto k = static_cast<uint32_t>(left / bin_hz); k <= p.n_fft / 2; ++k) {
      const double f = k * bin_hz;
      if (f >= right) break;
      const double weight = std::min((f - left) / (center - left), (right - f) / (right - center));
      if (weight <= 0.0) continue;
      if (weights.empty()) first = stride * k;
      // The spectrum comes as |2 X|^2: a factor 4.
      weights.resize(stride * k - first + 1, 0.0);
      weights.back() = weight / (4.0 * p.power_divisor);
    }
    push_band(first, weights);
  }
  for (float& limit : band_limit) {
    limit = static_cast<float>(limit * (kQuiet / (static_cast<double>(points) / 2.0)));
  }
}

// Weights of bins `first` and on; band_limit gets their sum.
void FrontendTableData::push_band(size_t first, const std::vector<double>& weights) {
  const size_t rows = order.size(), n = kBins * rows;
  const auto row_of = [&](size_t k) { return k <= n / 2 ? k / kBins : rows - (n - k) / kBins; };
  const auto lane_of = [&](size_t k) { return frequency_of((k <= n / 2 ? k : n - k) % kBins); };
  const size_t last = weights.empty() ? first : first + weights.size() - 1;
  const size_t size = weights.empty() ? 0 : round_up(row_of(last) - row_of(first) + 1, 2);
  const size_t start = row_of(first), offset = band_weights.size();
  band_start.push_back(static_cast<uint32_t>(start));
  band_size.push_back(static_cast<uint32_t>(size));
  band_weights.resize(offset + kBins * size, 0.0f);
  double sum = 0.0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const size_t row = row_of(first + i) - start;
    band_weights[offset + kBins * row + lane_of(first + i)] = static_cast<float>(weights[i]);
    sum += weights[i];
  }
  band_limit.push_back(static_cast<float>(sum));
}

FrontendTables FrontendTableData::view(const bifast_frontend_params& p) const {
  return {order.size(),      p.n_mels,
          single.view(),     exact.view(),
          order.data(),      band_start.data(),
          band_size.data(),  band_weights.data(),
          band_limit.data(), static_cast<float>(p.floor)};
}

}  // namespace bifast
