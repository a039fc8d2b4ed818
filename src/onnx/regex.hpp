// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gregale::onnx {

/// A regular expression that texts are held against as a whole. Patterns and texts come from files: matching follows
/// all alternatives at once (Thompson, "Regular expression search algorithm", 1968), so that it takes time proportional
/// to text times pattern, whatever they are. Over code points of UTF-8.
///
/// Literals, `.`, classes ([a-z], [^a-z], [[:alpha:]], \d \w \s and their opposites), groups, `|`, `* + ? {m,n}` (lazy
/// or not: what matches as a whole is the same), `^` and `$`, \b and \B, escapes (\n \t \r \f \v \xHH \. ...), a
/// leading (?i).
class Regex {
 public:
  /// Throws ErrorCode::corrupt_data for what is no pattern, unsupported for what is one, but not one of these.
  explicit Regex(std::string_view pattern);
  bool matches(std::string_view text) const;

 private:
  friend class RegexParser;
  struct Set {
    std::vector<std::pair<uint32_t, uint32_t>> ranges;
    bool negated = false;
  };
  struct Step {
    enum class Kind : uint8_t { one_of, split, begin, end, edge, no_edge, match } kind = Kind::match;
    int next = -1, other = -1;  ///< steps
    int set = -1;
  };
  std::vector<Step> steps_;
  std::vector<Set> sets_;
  bool any_case_ = false;
  int start_ = 0;
};

}  // namespace gregale::onnx
