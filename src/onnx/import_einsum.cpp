// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "gregale/error.hpp"
#include "onnx/window.hpp"

namespace gregale::onnx {
namespace {

/// Axes by label: letters, and for what an ellipsis stands for negative numbers, -1 the last of its axes.
using Labels = std::vector<int>;

struct Operand {
  Value value;
  Labels labels;
};

struct Equation {
  std::vector<std::string> terms;
  std::string result;
  bool is_explicit = false;
};

Equation parse(const OnnxNode& n) {
  std::string text = n.string("equation", "");
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  Equation e;
  const size_t arrow = text.find("->");
  if (arrow != std::string::npos) {
    e.is_explicit = true;
    e.result = text.substr(arrow + 2);
  }
  std::string left = text.substr(0, arrow);
  for (size_t comma; (comma = left.find(',')) != std::string::npos; left.erase(0, comma + 1))
    e.terms.push_back(left.substr(0, comma));
  e.terms.push_back(left);
  return e;
}

/// The labels of a term; its ellipsis, if any, stands for `hidden` axes.
Labels labels_of(const OnnxNode& n, const std::string& term, int hidden) {
  Labels labels;
  bool seen = false;
  for (size_t i = 0; i < term.size(); ++i) {
    const char c = term[i];
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      labels.push_back(c);
    } else if (term.compare(i, 3, "...") == 0 && !seen) {
      for (int k = hidden; k > 0; --k) labels.push_back(-k);
      seen = true;
      i += 2;
    } else {
      n.fail(fmt::format("term '{}' of the equation has '{}'", term, c));
    }
  }
  return labels;
}

class Einsum {
 public:
  explicit Einsum(OnnxNode& n) : n_(n), g_(n.graph()) {}

  Value run() {
    read();
    for (Operand& o : operands_) {
      take_diagonals(o);
      spread(o);
    }
    while (operands_.size() > 1) {
      Operand a = operands_[0], b = operands_[1];
      operands_.erase(operands_.begin(), operands_.begin() + 2);
      sum_out(a, b.labels);
      sum_out(b, a.labels);
      operands_.insert(operands_.begin(), product(a, b));
    }
    Operand last = operands_[0];
    operands_.clear();
    sum_out(last, {});
    return permuted(last, result_);
  }

 private:
  void read() {
    const Equation e = parse(n_);
    const auto count = static_cast<int64_t>(e.terms.size());
    if (count != n_.input_count()) n_.fail(fmt::format("{} terms for {} operands", count, n_.input_count()));
    std::map<int, int> uses;
    int most_hidden = 0;
    for (int64_t i = 0; i < count; ++i) {
      const std::string& term = e.terms[static_cast<size_t>(i)];
      const auto named = static_cast<int64_t>(labels_of(n_, term, 0).size());
      const int64_t hidden = n_.rank(i) - named;
      if (hidden < 0 || (hidden > 0 && term.find('.') == std::string::npos))
        n_.fail(fmt::format("term '{}' does not fit operand {}", term, to_string(n_.type(i))));
      most_hidden = std::max(most_hidden, static_cast<int>(hidden));
      Operand o{n_.input(i), labels_of(n_, term, static_cast<int>(hidden))};
      for (size_t k = 0; k < o.labels.size(); ++k) {
        ++uses[o.labels[k]];
        const int64_t extent = n_.extents(i)[k];
        int64_t& known = extents_.try_emplace(o.labels[k], extent).first->second;
        if (known == 1) known = extent;
        if (extent != known && extent != 1)
          n_.fail(fmt::format("extents {} and {} of one label of '{}'", known, extent, n_.string("equation", "")));
      }
      operands_.push_back(std::move(o));
    }
    if (e.is_explicit) {
      result_ = labels_of(n_, e.result, most_hidden);
    } else {
      for (int k = most_hidden; k > 0; --k) result_.push_back(-k);
      for (const auto& [label, times] : uses)
        if (label > 0 && times == 1) result_.push_back(label);
    }
    for (size_t k = 0; k < result_.size(); ++k) {
      const auto again = std::find(result_.begin() + static_cast<int64_t>(k) + 1, result_.end(), result_[k]);
      if (extents_.count(result_[k]) == 0 || again != result_.end())
        n_.fail("the result's labels are not its operands'");
    }
  }

  Extents shape_of(Value v) const { return g_.type(v).shape.extents(); }
  static bool contains(const Labels& labels, int label) {
    return std::find(labels.begin(), labels.end(), label) != labels.end();
  }
  /// Whether anything beyond the operands being worked on has the label.
  bool is_needed(int label) const {
    return contains(result_, label) ||
           std::any_of(operands_.begin(), operands_.end(), [&](const Operand& o) { return contains(o.labels, label); });
  }
  Value permuted(const Operand& o, const Labels& order) {
    std::vector<int64_t> axes;
    bool same = true;
    for (size_t k = 0; k < order.size(); ++k) {
      axes.push_back(std::find(o.labels.begin(), o.labels.end(), order[k]) - o.labels.begin());
      same = same && axes.back() == static_cast<int64_t>(k);
    }
    return same ? o.value : ops::transpose(g_, o.value, axes);
  }

  /// One axis for each label: the two of a pair put last, flattened, and every (n + 1)th element of it taken.
  void take_diagonals(Operand& o) {
    for (size_t i = 0; i < o.labels.size(); ++i) {
      const auto second = std::find(o.labels.begin() + static_cast<int64_t>(i) + 1, o.labels.end(), o.labels[i]);
      if (second == o.labels.end()) continue;
      const auto j = static_cast<size_t>(second - o.labels.begin());
      Extents e = shape_of(o.value);
      if (e[i] != e[j]) n_.fail(fmt::format("the diagonal of extents {} and {}", e[i], e[j]));
      const int64_t extent = e[i], squared = element_count({extent, extent});
      const int label = o.labels[i];
      std::vector<int64_t> order;
      Labels rest;
      Extents flat;
      for (size_t k = 0; k < e.size(); ++k)
        if (k != i && k != j) {
          order.push_back(static_cast<int64_t>(k));
          rest.push_back(o.labels[k]);
          flat.push_back(e[k]);
        }
      order.push_back(static_cast<int64_t>(i));
      order.push_back(static_cast<int64_t>(j));
      rest.push_back(label);
      flat.push_back(squared);
      const Value square = with_extents(g_, ops::transpose(g_, o.value, order), flat);
      o = {ops::slice_axis(g_, square, -1, 0, squared, extent + 1), rest};
      i = static_cast<size_t>(-1);  // from the start: axes moved
    }
  }

  /// Extents of 1 that meet others, broadcast.
  void spread(Operand& o) {
    Extents e;
    for (int label : o.labels) e.push_back(extents_[label]);
    if (e != shape_of(o.value)) o.value = ops::broadcast_to(g_, o.value, e);
  }

  /// Sums over what nothing else has.
  void sum_out(Operand& o, const Labels& partner) {
    std::vector<int64_t> axes;
    Labels rest;
    for (size_t k = 0; k < o.labels.size(); ++k) {
      if (contains(partner, o.labels[k]) || is_needed(o.labels[k]))
        rest.push_back(o.labels[k]);
      else
        axes.push_back(static_cast<int64_t>(k));
    }
    if (!axes.empty()) o = {ops::sum(g_, o.value, axes), rest};
  }

  /// The product of two, summed over what nothing else has: a matrix product, or where nothing is summed one of
  /// elements.
  Operand product(const Operand& a, const Operand& b) {
    Labels batch, rows, columns, summed;
    for (int label : a.labels) {
      if (!contains(b.labels, label))
        rows.push_back(label);
      else
        (is_needed(label) ? batch : summed).push_back(label);
    }
    for (int label : b.labels)
      if (!contains(a.labels, label)) columns.push_back(label);
    const auto count = [&](const Labels& labels) {
      Extents e;
      for (int label : labels) e.push_back(extents_[label]);
      return element_count(e);
    };
    Labels all = batch;
    all.insert(all.end(), rows.begin(), rows.end());
    all.insert(all.end(), columns.begin(), columns.end());
    Extents e;
    for (int label : all) e.push_back(extents_[label]);
    const auto arranged = [&](const Operand& o, const Labels& middle, const Labels& last, const Extents& extents) {
      Labels order = batch;
      order.insert(order.end(), middle.begin(), middle.end());
      order.insert(order.end(), last.begin(), last.end());
      return with_extents(g_, permuted(o, order), extents);
    };
    const int64_t b_count = count(batch), m = count(rows), k = count(summed), p = count(columns);
    if (summed.empty()) {
      const Value y = ops::mul(g_, arranged(a, rows, {}, {b_count, m, 1}), arranged(b, {}, columns, {b_count, 1, p}));
      return {with_extents(g_, y, e), all};
    }
    const bool flat = batch.empty();
    const Value y = ops::matmul(g_, arranged(a, rows, summed, flat ? Extents{m, k} : Extents{b_count, m, k}),
                                arranged(b, summed, columns, flat ? Extents{k, p} : Extents{b_count, k, p}));
    return {with_extents(g_, y, e), all};
  }

  OnnxNode& n_;
  Graph& g_;
  std::vector<Operand> operands_;
  Labels result_;
  std::map<int, int64_t> extents_;
};

}  // namespace

std::vector<OnnxMapping> einsum_mappings() {
  return {{"Einsum", 12, [](OnnxNode& n) { return std::vector{Einsum(n).run()}; }}};
}

}  // namespace gregale::onnx
