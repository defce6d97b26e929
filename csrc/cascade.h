// Which depths score a window: from the shallowest on until one is sure (docs/format.md, CASC).
#ifndef BIFAST_CASCADE_H_
#define BIFAST_CASCADE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bifast {

class Cascade {
 public:
  struct Level {
    size_t depth;
    float word, other;  // how far the best label must lead: where it is a word, where it is none
  };

  // levels: shallowest first, not empty; the last is always sure. is_word: for each label.
  Cascade(std::vector<Level> levels, std::vector<uint8_t> is_word)
      : levels_(std::move(levels)), is_word_(std::move(is_word)) {}

  const std::vector<Level>& levels() const { return levels_; }
  const std::vector<uint8_t>& words() const { return is_word_; }
  void set_words(std::vector<uint8_t> is_word) { is_word_ = std::move(is_word); }

  // logits: one for each label, finite.
  bool is_sure(const Level& level, const float* logits) const noexcept;

 private:
  std::vector<Level> levels_;
  std::vector<uint8_t> is_word_;
};

}  // namespace bifast

#endif  // BIFAST_CASCADE_H_
