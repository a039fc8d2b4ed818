// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "onnx/code_points.hpp"
#include "onnx/operators.hpp"
#include "onnx/regex.hpp"
#include "onnx/string_table.hpp"
#include "onnx/tensor_data.hpp"
#include "onnx/trace.hpp"

namespace gregale::onnx {
namespace {

// ---- operators that move or compare elements ------------------------------------------------------------------------

/// The operator's own mapping, run on the numbers that strings stand for. `strings_out`: how many of its results are
/// strings again.
std::vector<Datum> run_on_numbers(const HostNode& node, size_t strings_out) {
  BlockNode copy = node.node();
  std::vector<Datum> operands;
  for (int64_t i = 0; i < node.input_count(); ++i) operands.push_back(node.input(i));
  const StringTable table(operands);
  std::vector<Traced> slots(operands.size() + copy.outputs.size());
  for (size_t i = 0; i < operands.size(); ++i) {
    copy.inputs[i] = operands[i].has_value() ? static_cast<int>(i) : -1;
    if (operands[i].has_value()) slots[i].known = table.numbers(operands[i]);
  }
  for (size_t i = 0; i < copy.outputs.size(); ++i)
    if (copy.outputs[i] >= 0) copy.outputs[i] = static_cast<int>(operands.size() + i);
  Tracer tracer("strings");
  tracer.trace_node(copy, slots);
  std::vector<Datum> results(copy.outputs.size());
  for (size_t i = 0; i < results.size(); ++i) {
    if (copy.outputs[i] < 0) continue;
    const auto value = tracer.evaluate(slots[operands.size() + i]);
    if (!value || value->tensor() == nullptr) node.unsupported("strings");
    results[i] = i < strings_out ? table.strings(*value->tensor()) : *value;
  }
  return results;
}

/// Operators whose results are strings, or are not, where their operands are.
std::vector<HostOp> moving_ops() {
  std::vector<HostOp> all;
  const auto add = [&](std::initializer_list<const char*> names, size_t strings_out) {
    for (const char* name : names)
      all.push_back({.name = name,
                     .run = [strings_out](const HostNode& node) { return run_on_numbers(node, strings_out); },
                     .of_strings = true});
  };
  add({"Equal", "Shape", "Size"}, 0);
  add({"Compress", "Concat",  "Expand",          "Flatten", "Gather",          "GatherElements", "GatherND",
       "Pad",      "Reshape", "ReverseSequence", "Scatter", "ScatterElements", "ScatterND",      "Slice",
       "Squeeze",  "Tile",    "Transpose",       "Unique",  "Unsqueeze",       "Where"},
      1);
  add({"Split"}, SIZE_MAX);
  return all;
}

// ---- numbers as text ------------------------------------------------------------------------------------------------

template <class T>
std::string text_of(T value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-INF" : "INF";
  std::string text = fmt::format("{}", value);  // the shortest that is read back as the same number
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

Strings to_strings(const HostNode& node, const Datum& from) {
  if (from.strings() != nullptr) return *from.strings();
  const Tensor* t = from.tensor();
  if (t == nullptr || is_complex(t->dtype())) node.unsupported(fmt::format("text of {}", to_string(from)));
  Strings result{t->extents(), {}};
  const auto add = [&](const auto& values, auto&& text) {
    for (const auto& v : values) result.values.push_back(text(v));
  };
  if (t->dtype() == DType::boolean)
    add(t->as<bool>(), [](bool v) { return std::string(v ? "True" : "False"); });
  else if (t->dtype() == DType::f64)
    add(t->as<double>(), text_of<double>);
  else if (t->dtype() == DType::u64)
    add(t->as<uint64_t>(), [](uint64_t v) { return fmt::format("{}", v); });
  else if (is_integer(t->dtype()))
    add(t->cast(DType::i64).as<int64_t>(), [](int64_t v) { return fmt::format("{}", v); });
  else
    add(t->cast(DType::f32).as<float>(), text_of<float>);
  return result;
}

double number_of(const HostNode& node, const std::string& text) {
  std::string_view s = text;
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  if (!s.empty() && s.front() == '+') s.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);  // "inf" and "nan" in any case, too
  if (s.empty() || end != s.data() + s.size() || error == std::errc::invalid_argument)
    node.fail(fmt::format("'{}' is no number", text.substr(0, 60)));
  if (error == std::errc::result_out_of_range) value = std::strtod(std::string(s).c_str(), nullptr);
  return value;
}

Tensor to_numbers(const HostNode& node, const Strings& from, DType dtype) {
  if (is_complex(dtype)) node.unsupported("complex numbers from text");
  if (dtype == DType::boolean) {
    Tensor result(dtype, from.extents);
    for (size_t i = 0; i < from.values.size(); ++i) {
      const std::string& v = from.values[i];
      result.as<bool>()[i] = v == "True" || v == "true" || (v != "False" && v != "false" && number_of(node, v) != 0);
    }
    return result;
  }
  if (dtype == DType::i64 || dtype == DType::u64) {  // all their digits
    Tensor result(dtype, from.extents);
    for (size_t i = 0; i < from.values.size(); ++i) {
      const std::string& v = from.values[i];
      const char *begin = v.data() + (v.rfind('+', 0) == 0 ? 1 : 0), *end = v.data() + v.size();
      const auto whole = [&](auto to) {
        const auto [at, error] = std::from_chars(begin, end, *to);
        return at == end && error == std::errc();
      };
      const bool read = dtype == DType::i64 ? whole(&result.as<int64_t>()[i]) : whole(&result.as<uint64_t>()[i]);
      if (!read) node.fail(fmt::format("'{}' is no integer", v.substr(0, 60)));
    }
    return result;
  }
  Tensor wide(DType::f64, from.extents);
  for (size_t i = 0; i < from.values.size(); ++i) wide.as<double>()[i] = number_of(node, from.values[i]);
  return wide.cast(dtype);
}

std::vector<Datum> run_cast(const HostNode& node) {
  const int64_t to = node.required_integer("to");
  if (to == kStringElements) return {to_strings(node, node.input(0))};
  return {to_numbers(node, node.strings(0), dtype_of_onnx(to))};
}

std::vector<Datum> run_cast_like(const HostNode& node) {
  const Datum& like = node.input(1);
  if (like.strings() != nullptr) return {to_strings(node, node.input(0))};
  return {to_numbers(node, node.strings(0), node.tensor(1).dtype())};
}

bool casts_to_strings(const BlockNode& node) {
  const auto at = node.attributes.find("to");
  const auto* to = at == node.attributes.end() ? nullptr : std::get_if<int64_t>(&at->second);
  return to != nullptr && *to == kStringElements;
}

std::vector<Datum> run_constant(const HostNode& node) {
  if (node.has("value_string")) return {Strings{{}, {node.string("value_string", "")}}};
  if (node.has("value")) return {Strings{node.integers("value.extents", {}), node.strings("value", {})}};
  std::vector<std::string> values = node.strings("value_strings", {});
  return {Strings{{static_cast<int64_t>(values.size())}, std::move(values)}};
}

bool is_constant_of_strings(const BlockNode& node) {
  for (const char* name : {"value_string", "value_strings"})
    if (node.attributes.find(name) != node.attributes.end()) return true;
  const auto at = node.attributes.find("value");
  return at != node.attributes.end() && std::holds_alternative<std::vector<std::string>>(at->second);
}

// ---- text -----------------------------------------------------------------------------------------------------------

std::vector<Datum> run_normalize(const HostNode& node) {
  const Strings& from = node.strings(0);
  const auto rank = static_cast<int64_t>(from.extents.size());
  if (rank < 1 || rank > 2 || (rank == 2 && from.extents[0] != 1))
    node.fail(fmt::format("input 0 is {}, not [C] or [1, C]", to_string(node.input(0))));
  const std::string action = node.string("case_change_action", "NONE");
  if (action != "NONE" && action != "LOWER" && action != "UPPER")
    node.fail(fmt::format("case_change_action is '{}'", action));
  const auto change = [](const std::string& text, bool upper) {
    std::vector<uint32_t> points = code_points(text);
    for (uint32_t& p : points) p = upper ? upper_of(p) : lower_of(p);
    return utf8_of(points);
  };
  const bool sensitive = node.integer("is_case_sensitive", 0) != 0;
  std::set<std::string> stop;
  for (const std::string& word : node.strings("stopwords", {})) stop.insert(sensitive ? word : change(word, false));
  Strings result;
  for (const std::string& text : from.values) {
    if (!stop.empty() && stop.count(sensitive ? text : change(text, false)) > 0) continue;
    result.values.push_back(action == "NONE" ? text : change(text, action == "UPPER"));
  }
  if (result.values.empty()) result.values.emplace_back();
  result.extents.assign(static_cast<size_t>(rank), 1);
  result.extents.back() = static_cast<int64_t>(result.values.size());
  return {std::move(result)};
}

std::vector<Datum> run_string_concat(const HostNode& node) {
  const Strings &a = node.strings(0), &b = node.strings(1);
  Strings result{broadcast(Shape(a.extents), Shape(b.extents), "onnx").extents(), {}};
  const auto rank = static_cast<int64_t>(result.extents.size());
  const int64_t count = element_count(result.extents);
  result.values.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const auto place = [&](const Strings& s) {
      const auto own = static_cast<int64_t>(s.extents.size());
      int64_t rest = i, at = 0, stride = 1;
      for (int64_t axis = rank - 1; axis >= 0; --axis) {
        const int64_t k = rest % result.extents[static_cast<size_t>(axis)];
        rest /= result.extents[static_cast<size_t>(axis)];
        if (axis < rank - own) continue;
        const int64_t extent = s.extents[static_cast<size_t>(axis - (rank - own))];
        if (extent > 1) at += k * stride;
        stride *= extent;
      }
      return static_cast<size_t>(at);
    };
    result.values.push_back(a.values[place(a)] + b.values[place(b)]);
  }
  return {std::move(result)};
}

std::vector<Datum> run_string_split(const HostNode& node) {
  const Strings& from = node.strings(0);
  const std::string delimiter = node.string("delimiter", "");
  const bool limited = node.has("maxsplit");
  const int64_t most = node.integer("maxsplit", 0);
  constexpr const char* kSpaces = " \t\n\r\f\v";
  std::vector<std::vector<std::string>> parts;
  size_t longest = 0;
  for (const std::string& text : from.values) {
    std::vector<std::string> words;
    const auto may_split = [&] { return !limited || static_cast<int64_t>(words.size()) < most; };
    if (delimiter.empty()) {
      size_t at = text.find_first_not_of(kSpaces);
      while (at != std::string::npos) {
        const size_t end = may_split() ? text.find_first_of(kSpaces, at) : text.find_last_not_of(kSpaces) + 1;
        words.push_back(text.substr(at, end == std::string::npos ? end : end - at));
        at = end == std::string::npos ? end : text.find_first_not_of(kSpaces, end);
      }
    } else if (!text.empty()) {
      size_t at = 0;
      for (size_t end; may_split() && (end = text.find(delimiter, at)) != std::string::npos;
           at = end + delimiter.size())
        words.push_back(text.substr(at, end - at));
      words.push_back(text.substr(at));
    }
    longest = std::max(longest, words.size());
    parts.push_back(std::move(words));
  }
  Strings table{from.extents, {}};
  table.extents.push_back(static_cast<int64_t>(longest));
  element_count(table.extents);
  Tensor counts(DType::i64, from.extents);
  for (size_t i = 0; i < parts.size(); ++i) {
    counts.as<int64_t>()[i] = static_cast<int64_t>(parts[i].size());
    parts[i].resize(longest);
    std::move(parts[i].begin(), parts[i].end(), std::back_inserter(table.values));
  }
  return {std::move(table), counts};
}

std::vector<Datum> run_full_match(const HostNode& node) {
  const Strings& from = node.strings(0);
  if (!node.has("pattern")) node.fail("attribute 'pattern' is missing");
  const Regex regex(node.string("pattern", ""));
  Tensor result(DType::boolean, from.extents);
  for (size_t i = 0; i < from.values.size(); ++i) result.as<bool>()[i] = regex.matches(from.values[i]);
  return {result};
}

}  // namespace

std::vector<HostOp> string_host_ops() {
  std::vector<HostOp> all = moving_ops();
  const std::vector<HostOp> more = {{.name = "Constant", .run = run_constant, .only = is_constant_of_strings},
                                    {.name = "Cast", .run = run_cast, .only = casts_to_strings},
                                    {.name = "Cast", .run = run_cast, .of_strings = true},
                                    {.name = "CastLike", .since = 15, .run = run_cast_like, .of_strings = true},
                                    {.name = "StringNormalizer", .since = 10, .run = run_normalize},
                                    {.name = "StringConcat", .since = 20, .run = run_string_concat},
                                    {.name = "StringSplit", .since = 20, .run = run_string_split},
                                    {.name = "RegexFullMatch", .since = 20, .run = run_full_match}};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace gregale::onnx
