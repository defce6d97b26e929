// The state of a stream as bytes, and back: the same on every instruction set.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>

#include "byte_checks.h"
#include "error.h"
#include "frontend/frontend.h"
#include "stream.h"

namespace bifast {
namespace {

constexpr char kMagic[8] = {'B', 'F', 'S', 'T', 'R', 'E', 'A', 'M'};
constexpr uint32_t kVersion = 2;

}  // namespace

struct Stream::Header {
  char magic[8];
  uint32_t version, checksum;  // of all that follows
  uint32_t model, depth;
  int64_t hop_frames;
  float gate;
  uint32_t quiet, words, score_depth;
  int64_t origin, position, skipped;
};

size_t Stream::snapshot_bytes(int64_t position) const {
  static_assert(sizeof(Header) == 72);  // no padding: all of it is bytes of the snapshot
  const int64_t samples = position + pad_ - first_kept(position);
  const int64_t rows = std::min(done_frames(position), window_);
  return sizeof(Header) + scored_.size() * sizeof(int64_t) +
         (static_cast<size_t>(samples) + static_cast<size_t>(rows) * n_mels_) * sizeof(float);
}

void Stream::snapshot(uint8_t* bytes) const {
  expect_open();
  Header h{{},
           kVersion,
           0,
           model_.checksum(),
           static_cast<uint32_t>(depth_),
           step_,
           gate_,
           static_cast<uint32_t>(quiet_),
           crc32(cascade_.words().data(), cascade_.words().size()),
           static_cast<uint32_t>(score_depth_),
           origin_,
           position_,
           skipped_};
  std::memcpy(h.magic, kMagic, sizeof(kMagic));
  const auto skipped = static_cast<size_t>(first_kept(position_) - base_);
  const size_t rows = std::min(rows_, static_cast<size_t>(window_));
  uint8_t* at = bytes + sizeof(h);
  std::memcpy(at, scored_.data(), scored_.size() * sizeof(int64_t));
  at += scored_.size() * sizeof(int64_t);
  std::memcpy(at, samples_.data() + skipped, (used_ - skipped) * sizeof(float));
  at += (used_ - skipped) * sizeof(float);
  std::memcpy(at, frames_.data() + (rows_ - rows) * n_mels_, rows * n_mels_ * sizeof(float));
  std::memcpy(bytes, &h, sizeof(h));
  const size_t covered = offsetof(Header, model);
  h.checksum = crc32(bytes + covered, snapshot_bytes() - covered);
  std::memcpy(bytes, &h, sizeof(h));
}

void Stream::check_same_settings(const Header& theirs) const {
  const auto expect = [](bool same, const char* what) {
    if (!same) fail_argument(std::string("snapshot: of a stream with another ") + what);
  };
  expect(theirs.model == model_.checksum(), "model");
  expect(theirs.depth == static_cast<uint32_t>(depth_), "depth");
  expect(theirs.words == crc32(cascade_.words().data(), cascade_.words().size()), "words");
  expect(theirs.hop_frames == step_, "hop");
  expect(theirs.gate == gate_, "gate");
}

void Stream::restore(const uint8_t* bytes, size_t n_bytes) {
  const auto check = [](bool ok) {
    if (!ok) fail_format("snapshot: not the bytes of a stream, or damaged");
  };
  Header h;
  check(n_bytes >= sizeof(h));
  std::memcpy(&h, bytes, sizeof(h));
  check(std::memcmp(h.magic, kMagic, sizeof(kMagic)) == 0);
  if (h.version != kVersion) {
    throw Error(BIFAST_UNSUPPORTED, "snapshot: expected version " + std::to_string(kVersion) +
                                        ", got " + std::to_string(h.version));
  }
  const size_t covered = offsetof(Header, model);
  check(h.checksum == crc32(bytes + covered, n_bytes - covered));
  check_same_settings(h);
  check(h.origin >= 0 && h.origin <= kMaxPosition);
  check(h.position >= 0 && h.position <= kMaxPosition);
  check(h.skipped >= 0 && h.skipped <= h.position && h.quiet <= window_);
  check(h.score_depth < scored_.size());
  check(n_bytes == snapshot_bytes(h.position));
  const uint8_t* at = bytes + sizeof(h);
  for (size_t i = 0; i < scored_.size(); ++i, at += sizeof(int64_t)) {
    int64_t n;
    std::memcpy(&n, at, sizeof(n));
    check(n >= 0 && n <= h.position);
  }
  const auto n_samples = static_cast<size_t>(h.position + pad_ - first_kept(h.position));
  const size_t n_floats = static_cast<size_t>(bytes + n_bytes - at) / sizeof(float);
  for (size_t i = 0; i < n_floats; ++i) {
    float value;
    std::memcpy(&value, at + i * sizeof(float), sizeof(float));
    check(i < n_samples ? std::fabs(value) <= kLargestSample : std::isfinite(value));
  }
  std::memcpy(scored_.data(), bytes + sizeof(h), scored_.size() * sizeof(int64_t));
  score_depth_ = h.score_depth;
  trunk_done_ = -1;
  origin_ = h.origin;
  position_ = h.position;
  skipped_ = h.skipped;
  quiet_ = h.quiet;
  ended_ = false;
  done_ = done_frames(position_);
  base_ = first_kept(position_);
  used_ = static_cast<size_t>(position_ + pad_ - base_);
  rows_ = static_cast<size_t>(std::min(done_, window_));
  std::memcpy(samples_.data(), at, used_ * sizeof(float));
  std::memcpy(frames_.data(), at + used_ * sizeof(float), rows_ * n_mels_ * sizeof(float));
}

}  // namespace bifast
