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

// Where an in-place radix-4 decimation-in-frequency FFT of `span` points (last stage radix-2 for
// odd powers of two) leaves frequency k.
uint32_t position_of_frequency(size_t k, size_t span) {
  size_t position = 0;
  for (; span >= 4; span /= 4, k /= 4) position += (k % 4) * (span / 4);
  return static_cast<uint32_t>(position + (span == 2 ? k % 2 : 0));
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

// Twiddles 1, 2 and 3 of point j of a stage over `span` points.
template <typename T>
void push_twiddles(AlignedVector<T>& table, uint64_t j, uint64_t span) {
  for (uint64_t i = 1; i <= 3; ++i) {
    const Turn w = turn(i * j % span, span);
    table.push_back(static_cast<T>(w.cosine));
    table.push_back(static_cast<T>(-w.sine));
  }
}

}  // namespace

template <typename T>
SpectrumTableData<T>::SpectrumTableData(const bifast_frontend_params& p) {
  const size_t n_fft = p.n_fft, q = n_fft / 8, margin = (n_fft - p.win_length) / 2;
  window.resize(n_fft + 4, T{0});
  for (size_t i = 0; i < p.win_length; ++i) {
    window[margin + i] = static_cast<T>(0.5 - 0.5 * turn(i, p.win_length).cosine);
  }
  for (size_t j = 0; j < round_up(q, 4); j += 4) {
    AlignedVector<T> points;  // [4][6]
    for (size_t i = j; i < j + 4; ++i) push_twiddles(points, i, n_fft / 2);
    for (size_t i = 0; i < points.size(); ++i) first.push_back(points[i % 4 * 6 + i / 4]);
  }
  for (size_t span = q; span >= 4; span /= 4) {
    for (size_t j = 0; j < span / 4; ++j) push_twiddles(stages, j, span);
  }
  for (size_t k = 0; k <= q / 2; ++k) {
    for (size_t i = 0; i < 4; ++i) split.push_back(static_cast<T>(turn(4 * k + i, n_fft).cosine));
    for (size_t i = 0; i < 4; ++i) split.push_back(static_cast<T>(-turn(4 * k + i, n_fft).sine));
  }
}

FrontendTableData::FrontendTableData(const bifast_frontend_params& p) : single(p), exact(p) {
  for (size_t k = 0; k < p.n_fft / 8; ++k) order.push_back(position_of_frequency(k, p.n_fft / 8));
  order.push_back(p.n_fft / 8);
  const double bin_hz = static_cast<double>(p.sample_rate) / p.n_fft;
  for (size_t m = 0; m < round_up(p.n_mels, 4); ++m) {
    if (m >= p.n_mels) {
      push_band(0, {});
      continue;
    }
    const double left = band_edge(p, m), center = band_edge(p, m + 1), right = band_edge(p, m + 2);
    uint32_t start = 0;
    std::vector<double> weights;
    for (auto k = static_cast<uint32_t>(left / bin_hz); k <= p.n_fft / 2; ++k) {
      const double f = k * bin_hz;
      if (f >= right) break;
      const double weight = std::min((f - left) / (center - left), (right - f) / (right - center));
      if (weight <= 0.0) continue;
      if (weights.empty()) start = k;
      // The spectrum comes as |2 X|^2: a factor 4.
      weights.push_back(weight / (4.0 * p.power_divisor));
    }
    push_band(start, weights);
  }
  for (float& limit : band_limit) {
    limit = static_cast<float>(limit * (kQuiet / (p.n_fft / 2.0)));
  }
}

// band_limit gets the sum of the weights.
void FrontendTableData::push_band(uint32_t start, const std::vector<double>& weights) {
  const size_t before = start % 4, n_quads = (before + weights.size() + 3) / 4;
  band_start.push_back(start / 4);
  band_size.push_back(static_cast<uint32_t>(weights.empty() ? 0 : n_quads));
  double sum = 0.0;
  if (!weights.empty()) {
    band_weights.resize(band_weights.size() + 4 * n_quads, 0.0f);
    float* to = band_weights.data() + band_weights.size() - 4 * n_quads + before;
    for (const double weight : weights) {
      *to++ = static_cast<float>(weight);
      sum += weight;
    }
  }
  band_limit.push_back(static_cast<float>(sum));
}

FrontendTables FrontendTableData::view(const bifast_frontend_params& p) const {
  return {p.n_fft,           p.n_mels,
          single.view(),     exact.view(),
          order.data(),      band_start.data(),
          band_size.data(),  band_weights.data(),
          band_limit.data(), static_cast<float>(p.floor)};
}

}  // namespace bifast
