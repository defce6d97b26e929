// The decision between two depths of a cascade.
#include "cascade.h"

#include <algorithm>

namespace bifast {

bool Cascade::is_sure(const Level& level, const float* logits) const noexcept {
  const size_t n = is_word_.size();
  const auto best = static_cast<size_t>(std::max_element(logits, logits + n) - logits);
  const bool word = is_word_[best] != 0;
  const float margin = word ? level.word : level.other;
  // A lead over every rival is a lead over the strongest: differences round monotonically.
  for (size_t i = 0; i < n; ++i) {
    const bool rival = i != best && (word || is_word_[i] != 0);
    if (rival && !(logits[best] - logits[i] >= margin)) return false;
  }
  return true;
}

}  // namespace bifast
