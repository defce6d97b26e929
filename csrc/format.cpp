// Reader of the .bifast file. Every offset, count and size is checked before a byte behind it is
// used.
#include "format.h"

#include <algorithm>
#include <cfloat>
#include <cstring>
#include <set>

#include "align.h"
#include "byte_checks.h"
#include "error.h"

namespace bifast {
namespace {

constexpr uint8_t kMagic[8] = {0x89, 'B', 'I', 'F', 'A', 'S', 'T', '\n'};
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 64, kSectionBytes = 32, kFrontendBytes = 64;
constexpr size_t kWordBytes = 32, kLevelBytes = 16, kBufferBytes = 16, kTensorBytes = 32;
constexpr size_t kOpBytes = 128, kOpNameBytes = 32;
constexpr size_t kMaxFileBytes = size_t{256} << 20;
constexpr size_t kMaxCardBytes = size_t{1} << 20;
constexpr uint32_t kMaxRecords = 4096, kMaxDepths = 32, kMaxDimension = 65535;
constexpr double kMaxSeconds = 3600.0;

struct Section {
  uint32_t count;
  size_t offset, bytes;
};

class Reader {
 public:
  Reader(const uint8_t* bytes, size_t n_bytes) : bytes_(bytes), n_bytes_(n_bytes) {}

  ModelFile read() {
    read_header();
    read_section_table();
    ModelFile file;
    file.checksum = checksum_;
    if (sections_.contains("FRNT")) file.frontend = read_frontend();
    file.labels = read_names("LABL", kMaxRecords);
    file.depths = read_names("DPTH", kMaxDepths);
    if (sections_.contains("WORD")) read_words(file);
    if (sections_.contains("CASC")) read_cascade(file);
    read_buffers(file);
    read_tensors(file);
    read_ops(file);
    read_card(file);
    return file;
  }

 private:
  class Sections {
   public:
    bool contains(const char* kind) const { return find(kind) != nullptr; }
    const Section& at(const char* kind) const {
      const Section* s = find(kind);
      if (s == nullptr) fail_format(std::string("no ") + kind + " section");
      return *s;
    }
    void add(const std::string& kind, Section section) {
      if (std::find(std::begin(kKinds), std::end(kKinds), kind) == std::end(kKinds)) {
        fail_format("unknown section");
      }
      if (contains(kind.c_str())) fail_format("two " + kind + " sections");
      found_.emplace_back(kind, section);
    }

   private:
    static constexpr const char* kKinds[] = {"FRNT", "LABL", "DPTH", "WORD", "CASC",
                                             "BUFF", "TENS", "OPS ", "DATA", "META"};
    const Section* find(const char* kind) const {
      for (const auto& [name, section] : found_) {
        if (name == kind) return &section;
      }
      return nullptr;
    }
    std::vector<std::pair<std::string, Section>> found_;
  };

  void read_header() {
    if (n_bytes_ < sizeof(kMagic) || std::memcmp(bytes_, kMagic, sizeof(kMagic)) != 0) {
      fail_format("not a .bifast file (wrong magic)");
    }
    Fields f(bytes_, n_bytes_, "header");
    f.take_bytes(sizeof(kMagic));
    const uint32_t version = f.u32();
    if (version > kVersion) {
      throw Error(BIFAST_UNSUPPORTED, "file version " + std::to_string(version) +
                                          " is newer than this bifast reads (" +
                                          std::to_string(kVersion) + "); update bifast");
    }
    if (version != kVersion) fail_format("version: expected 1, got " + std::to_string(version));
    checksum_ = f.u32();
    const uint64_t file_bytes = f.take<uint64_t>();
    if (file_bytes != n_bytes_) {
      fail_format("the file says it has " + std::to_string(file_bytes) + " bytes, but it has " +
                  std::to_string(n_bytes_) + " (truncated?)");
    }
    if (n_bytes_ > kMaxFileBytes) fail_format("larger than 256 MiB");
    n_sections_ = f.u32();
    f.take_zeros(36);
    if (crc32(bytes_ + 16, n_bytes_ - 16) != checksum_)
      fail_format("checksum does not match (damaged)");
  }

  void read_section_table() {
    if (n_sections_ > 10) fail_format("more than 10 sections");
    Fields f(bytes_ + kHeaderBytes, n_bytes_ - kHeaderBytes, "section table");
    const size_t table_end = kHeaderBytes + n_sections_ * kSectionBytes;
    std::vector<Range> ranges;
    for (uint32_t i = 0; i < n_sections_; ++i) {
      const std::string kind(reinterpret_cast<const char*>(f.take_bytes(4)), 4);
      const uint32_t count = f.u32();
      const uint64_t offset = f.take<uint64_t>(), n_bytes = f.take<uint64_t>();
      f.take_zeros(8);
      if (offset % 64 != 0 || offset < table_end || offset > n_bytes_ ||
          n_bytes > n_bytes_ - offset) {
        fail_format("section " + std::to_string(i) + " lies outside the file or is not aligned");
      }
      sections_.add(kind, {count, offset, n_bytes});
      ranges.push_back({offset, offset + n_bytes});
    }
    check_ranges(bytes_, std::move(ranges), table_end, n_bytes_, "sections");
  }

  // A section of `count` records of fixed size.
  Fields records(const char* kind, size_t record_bytes, uint32_t least, uint32_t most) {
    const Section& s = sections_.at(kind);
    if (s.count < least || s.count > most || s.bytes != s.count * record_bytes) {
      fail_format(std::string(kind) + ": wrong count or size");
    }
    return Fields(bytes_ + s.offset, s.bytes, kind);
  }

  bifast_frontend_params read_frontend() {
    Fields f = records("FRNT", kFrontendBytes, 1, 1);
    bifast_frontend_params p{};
    p.sample_rate = f.u32();
    p.window_samples = f.u32();
    p.n_fft = f.u32();
    p.win_length = f.u32();
    p.hop = f.u32();
    p.n_mels = f.u32();
    p.center = f.u32();
    f.take_zeros(4);
    p.f_min = f.take<double>();
    p.f_max = f.take<double>();
    p.power_divisor = f.take<double>();
    p.floor = f.take<double>();
    return p;
  }

  std::vector<std::string> read_names(const char* kind, uint32_t most) {
    const Section& s = sections_.at(kind);
    if (s.count < 1 || s.count > most) fail_format(std::string(kind) + ": wrong count");
    const uint8_t* at = bytes_ + s.offset;
    const uint8_t* end = at + s.bytes;
    std::vector<std::string> names;
    std::set<std::string> unique;
    for (uint32_t i = 0; i < s.count; ++i) {
      const uint8_t* nul = std::find(at, end, uint8_t{0});
      if (nul == end) fail_format(std::string(kind) + ": a name does not end");
      if (!is_utf8(at, static_cast<size_t>(nul - at)))
        fail_format(std::string(kind) + ": not UTF-8");
      names.emplace_back(at, nul);
      if (names.back().empty() || !unique.insert(names.back()).second) {
        fail_format(std::string(kind) + ": an empty or repeated name");
      }
      at = nul + 1;
    }
    if (at != end) fail_format(std::string(kind) + ": bytes after the last name");
    return names;
  }

  void read_words(ModelFile& file) {
    const auto n = static_cast<uint32_t>(file.labels.size());
    Fields f = records("WORD", kWordBytes, n, n);
    for (const std::string& label : file.labels) {
      const bifast_word w{f.take<double>(), f.take<double>(), f.take<double>()};
      f.take_zeros(8);
      const auto seconds = [](double s) { return s >= 0.0 && s <= kMaxSeconds; };
      const bool none = w.threshold == 0.0 && w.smoothing == 0.0 && w.refractory == 0.0;
      const bool fits = w.threshold > 0.0 && w.threshold <= 1.0;
      if (!none && !(fits && seconds(w.smoothing) && seconds(w.refractory))) {
        fail_format("WORD: " + label + ": a setting out of range");
      }
      file.words.push_back(w);
    }
  }

  void read_cascade(ModelFile& file) {
    const auto n = static_cast<uint32_t>(file.depths.size());
    Fields f = records("CASC", kLevelBytes, n, n);
    for (uint32_t depth = 0; depth < n; ++depth) {
      const uint32_t used = f.u32();
      const LevelSpec level{used != 0, f.take<float>(), f.take<float>()};
      f.take_zeros(4);
      const bool zero = level.word == 0.0f && level.other == 0.0f;
      const bool margins = level.word >= 0.0f && level.word <= FLT_MAX && level.other >= 0.0f &&
                           level.other <= FLT_MAX;
      if (used > 1 || !margins || (!level.used && !zero) || (depth == 0 && !(level.used && zero))) {
        fail_format("CASC: " + file.depths[depth] + ": a margin that must not be");
      }
      file.cascade.push_back(level);
    }
  }

  void read_buffers(ModelFile& file) {
    Fields f = records("BUFF", kBufferBytes, 2, kMaxRecords);
    for (uint32_t i = 0; i < sections_.at("BUFF").count; ++i) {
      const uint32_t type = f.u32();
      const BufferSpec b{type == 1 || type == 2, type == 3, f.u32(), f.u32(), f.u32(),
                         type == 2 ? 2u : 1u};
      for (const uint32_t d : {b.height, b.width, b.channels}) {
        if (type > 3 || d < 1 || d > kMaxDimension) {
          fail_format("buffer " + std::to_string(i) + ": wrong type or dimension");
        }
      }
      file.buffers.push_back(b);
    }
  }

  void read_tensors(ModelFile& file) {
    const Section& data = sections_.at("DATA");
    if (data.count != 1) fail_format("DATA: wrong count");
    Fields f = records("TENS", kTensorBytes, 0, kMaxRecords);
    std::vector<Range> ranges;
    for (uint32_t i = 0; i < sections_.at("TENS").count; ++i) {
      const std::string what = "tensor " + std::to_string(i);
      const uint32_t dtype = f.u32();
      TensorSpec t{static_cast<Dtype>(dtype), f.u32(), f.u32(), nullptr};
      f.take_zeros(4);
      const uint64_t offset = f.take<uint64_t>(), n_bytes = f.take<uint64_t>();
      if (dtype > 5 || t.rows < 1 || t.cols < 1 || t.rows > kMaxFileBytes ||
          t.cols > kMaxFileBytes) {
        fail_format(what + ": wrong type or dimension");
      }
      if (offset % 8 != 0 || offset > data.bytes || n_bytes > data.bytes - offset ||
          n_bytes != t.rows * t.row_bytes()) {  // below 2^28 * 2^31: no overflow
        fail_format(what + ": lies outside DATA, is not aligned, or has the wrong size");
      }
      t.data = bytes_ + data.offset + offset;
      check_values(t, what);
      file.tensors.push_back(t);
      ranges.push_back({data.offset + offset, data.offset + offset + n_bytes});
    }
    check_ranges(bytes_, std::move(ranges), data.offset, data.offset + data.bytes, "tensors");
  }

  static void check_values(const TensorSpec& t, const std::string& what) {
    const size_t n = size_t{t.rows} * t.cols;
    if (t.dtype == Dtype::f32 || t.dtype == Dtype::f16) {
      const bool half = t.dtype == Dtype::f16;
      for (size_t i = 0; i < n; ++i) {
        uint32_t bits = 0;
        std::memcpy(&bits, t.data + i * (half ? 2 : 4), half ? 2 : 4);
        const uint32_t exponent = half ? 0x7C00u : 0x7F800000u;
        if ((bits & exponent) == exponent) fail_format(what + ": holds a value that is not finite");
      }
    }
    if (t.dtype == Dtype::bits && t.cols % 64 != 0) {
      for (size_t r = 0; r < t.rows; ++r) {
        uint64_t last;
        std::memcpy(&last, t.data + (r + 1) * t.row_bytes() - 8, 8);
        if (last >> (t.cols % 64) != 0) fail_format(what + ": padding bits are not zero");
      }
    }
  }

  void read_ops(ModelFile& file) {
    Fields f = records("OPS ", kOpBytes, 1, kMaxRecords);
    for (uint32_t i = 0; i < sections_.at("OPS ").count; ++i) {
      OpSpec op;
      const char* name = reinterpret_cast<const char*>(f.take_bytes(kOpNameBytes));
      const char* nul = std::find(name, name + kOpNameBytes, '\0');
      const auto printable = [](char c) { return c >= 0x20 && c < 0x7F; };
      const auto is_nul = [](char c) { return c == '\0'; };
      if (nul == name || nul == name + kOpNameBytes || !std::all_of(name, nul, printable) ||
          !std::all_of(nul, name + kOpNameBytes, is_nul)) {
        fail_format("operation " + std::to_string(i) + ": bad name");
      }
      op.name.assign(name, nul);
      op.code = f.u32();
      op.depth_mask = f.u32();
      for (uint32_t* field : {&op.input, &op.residual, &op.out_f32, &op.out_bits}) *field = f.u32();
      for (auto* pair : {&op.kernel, &op.stride, &op.pad, &op.dilation}) *pair = {f.u32(), f.u32()};
      for (uint32_t* field :
           {&op.weights, &op.scale, &op.shift, &op.slope, &op.threshold, &op.flip}) {
        *field = f.u32();
      }
      op.plane_scale = f.take<float>();
      op.fill = f.u32();
      f.take_zeros(8);
      check_references(file, op);
      file.ops.push_back(std::move(op));
    }
  }

  static void check_references(const ModelFile& file, const OpSpec& op) {
    const uint64_t all_depths = (uint64_t{1} << file.depths.size()) - 1;
    if (op.depth_mask == 0 || (op.depth_mask & ~all_depths) != 0) {
      fail_format(op.name + ": bad depth mask");
    }
    for (const uint32_t id : {op.input, op.residual, op.out_f32, op.out_bits}) {
      if (id != kNone && id >= file.buffers.size()) fail_format(op.name + ": no such buffer");
    }
    for (const uint32_t id : {op.weights, op.scale, op.shift, op.slope, op.threshold, op.flip}) {
      if (id != kNone && id >= file.tensors.size()) fail_format(op.name + ": no such tensor");
    }
  }

  void read_card(ModelFile& file) {
    const Section& s = sections_.at("META");
    if (s.count != 1 || s.bytes > kMaxCardBytes) fail_format("META: wrong count or size");
    const uint8_t* at = bytes_ + s.offset;
    if (!is_utf8(at, s.bytes) || std::find(at, at + s.bytes, uint8_t{0}) != at + s.bytes) {
      fail_format("META: not UTF-8 text");
    }
    file.card.assign(at, at + s.bytes);
  }

  const uint8_t* bytes_;
  size_t n_bytes_;
  uint32_t n_sections_ = 0, checksum_ = 0;
  Sections sections_;
};

}  // namespace

size_t BufferSpec::row_bytes() const {
  if (is_bytes) return channels;
  if (!is_bits) return channels * sizeof(float);
  const size_t bytes = (size_t{channels} + 7) / 8;
  for (const size_t small : {1, 2, 4, 8}) {
    if (bytes <= small) return small;
  }
  return round_up(bytes, 16);
}

size_t TensorSpec::row_bytes() const {
  switch (dtype) {
    case Dtype::f16:
    case Dtype::i16:
      return size_t{cols} * 2;
    case Dtype::i8:
      return cols;
    case Dtype::bits:
      return (size_t{cols} + 63) / 64 * 8;
    default:
      return size_t{cols} * 4;
  }
}

ModelFile read_model_file(const uint8_t* bytes, size_t n_bytes) {
  return Reader(bytes, n_bytes).read();
}

}  // namespace bifast
