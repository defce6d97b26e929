// Constant tables of a front-end setting, from arithmetic that is the same on every machine.
#include "frontend/tables.h"

#include <algorithm>
#include <cmath>

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

}  // namespace

FrontendTableData::FrontendTableData(const bifast_frontend_params& p) {
  const size_t margin = (p.n_fft - p.win_length) / 2;
  window.resize(p.n_fft, 0.0);
  for (size_t i = 0; i < p.win_length; ++i) {
    window[margin + i] = 0.5 - 0.5 * turn(i, p.win_length).cosine;
  }
  for (size_t k = 0; k < 3 * p.n_fft / 4; ++k) {
    const Turn w = turn(k, p.n_fft);
    twiddle.push_back(w.cosine);
    twiddle.push_back(-w.sine);
  }
  for (size_t k = 0; k < p.n_fft / 2; ++k) order.push_back(position_of_frequency(k, p.n_fft / 2));

  const double bin_hz = static_cast<double>(p.sample_rate) / p.n_fft;
  for (size_t m = 0; m < p.n_mels; ++m) {
    const double left = band_edge(p, m), center = band_edge(p, m + 1), right = band_edge(p, m + 2);
    uint32_t start = 0, size = 0;
    for (auto k = static_cast<uint32_t>(left / bin_hz); k <= p.n_fft / 2; ++k) {
      const double f = k * bin_hz;
      if (f >= right) break;
      const double weight = std::min((f - left) / (center - left), (right - f) / (right - center));
      if (weight <= 0.0) continue;
      if (size == 0) start = k;
      ++size;
      // The spectrum comes as |2 X|^2: a factor 4.
      band_weights.push_back(static_cast<float>(weight / (4.0 * p.power_divisor)));
    }
    band_start.push_back(start);
    band_size.push_back(size);
  }
}

FrontendTables FrontendTableData::view(const bifast_frontend_params& p) const {
  return {p.n_fft,
          p.n_mels,
          window.data(),
          twiddle.data(),
          order.data(),
          band_start.data(),
          band_size.data(),
          band_weights.data(),
          static_cast<float>(p.floor)};
}

}  // namespace bifast
