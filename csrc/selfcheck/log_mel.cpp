// The front-end, one frame or several together.
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

// What the front-end leaves readable behind the last frame.
constexpr size_t kSlack = 32;

struct alignas(64) Line {
  float values[16];
};

// [frames][n_mels] of `samples` [frames][n_fft] and kSlack more, `together` frames in a call, at
// most frame_lanes.
std::vector<float> log_mel_frames(const Kernels& kernels, const FrontendTables& tables,
                                  const std::vector<float>& samples, size_t together) {
  const size_t lanes = kernels.frame_lanes, count = (samples.size() - kSlack) / tables.n_fft;
  std::vector<Line> work(log_mel_bytes(tables.n_fft, lanes) / sizeof(Line) + 1);
  std::vector<float> out(count * tables.n_mels), unused(tables.n_mels);
  const float* frames[kMaxFrameLanes];
  float* rows[kMaxFrameLanes];
  for (size_t first = 0; first < count; first += together) {
    for (size_t lane = 0; lane < lanes; ++lane) {
      const size_t index = first + (lane < together ? lane : 0);
      frames[lane] = &samples[index * tables.n_fft];
      rows[lane] = lane < together ? &out[index * tables.n_mels] : unused.data();
    }
    kernels.log_mel(&tables, frames, work.data(), rows);
  }
  return out;
}

}  // namespace

void check_log_mel(const Place& place, const Kernels& scalar) {
  Random random;
  constexpr size_t kFrames = 32;  // a multiple of every frame_lanes
  for (const uint32_t n_fft : {16u, 32u, 512u, 2048u}) {
    const uint32_t n_mels = n_fft < 512 ? 3 : 32;
    const bifast_frontend_params params = {16000, 16000, n_fft,  n_fft, 512,  n_mels,
                                           1,     0.0,   8000.0, 768.0, 1e-10};
    const FrontendTableData data(params);
    auto samples = random.reals(kFrames * n_fft + kSlack);
    std::fill_n(samples.begin(), n_fft, 0.0f);  // silence reaches the floor
    for (size_t i = 0; i < n_fft; ++i) {        // a slow wave leaves quiet bands
      samples[n_fft + i] = std::sin(0.01f * static_cast<float>(i));
    }
    const FrontendTables tables = data.view(params);
    const auto expected = log_mel_frames(scalar, tables, samples, 1);
    // Fewer frames than lanes may take a path of their own.
    for (size_t together = place.kernels.frame_lanes; together > 0; together /= 2) {
      expect_same(place, text("n_fft", n_fft) + " " + text("frames", together), expected,
                  log_mel_frames(place.kernels, tables, samples, together));
    }
  }
}

}  // namespace bifast::selfcheck
