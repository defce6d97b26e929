// Streams against whole runs, bit for bit, however the audio is cut, on every instruction set.
//
//     test_stream FILE...   golden files
//
// Uses the public C interface alone, as test_golden does.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "bifast.h"
#include "golden.h"

namespace {

struct Scores {
  std::vector<int64_t> starts;
  std::vector<float> logits;

  static void add(void* user, int64_t start, const float* logits, size_t n_classes) {
    auto* self = static_cast<Scores*>(user);
    self->starts.push_back(start);
    self->logits.insert(self->logits.end(), logits, logits + n_classes);
  }
  bool operator==(const Scores& other) const {
    return starts == other.starts && logits.size() == other.logits.size() &&
           std::memcmp(logits.data(), other.logits.data(), logits.size() * sizeof(float)) == 0;
  }
};

// One model on one instruction set.
class Bench {
 public:
  Bench(const golden::File& file, const char* isa) {
    ok_ = bifast_load_memory(file.model.data(), file.model.size(), isa, &model_) == BIFAST_OK &&
          bifast_session_new(model_, &session_) == BIFAST_OK;
  }
  ~Bench() {
    bifast_session_free(session_);
    bifast_free(model_);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  bool ok() const { return ok_; }
  const bifast_model* model() const { return model_; }

  // All features of the audio, then the windows over them.
  Scores whole(const std::vector<int16_t>& audio, size_t depth, size_t step) {
    size_t shape[3];
    bifast_input_shape(model_, shape);
    const size_t n_frames = bifast_n_frames(model_, audio.size()), last = n_frames - shape[0];
    std::vector<float> features(n_frames * shape[1]), logits(bifast_n_classes(model_));
    Scores scores;
    ok_ &= bifast_features_i16(session_, audio.data(), audio.size(), features.data(),
                               features.size()) == BIFAST_OK;
    for (size_t first = 0;; first = std::min(first + step, last)) {
      ok_ &= bifast_run_features(session_, depth, features.data() + first * shape[1],
                                 shape[0] * shape[1], logits.data(), logits.size()) == BIFAST_OK;
      Scores::add(&scores, static_cast<int64_t>(first * bifast_hop_samples(model_)), logits.data(),
                  logits.size());
      if (first == last) return scores;
    }
  }

  // The same from a stream, in chunks of up to `largest` samples, int16 and float in turns; it
  // moves to another stream through a snapshot now and then.
  Scores streamed(const std::vector<int16_t>& audio, size_t depth, size_t step, size_t largest) {
    bifast_stream *stream = nullptr, *other = nullptr;
    ok_ &= bifast_stream_new(model_, depth, step, &stream) == BIFAST_OK &&
           bifast_stream_new(model_, depth, step, &other) == BIFAST_OK;
    Scores scores;
    for (size_t first = 0; ok_ && first < audio.size();) {
      const size_t n = std::min(audio.size() - first, rng_() % (largest + 1));
      const size_t before = scores.starts.size(), most = bifast_stream_n_scores(stream, n);
      push(stream, audio.data() + first, n, scores);
      ok_ &= scores.starts.size() - before == most;
      first += n;
      if (rng_() % 8 != 0) continue;
      std::vector<uint8_t> bytes(bifast_stream_snapshot_bytes(stream));
      ok_ &= bifast_stream_snapshot(stream, bytes.data(), bytes.size()) == BIFAST_OK &&
             bifast_stream_restore(other, bytes.data(), bytes.size()) == BIFAST_OK;
      std::swap(stream, other);
    }
    const size_t before = scores.starts.size(), most = bifast_stream_n_flush_scores(stream);
    ok_ &= bifast_stream_flush(stream, session_, Scores::add, &scores) == BIFAST_OK;
    ok_ &= scores.starts.size() - before == most;
    ok_ &= bifast_stream_flush(stream, session_, Scores::add, &scores) == BIFAST_INVALID_ARGUMENT;
    bifast_stream_free(stream);
    bifast_stream_free(other);
    return scores;
  }

  // Snapshots with bytes changed are refused, or are those of a stream that goes on; with a true
  // checksum too, which is what an attacker would write.
  void try_damaged_snapshots(const std::vector<int16_t>& audio) {
    bifast_stream* stream = nullptr;
    Scores scores;
    ok_ &= bifast_stream_new(model_, 0, 2, &stream) == BIFAST_OK;
    push(stream, audio.data(), audio.size(), scores);
    std::vector<uint8_t> bytes(bifast_stream_snapshot_bytes(stream));
    ok_ &= bifast_stream_snapshot(stream, bytes.data(), bytes.size()) == BIFAST_OK;
    for (int repeat = 0; repeat < 60; ++repeat) {
      std::vector<uint8_t> damaged = bytes;
      if (rng_() % 4 == 0) damaged.resize(rng_() % bytes.size());
      for (size_t i = 0, n = damaged.size() < 80 ? 0 : 1 + rng_() % 3; i < n; ++i) {
        damaged[rng_() % 3 == 0 ? rng_() % damaged.size() : 16 + rng_() % 64] ^=
            static_cast<uint8_t>(1 + rng_() % 255);
      }
      if (damaged.size() > 16) {
        const uint32_t crc = golden::crc32(damaged.data() + 16, damaged.size() - 16);
        std::memcpy(damaged.data() + 12, &crc, sizeof(crc));
      }
      bifast_stream_restore(stream, damaged.data(), damaged.size());
      push(stream, audio.data(), audio.size() / 4, scores);
    }
    bifast_stream_free(stream);
  }

 private:
  void push(bifast_stream* stream, const int16_t* samples, size_t n, Scores& scores) {
    if (rng_() % 2 == 0) {
      ok_ &=
          bifast_stream_push_i16(stream, session_, samples, n, Scores::add, &scores) == BIFAST_OK;
      return;
    }
    std::vector<float> floats(samples, samples + n);
    for (float& x : floats) x /= 32768.0f;
    ok_ &=
        bifast_stream_push(stream, session_, floats.data(), n, Scores::add, &scores) == BIFAST_OK;
  }

  bifast_model* model_ = nullptr;
  bifast_session* session_ = nullptr;
  bool ok_ = false;
  std::mt19937 rng_{20};
};

// The clip again and again, each time of another loudness.
std::vector<int16_t> long_audio(const std::vector<int16_t>& clip, size_t n_samples) {
  std::vector<int16_t> audio(n_samples);
  for (size_t i = 0; i < n_samples; ++i) {
    audio[i] = static_cast<int16_t>(clip[i % clip.size()] / static_cast<int>(1 + i / clip.size()));
  }
  return audio;
}

}  // namespace

int main(int argc, char** argv) {
  int passed = 0, failed = 0;
  for (int arg = 1; arg < argc; ++arg) {
    const golden::File file = golden::parse(golden::read_file(argv[arg]));
    if (file.wave.empty()) continue;
    for (size_t i = 0; bifast_isa(i) != nullptr; ++i) {
      Bench bench(file, bifast_isa(i));
      const auto expect = [&](bool ok, const char* what, size_t n) {
        ok&& bench.ok() ? ++passed : ++failed;
        if (!ok || !bench.ok()) {
          std::printf("%s on %s: %s of %zu samples\n", argv[arg], bifast_isa(i), what, n);
        }
      };
      if (!bench.ok()) return 1;
      const size_t window = bifast_window_samples(bench.model());
      for (const size_t n : {size_t{1}, window / 3, window, window + 1, 2 * window + 77}) {
        const std::vector<int16_t> audio = long_audio(file.wave, n);
        const size_t step = 1 + n % 5, depth = n % bifast_n_depths(bench.model());
        const Scores whole = bench.whole(audio, depth, step);
        for (const size_t largest : {window / 100 + 1, window / 7 + 1, 4 * window}) {
          expect(bench.streamed(audio, depth, step, largest) == whole, "stream", n);
        }
      }
      bench.try_damaged_snapshots(long_audio(file.wave, window + window / 2));
      expect(true, "damaged snapshots", window);
    }
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
