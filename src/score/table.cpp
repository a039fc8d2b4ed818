// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "gregale/error.hpp"

namespace gregale::score {
namespace {

size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

TextTable::TextTable(std::vector<std::string> header)
    : header_(std::move(header)), align_(header_.size(), Align::right) {
  if (!align_.empty()) align_[0] = Align::left;
}

TextTable& TextTable::align(size_t column, Align align) {
  align_.at(column) = align;
  return *this;
}

TextTable& TextTable::add(std::vector<std::string> cells) {
  GREGALE_CHECK(cells.size() <= header_.size(), invalid_argument, "[TextTable] {} cells for {} columns", cells.size(),
                header_.size());
  cells.resize(header_.size());
  rows_.push_back(std::move(cells));
  return *this;
}

TextTable& TextTable::add_rule() {
  rows_.emplace_back();
  return *this;
}

std::string TextTable::text(size_t indent) const {
  std::vector<size_t> widths;
  for (const std::string& cell : header_) widths.push_back(width_of(cell));
  for (const auto& row : rows_)
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width_of(row[c]));
  size_t total = 0;
  for (size_t c = 0; c < widths.size(); ++c) total += widths[c] + (c > 0 ? 2 : 0);

  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text(indent, ' ');
    for (size_t c = 0; c < cells.size(); ++c) {
      const std::string fill(widths[c] - width_of(cells[c]), ' ');
      if (c > 0) text += "  ";
      text += align_[c] == Align::right ? fill + cells[c] : cells[c] + fill;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  const std::string rule = std::string(indent, ' ') + std::string(total, '-') + "\n";
  line(header_);
  out += rule;
  for (const auto& row : rows_) {
    if (row.empty())
      out += rule;
    else
      line(row);
  }
  return out;
}

std::string format_number(double value, int digits, bool sign) {
  if (std::isnan(value)) return "-";
  return sign ? fmt::format("{:+.{}f}", value, digits) : fmt::format("{:.{}f}", value, digits);
}

}  // namespace gregale::score
