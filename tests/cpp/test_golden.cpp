// Replays golden files on every instruction set of this CPU and compares bit for bit.
//
//     test_golden FILE...
//
// Uses the public C interface alone, so that the same program proves a cross-built library under an
// emulator.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "bifast.h"
#include "golden.h"

namespace {

using golden::Bytes;

// What differed in one file on one instruction set.
struct Tally {
  int passed = 0, failed = 0;
  std::string first_failure;

  void expect(bool ok, const std::string& what) {
    ok ? ++passed : ++failed;
    if (!ok && first_failure.empty()) first_failure = what;
  }
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The output's bytes as golden files hold them: rows without the engine's padding.
Bytes canonical(const bifast_layer_output& output) {
  const size_t positions = output.shape[0] * output.shape[1], channels = output.shape[2];
  const size_t row = output.is_bits != 0    ? (channels + 7) / 8
                     : output.is_bytes != 0 ? channels
                                            : channels * sizeof(float);
  Bytes bytes(positions * row);
  for (size_t i = 0; i < positions; ++i) {
    std::memcpy(bytes.data() + i * row,
                static_cast<const uint8_t*>(output.data) + i * output.row_bytes, row);
  }
  return bytes;
}

struct Replay {
  const golden::Depth* depth;
  Tally* tally;
  size_t next = 0;
};

void check_layer(void* user, const bifast_layer_output* output) {
  auto* replay = static_cast<Replay*>(user);
  const size_t index = replay->next++;
  const std::string where = "depth " + std::to_string(replay->depth->index) + ", " + output->name;
  if (index >= replay->depth->layers.size()) {
    replay->tally->expect(false, where + ": no such output in the file");
    return;
  }
  const golden::Layer& layer = replay->depth->layers[index];
  const bool same_shape = layer.name == output->name &&
                          layer.type == (output->is_bits != 0    ? 1u
                                         : output->is_bytes != 0 ? 2u
                                                                 : 0u) &&
                          layer.height == output->shape[0] && layer.width == output->shape[1] &&
                          layer.channels == output->shape[2];
  const Bytes bytes = canonical(*output);
  const bool same = golden::crc32(bytes.data(), bytes.size()) == layer.crc &&
                    (layer.data.empty() || layer.data == bytes);
  replay->tally->expect(same_shape && same, where);
}

void replay_sound(bifast_session* session, const bifast_model* model, const golden::File& file,
                  Tally& tally) {
  const size_t n = file.wave.size();
  std::vector<float> wave(n), features(file.features.size());
  std::transform(file.wave.begin(), file.wave.end(), wave.begin(),
                 [](int16_t sample) { return static_cast<float>(sample) / 32768.0f; });
  tally.expect(bifast_features_i16(session, file.wave.data(), n, features.data(),
                                   features.size()) == BIFAST_OK &&
                   same_bits(features, file.features),
               "features of int16");
  tally.expect(
      bifast_features(session, wave.data(), n, features.data(), features.size()) == BIFAST_OK &&
          same_bits(features, file.features),
      "features of float");
  for (const golden::Depth& depth : file.depths) {
    std::vector<float> logits(bifast_n_classes(model));
    tally.expect(bifast_run_i16(session, depth.index, file.wave.data(), n, logits.data(),
                                logits.size()) == BIFAST_OK &&
                     same_bits(logits, depth.logits),
                 "logits of int16 at depth " + std::to_string(depth.index));
    tally.expect(bifast_run(session, depth.index, wave.data(), n, logits.data(), logits.size()) ==
                         BIFAST_OK &&
                     same_bits(logits, depth.logits),
                 "logits of float at depth " + std::to_string(depth.index));
  }
}

void replay_features(bifast_session* session, const bifast_model* model, const golden::File& file,
                     Tally& tally) {
  for (const golden::Depth& depth : file.depths) {
    const std::string at = " at depth " + std::to_string(depth.index);
    std::vector<float> logits(bifast_n_classes(model));
    Replay replay{&depth, &tally};
    const bifast_status status =
        bifast_trace(session, depth.index, file.features.data(), file.features.size(),
                     logits.data(), logits.size(), check_layer, &replay);
    tally.expect(status == BIFAST_OK && replay.next == depth.layers.size(),
                 "number of outputs" + at);
    tally.expect(same_bits(logits, depth.logits), "logits of a trace" + at);
    std::fill(logits.begin(), logits.end(), 0.0f);
    tally.expect(
        bifast_run_features(session, depth.index, file.features.data(), file.features.size(),
                            logits.data(), logits.size()) == BIFAST_OK &&
            same_bits(logits, depth.logits),
        "logits of features" + at);
  }
}

Tally replay(const golden::File& file, const char* isa) {
  Tally tally;
  bifast_model* model = nullptr;
  bifast_session* session = nullptr;
  if (bifast_load_memory(file.model.data(), file.model.size(), isa, &model) != BIFAST_OK ||
      bifast_session_new(model, &session) != BIFAST_OK) {
    tally.expect(false, bifast_last_error());
    bifast_free(model);
    return tally;
  }
  tally.expect(bifast_n_depths(model) == file.depths.size(), "number of depths");
  if (!file.wave.empty()) replay_sound(session, model, file, tally);
  replay_features(session, model, file, tally);
  std::vector<float> logits(bifast_n_classes(model));
  const auto throws = [](void*, const bifast_layer_output*) { throw 1; };
  tally.expect(bifast_trace(session, 0, file.features.data(), file.features.size(), logits.data(),
                            logits.size(), throws, nullptr) == BIFAST_INTERNAL,
               "status where a callback throws what is no std::exception");
  bifast_session_free(session);
  bifast_free(model);
  return tally;
}

std::string base_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: test_golden FILE...\n");
    return 2;
  }
  std::printf("%-16s", "file");
  for (size_t i = 0; bifast_isa(i) != nullptr; ++i) std::printf(" %12s", bifast_isa(i));
  std::printf("\n");
  int passed = 0, failed = 0;
  std::string failures;
  for (int arg = 1; arg < argc; ++arg) {
    const Bytes bytes = golden::read_file(argv[arg]);
    if (!golden::is_golden(bytes)) {
      std::fprintf(stderr, "%s is no golden file\n", argv[arg]);
      return 2;
    }
    const golden::File file = golden::parse(bytes);
    std::printf("%-16s", base_name(argv[arg]).c_str());
    for (size_t i = 0; bifast_isa(i) != nullptr; ++i) {
      const Tally tally = replay(file, bifast_isa(i));
      passed += tally.passed;
      failed += tally.failed;
      const std::string cell = tally.failed == 0 ? std::to_string(tally.passed) + " ok"
                                                 : std::to_string(tally.failed) + " differ";
      std::printf(" %12s", cell.c_str());
      if (tally.failed != 0) {
        failures += base_name(argv[arg]) + " on " + bifast_isa(i) +
                    ": first: " + tally.first_failure + "\n";
      }
    }
    std::printf("\n");
  }
  std::printf("%s%d passed, %d failed\n", failures.c_str(), passed, failed);
  return failed == 0 ? 0 : 1;
}
