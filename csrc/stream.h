// One stream: audio in chunks of any size, scores of a window that moves over it.
//
// The audio has one framing, from its first sample to its last: frame k of the stream is frame k of
// Frontend::run on the whole, bit for bit, however the audio was cut. Frames are transformed in
// groups, as soon as a group is whole or a window needs them; when that happens depends on the
// position alone, so a stream's state is a function of the audio and not of its chunks.
#ifndef BIFAST_STREAM_H_
#define BIFAST_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bifast.h"
#include "cascade.h"
#include "model.h"
#include "trunk.h"

namespace bifast {

class Stream {
 public:
  // Receives scores; see bifast_on_score.
  struct Sink {
    bifast_on_score on_score;
    void* user;
  };

  // A window every `hop_frames` frames. depth: an index, or BIFAST_AUTO for the model's cascade.
  // Throws Error unless the model takes audio, has a cascade where it is asked for, and hop_frames
  // is in range. Allocates all that the stream will need.
  Stream(const Model& model, size_t depth, size_t hop_frames);

  const Model& model() const { return model_; }
  int64_t position() const { return origin_ + position_; }
  int64_t skipped() const { return skipped_; }
  // Windows whose scores are those of a depth.
  int64_t scored(size_t depth) const { return scored_[depth]; }
  // Mean work of the windows that were scored, as part of that at depth 0 alone; 0: there are none.
  double cost() const;
  // The depth that gave the newest score; 0 before there is one.
  size_t score_depth() const { return score_depth_; }

  // The labels that count as words in the cascade; one flag for each label.
  void set_words(std::vector<uint8_t> is_word) { cascade_.set_words(std::move(is_word)); }

  // Windows in which no sample is louder than `peak` are skipped; negative: none are.
  void set_gate(float peak);

  // Scores that a push of n_samples will give, if the gate skips none; at most this many then.
  size_t n_scores(size_t n_samples) const;
  size_t n_flush_scores() const;
  // Throws Error if the stream has ended, would grow past 2^60 samples, or a sample is no audio.
  // Sample: float or int16_t.
  template <typename Sample>
  void check(const Sample* samples, size_t n_samples) const;
  // Throws Error and changes nothing where check does. arena: as Model::run_features.
  template <typename Sample>
  void push(uint8_t* arena, const Sample* samples, size_t n_samples, Sink sink);
  // The audio ends here. Throws Error if it has ended before.
  void flush(uint8_t* arena, Sink sink);
  // Begins anew, the next sample being number `origin`.
  void reset(int64_t origin);

  size_t snapshot_bytes() const { return snapshot_bytes(position_); }
  // Throws Error if the stream has ended.
  void snapshot(uint8_t* bytes) const;
  // Trusts nothing. Throws Error and changes nothing unless the bytes are a snapshot of a stream
  // with the same model, depth, hop and gate.
  void restore(const uint8_t* bytes, size_t n_bytes);

 private:
  // Room for what is computed from positions.
  static constexpr int64_t kMaxPosition = int64_t{1} << 60;

  struct Header;  // of a snapshot

  void expect_open() const;
  void check_same_settings(const Header& theirs) const;

  // What follows from a position alone.
  int64_t ready_frames(int64_t position) const;
  int64_t done_frames(int64_t position) const;
  int64_t first_kept(int64_t position) const;
  size_t snapshot_bytes(int64_t position) const;
  int64_t needed_position(int64_t frames) const;
  int64_t windows(int64_t frames) const;
  int64_t next_window_end(int64_t frames) const;
  int64_t padded_samples() const;

  template <typename Sample>
  void feed(uint8_t* arena, const Sample* samples, size_t n_samples, Sink sink) noexcept;
  template <typename Sample>
  void append(const Sample* samples, size_t n_samples) noexcept;
  void drop_samples() noexcept;
  void run_frames(uint8_t* arena, int64_t count) noexcept;
  void score(uint8_t* arena, Sink sink) noexcept;

  const Model& model_;
  const size_t depth_;         // or BIFAST_AUTO
  Cascade cascade_;            // one level where the depth is fixed
  const int64_t hop_;          // samples from frame to frame
  const int64_t step_;         // frames from window to window
  const int64_t n_fft_, pad_;  // pad_: samples of the first frame before the first sample
  const int64_t window_;       // frames
  const size_t n_mels_;
  const int64_t group_;
  float gate_ = -1.0f;

  int64_t origin_ = 0;    // number of the first sample
  int64_t position_ = 0;  // samples since then
  int64_t skipped_ = 0;   // windows
  std::vector<int64_t> scored_;
  size_t score_depth_ = 0;
  int64_t done_ = 0;   // frames transformed
  int64_t quiet_ = 0;  // frames up to the last one without a sample above the gate
  bool ended_ = false;

  // samples_[i] is sample base_ + i of the audio that starts with pad_ reflected samples.
  std::vector<float> samples_;
  int64_t base_ = 0;
  size_t used_ = 0;
  // The last rows_ frames, [rows_][n_mels_].
  std::vector<float> frames_;
  size_t rows_ = 0;
  Trunk trunk_;
  int64_t trunk_done_ = -1;  // frames done when it ran last
  std::vector<float> logits_, reflection_;
};

}  // namespace bifast

#endif  // BIFAST_STREAM_H_
