// Mutates model files and loads them; what loads runs once at every depth. Build it with the
// sanitizers.
//
//     fuzz_load EXAMPLES SECONDS FILE...       FILE: .bifast, or a golden file (its model is taken)
//
// The same numbers give the same mutations. It stops after SECONDS (0: never), and fails when one
// example takes longer than kSlowSeconds: reading is bounded by the file, building and running by
// the format's limits.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "bifast.h"
#include "golden.h"

namespace {

using golden::Bytes;
using golden::value_at;
using Clock = std::chrono::steady_clock;

constexpr double kSlowSeconds = 60.0;
// Multiply-adds that are run under sanitizers; the format allows 2^34.
constexpr double kMaxWorkToRun = 1 << 24;
constexpr size_t kHeaderBytes = 64, kEntryBytes = 32;

// xorshift64*, so that every platform draws the same.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1Du;
  }
  size_t below(size_t n) { return n == 0 ? 0 : static_cast<size_t>((next() >> 16) % n); }

 private:
  uint64_t state_;
};

struct Region {
  size_t start, stop;
};

// Header, section table and sections: small ones are hit as often as large ones.
std::vector<Region> regions_of(const Bytes& file) {
  const size_t count = value_at<uint32_t>(&file[24]);
  std::vector<Region> regions{{0, kHeaderBytes},
                              {kHeaderBytes, kHeaderBytes + count * kEntryBytes}};
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* entry = &file[kHeaderBytes + i * kEntryBytes];
    const size_t offset = value_at<uint64_t>(entry + 8), size = value_at<uint64_t>(entry + 16);
    if (size != 0) regions.push_back({offset, offset + size});
  }
  return regions;
}

uint64_t interesting(Random& random) {
  static const uint64_t values[] = {0,
                                    1,
                                    2,
                                    3,
                                    4,
                                    8,
                                    15,
                                    16,
                                    17,
                                    63,
                                    64,
                                    65,
                                    127,
                                    128,
                                    254,
                                    255,
                                    256,
                                    4095,
                                    4096,
                                    4097,
                                    65534,
                                    65535,
                                    65536,
                                    1u << 20,
                                    1u << 28,
                                    0x7FFFFFFF,
                                    0x80000000,
                                    0xFFFFFFFE,
                                    0xFFFFFFFF,
                                    uint64_t{1} << 32,
                                    uint64_t{1} << 34,
                                    uint64_t{1} << 63,
                                    ~uint64_t{0},
                                    ~uint64_t{0} - 63,
                                    0x7FF0000000000000,
                                    0x3FF0000000000000,
                                    0x7FC00000};
  return values[random.below(std::size(values))];
}

void write(Bytes& file, size_t at, const void* from, size_t n_bytes) {
  if (at >= file.size()) return;
  std::memcpy(&file[at], from, std::min(n_bytes, file.size() - at));
}

void add(Bytes& file, size_t at, int delta) {
  if (at + 4 > file.size()) return;
  const uint32_t value = value_at<uint32_t>(&file[at]) + static_cast<uint32_t>(delta);
  write(file, at, &value, 4);
}

void swap_entries(Bytes& file, Random& random) {
  const size_t a = kHeaderBytes + kEntryBytes * random.below(8);
  const size_t b = kHeaderBytes + kEntryBytes * random.below(8);
  if (std::max(a, b) + kEntryBytes > file.size()) return;
  static const Region parts[] = {{0, 4}, {4, 8}, {8, 16}, {16, 24}, {8, 24}, {0, 32}};
  const Region part = parts[random.below(std::size(parts))];
  std::swap_ranges(file.begin() + static_cast<ptrdiff_t>(a + part.start),
                   file.begin() + static_cast<ptrdiff_t>(a + part.stop),
                   file.begin() + static_cast<ptrdiff_t>(b + part.start));
}

void resize(Bytes& file, Random& random) {
  file.resize(random.below(file.size() + 200), 0);
  if (random.below(2) == 0 || file.size() < 24) return;
  const uint64_t size = file.size();
  write(file, 16, &size, 8);
}

// `source` is the whole file's regions: positions stay meaningful after a resize.
void edit(Bytes& file, const std::vector<Region>& source, Random& random) {
  const auto position = [&](size_t align) {
    const Region r = source[random.below(source.size())];
    return (r.start + random.below(r.stop - r.start)) / align * align;
  };
  const uint64_t value = interesting(random);
  const uint32_t small = static_cast<uint32_t>(random.below(300));
  static const int deltas[] = {-2, -1, 1, 2, 8, 64};
  switch (random.below(8)) {
    case 0: {
      const size_t at = position(1);
      if (at < file.size()) file[at] ^= static_cast<uint8_t>(1u << random.below(8));
      break;
    }
    case 1:
      write(file, position(4), &value, 4);
      break;
    case 2:
      write(file, position(8), &value, 8);
      break;
    case 3:
      write(file, position(4), &small, 4);
      break;
    case 4:
      add(file, position(4), deltas[random.below(std::size(deltas))]);
      break;
    case 5: {
      const size_t from = position(4), n = size_t{4} << random.below(6);
      if (from + n > file.size()) break;
      const Bytes piece(file.begin() + static_cast<ptrdiff_t>(from),
                        file.begin() + static_cast<ptrdiff_t>(from + n));
      write(file, position(4), piece.data(), n);
      break;
    }
    case 6:
      resize(file, random);
      break;
    default:
      swap_entries(file, random);
      break;
  }
}

Bytes mutate(const Bytes& original, const std::vector<Region>& regions, Random& random) {
  Bytes file = original;
  for (size_t n = 1 + random.below(4); n > 0; --n) edit(file, regions, random);
  // One in eight keeps its wrong checksum.
  if (file.size() >= 16 && random.below(8) != 0) {
    const uint32_t crc = golden::crc32(file.data() + 16, file.size() - 16);
    write(file, 12, &crc, 4);
  }
  return file;
}

// Multiply-adds of all layers of a file that the loader took, from its own records.
double work_of(const Bytes& file) {
  size_t ops = 0, n_ops = 0, buffers = 0;
  for (size_t i = 0; i < value_at<uint32_t>(&file[24]); ++i) {
    const uint8_t* entry = &file[kHeaderBytes + i * kEntryBytes];
    if (std::memcmp(entry, "OPS ", 4) == 0) {
      n_ops = value_at<uint32_t>(entry + 4);
      ops = value_at<uint64_t>(entry + 8);
    }
    if (std::memcmp(entry, "BUFF", 4) == 0) buffers = value_at<uint64_t>(entry + 8);
  }
  const auto size_of = [&](uint32_t id, int first, int last) {
    double product = 1.0;
    for (int i = first; i <= last; ++i) {
      product *= value_at<uint32_t>(&file[buffers + 16 * id + 4 * static_cast<size_t>(i)]);
    }
    return product;
  };
  double work = 0.0;
  for (size_t i = 0; i < n_ops; ++i) {
    const uint8_t* op = &file[ops + 128 * i];
    const auto u32 = [&](size_t at) { return value_at<uint32_t>(op + at); };
    const uint32_t out = u32(48) != 0xFFFFFFFFu ? u32(48) : u32(52);
    const double taps = std::max(1.0, static_cast<double>(u32(56)) * u32(60));
    const double c_in = u32(32) == 3 ? 1.0 : size_of(u32(40), 3, 3);
    work += std::max(size_of(out, 1, 3) * taps * c_in, size_of(u32(40), 1, 3));
  }
  return work;
}

struct FreeStream {
  void operator()(bifast_stream* p) const { bifast_stream_free(p); }
};
using StreamHandle = std::unique_ptr<bifast_stream, FreeStream>;

StreamHandle new_stream(const bifast_model* model, size_t depth) {
  bifast_stream* stream = nullptr;
  bifast_stream_new(model, depth, 1, &stream);
  return StreamHandle(stream);
}

void add_scores(void* user, int64_t, const float* logits, size_t n_classes) {
  auto* scores = static_cast<std::vector<float>*>(user);
  scores->insert(scores->end(), logits, logits + n_classes);
}

// Windows a frame apart: a stream that keeps rows of the trunk gives what one gives that must
// compute them all, since it was restored from a snapshot.
bool streams_agree(const bifast_model* model, bifast_session* session, size_t depth,
                   Random& random) {
  const StreamHandle keeps = new_stream(model, depth), forgets = new_stream(model, depth);
  if (!keeps || !forgets) return true;  // out of memory
  std::vector<float> kept, computed;
  bool ok = true;
  for (const size_t n :
       {bifast_window_samples(model), bifast_hop_samples(model) + 1, bifast_hop_samples(model)}) {
    std::vector<int16_t> sound(n);
    for (int16_t& x : sound) x = static_cast<int16_t>(random.next() >> 48);
    ok = ok && bifast_stream_push_i16(keeps.get(), session, sound.data(), n, add_scores, &kept) ==
                   BIFAST_OK;
    ok = ok && bifast_stream_push_i16(forgets.get(), session, sound.data(), n, add_scores,
                                      &computed) == BIFAST_OK;
    std::vector<uint8_t> state(bifast_stream_snapshot_bytes(forgets.get()));
    ok = ok && bifast_stream_snapshot(forgets.get(), state.data(), state.size()) == BIFAST_OK &&
         bifast_stream_restore(forgets.get(), state.data(), state.size()) == BIFAST_OK;
  }
  return ok && kept.size() == computed.size() &&
         std::memcmp(kept.data(), computed.data(), kept.size() * sizeof(float)) == 0;
}

enum class Outcome { refused, loaded, ran, wrong };

// What loads must run without an error at every depth on any features, and on sound if it takes
// sound.
Outcome run(const bifast_model* model, Random& random) {
  bifast_session* session = nullptr;
  if (bifast_session_new(model, &session) != BIFAST_OK) return Outcome::loaded;  // out of memory
  size_t shape[3];
  bifast_input_shape(model, shape);
  std::vector<float> features(shape[0] * shape[1] * shape[2]), logits(bifast_n_classes(model));
  for (float& f : features)
    f = bifast_takes_bytes(model)
            ? static_cast<float>(random.below(256))
            : static_cast<float>(static_cast<int>(random.below(2001)) - 1000) / 100.0f;
  bool ok = true;
  for (size_t depth = 0; depth < bifast_n_depths(model); ++depth) {
    ok = ok && bifast_run_features(session, depth, features.data(), features.size(), logits.data(),
                                   logits.size()) == BIFAST_OK;
  }
  const size_t window = bifast_window_samples(model);
  if (window != 0 && window < 100000 && features.size() < 100000) {
    const std::vector<int16_t> sound(std::min<size_t>(window, 777), 1234);
    ok = ok && bifast_run_i16(session, 0, sound.data(), sound.size(), logits.data(),
                              logits.size()) == BIFAST_OK;
    const size_t depth = bifast_has_cascade(model) ? BIFAST_AUTO : bifast_n_depths(model) - 1;
    if (bifast_hop_samples(model) <= window) {
      ok = ok && streams_agree(model, session, depth, random);
    }
  }
  bifast_session_free(session);
  return ok ? Outcome::ran : Outcome::wrong;
}

Outcome try_file(const Bytes& file, const char* isa, Random& random) {
  // A block of its own, so that the sanitizer sees a read past the end; not null for an empty file.
  const auto exact = std::make_unique<uint8_t[]>(file.size());
  std::copy(file.begin(), file.end(), exact.get());
  bifast_model* model = nullptr;
  const bifast_status status = bifast_load_memory(exact.get(), file.size(), isa, &model);
  if (status == BIFAST_OK) {
    const Outcome outcome = work_of(file) <= kMaxWorkToRun ? run(model, random) : Outcome::loaded;
    bifast_free(model);
    return outcome;
  }
  const bool typed = status == BIFAST_BAD_FORMAT || status == BIFAST_UNSUPPORTED;
  return typed && bifast_last_error()[0] != '\0' ? Outcome::refused : Outcome::wrong;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: fuzz_load EXAMPLES SECONDS FILE...\n");
    return 2;
  }
  const size_t examples = std::strtoull(argv[1], nullptr, 10);
  const double budget = std::strtod(argv[2], nullptr);
  std::vector<Bytes> originals;
  std::vector<std::vector<Region>> regions;
  for (int i = 3; i < argc; ++i) {
    const Bytes bytes = golden::read_file(argv[i]);
    originals.push_back(golden::is_golden(bytes) ? golden::parse(bytes).model : bytes);
    regions.push_back(regions_of(originals.back()));
  }
  size_t n_isas = 0;
  while (bifast_isa(n_isas) != nullptr) ++n_isas;

  size_t done = 0, tally[4] = {};
  double slowest = 0.0;
  const auto start = Clock::now();
  const auto seconds_since = [](Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
  };
  for (; done < examples && (budget == 0.0 || seconds_since(start) < budget); ++done) {
    Random random(done);
    const size_t which = done % originals.size();
    const Bytes file = mutate(originals[which], regions[which], random);
    const auto begin = Clock::now();
    const Outcome outcome = try_file(file, bifast_isa(random.below(n_isas)), random);
    const double seconds = seconds_since(begin);
    slowest = std::max(slowest, seconds);
    ++tally[static_cast<size_t>(outcome)];
    if (outcome == Outcome::wrong || seconds > kSlowSeconds) {
      std::printf("example %zu of %s: %s\n", done, argv[3 + which],
                  seconds > kSlowSeconds ? "takes too long" : bifast_last_error());
      std::printf("%zu passed, 1 failed\n", done);
      return 1;
    }
  }
  std::printf("%zu refused, %zu loaded, %zu loaded and run; slowest %.2f s\n%zu passed, 0 failed\n",
              tally[0], tally[1], tally[2], slowest, done);
  return 0;
}
