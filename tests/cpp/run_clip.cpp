// run_clip MODEL DEPTH TIMES: runs a made-up clip, or image, TIMES times. Instruction counts of two
// numbers of times differ by what the clip itself takes (tools/instruction_counts.py).
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bifast.h"

namespace {

void check(bifast_status status) {
  if (status == BIFAST_OK) return;
  std::fprintf(stderr, "run_clip: %s\n", bifast_last_error());
  std::exit(1);
}

// Noise under a rising sawtooth, the same on every machine.
std::vector<float> clip(size_t n_samples) {
  std::vector<float> samples(n_samples);
  unsigned random = 1, phase = 0;
  for (size_t i = 0; i < n_samples; ++i) {
    random = random * 1664525u + 1013904223u;
    phase += 2000u + static_cast<unsigned>(i) / 4;
    const int saw = static_cast<int>(phase % 65536u) - 32768;
    const int noise = static_cast<int>(random >> 20) - 2048;
    samples[i] = static_cast<float>(saw / 4 + noise / 8) / 32768.0f;
  }
  return samples;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: run_clip MODEL DEPTH TIMES\n");
    return 2;
  }
  bifast_model* model = nullptr;
  bifast_session* session = nullptr;
  size_t depth = 0;
  check(bifast_load(argv[1], &model));
  check(bifast_find_depth(model, argv[2], &depth));
  check(bifast_session_new(model, &session));
  size_t shape[3], window = bifast_window_samples(model);
  bifast_input_shape(model, shape);
  const auto run = window == 0 ? bifast_run_features : bifast_run;
  const std::vector<float> input = clip(window == 0 ? shape[0] * shape[1] * shape[2] : window);
  std::vector<float> logits(bifast_n_classes(model));
  for (int i = std::atoi(argv[3]); i > 0; --i) {
    check(run(session, depth, input.data(), input.size(), logits.data(), logits.size()));
  }
  bifast_session_free(session);
  bifast_free(model);
}
