// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace gregale::score {

/// Aligned text for terminals: columns as wide as their widest cell, two blanks between, a rule below the header, no
/// trailing blanks. Cells are UTF-8; a code point is one column wide.
class TextTable {
 public:
  enum class Align { left, right };
  /// The first column is aligned left and the others right unless told otherwise.
  explicit TextTable(std::vector<std::string> header);
  TextTable& align(size_t column, Align align);
  /// Missing cells are empty; throws ErrorCode::invalid_argument for more cells than columns.
  TextTable& add(std::vector<std::string> cells);
  TextTable& add_rule();
  /// All lines, each ended by a newline and begun with `indent` blanks.
  std::string text(size_t indent = 0) const;

 private:
  std::vector<std::string> header_;
  std::vector<Align> align_;
  std::vector<std::vector<std::string>> rows_;  // an empty row is a rule
};

/// "1.899", "+0.012" with a sign; "-" for NaN.
std::string format_number(double value, int digits = 3, bool sign = false);

}  // namespace gregale::score
