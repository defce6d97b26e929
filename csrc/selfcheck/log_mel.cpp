// The front-end, frame by frame.
#include <algorithm>
#include <cmath>
#include <vector>

#include "bifast.h"
#include "frontend/tables.h"
#include "kernels/kernels.h"
#include "selfcheck/checks.h"
#include "selfcheck/data.h"

namespace bifast::selfcheck {

namespace {

struct alignas(64) Line {
  float values[16];
};

// [frames][n_mels] of `samples` [frames][points].
std::vector<float> log_mel_frames(const Kernels& kernels, const FrontendTables& tables,
                                  const std::vector<float>& samples, size_t points) {
  const size_t count = samples.size() / points;
  std::vector<Line> work(log_mel_bytes(points) / sizeof(Line) + 1);
  std::vector<float> out(count * tables.n_mels);
  for (size_t i = 0; i < count; ++i) {
    kernels.log_mel(&tables, &samples[i * points], work.data(), &out[i * tables.n_mels]);
  }
  return out;
}

}  // namespace

void check_log_mel(const Place& place, const Kernels& scalar) {
  Random random;
  constexpr size_t kFrames = 8;
  const struct {
    uint32_t n_fft, win_length, n_mels;
    double f_min;
  } settings[] = {{16, 16, 3, 0.0},      {512, 512, 32, 0.0},   {512, 400, 41, 20.0},
                  {1024, 1024, 32, 0.0}, {2048, 2048, 32, 0.0}, {2048, 1000, 65, 100.0},
                  {4096, 4096, 32, 0.0}};
  for (const auto& [n_fft, win_length, n_mels, f_min] : settings) {
    const size_t points = fft_points(n_fft);
    const bifast_frontend_params params = {16000, 16000, n_fft,  win_length, 512,  n_mels,
                                           1,     f_min, 8000.0, 768.0,      1e-10};
    const FrontendTableData data(params);
    auto samples = random.reals(kFrames * points);
    std::fill_n(samples.begin(), points, 0.0f);  // silence reaches the floor
    for (size_t i = 0; i < points; ++i) {        // a slow wave leaves quiet bands
      samples[points + i] = std::sin(0.01f * static_cast<float>(i));
    }
    const FrontendTables tables = data.view(params);
    expect_same(place, text("n_fft", n_fft) + " " + text("n_mels", n_mels),
                log_mel_frames(scalar, tables, samples, points),
                log_mel_frames(place.kernels, tables, samples, points));
  }
}

}  // namespace bifast::selfcheck
