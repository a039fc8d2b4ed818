// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "gregale/error.hpp"
#include "onnx/operators.hpp"

namespace gregale::onnx {
namespace {

using Integers = std::vector<int64_t>;

Tensor vector_of(const Integers& values) { return Tensor::from(values, {static_cast<int64_t>(values.size())}); }

const Extents& extents_of(const HostNode& n, const Datum& d) {
  if (const Tensor* t = d.tensor()) return t->extents();
  if (const Strings* s = d.strings()) return s->extents;
  n.fail(fmt::format("it takes {}", to_string(d)));
}

/// An array as [outer, count, inner] around an axis.
struct Split {
  int64_t outer = 1, count = 1, inner = 1;
  Split(const Extents& extents, int64_t axis) {
    for (int64_t a = 0; a < static_cast<int64_t>(extents.size()); ++a)
      (a < axis ? outer : a == axis ? count : inner) *= extents[static_cast<size_t>(a)];
  }
};

/// What stands at `places` along an axis.
Datum take(const HostNode& n, const Datum& x, int64_t axis, const Integers& places) {
  Extents extents = extents_of(n, x);
  const Split s(extents, axis);
  const auto kept = static_cast<int64_t>(places.size());
  extents[static_cast<size_t>(axis)] = kept;
  if (const Strings* strings = x.strings()) {
    Strings y{extents, {}};
    for (int64_t o = 0; o < s.outer; ++o)
      for (int64_t j : places)
        for (int64_t i = 0; i < s.inner; ++i)
          y.values.push_back(strings->values[static_cast<size_t>((o * s.count + j) * s.inner + i)]);
    return y;
  }
  const Tensor& t = *x.tensor();
  Tensor y(t.dtype(), extents);
  const int64_t block = s.inner * size_of(t.dtype());
  if (y.bytes() == 0) return y;
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t j = 0; j < kept; ++j)
      std::memcpy(static_cast<char*>(y.data()) + (o * kept + j) * block,
                  static_cast<const char*>(t.data()) + (o * s.count + places[static_cast<size_t>(j)]) * block,
                  static_cast<size_t>(block));
  return y;
}

/// x as one axis.
Datum flat(const Datum& x) {
  if (const Strings* s = x.strings()) return Strings{{static_cast<int64_t>(s->values.size())}, s->values};
  return x.tensor()->reshaped({x.tensor()->size()});
}

std::vector<Datum> run_constant_strings(const HostNode& n) {
  if (n.has("value_string")) return {Strings{{}, {n.string("value_string", "")}}};
  if (n.has("value_strings")) {
    const std::vector<std::string> values = n.strings("value_strings", {});
    return {Strings{{static_cast<int64_t>(values.size())}, values}};
  }
  return {Strings{n.integers("value.extents", {}), n.strings("value", {})}};
}

std::vector<Datum> run_non_zero(const HostNode& n) {
  const Extents extents = n.tensor(0).extents();
  const std::vector<double> x = n.reals(0);
  Integers found;
  for (size_t i = 0; i < x.size(); ++i)
    if (x[i] != 0) found.push_back(static_cast<int64_t>(i));
  const auto count = static_cast<int64_t>(found.size()), rank = static_cast<int64_t>(extents.size());
  Tensor y(DType::i64, {rank, count});
  for (int64_t a = rank - 1; a >= 0; --a)
    for (int64_t i = 0; i < count; ++i) {
      int64_t& rest = found[static_cast<size_t>(i)];
      const int64_t extent = extents[static_cast<size_t>(a)];
      y.as<int64_t>()[static_cast<size_t>(a * count + i)] = rest % extent;
      rest /= extent;
    }
  return {y};
}

std::vector<Datum> run_compress(const HostNode& n) {
  Datum x = n.input(0);
  const Extents extents = extents_of(n, x);
  int64_t axis = 0;
  if (n.has("axis")) {
    axis = normalize_axis(n.integer("axis", 0), static_cast<int64_t>(extents.size()), "onnx");
  } else {
    x = flat(x);
  }
  const int64_t count = extents_of(n, x)[static_cast<size_t>(axis)];
  const Integers condition = n.integers(1);
  Integers places;
  for (int64_t i = 0; i < static_cast<int64_t>(condition.size()); ++i) {
    if (condition[static_cast<size_t>(i)] == 0) continue;
    if (i >= count) n.fail(fmt::format("element {} is to be kept, there are {}", i, count));
    places.push_back(i);
  }
  return {take(n, x, axis, places)};
}

/// Numbers that are ordered as the values are, and equal where they are.
template <class T, class Less>
Integers ranks_of(const std::vector<T>& values, Less less) {
  Integers order(values.size()), ranks(values.size());
  std::iota(order.begin(), order.end(), 0);
  const auto at = [&](int64_t i) -> const T& { return values[static_cast<size_t>(i)]; };
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return less(at(a), at(b)); });
  for (size_t i = 1; i < order.size(); ++i)
    ranks[static_cast<size_t>(order[i])] =
        ranks[static_cast<size_t>(order[i - 1])] + (less(at(order[i - 1]), at(order[i])) ? 1 : 0);
  return ranks;
}

Integers ranks_of(const HostNode& n, const Datum& x) {
  if (const Strings* s = x.strings()) return ranks_of(s->values, std::less<>());
  const DType dtype = x.tensor()->dtype();
  if (is_real_float(dtype))  // NaN last
    return ranks_of(n.reals(0), [](double a, double b) { return a < b || (std::isnan(b) && !std::isnan(a)); });
  if (dtype == DType::u64)
    return ranks_of(n.integers(0),
                    [](int64_t a, int64_t b) { return static_cast<uint64_t>(a) < static_cast<uint64_t>(b); });
  return ranks_of(n.integers(0), std::less<>());
}

std::vector<Datum> run_unique(const HostNode& n) {
  Datum x = n.input(0);
  const Extents given = extents_of(n, x);
  int64_t axis = 0;
  if (n.has("axis")) {
    axis = normalize_axis(n.integer("axis", 0), static_cast<int64_t>(given.size()), "onnx");
  } else {
    x = flat(x);
  }
  const Split s(extents_of(n, x), axis);
  const Integers ranks = ranks_of(n, x);
  // Rows of ranks, one for each place along the axis.
  const auto width = static_cast<size_t>(s.outer * s.inner);
  std::vector<Integers> rows(static_cast<size_t>(s.count), Integers(width));
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t j = 0; j < s.count; ++j)
      for (int64_t i = 0; i < s.inner; ++i)
        rows[static_cast<size_t>(j)][static_cast<size_t>(o * s.inner + i)] =
            ranks[static_cast<size_t>((o * s.count + j) * s.inner + i)];
  const auto row = [&](int64_t j) -> const Integers& { return rows[static_cast<size_t>(j)]; };
  Integers order(static_cast<size_t>(s.count));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return row(a) < row(b); });
  struct Group {
    int64_t first;
    Integers members;
  };
  std::vector<Group> groups;
  for (int64_t j : order) {
    if (groups.empty() || row(groups.back().first) != row(j)) groups.push_back({j, {}});
    groups.back().members.push_back(j);
  }
  if (n.integer("sorted", 1) == 0)
    std::sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) { return a.first < b.first; });
  Integers firsts, inverse(static_cast<size_t>(s.count)), counts;
  for (const Group& group : groups) {
    for (int64_t j : group.members) inverse[static_cast<size_t>(j)] = static_cast<int64_t>(firsts.size());
    firsts.push_back(group.first);
    counts.push_back(static_cast<int64_t>(group.members.size()));
  }
  return {take(n, x, axis, firsts), vector_of(firsts), vector_of(inverse), vector_of(counts)};
}

struct Box {
  float left, top, right, bottom, area;
};

float overlap(const Box& a, const Box& b) {
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left),
              height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  if (!(width > 0 && height > 0)) return 0;
  const float shared = width * height, all = a.area + b.area - shared;
  return all > 0 ? shared / all : 0;
}

std::vector<Datum> run_non_max_suppression(const HostNode& n) {
  const Tensor &boxes = n.tensor(0), &scores = n.tensor(1);
  if (boxes.dtype() != DType::f32 || scores.dtype() != DType::f32) n.fail("boxes and scores are f32");
  if (boxes.rank() != 3 || boxes.extent(2) != 4 || scores.rank() != 3 || scores.extent(0) != boxes.extent(0) ||
      scores.extent(2) != boxes.extent(1))
    n.fail(fmt::format("boxes {}, scores {}", to_string(n.input(0)), to_string(n.input(1))));
  const int64_t most = n.has_input(2) ? n.integer(2) : 0;
  const auto real = [&](int64_t i, double otherwise) {
    if (!n.has_input(i)) return static_cast<float>(otherwise);
    const std::vector<double> all = n.reals(i);
    if (all.size() != 1) n.fail(fmt::format("input {} has {} elements, not one", i, all.size()));
    return static_cast<float>(all[0]);
  };
  const float most_overlap = real(3, 0), least_score = real(4, -INFINITY);
  const bool centers = n.OnnxAttributes::integer("center_point_box", 0) != 0;
  const int64_t count = boxes.extent(1), classes = scores.extent(1);
  Integers chosen;  // triples
  for (int64_t b = 0; b < boxes.extent(0); ++b) {
    std::vector<Box> all;
    for (int64_t i = 0; i < count; ++i) {
      const float* at = static_cast<const float*>(boxes.data()) + (b * count + i) * 4;
      Box box{};
      if (centers) {  // x, y of the middle, width, height
        box = {at[0] - at[2] / 2, at[1] - at[3] / 2, at[0] + at[2] / 2, at[1] + at[3] / 2, 0};
      } else {  // y, x of two corners
        box = {std::min(at[1], at[3]), std::min(at[0], at[2]), std::max(at[1], at[3]), std::max(at[0], at[2]), 0};
      }
      box.area = (box.right - box.left) * (box.bottom - box.top);
      all.push_back(box);
    }
    for (int64_t c = 0; c < classes; ++c) {
      const float* score = static_cast<const float*>(scores.data()) + (b * classes + c) * count;
      Integers order;
      for (int64_t i = 0; i < count; ++i)
        if (score[i] > least_score) order.push_back(i);  // NaN never
      std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return score[i] > score[j]; });
      Integers kept;
      for (int64_t i : order) {
        if (static_cast<int64_t>(kept.size()) >= most) break;
        const Box& box = all[static_cast<size_t>(i)];
        if (std::any_of(kept.begin(), kept.end(),
                        [&](int64_t k) { return overlap(box, all[static_cast<size_t>(k)]) > most_overlap; }))
          continue;
        kept.push_back(i);
        chosen.insert(chosen.end(), {b, c, i});
      }
    }
  }
  return {Tensor::from(chosen, {static_cast<int64_t>(chosen.size()) / 3, 3})};
}

}  // namespace

std::vector<HostOp> shape_host_ops() {
  return {
      {"Constant", 1, run_constant_strings,
       [](const BlockNode& n) {
         return n.attributes.count("value_string") > 0 || n.attributes.count("value_strings") > 0 ||
                n.attributes.count("value.extents") > 0;
       }},
      {"NonZero", 9, run_non_zero},
      {"Compress", 9, run_compress},
      {"Unique", 11, run_unique},
      {"NonMaxSuppression", 10, run_non_max_suppression},
  };
}

}  // namespace gregale::onnx
