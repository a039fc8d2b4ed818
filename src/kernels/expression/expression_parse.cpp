// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <map>

#include "kernels/expression/expression_analysis.hpp"

namespace gregale::kernels {
namespace {

constexpr int kMaxDepth = 256;  // of nested calls: text is not trusted

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  Expression run() {
    do statement();
    while (take(';'));
    skip();
    check(at_ == text_.size(), "text after the last statement");
    return std::move(expression_);
  }

 private:
  void check(bool holds, const std::string& what) const {
    if (!holds)
      throw_error(ErrorCode::corrupt_data, fmt::format("[expression] \"{}\", place {}: {}", text_, at_, what));
  }
  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string word() {
    skip();
    const size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '_' ||
                                  text_[at_] == '.' || text_[at_] == '-' || text_[at_] == '+'))
      ++at_;
    check(at_ > begin, "expected a name or a number");
    return text_.substr(begin, at_ - begin);
  }
  /// The number behind a prefix, as in "in3".
  static bool numbered(const std::string& w, const char* prefix, int* number) {
    const std::string_view start(prefix);
    if (w.size() <= start.size() || w.rfind(start, 0) != 0) return false;
    const auto [end, error] = std::from_chars(w.data() + start.size(), w.data() + w.size(), *number);
    return error == std::errc() && end == w.data() + w.size() && *number >= 0 && *number < 4096;
  }

  void statement() {
    const std::string name = word();
    check(take('='), "expected '='");
    const Expression::Id id = value(0);
    int number = 0;
    if (numbered(name, "out", &number)) {
      check(number == static_cast<int>(expression_.outputs().size()), "outputs come in order");
      expression_.output(id);
    } else {
      check(numbered(name, "t", &number), fmt::format("'{}' is neither an output nor a value t0, t1, ...", name));
      named_[name] = id;
    }
  }

  Expression::Id value(int depth) {
    check(depth < kMaxDepth, "nested too deeply");
    check(expression_.nodes().size() < 4096, "more than 4096 nodes");
    const std::string w = word();
    if (!take('(')) return leaf(w);
    for (int i = 0; i <= static_cast<int>(ExprOp::all_sum_squares); ++i) {
      const auto op = static_cast<ExprOp>(i);
      if (w != expression::name_of(op) || op == ExprOp::input || op == ExprOp::constant || op == ExprOp::parameter)
        continue;
      Expression::Id operands[3] = {-1, -1, -1};
      if (op == ExprOp::round_to) {
        operands[0] = value(depth + 1);
        check(take(','), "expected ','");
        const std::string dtype = word();
        check(take(')'), "expected ')'");
        for (const DType d : {DType::f64, DType::f32, DType::bf16, DType::f16})
          if (dtype == gregale::name_of(d)) return expression_.round_to(d, operands[0]);
        check(false, fmt::format("round_to '{}'", dtype));
      }
      for (int k = 0; k < expression::operand_count(op); ++k) {
        if (k > 0) check(take(','), "expected ','");
        operands[k] = value(depth + 1);
      }
      check(take(')'), "expected ')'");
      return expression_.apply(op, operands[0], operands[1], operands[2]);
    }
    check(false, fmt::format("'{}' is no operation", w));
    return -1;
  }

  Expression::Id leaf(const std::string& w) {
    int number = 0;
    if (const auto found = named_.find(w); found != named_.end()) return found->second;
    if (numbered(w, "in", &number)) return expression_.input(number);
    if (numbered(w, "p", &number)) return expression_.parameter(number);
    double value = 0;
    const auto [end, error] = std::from_chars(w.data(), w.data() + w.size(), value);
    check(error == std::errc() && end == w.data() + w.size(), fmt::format("'{}' is no value", w));
    return expression_.constant(value);
  }

  const std::string& text_;
  size_t at_ = 0;
  Expression expression_;
  std::map<std::string, Expression::Id> named_;
};

}  // namespace

Result<Expression> Expression::parse(const std::string& text) {
  try {
    return Parser(text).run();
  } catch (const Error& error) {
    return error;
  }
}

}  // namespace gregale::kernels
