// Waveform to log-mel frames.
#include "frontend/frontend.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <type_traits>

#include "align.h"
#include "error.h"

namespace bifast {
namespace {

// Frames that are copied at a time: what they share is read once.
constexpr size_t kFramesCopied = 4;

void check(bool ok, const std::string& what) {
  if (!ok) fail_argument("front-end: " + what);
}

const bifast_frontend_params& checked(const bifast_frontend_params& p) {
  check(p.sample_rate >= 1 && p.sample_rate <= 1000000, "sample_rate: expected 1 .. 1000000 Hz");
  const bool power_of_two = (p.n_fft & (p.n_fft - 1)) == 0;
  check(power_of_two && p.n_fft >= 16 && p.n_fft <= 4096,
        "n_fft: expected a power of two, 16 .. 4096, got " + std::to_string(p.n_fft));
  check(p.win_length >= 1 && p.win_length <= p.n_fft,
        "win_length: expected 1 .. n_fft, got " + std::to_string(p.win_length));
  check(p.hop >= 1, "hop: expected at least 1");
  check(p.n_mels >= 1 && p.n_mels <= 256,
        "n_mels: expected 1 .. 256, got " + std::to_string(p.n_mels));
  check(p.center <= 1, "center: expected 0 or 1");
  const uint32_t shortest = p.center ? p.n_fft / 2 + 1 : p.n_fft;
  check(p.window_samples >= shortest && p.window_samples <= (1u << 26),
        "window_samples: expected at least " + std::to_string(shortest) + ", got " +
            std::to_string(p.window_samples));
  // Bands of no width would have no weights.
  check(p.f_min >= 0.0 && p.f_max - p.f_min >= 1.0 && p.f_max <= p.sample_rate / 2.0,
        "f_min, f_max: expected 0 <= f_min, f_min + 1 <= f_max <= sample_rate / 2");
  check(p.power_divisor >= 1e-6 && p.power_divisor <= 1e12, "power_divisor: expected 1e-6 .. 1e12");
  check(p.floor >= 1e-30 && p.floor <= 1e6, "floor: expected 1e-30 .. 1e6");
  return p;
}

// `count` samples of audio backwards from `last` on; behind its n_samples there are zeros.
template <typename Sample>
float* read_backwards(const Sample* samples, ptrdiff_t n_samples, ptrdiff_t last, ptrdiff_t count,
                      float* to) {
  const ptrdiff_t zeros = std::clamp<ptrdiff_t>(last - (n_samples - 1), 0, count);
  to = std::fill_n(to, zeros, 0.0f);
  const Sample* from = samples + last - zeros;
  for (ptrdiff_t i = 0; i < count - zeros; ++i) to[i] = to_float(from[-i]);
  return to + (count - zeros);
}

// `count` samples from `start` on of audio that is padded with zeros from n_samples to n_padded,
// then reflected at both ends.
template <typename Sample>
void read(const Sample* samples, ptrdiff_t n_samples, ptrdiff_t n_padded, ptrdiff_t start,
          ptrdiff_t count, float* to) {
  const ptrdiff_t first = std::clamp<ptrdiff_t>(-start, 0, count);
  const ptrdiff_t last = std::clamp<ptrdiff_t>(n_samples - start, first, count);
  const ptrdiff_t padded = std::clamp<ptrdiff_t>(n_padded - start, last, count);
  to = read_backwards(samples, n_samples, -start, first, to);
  for (ptrdiff_t i = first; i < last; ++i) *to++ = to_float(samples[start + i]);
  to = std::fill_n(to, padded - last, 0.0f);
  read_backwards(samples, n_samples, 2 * (n_padded - 1) - (start + padded), count - padded, to);
}

}  // namespace

Frontend::Frontend(const bifast_frontend_params& params, const Kernels& kernels)
    : params_(checked(params)), kernels_(&kernels), data_(params_), tables_(data_.view(params_)) {}

size_t Frontend::n_frames(size_t n_samples) const {
  const size_t n = std::max<size_t>(n_samples, params_.window_samples);
  return 1 + (params_.center ? n : n - params_.n_fft) / params_.hop;
}

size_t Frontend::copy_bytes() const {
  const size_t n_floats = (kFramesCopied - 1) * copy_step() + frame_floats();
  return align(n_floats * sizeof(float));
}

size_t Frontend::scratch_bytes() const {
  return align(log_mel_bytes(params_.n_fft)) + copy_bytes();
}

// Where `count` frames from `first` on lie: in the audio, or together in `copy`.
template <typename Sample>
void Frontend::read_frames(const Sample* samples, size_t n_samples, size_t first, size_t count,
                           float* copy, const float** frames) const noexcept {
  const auto n_real = static_cast<ptrdiff_t>(n_samples);
  const auto n_padded = std::max(n_real, static_cast<ptrdiff_t>(params_.window_samples));
  const auto hop = static_cast<ptrdiff_t>(params_.hop);
  const auto n_fft = static_cast<ptrdiff_t>(params_.n_fft);
  const auto step = static_cast<ptrdiff_t>(copy_step()), n = static_cast<ptrdiff_t>(count);
  const ptrdiff_t start =
      static_cast<ptrdiff_t>(first) * hop - (params_.center != 0 ? n_fft / 2 : 0);
  if constexpr (std::is_same_v<Sample, float>) {
    const ptrdiff_t end = start + (n - 1) * hop + static_cast<ptrdiff_t>(frame_floats());
    if (start >= 0 && end <= n_real) {
      for (ptrdiff_t i = 0; i < n; ++i) frames[i] = samples + start + i * hop;
      return;
    }
  }
  for (ptrdiff_t i = 0; i < n; ++i) {
    frames[i] = copy + i * step;
    read(samples, n_real, n_padded, start + i * hop, i + 1 < n ? step : n_fft, copy + i * step);
  }
  std::fill_n(copy + (n - 1) * step + n_fft, frame_floats() - params_.n_fft, 0.0f);
}

// find(first, count, copy, frames) finds the samples of some frames, which may be put into `copy`.
template <typename Find>
void Frontend::transform(size_t count, float* features, void* scratch,
                         const Find& find) const noexcept {
  auto* work = static_cast<uint8_t*>(scratch);
  auto* copy = reinterpret_cast<float*>(work + align(log_mel_bytes(params_.n_fft)));
  const float* frames[kFramesCopied];
  for (size_t first = 0; first < count; first += kFramesCopied) {
    const size_t n = std::min(kFramesCopied, count - first);
    find(first, n, copy, frames);
    for (size_t i = 0; i < n; ++i, features += params_.n_mels) {
      kernels_->log_mel(&tables_, frames[i], work, features);
    }
  }
}

template <typename Sample>
void Frontend::run(const Sample* samples, size_t n_samples, float* features,
                   void* scratch) const noexcept {
  transform(n_frames(n_samples), features, scratch,
            [&](size_t first, size_t count, float* copy, const float** frames) {
              read_frames(samples, n_samples, first, count, copy, frames);
            });
}

void Frontend::run_frames(const float* samples, size_t count, float* features,
                          void* scratch) const noexcept {
  transform(count, features, scratch,
            [&](size_t first, size_t n, float* copy, const float** frames) {
              for (size_t i = 0; i < n; ++i) {
                frames[i] = samples + (first + i) * params_.hop;
                if (frame_floats() == params_.n_fft) continue;
                float* to = copy + i * copy_step();
                std::copy_n(frames[i], params_.n_fft, to);
                std::fill_n(to + params_.n_fft, frame_floats() - params_.n_fft, 0.0f);
                frames[i] = to;
              }
            });
}

template void Frontend::run(const float*, size_t, float*, void*) const noexcept;
template void Frontend::run(const int16_t*, size_t, float*, void*) const noexcept;

void check_samples(const float* samples, size_t n_samples) {
  // Magnitudes order like their bits, NaN and infinity above all: no branch for each sample, so it
  // vectorises.
  constexpr uint32_t kLimit = std::bit_cast<uint32_t>(kLargestSample);
  uint32_t over = 0;
  for (size_t i = 0; i < n_samples; ++i) {
    over |= kLimit - (std::bit_cast<uint32_t>(samples[i]) & 0x7FFFFFFFu);
  }
  if (over >> 31 == 0) return;
  size_t bad = 0;
  while (std::fabs(samples[bad]) <= kLargestSample) ++bad;
  fail_argument("sample " + std::to_string(bad) + " is " + std::to_string(samples[bad]) +
                (std::isfinite(samples[bad])
                     ? ": float audio lies in [-1, 1]; divide int16 values by 32768"
                     : ": audio must be finite"));
}

void check_samples(const int16_t*, size_t) {}

}  // namespace bifast
