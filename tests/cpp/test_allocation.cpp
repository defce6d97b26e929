// Running a model or a stream allocates nothing: every operator new of the process is counted
// around each kind of run.
//
//     test_allocation FILE...   golden files
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

#include "bifast.h"
#include "golden.h"

namespace {

size_t allocations = 0;

void* counted(size_t n_bytes) {
  ++allocations;
  void* p = std::malloc(n_bytes > 0 ? n_bytes : 1);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

// Allocations of two runs of each kind at each depth; -1 if a run fails.
long allocations_of_runs(const golden::File& file, const char* isa) {
  bifast_model* model = nullptr;
  bifast_session* session = nullptr;
  if (bifast_load_memory(file.model.data(), file.model.size(), isa, &model) != BIFAST_OK) return -1;
  if (bifast_session_new(model, &session) != BIFAST_OK) return -1;
  const std::vector<float> wave(file.wave.begin(), file.wave.end());
  std::vector<float> logits(bifast_n_classes(model)), features(file.features);
  const size_t n = wave.size(), classes = logits.size();
  std::vector<float> quiet(n);
  for (size_t i = 0; i < n; ++i) quiet[i] = wave[i] / 32768.0f;

  bifast_stream* stream = nullptr;
  if (n > 0 && bifast_stream_new(model, 0, 3, &stream) != BIFAST_OK) return -1;
  const auto ignore = [](void*, int64_t, const float*, size_t) {};

  const size_t before = allocations;
  bool ok = true;
  for (size_t chunk = 1; n > 0 && chunk < 3 * n; chunk = 3 * chunk + 1) {
    for (size_t first = 0; first < n; first += chunk) {
      const size_t size = std::min(chunk, n - first);
      ok &= bifast_stream_push_i16(stream, session, file.wave.data() + first, size, ignore,
                                   nullptr) == BIFAST_OK;
      ok &= bifast_stream_push(stream, session, quiet.data() + first, size, ignore, nullptr) ==
            BIFAST_OK;
    }
    ok &= bifast_stream_flush(stream, session, ignore, nullptr) == BIFAST_OK;
    ok &= bifast_stream_reset(stream, 0) == BIFAST_OK;
  }
  for (int repeat = 0; repeat < 2; ++repeat) {
    for (const golden::Depth& depth : file.depths) {
      ok &= bifast_run_features(session, depth.index, features.data(), features.size(),
                                logits.data(), classes) == BIFAST_OK;
      if (n == 0) continue;
      ok &= bifast_run(session, depth.index, quiet.data(), n, logits.data(), classes) == BIFAST_OK;
      ok &= bifast_run_i16(session, depth.index, file.wave.data(), n, logits.data(), classes) ==
            BIFAST_OK;
      ok &=
          bifast_features(session, quiet.data(), n, features.data(), features.size()) == BIFAST_OK;
    }
  }
  const size_t after = allocations;
  bifast_stream_free(stream);
  bifast_session_free(session);
  bifast_free(model);
  return ok ? static_cast<long>(after - before) : -1;
}

}  // namespace

void* operator new(size_t n_bytes) { return counted(n_bytes); }
void* operator new[](size_t n_bytes) { return counted(n_bytes); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }

int main(int argc, char** argv) {
  int passed = 0, failed = 0;
  for (int arg = 1; arg < argc; ++arg) {
    const golden::File file = golden::parse(golden::read_file(argv[arg]));
    for (size_t i = 0; bifast_isa(i) != nullptr; ++i) {
      const long found = allocations_of_runs(file, bifast_isa(i));
      found == 0 ? ++passed : ++failed;
      if (found != 0) std::printf("%s on %s: %ld allocations\n", argv[arg], bifast_isa(i), found);
    }
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
