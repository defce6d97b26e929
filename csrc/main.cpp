// bifast-run: the C interface as a program. Classifies WAV files without Python.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "bifast.h"
#include "wav.h"

namespace {

constexpr const char* kUsage =
    "usage: bifast-run [--depth NAME] MODEL.bifast SOUND.wav...\n"
    "\n"
    "Classifies WAV files (mono or not, at the model's rate), not images. Longer files are\n"
    "scanned: one line for each quarter of a second. Each line has the file, the start of the\n"
    "window in seconds, label and probability.\n"
    "\n"
    "  --depth NAME   full (default), half, quarter, eighth: as far as the model has them\n"
    "  --help         this text\n"
    "\n"
    "example: bifast-run --depth half bifsmn.bifast yes.wav\n"
    "exit status: 0, or 1 if something could not be read or run, or 2 for wrong usage\n";

struct FreeModel {
  void operator()(bifast_model* p) const { bifast_free(p); }
};
struct FreeSession {
  void operator()(bifast_session* p) const { bifast_session_free(p); }
};
struct FreeStream {
  void operator()(bifast_stream* p) const { bifast_stream_free(p); }
};

void check(bifast_status status) {
  if (status != BIFAST_OK) throw std::runtime_error(bifast_last_error());
}

class Classifier {
 public:
  Classifier(const char* path, const char* depth) {
    bifast_model* model = nullptr;
    check(bifast_load(path, &model));
    model_.reset(model);
    bifast_session* session = nullptr;
    check(bifast_session_new(model, &session));
    session_.reset(session);
    if (depth != nullptr) check(bifast_find_depth(model, depth, &depth_));
    if (bifast_sample_rate(model) == 0) {
      size_t shape[3];
      bifast_input_shape(model, shape);
      throw std::runtime_error("this model has no front-end: it takes no sound but arrays of " +
                               std::to_string(shape[0]) + " x " + std::to_string(shape[1]) + " x " +
                               std::to_string(shape[2]) +
                               (bifast_takes_bytes(model) != 0
                                    ? " bytes; use bifast_run_bytes, or Python"
                                    : " floats; use bifast_run_features, or Python"));
    }
  }

  void run(const std::string& path) const {
    const bifast::Wav wav = bifast::read_wav(path);
    const bifast_model* model = model_.get();
    const size_t rate = bifast_sample_rate(model), hop = bifast_hop_samples(model);
    if (wav.sample_rate != rate) {
      throw std::runtime_error("expected " + std::to_string(rate) + " Hz, got " +
                               std::to_string(wav.sample_rate) +
                               " Hz; resample it, or use the Python program");
    }
    if (wav.samples.empty()) throw std::runtime_error("holds no samples");
    // A quarter of a second in whole frames; the last window ends with the last frame.
    const size_t step = std::max<size_t>(1, (rate + 2 * hop) / (4 * hop));
    bifast_stream* stream = nullptr;
    check(bifast_stream_new(model, depth_, step, &stream));
    const std::unique_ptr<bifast_stream, FreeStream> owner(stream);
    Line line{path, model};
    check(bifast_stream_push(stream, session_.get(), wav.samples.data(), wav.samples.size(), print,
                             &line));
    check(bifast_stream_flush(stream, session_.get(), print, &line));
  }

 private:
  struct Line {
    const std::string& path;
    const bifast_model* model;
  };

  static void print(void* user, int64_t start, const float* logits, size_t n_classes) {
    const auto& [path, model] = *static_cast<const Line*>(user);
    const float* best = std::max_element(logits, logits + n_classes);
    double sum = 0.0;
    for (size_t i = 0; i < n_classes; ++i) {
      sum += std::exp(static_cast<double>(logits[i]) - static_cast<double>(*best));
    }
    std::printf("%s\t%.2f\t%s\t%.3f\n", path.c_str(),
                static_cast<double>(start) / static_cast<double>(bifast_sample_rate(model)),
                bifast_label(model, static_cast<size_t>(best - logits)), 1.0 / sum);
  }

  std::unique_ptr<bifast_model, FreeModel> model_;
  std::unique_ptr<bifast_session, FreeSession> session_;  // freed before the model
  size_t depth_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const char* depth = nullptr;
  std::vector<const char*> paths;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--help") == 0) return std::fputs(kUsage, stdout) < 0 ? 1 : 0;
    if (std::strcmp(argv[i], "--depth") == 0 && i + 1 < argc) {
      depth = argv[++i];
    } else if (std::strncmp(argv[i], "--", 2) == 0) {
      std::fprintf(stderr, "bifast-run: unknown or incomplete option %s\n\n%s", argv[i], kUsage);
      return 2;
    } else {
      paths.push_back(argv[i]);
    }
  }
  if (paths.size() < 2) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  int status = 0;
  try {
    const Classifier classifier(paths[0], depth);
    for (size_t i = 1; i < paths.size(); ++i) {
      try {
        classifier.run(paths[i]);
      } catch (const std::exception& e) {
        std::fprintf(stderr, "bifast-run: %s: %s\n", paths[i], e.what());
        status = 1;
      }
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bifast-run: %s\n", e.what());
    return 1;
  }
  return status;
}
