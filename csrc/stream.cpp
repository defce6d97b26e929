// Audio into a buffer of samples, from there frames into a buffer of frames, from there windows to
// scores.
//
// Positions count the samples pushed. Frame k covers the samples [k * hop, k * hop + n_fft) of the
// audio with pad_ reflected samples in front; so do base_ and samples_.
#include "stream.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "error.h"

namespace bifast {
namespace {

// A multiple of the frames that any kernel transforms at once. The same on every instruction set,
// so that a snapshot fits all.
constexpr int64_t kGroup = 8;
constexpr int64_t kMaxStep = int64_t{1} << 40;

const Frontend& frontend_of(const Model& model) {
  if (!model.frontend()) fail_argument("this model has no front-end: it takes no audio");
  return *model.frontend();
}

int64_t checked_step(const Frontend& frontend, size_t hop_frames) {
  const int64_t limit = std::max<int64_t>(1, kMaxStep / frontend.params().hop);
  if (hop_frames < 1 || hop_frames > static_cast<size_t>(limit)) {
    fail_argument("hop_frames: expected 1 .. " + std::to_string(limit) + ", got " +
                  std::to_string(hop_frames));
  }
  return static_cast<int64_t>(hop_frames);
}

Cascade levels_of(const Model& model, size_t depth) {
  if (depth != BIFAST_AUTO) {
    return {{{depth, 0.0f, 0.0f}}, std::vector<uint8_t>(model.labels().size(), 1)};
  }
  if (!model.cascade()) {
    fail_argument("depth auto: this model has no cascade; `bifast tune` gives it one");
  }
  return *model.cascade();
}

// Magnitudes order like their bits: no branch for each sample, so it vectorises.
bool any_louder(const float* x, int64_t n, float peak) {
  const auto limit = std::bit_cast<uint32_t>(peak);
  uint32_t over = 0;
  for (int64_t i = 0; i < n; ++i) over |= limit - (std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFu);
  return over >> 31 != 0;
}

}  // namespace

Stream::Stream(const Model& model, size_t depth, size_t hop_frames)
    : model_(model),
      depth_(depth),
      cascade_(levels_of(model, depth)),
      hop_(frontend_of(model).params().hop),
      step_(checked_step(*model.frontend(), hop_frames)),
      n_fft_(model.frontend()->params().n_fft),
      pad_(model.frontend()->params().center != 0 ? n_fft_ / 2 : 0),
      window_(model.input().height),
      n_mels_(model.input().width),
      group_(hop_ <= n_fft_ ? kGroup : 1),
      scored_(model.depths().size()),
      trunk_(model, step_, cascade_.levels().size() > 1) {
  // The samples of a group, and room to move them seldom.
  samples_.resize(static_cast<size_t>((group_ - 1) * std::min(hop_, n_fft_) + 2 * n_fft_));
  frames_.resize(static_cast<size_t>(2 * window_ + group_) * n_mels_);
  logits_.resize(model.labels().size());
  reflection_.resize(static_cast<size_t>(pad_));
  reset(0);
}

void Stream::reset(int64_t origin) {
  if (origin < 0 || origin > kMaxPosition) {
    fail_argument("origin: expected 0 .. 2^60, got " + std::to_string(origin));
  }
  origin_ = origin;
  position_ = skipped_ = done_ = quiet_ = base_ = 0;
  std::fill(scored_.begin(), scored_.end(), 0);
  score_depth_ = 0;
  trunk_done_ = -1;
  ended_ = false;
  rows_ = 0;
  used_ = static_cast<size_t>(pad_);
  std::fill_n(samples_.begin(), used_, 0.0f);  // until they can be reflected
}

void Stream::set_gate(float peak) {
  gate_ = peak + 0.0f;  // no -0: magnitudes are compared by their bits
  quiet_ = 0;           // what was below another gate need not be below this one
}

double Stream::cost() const {
  const auto trunk = static_cast<double>(trunk_.work());
  double window = trunk, spent = 0.0, windows = 0.0;
  for (const Cascade::Level& level : cascade_.levels()) {  // each after those before it
    const auto count = static_cast<double>(scored_[level.depth]);
    window += static_cast<double>(model_.own_work(level.depth));
    spent += count * window;
    windows += count;
  }
  return windows > 0.0 ? spent / (windows * (trunk + static_cast<double>(model_.own_work(0))))
                       : 0.0;
}

void Stream::expect_open() const {
  if (ended_) fail_argument("the stream has ended: reset it to begin anew");
}

// ---- what follows from a position alone
// ----------------------------------------------------------

int64_t Stream::ready_frames(int64_t position) const {
  const int64_t n = position + pad_;
  // The first frame also waits for the samples that are reflected in front of it.
  if (n < n_fft_ || (pad_ > 0 && position <= pad_)) return 0;
  return (n - n_fft_) / hop_ + 1;
}

int64_t Stream::needed_position(int64_t frames) const {
  return std::max((frames - 1) * hop_ + n_fft_ - pad_, pad_ > 0 ? pad_ + 1 : 0);
}

int64_t Stream::windows(int64_t frames) const {
  return frames < window_ ? 0 : (frames - window_) / step_ + 1;
}

// Frames at which the next window after `frames` is whole.
int64_t Stream::next_window_end(int64_t frames) const { return window_ + windows(frames) * step_; }

int64_t Stream::done_frames(int64_t position) const {
  const int64_t ready = ready_frames(position);
  const int64_t scored = ready < window_ ? 0 : next_window_end(ready) - step_;
  return scored + (ready - scored) / group_ * group_;
}

// The samples of frames to come, and those that the end would reflect.
int64_t Stream::first_kept(int64_t position) const {
  const int64_t tail = pad_ > 0 ? position - 1 : position;
  return std::max<int64_t>(0, std::min(done_frames(position) * hop_, tail));
}

int64_t Stream::padded_samples() const {
  return std::max<int64_t>(position_, model_.frontend()->params().window_samples);
}

size_t Stream::n_scores(size_t n_samples) const {
  if (ended_) return 0;
  const int64_t left = kMaxPosition - position_;
  const int64_t n = static_cast<int64_t>(std::min(n_samples, static_cast<size_t>(left)));
  return static_cast<size_t>(windows(ready_frames(position_ + n)) -
                             windows(ready_frames(position_)));
}

size_t Stream::n_flush_scores() const {
  if (ended_ || position_ == 0) return 0;
  const auto total =
      static_cast<int64_t>(model_.frontend()->n_frames(static_cast<size_t>(position_)));
  const int64_t last = (total - window_) % step_ == 0 ? 0 : 1;
  return static_cast<size_t>(windows(total) - windows(ready_frames(position_)) + last);
}

// ---- audio to scores
// -----------------------------------------------------------------------------

template <typename Sample>
void Stream::check(const Sample* samples, size_t n_samples) const {
  expect_open();
  if (n_samples > static_cast<size_t>(kMaxPosition - position_)) {
    fail_argument("n_samples: the stream would grow past 2^60 samples");
  }
  check_samples(samples, n_samples);
}

template <typename Sample>
void Stream::push(uint8_t* arena, const Sample* samples, size_t n_samples, Sink sink) {
  check(samples, n_samples);
  feed(arena, samples, n_samples, sink);
}

template <typename Sample>
void Stream::feed(uint8_t* arena, const Sample* samples, size_t n_samples, Sink sink) noexcept {
  for (;;) {
    const int64_t window_end = next_window_end(done_);
    const int64_t target = std::min(done_ + group_, window_end);
    const int64_t missing = needed_position(target) - position_;
    const size_t taken = std::min(n_samples, static_cast<size_t>(missing));
    append(samples, taken);
    samples += taken;
    n_samples -= taken;
    if (static_cast<int64_t>(taken) < missing) return;
    run_frames(arena, target - done_);
    if (target == window_end) score(arena, sink);
  }
}

template <typename Sample>
void Stream::append(const Sample* samples, size_t n_samples) noexcept {
  while (n_samples > 0) {
    if (used_ == samples_.size()) drop_samples();
    const size_t n = std::min(n_samples, samples_.size() - used_);
    std::transform(samples, samples + n, samples_.data() + used_,
                   [](Sample sample) { return to_float(sample); });
    samples += n;
    n_samples -= n;
    used_ += n;
    position_ += static_cast<int64_t>(n);
  }
}

void Stream::drop_samples() noexcept {
  const int64_t first = first_kept(position_);
  const auto dropped = static_cast<size_t>(first - base_);
  used_ -= dropped;
  base_ = first;
  std::memmove(samples_.data(), samples_.data() + dropped, used_ * sizeof(float));
}

void Stream::run_frames(uint8_t* arena, int64_t count) noexcept {
  if (done_ == 0) {
    float* x = samples_.data();
    for (int64_t i = 0; i < pad_; ++i) x[i] = x[2 * pad_ - i];
  }
  const auto rows = static_cast<size_t>(count);
  if ((rows_ + rows) * n_mels_ > frames_.size()) {
    const size_t kept = std::min(rows_, static_cast<size_t>(window_));
    std::memmove(frames_.data(), frames_.data() + (rows_ - kept) * n_mels_,
                 kept * n_mels_ * sizeof(float));
    rows_ = kept;
  }
  const float* first = samples_.data() + (done_ * hop_ - base_);
  model_.run_frames(arena, first, rows, frames_.data() + rows_ * n_mels_);
  for (int64_t i = 0; i < count; ++i) {
    const bool loud = gate_ < 0.0f || any_louder(first + i * hop_, n_fft_, gate_);
    quiet_ = loud ? 0 : std::min(quiet_ + 1, window_);
  }
  rows_ += rows;
  done_ += count;
}

// The window that ends with the last frame.
void Stream::score(uint8_t* arena, Sink sink) noexcept {
  if (quiet_ == window_) {
    ++skipped_;
    return;
  }
  const float* features = frames_.data() + (rows_ - static_cast<size_t>(window_)) * n_mels_;
  trunk_.run(arena, features, trunk_done_ == done_ - step_);
  trunk_done_ = done_;
  const auto& levels = cascade_.levels();
  for (size_t i = 0; i < levels.size(); ++i) {
    score_depth_ = levels[i].depth;
    trunk_.finish(arena, score_depth_, i > 0, logits_.data());
    if (cascade_.is_sure(levels[i], logits_.data())) break;
  }
  ++scored_[score_depth_];
  sink.on_score(sink.user, origin_ + (done_ - window_) * hop_, logits_.data(), logits_.size());
}

// As Frontend::run ends audio: zeros up to a window, reflection, a last window at the last frame.
void Stream::flush(uint8_t* arena, Sink sink) {
  expect_open();
  ended_ = true;
  if (position_ == 0) return;
  const int64_t pushed = position_;
  constexpr float kZeros[256] = {};
  for (int64_t left = padded_samples() - position_; left > 0;) {
    const int64_t n = std::min<int64_t>(left, std::size(kZeros));
    feed(arena, kZeros, static_cast<size_t>(n), sink);
    left -= n;
  }
  const float* end = samples_.data() + used_;
  std::reverse_copy(end - 1 - pad_, end - 1, reflection_.begin());
  feed(arena, reflection_.data(), reflection_.size(), sink);
  const int64_t left = ready_frames(position_) - done_;
  const bool scored = left == 0 && next_window_end(done_) - step_ == done_;
  if (left > 0) run_frames(arena, left);
  if (!scored) score(arena, sink);
  position_ = pushed;
}

template void Stream::check(const float*, size_t) const;
template void Stream::check(const int16_t*, size_t) const;
template void Stream::push(uint8_t*, const float*, size_t, Sink);
template void Stream::push(uint8_t*, const int16_t*, size_t, Sink);

}  // namespace bifast
