// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "gregale/error.hpp"
#include "onnx/operators.hpp"
#include "onnx/string_table.hpp"

// Sequences are no values of a graph: what makes them and takes them apart runs between programs.
namespace gregale::onnx {
namespace {

/// A position in a sequence of `size`, counted from its end where it is negative; `most`: the largest allowed.
size_t position_of(const HostNode& node, int64_t i, int64_t size, int64_t most) {
  const int64_t at = node.integer(i), from_front = at < 0 ? at + size : at;
  if (at < -size || from_front > most) node.fail(fmt::format("position {} is outside a sequence of {}", at, size));
  return static_cast<size_t>(from_front);
}

std::vector<Datum> run_construct(const HostNode& node) {
  Sequence sequence;
  for (int64_t i = 0; i < node.input_count(); ++i) sequence.items.push_back(node.input(i));
  return {sequence};
}

std::vector<Datum> run_at(const HostNode& node) {
  const auto& items = node.sequence(0).items;
  const auto size = static_cast<int64_t>(items.size());
  return {items[position_of(node, 1, size, size - 1)]};
}

std::vector<Datum> run_insert(const HostNode& node) {
  Sequence sequence = node.sequence(0);
  const auto size = static_cast<int64_t>(sequence.items.size());
  const size_t at = node.has_input(2) ? position_of(node, 2, size, size) : sequence.items.size();
  sequence.items.insert(sequence.items.begin() + static_cast<int64_t>(at), node.input(1));
  return {std::move(sequence)};
}

std::vector<Datum> run_erase(const HostNode& node) {
  Sequence sequence = node.sequence(0);
  const auto size = static_cast<int64_t>(sequence.items.size());
  if (size == 0) node.fail("nothing can be erased from an empty sequence");
  const size_t at = node.has_input(1) ? position_of(node, 1, size, size - 1) : sequence.items.size() - 1;
  sequence.items.erase(sequence.items.begin() + static_cast<int64_t>(at));
  return {std::move(sequence)};
}

std::vector<Datum> run_length(const HostNode& node) {
  return {Tensor::scalar<int64_t>(static_cast<int64_t>(node.sequence(0).items.size()))};
}

/// Elements [begin, end) of an axis.
Tensor cut(const Tensor& t, int64_t axis, int64_t begin, int64_t end) {
  Extents extents = t.extents();
  extents[static_cast<size_t>(axis)] = end - begin;
  Tensor part(t.dtype(), extents);
  int64_t outer = 1, inner = size_of(t.dtype());
  for (int64_t a = 0; a < axis; ++a) outer *= t.extent(a);
  for (int64_t a = axis + 1; a < t.rank(); ++a) inner *= t.extent(a);
  if (part.size() == 0) return part;
  for (int64_t o = 0; o < outer; ++o)
    std::memcpy(static_cast<char*>(part.data()) + o * (end - begin) * inner,
                static_cast<const char*>(t.data()) + (o * t.extent(axis) + begin) * inner,
                static_cast<size_t>((end - begin) * inner));
  return part;
}

std::vector<Datum> run_split(const HostNode& node) {
  StringTable table({node.input(0)});
  const bool strings = node.input(0).strings() != nullptr;
  const Tensor whole = strings ? *table.numbers(node.input(0)).tensor() : node.tensor(0);
  const int64_t axis = normalize_axis(node.integer("axis", 0), whole.rank(), "onnx"), extent = whole.extent(axis);
  std::vector<int64_t> sizes;
  bool keeps_axis = true;
  if (node.has_input(1)) {
    const std::vector<int64_t> given = node.integers(1);
    if (node.tensor(1).rank() == 0) {  // parts of this size, the last may be smaller
      if (given[0] < 1) node.fail(fmt::format("parts of {}", given[0]));
      for (int64_t at = 0; at < extent; at += std::min(given[0], extent - at))
        sizes.push_back(std::min(given[0], extent - at));
    } else {
      sizes = given;
    }
  } else {
    sizes.assign(static_cast<size_t>(extent), 1);
    keeps_axis = node.integer("keepdims", 1) != 0;
  }
  Sequence sequence;
  int64_t at = 0;
  for (int64_t size : sizes) {
    if (size < 0 || size > extent - at) node.fail(fmt::format("parts do not add up to the extent of {}", extent));
    Tensor part = cut(whole, axis, at, at + size);
    at += size;
    Extents extents = part.extents();
    if (!keeps_axis) extents.erase(extents.begin() + axis);
    part = part.reshaped(extents);
    sequence.items.push_back(strings ? table.strings(part) : Datum(part));
  }
  if (at != extent) node.fail(fmt::format("parts do not add up to the extent of {}", extent));
  return {std::move(sequence)};
}

std::vector<Datum> run_concat(const HostNode& node) {
  const Sequence& sequence = node.sequence(0);
  if (sequence.items.empty()) node.fail("an empty sequence cannot be one tensor");
  StringTable table(sequence.items);
  std::vector<Tensor> parts;
  const bool strings = sequence.items[0].strings() != nullptr, new_axis = node.integer("new_axis", 0) != 0;
  const int64_t given_axis = node.required_integer("axis");
  int64_t axis = 0, total = 0;
  for (const Datum& item : sequence.items) {
    const Datum numbers = table.numbers(item);
    if (numbers.tensor() == nullptr || (item.strings() != nullptr) != strings)
      node.fail(fmt::format("items are {} and {}", to_string(sequence.items[0]), to_string(item)));
    Tensor part = *numbers.tensor();
    Extents extents = part.extents();
    axis = normalize_axis(given_axis, part.rank() + (new_axis ? 1 : 0), "onnx");
    if (new_axis) extents.insert(extents.begin() + axis, 1);
    parts.push_back(part.reshaped(extents));
    const auto fits = [&](Extents a, Extents b) {
      if (a.size() != b.size()) return false;
      a[static_cast<size_t>(axis)] = b[static_cast<size_t>(axis)] = 0;
      return a == b;
    };
    if (parts.back().dtype() != parts[0].dtype() || !fits(extents, parts[0].extents()))
      node.fail(fmt::format("items are {} and {}", to_string(sequence.items[0]), to_string(item)));
    if (extents[static_cast<size_t>(axis)] > INT64_MAX - total) node.fail("the items are too large together");
    total += extents[static_cast<size_t>(axis)];
  }
  Extents extents = parts[0].extents();
  extents[static_cast<size_t>(axis)] = total;
  Tensor whole(parts[0].dtype(), extents);
  int64_t outer = 1, inner = size_of(whole.dtype()), at = 0;
  for (int64_t a = 0; a < axis; ++a) outer *= whole.extent(a);
  for (int64_t a = axis + 1; a < whole.rank(); ++a) inner *= whole.extent(a);
  for (const Tensor& part : parts) {
    const int64_t bytes = part.extent(axis) * inner;
    for (int64_t o = 0; o < outer && part.size() > 0; ++o)
      std::memcpy(static_cast<char*>(whole.data()) + o * total * inner + at,
                  static_cast<const char*>(part.data()) + o * bytes, static_cast<size_t>(bytes));
    at += bytes;
  }
  return {strings ? table.strings(whole) : Datum(whole)};
}

std::vector<Datum> run_map(const HostNode& node) {
  const Sequence& first = node.sequence(0);
  std::vector<Sequence> made(node.body("body").outputs.size());
  for (size_t k = 0; k < first.items.size(); ++k) {
    std::vector<Datum> arguments;
    for (int64_t i = 0; i < node.input_count(); ++i) {
      const Sequence* s = node.input(i).sequence();
      if (s != nullptr && s->items.size() != first.items.size())
        node.fail(fmt::format("sequences have {} and {} items", first.items.size(), s->items.size()));
      arguments.push_back(s != nullptr ? s->items[k] : node.input(i));
    }
    if (arguments.size() != node.body("body").inputs.size())
      node.fail(fmt::format("the body takes {} inputs, got {}", node.body("body").inputs.size(), arguments.size()));
    std::vector<Datum> results = node.run_body("body", std::move(arguments));
    for (size_t i = 0; i < made.size(); ++i) made[i].items.push_back(std::move(results[i]));
  }
  return {made.begin(), made.end()};
}

}  // namespace

std::vector<HostOp> sequence_host_ops() {
  return {{"SequenceConstruct", 11, run_construct},
          {"SequenceEmpty", 11, [](const HostNode&) { return std::vector<Datum>{Sequence()}; }},
          {"SequenceAt", 11, run_at},
          {"SequenceInsert", 11, run_insert},
          {"SequenceErase", 11, run_erase},
          {"SequenceLength", 11, run_length},
          {"SplitToSequence", 11, run_split},
          {"ConcatFromSequence", 11, run_concat},
          {"SequenceMap", 17, run_map}};
}

}  // namespace gregale::onnx
