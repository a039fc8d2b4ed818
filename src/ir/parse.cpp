// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <new>

#include "gregale/error.hpp"
#include "gregale/op.hpp"

namespace gregale {
namespace {

constexpr int kMaxDepth = 16;                    // of nested regions
constexpr int64_t kMaxInlineElements = 1 << 24;  // of one constant written out

/// Recursive descent over untrusted text. Every failure is ErrorCode::corrupt_data with line and column.
class Parser {
 public:
  Parser(std::string_view text, const OpSet& ops, const Blobs& blobs) : text_(text), ops_(ops), blobs_(blobs) {}

  Graph whole() {
    Graph g = graph(0);
    skip_space();
    if (at_ != text_.size()) fail("text after the end of the graph");
    guarded(at_, [&] { verify(g); });
    return g;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { fail_at(at_, what); }
  [[noreturn]] void fail_at(size_t where, const std::string& what) const {
    const auto end = text_.begin() + static_cast<std::ptrdiff_t>(where);
    const auto line = std::count(text_.begin(), end, '\n') + 1;
    size_t start = where;
    while (start > 0 && text_[start - 1] != '\n') --start;
    throw_error(ErrorCode::corrupt_data,
                fmt::format("[parse_graph] line {}, column {}: {}", line, where - start + 1, what));
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  bool peek(std::string_view token) {
    skip_space();
    return text_.substr(at_, token.size()) == token;
  }
  bool take(std::string_view token) {
    if (!peek(token)) return false;
    at_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) fail(fmt::format("expected '{}'", token));
  }
  /// A whole word: "var" but not the beginning of "variance".
  bool take_keyword(std::string_view keyword) {
    if (!peek(keyword)) return false;
    const size_t end = at_ + keyword.size();
    if (end < text_.size() && is_word(text_[end])) return false;
    at_ = end;
    return true;
  }

  static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  }
  std::string_view word() {
    skip_space();
    const size_t begin = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    if (begin == at_) fail("expected a name");
    return text_.substr(begin, at_ - begin);
  }

  template <class T>
  T number(const char* kind) {
    skip_space();
    T v = 0;
    const auto r = std::from_chars(text_.data() + at_, text_.data() + text_.size(), v);
    if (r.ec == std::errc::result_out_of_range) fail(fmt::format("{} is out of range", kind));
    if (r.ec != std::errc()) fail(fmt::format("expected {}", kind));
    at_ = static_cast<size_t>(r.ptr - text_.data());
    return v;
  }
  int64_t integer() { return number<int64_t>("an integer"); }
  double real() {
    if (take_keyword("nan")) return std::numeric_limits<double>::quiet_NaN();
    if (take_keyword("inf")) return std::numeric_limits<double>::infinity();
    if (take_keyword("-inf")) return -std::numeric_limits<double>::infinity();
    return number<double>("a number");
  }
  /// An element of a constant, refused where its dtype cannot hold it.
  int64_t integer_element(DType dtype) {
    skip_space();
    const size_t begin = at_;
    if (dtype == DType::u64) return static_cast<int64_t>(number<uint64_t>("an integer"));
    const int64_t v = integer();
    const bool is_signed = dtype == DType::i64 || dtype == DType::i32 || dtype == DType::i16 || dtype == DType::i8;
    const int64_t bits = dtype == DType::boolean ? 1 : 8 * size_of(dtype) - (is_signed ? 1 : 0);
    const int64_t greatest = static_cast<int64_t>(~uint64_t{0} >> (64 - bits));
    if (v > greatest || v < (is_signed ? -greatest - 1 : 0))
      fail_at(begin, fmt::format("{} does not fit {}", v, name_of(dtype)));
    return v;
  }
  double real_element(DType dtype) {
    skip_space();
    const size_t begin = at_;
    const double v = real();
    const DType part = is_complex(dtype) ? real_of(dtype) : dtype;
    const double greatest = part == DType::f64   ? std::numeric_limits<double>::max()
                            : part == DType::f16 ? 65504.0
                                                 : std::numeric_limits<float>::max();
    if (std::isfinite(v) && std::abs(v) > greatest)
      fail_at(begin, fmt::format("{} does not fit {}", v, name_of(dtype)));
    return v;
  }
  std::string string() {
    expect("\"");
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      char c = text_[at_++];
      if (c == '\\') {
        if (at_ >= text_.size()) fail("unfinished string");
        c = text_[at_++];
        if (c == 'x') {
          unsigned value = 0;
          const size_t end = std::min(at_ + 2, text_.size());
          const auto r = std::from_chars(text_.data() + at_, text_.data() + end, value, 16);
          if (r.ec != std::errc() || r.ptr != text_.data() + at_ + 2) fail("bad escape in a string");
          at_ += 2;
          c = static_cast<char>(value);
        }
      }
      out += c;
    }
    if (at_ >= text_.size()) fail("unfinished string");
    ++at_;
    return out;
  }
  Type type() {
    skip_space();
    // A type ends where brackets are balanced and no '{' or '@' continues it.
    size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    auto through = [&](char open, char close) {
      if (end < text_.size() && text_[end] == open) {
        end = text_.find(close, end);
        if (end == std::string_view::npos) fail(fmt::format("missing '{}' in a type", close));
        ++end;
      }
    };
    through('[', ']');
    through('{', '}');
    if (end + 1 < text_.size() && text_[end] == '@' && text_[end + 1] == '(') {
      ++end;
      through('(', ')');
    }
    try {
      Type t = parse_type(text_.substr(at_, end - at_));
      at_ = end;
      return t;
    } catch (const Error& e) {
      fail(e.message());
    }
  }

  Tensor tensor() {
    if (take("blob(")) {
      const int64_t index = integer();
      expect(")");
      if (index < 0 || index >= static_cast<int64_t>(blobs_.size())) fail(fmt::format("there is no blob {}", index));
      return blobs_[static_cast<size_t>(index)];
    }
    const Type t = type();
    if (!t.shape.is_constant() || t.encoding.kind != Encoding::Kind::dense || !t.distribution.empty())
      fail("a constant is dense with constant extents");
    int64_t count = 0;
    try {
      count = t.shape.elements();
    } catch (const Error& e) {
      fail(e.message());
    }
    if (count > kMaxInlineElements) fail("a constant this large must be a blob");
    expect("(");
    // Reading before allocating: the text must really hold as many numbers as the type claims.
    std::vector<double> reals;
    std::vector<int64_t> integers;
    const bool floating = is_real_float(t.dtype) || is_complex(t.dtype);
    for (int64_t i = 0; i < count * (is_complex(t.dtype) ? 2 : 1); ++i) {
      if (i) expect(",");
      if (floating)
        reals.push_back(real_element(t.dtype));
      else
        integers.push_back(integer_element(t.dtype));
    }
    expect(")");
    RefArray a = RefArray::zeros(t);
    if (is_real_float(t.dtype))
      a.real() = std::move(reals);
    else if (is_complex(t.dtype))
      for (int64_t i = 0; i < count; ++i)
        a.complex()[static_cast<size_t>(i)] = {reals[static_cast<size_t>(2 * i)],
                                               reals[static_cast<size_t>(2 * i + 1)]};
    else
      a.integer() = std::move(integers);
    return a.to_tensor();
  }

  Attribute attribute(AttributeKind kind) {
    switch (kind) {
      case AttributeKind::integer:
        return integer();
      case AttributeKind::real:
        return real();
      case AttributeKind::boolean:
        if (take("true")) return true;
        expect("false");
        return false;
      case AttributeKind::string:
        return string();
      case AttributeKind::dtype: {
        try {
          return dtype_from_name(word());
        } catch (const Error& e) {
          fail(e.message());
        }
      }
      case AttributeKind::tensor:
        return tensor();
      case AttributeKind::integers: {
        std::vector<int64_t> list;
        expect("[");
        while (!take("]")) {
          if (!list.empty()) expect(",");
          list.push_back(integer());
        }
        return list;
      }
      case AttributeKind::reals: {
        std::vector<double> list;
        expect("[");
        while (!take("]")) {
          if (!list.empty()) expect(",");
          list.push_back(real());
        }
        return list;
      }
    }
    fail("unknown attribute kind");
  }

  Attributes attributes(const OpDef& op) {
    Attributes all;
    if (!take("{")) return all;
    while (!take("}")) {
      if (!all.empty()) expect(",");
      const std::string name(word());
      expect("=");
      auto def =
          std::find_if(op.attributes.begin(), op.attributes.end(), [&](const auto& d) { return d.name == name; });
      if (def == op.attributes.end()) fail(fmt::format("{} has no attribute '{}'", op.name, name));
      if (all.count(name)) fail(fmt::format("attribute '{}' is given twice", name));
      all[name] = attribute(def->kind);
    }
    return all;
  }

  Value value(const std::vector<Value>& numbered) {
    expect("%");
    const int64_t index = integer();
    if (index < 0 || index >= static_cast<int64_t>(numbered.size()))
      fail(fmt::format("%{} is not defined here", index));
    return numbered[static_cast<size_t>(index)];
  }

  Graph graph(int depth) {
    if (depth > kMaxDepth) fail("regions are nested too deeply");
    expect("graph");
    Graph g(string());
    std::vector<Value> numbered;
    auto define = [&](int64_t index, Value v) {
      if (index != static_cast<int64_t>(numbered.size())) fail(fmt::format("expected %{} here", numbered.size()));
      numbered.push_back(v);
    };
    expect("(");
    while (!take(")")) {
      if (!numbered.empty()) expect(",");
      expect("%");
      const int64_t index = integer();
      std::string name = string();
      expect(":");
      define(index, g.add_input(std::move(name), type()));
    }
    expect("{");
    while (true) {
      if (take_keyword("return")) break;
      if (take_keyword("var")) {
        if (depth > 0) fail("a region declares no variables");
        const size_t begin = at_;
        std::string name = string();
        expect(":");
        Type t = type();
        guarded(begin, [&] { g.add_variable(std::move(name), std::move(t)); });
        continue;
      }
      node(g, numbered, define, depth);
    }
    std::vector<Value> outputs;
    std::vector<std::string> names;
    while (!take("}")) {
      if (!outputs.empty()) expect(",");
      outputs.push_back(value(numbered));
      if (peek("\"")) names.push_back(string());
    }
    if (!names.empty() && names.size() != outputs.size()) fail("either all results have names or none");
    g.set_outputs(std::move(outputs), std::move(names));
    return g;
  }

  template <class Define>
  void node(Graph& g, const std::vector<Value>& numbered, const Define& define, int depth) {
    std::vector<std::pair<int64_t, std::string>> results;
    if (peek("%")) {
      do {
        expect("%");
        const int64_t index = integer();
        results.emplace_back(index, peek("\"") ? string() : std::string());
      } while (take(","));
      expect("=");
    }
    skip_space();
    const size_t begin = at_;  // where whatever is wrong with the node is reported
    const std::string name(word());
    const OpDef* op = ops_.find(name);
    if (op == nullptr) fail_at(begin, fmt::format("no operator is called '{}'", name));
    expect("(");
    std::vector<Value> operands;
    while (!take(")")) {
      if (!operands.empty()) expect(",");
      operands.push_back(value(numbered));
    }
    Attributes attrs = attributes(*op);
    std::vector<Type> types;
    if (!results.empty()) {
      expect(":");
      do types.push_back(type());
      while (take(","));
    }
    std::vector<Graph> regions;
    while (take_keyword("region")) regions.push_back(graph(depth + 1));
    std::vector<Value> outputs;
    guarded(begin, [&] { outputs = g.add(*op, std::move(operands), std::move(attrs), std::move(regions)); });
    if (outputs.size() != results.size() || outputs.size() != types.size())
      fail_at(begin, fmt::format("{} gives {} results", name, outputs.size()));
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!(types[i] == g.type(outputs[i])))
        fail_at(begin, fmt::format("{} gives {} here", name, to_string(g.type(outputs[i]))));
      define(results[i].first, outputs[i]);
      if (!results[i].second.empty()) g.set_name(outputs[i], results[i].second);
    }
  }

  /// Whatever refuses hostile text, refuses it as such.
  template <class Body>
  void guarded(size_t where, Body&& body) {
    try {
      body();
    } catch (const Error& e) {
      fail_at(where, e.message());
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& e) {  // std::out_of_range of some at()
      fail_at(where, e.what());
    }
  }

  std::string_view text_;
  const OpSet& ops_;
  const Blobs& blobs_;
  size_t at_ = 0;
};

}  // namespace

Graph parse_graph(std::string_view text, const OpSet& ops, const Blobs& blobs) {
  return Parser(text, ops, blobs).whole();
}

}  // namespace gregale
