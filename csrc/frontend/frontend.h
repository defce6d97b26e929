// Waveform to log-mel frames: framing, window, then the kernels' log_mel.
#ifndef BIFAST_FRONTEND_FRONTEND_H_
#define BIFAST_FRONTEND_FRONTEND_H_

#include <cstddef>
#include <cstdint>

#include "bifast.h"
#include "frontend/tables.h"
#include "kernels/kernels.h"

namespace bifast {

class Frontend {
 public:
  // Throws Error(BIFAST_INVALID_ARGUMENT) naming the parameter that is out of range.
  Frontend(const bifast_frontend_params& params, const Kernels& kernels);
  Frontend(const Frontend&) = delete;  // tables_ points into data_
  Frontend& operator=(const Frontend&) = delete;

  const bifast_frontend_params& params() const { return params_; }
  // Frames of audio of n_samples, which counts as at least one window.
  size_t n_frames(size_t n_samples) const;
  size_t scratch_bytes() const;

  // features: [n_frames(n_samples)][n_mels]. Audio shorter than a window is padded with zeros at
  // its end. scratch: scratch_bytes() bytes, 64-byte aligned. Sample: float or int16_t.
  template <typename Sample>
  void run(const Sample* samples, size_t n_samples, float* features, void* scratch) const noexcept;
  // Features of `count` frames whose samples are all there, frame k from samples[k * hop] on.
  void run_frames(const float* samples, size_t count, float* features,
                  void* scratch) const noexcept;

 private:
  size_t frame_floats() const { return fft_points(params_.n_fft); }
  // From one frame to the next where they are copied: what they share is there once.
  size_t copy_step() const { return params_.hop < params_.n_fft ? params_.hop : params_.n_fft; }
  size_t copy_bytes() const;
  template <typename Find>
  void transform(size_t count, float* features, void* scratch, const Find& find) const noexcept;
  template <typename Sample>
  void read_frames(const Sample* samples, size_t n_samples, size_t first, size_t count, float* copy,
                   const float** frames) const noexcept;

  bifast_frontend_params params_;
  const Kernels* kernels_;
  FrontendTableData data_;
  FrontendTables tables_;
};

inline float to_float(float sample) { return sample; }
inline float to_float(int16_t sample) { return static_cast<float>(sample) * (1.0f / 32768.0f); }

// Louder than any float audio: someone passed int16 values as floats.
inline constexpr float kLargestSample = 8.0f;

// Throws Error(BIFAST_INVALID_ARGUMENT) unless every sample is finite and of audio's magnitude.
void check_samples(const float* samples, size_t n_samples);
void check_samples(const int16_t* samples, size_t n_samples);

}  // namespace bifast

#endif  // BIFAST_FRONTEND_FRONTEND_H_
