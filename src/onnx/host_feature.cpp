// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

#include "gregale/error.hpp"
#include "onnx/operators.hpp"

// Features of texts and tables: TfIdfVectorizer, and what of ai.onnx.ml prepares a network's operands.
namespace gregale::onnx {
namespace {

constexpr int64_t kMostColumns = int64_t{1} << 31;

/// Runs of words, with a number each: a tree whose edges are words.
template <class Word>
class Ngrams {
 public:
  void add(const Word* words, int64_t count, int64_t number) {
    int node = 0;
    for (int64_t i = 0; i < count; ++i) {
      const auto [at, fresh] = edges_.try_emplace({node, words[i]}, static_cast<int>(numbers_.size()));
      if (fresh) numbers_.push_back(-1);
      node = at->second;
    }
    numbers_[static_cast<size_t>(node)] = number;
  }
  /// The node after one more word; -1 where no run goes on so.
  int after(int node, const Word& word) const {
    const auto at = edges_.find({node, word});
    return at == edges_.end() ? -1 : at->second;
  }
  int64_t number(int node) const { return numbers_[static_cast<size_t>(node)]; }

 private:
  std::map<std::pair<int, Word>, int> edges_;
  std::vector<int64_t> numbers_{-1};
};

template <class Word>
Tensor vectorize(const HostNode& node, const std::vector<Word>& words, const Extents& extents,
                 const std::vector<Word>& pool) {
  if (extents.empty() || extents.size() > 2)
    node.fail(fmt::format("input 0 is {}, not [C] or [N, C]", to_string(node.input(0))));
  const int64_t least = node.required_integer("min_gram_length"), most = node.required_integer("max_gram_length"),
                skips = node.required_integer("max_skip_count");
  const std::string mode = node.string("mode", "");
  if (least < 1 || most < least || skips < 0)
    node.fail(fmt::format("grams of {} to {} words with {} between them", least, most, skips));
  if (mode != "TF" && mode != "IDF" && mode != "TFIDF") node.fail(fmt::format("mode is '{}'", mode));
  const std::vector<int64_t> begins = node.required_integers("ngram_counts"),
                             columns = node.required_integers("ngram_indexes");
  const std::vector<double> weights = node.reals("weights", {});
  int64_t width = 0;
  for (int64_t c : columns) {
    if (c < 0 || c >= kMostColumns) node.fail(fmt::format("ngram_indexes has {}", c));
    width = std::max(width, c + 1);
  }
  if (!weights.empty() && weights.size() != columns.size())
    node.fail(fmt::format("{} weights for {} grams", weights.size(), columns.size()));
  Ngrams<Word> grams;
  const auto pool_size = static_cast<int64_t>(pool.size());
  int64_t number = 0;
  for (size_t i = 0; i < begins.size(); ++i) {
    const int64_t length = static_cast<int64_t>(i) + 1, begin = begins[i],
                  end = i + 1 < begins.size() ? begins[i + 1] : pool_size;
    if (begin < 0 || end < begin || end > pool_size || (end - begin) % length != 0)
      node.fail(
          fmt::format("ngram_counts says that grams of {} words are {} to {} of {}", length, begin, end, pool_size));
    for (int64_t at = begin; at < end; at += length) grams.add(pool.data() + at, length, number++);
  }
  if (number != static_cast<int64_t>(columns.size()))
    node.fail(fmt::format("{} grams have {} places", number, columns.size()));

  Extents out = extents;
  out.back() = width;
  Tensor result(DType::f32, out);
  const auto to = result.as<float>();
  const int64_t count = extents.back(), rows = extents.size() == 2 ? extents[0] : 1;
  for (int64_t row = 0; row < rows; ++row) {
    const Word* text = words.data() + row * count;
    const auto see = [&](int64_t from, int64_t step, int64_t shortest, int64_t longest) {
      int at = 0;
      for (int64_t k = 0; k < longest && k <= (count - 1 - from) / step; ++k) {
        at = grams.after(at, text[from + k * step]);
        if (at < 0) return;
        if (k + 1 < shortest || grams.number(at) < 0) continue;
        const auto gram = static_cast<size_t>(grams.number(at));
        float& value = to[static_cast<size_t>(row * width + columns[gram])];
        const auto weight = static_cast<float>(weights.empty() ? 1.0 : weights[gram]);
        if (mode == "IDF")
          value = weight;
        else
          value += mode == "TFIDF" ? weight : 1.0F;
      }
    };
    // Words that are skipped make no difference to grams of one.
    for (int64_t from = 0; from < count && least == 1; ++from) see(from, 1, 1, 1);
    for (int64_t step = 1; step <= std::min(skips, count) + 1 && most >= 2; ++step)
      for (int64_t from = 0; from < count; ++from) see(from, step, std::max<int64_t>(least, 2), most);
  }
  return result;
}

std::vector<Datum> run_tfidf(const HostNode& node) {
  if (const Strings* s = node.input(0).strings())
    return {vectorize(node, s->values, s->extents, node.strings("pool_strings", {}))};
  return {vectorize(node, node.integers(0), node.tensor(0).extents(), node.integers("pool_int64s", {}))};
}

// ---- ai.onnx.ml -----------------------------------------------------------------------------------------------------

std::vector<Datum> run_extract(const HostNode& node) {
  const Tensor& x = node.tensor(0);
  if (x.rank() < 1) node.fail("the operand has no axis");
  const std::vector<int64_t> columns = node.integers(1);
  const int64_t width = x.extent(x.rank() - 1), item = size_of(x.dtype());
  Extents extents = x.extents();
  extents.back() = static_cast<int64_t>(columns.size());
  if (extents.size() == 1) extents.insert(extents.begin(), 1);
  Tensor result(x.dtype(), extents);
  const auto count = static_cast<int64_t>(columns.size());
  for (int64_t c = 0; c < count; ++c) {
    const int64_t from = columns[static_cast<size_t>(c)];
    if (from < 0 || from >= width) node.fail(fmt::format("feature {} is outside {}", from, to_string(node.input(0))));
    for (int64_t row = 0; row < x.size() / width; ++row)
      std::memcpy(static_cast<char*>(result.data()) + (row * count + c) * item,
                  static_cast<const char*>(x.data()) + (row * width + from) * item, static_cast<size_t>(item));
  }
  return {result};
}

std::vector<Datum> run_binarize(const HostNode& node) {
  const Tensor& x = node.tensor(0);
  const double threshold = node.real("threshold", 0);
  Tensor wide = x.cast(DType::f64);
  for (double& v : wide.as<double>()) v = v > threshold ? 1 : 0;
  return {wide.cast(x.dtype())};
}

/// Keys or values of a LabelEncoder: numbers stand for themselves.
struct LabelTable {
  bool strings = false;
  DType dtype = DType::i64;
  std::vector<std::string> texts;
  std::vector<double> reals;
  std::vector<int64_t> integers;
  size_t size() const { return strings ? texts.size() : is_integer(dtype) ? integers.size() : reals.size(); }
};

LabelTable labels_of(const HostNode& node, const std::string& which) {
  LabelTable labels;
  const std::string tensor = which + "_tensor";
  if (const OnnxAttribute* a = node.attribute(tensor)) {
    if (const auto* t = std::get_if<Tensor>(a)) {
      labels.dtype = t->dtype();
      if (is_complex(t->dtype())) node.fail(fmt::format("attribute '{}' is complex", tensor));
      const Tensor reals = t->cast(DType::f64), integers = t->cast(DType::i64);
      labels.reals.assign(reals.as<double>().begin(), reals.as<double>().end());
      labels.integers.assign(integers.as<int64_t>().begin(), integers.as<int64_t>().end());
    } else {
      labels.strings = true;
      labels.texts = node.strings(tensor, {});
    }
  } else if (node.has(which + "_strings")) {
    labels.strings = true;
    labels.texts = node.strings(which + "_strings", {});
  } else if (node.has(which + "_floats")) {
    labels.dtype = DType::f32;
    labels.reals = node.reals(which + "_floats", {});
  } else {
    labels.integers = node.integers(which + "_int64s", {});
  }
  return labels;
}

std::vector<Datum> run_label(const HostNode& node) {
  LabelTable keys, values;
  if (node.opset() == 1) {  // one list, both ways
    LabelTable classes, places;
    classes.strings = true;
    classes.texts = node.strings("classes_strings", {});
    for (size_t i = 0; i < classes.texts.size(); ++i) places.integers.push_back(static_cast<int64_t>(i));
    const bool forward = node.input(0).strings() != nullptr;
    keys = forward ? classes : places;
    values = forward ? places : classes;
  } else {
    keys = labels_of(node, "keys");
    values = labels_of(node, "values");
  }
  if (keys.size() != values.size()) node.fail(fmt::format("{} keys for {} values", keys.size(), values.size()));
  std::vector<size_t> found;  // keys.size() for none
  Extents extents;
  const auto look_up = [&](const auto& operand, const auto& known, auto&& key_of) {
    std::map<std::decay_t<decltype(key_of(known[0]))>, size_t> places;
    for (size_t i = 0; i < known.size(); ++i) places.try_emplace(key_of(known[i]), i);
    for (const auto& v : operand) {
      const auto at = places.find(key_of(v));
      found.push_back(at == places.end() ? known.size() : at->second);
    }
  };
  if (keys.strings) {
    extents = node.strings(0).extents;
    look_up(node.strings(0).values, keys.texts, [](const std::string& s) { return s; });
  } else {
    extents = node.tensor(0).extents();
    if (is_integer(keys.dtype))
      look_up(node.integers(0), keys.integers, [](int64_t v) { return v; });
    else  // by their bits, so that NaN is found
      look_up(node.reals(0), keys.reals, [](double v) {
        return std::bit_cast<uint64_t>(v == 0 ? 0.0 : v != v ? std::numeric_limits<double>::quiet_NaN() : v);
      });
  }
  const OnnxAttribute* other = node.attribute("default_tensor");
  if (values.strings) {
    std::string otherwise = node.string("default_string", "_Unused");
    if (const auto* texts = other != nullptr ? std::get_if<std::vector<std::string>>(other) : nullptr;
        texts != nullptr && texts->size() == 1)
      otherwise = (*texts)[0];
    Strings result{extents, {}};
    for (size_t i : found) result.values.push_back(i < keys.size() ? values.texts[i] : otherwise);
    return {std::move(result)};
  }
  Tensor result(is_integer(values.dtype) ? DType::i64 : DType::f64, extents);
  const auto* scalar = other != nullptr ? std::get_if<Tensor>(other) : nullptr;
  if (scalar != nullptr && scalar->size() != 1) node.fail("attribute 'default_tensor' is not one number");
  const int64_t default_integer =
      scalar != nullptr ? scalar->cast(DType::i64).as<int64_t>()[0] : node.integer("default_int64", -1);
  const double default_real =
      scalar != nullptr ? scalar->cast(DType::f64).as<double>()[0] : node.real("default_float", -0.0);
  for (size_t i = 0; i < found.size(); ++i) {
    if (is_integer(values.dtype))
      result.as<int64_t>()[i] = found[i] < keys.size() ? values.integers[found[i]] : default_integer;
    else
      result.as<double>()[i] = found[i] < keys.size() ? values.reals[found[i]] : default_real;
  }
  return {result.cast(values.dtype)};
}

}  // namespace

std::vector<HostOp> feature_host_ops() {
  const std::string ml = "ai.onnx.ml";
  return {{.name = "TfIdfVectorizer", .since = 9, .run = run_tfidf},
          {.name = "ArrayFeatureExtractor", .run = run_extract, .domain = ml},
          {.name = "Binarizer", .run = run_binarize, .domain = ml},
          {.name = "LabelEncoder", .run = run_label, .domain = ml}};
}

}  // namespace gregale::onnx
