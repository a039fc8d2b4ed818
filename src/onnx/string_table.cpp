// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/string_table.hpp"

#include "gregale/error.hpp"

namespace gregale::onnx {

StringTable::StringTable(const std::vector<Datum>& data) {
  places_[""] = 0;
  for (const Datum& datum : data)
    if (const Strings* s = datum.strings())
      for (const std::string& text : s->values) places_[text] = 0;
  for (auto& [text, place] : places_) {  // the empty string is the first in their order
    place = static_cast<int64_t>(texts_.size());
    texts_.push_back(&text);
  }
}

Datum StringTable::numbers(const Datum& datum) const {
  const Strings* s = datum.strings();
  if (s == nullptr) return datum;
  Tensor places(DType::i64, s->extents);
  const auto to = places.as<int64_t>();
  for (size_t i = 0; i < s->values.size(); ++i) to[i] = places_.at(s->values[i]);
  return places;
}

Datum StringTable::strings(const Tensor& numbers) const {
  Strings result{numbers.extents(), {}};
  result.values.reserve(static_cast<size_t>(numbers.size()));
  for (int64_t place : numbers.as<int64_t>()) {
    GREGALE_ASSERT(place >= 0 && place < static_cast<int64_t>(texts_.size()));
    result.values.push_back(*texts_[static_cast<size_t>(place)]);
  }
  return result;
}

}  // namespace gregale::onnx
