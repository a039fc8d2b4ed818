// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "gregale/error.hpp"
#include "kernels/layout/layout.hpp"
#include "ops/common.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

using kernels::PadMode;

PadMode mode_of_pad(const NodeView& node) {
  const std::string& mode = node.string("mode");
  if (mode == "zero") return PadMode::zero;
  if (mode == "periodic") return PadMode::periodic;
  if (mode == "edge") return PadMode::edge;
  GREGALE_CHECK(mode == "reflect", invalid_argument, "[pad] mode '{}' is none of zero, periodic, reflect, edge", mode);
  return PadMode::reflect;
}

std::vector<Type> infer_pad(const NodeView& node) {
  const PadMode mode = mode_of_pad(node);
  const auto& low = per_axis(node, "low");
  const auto& high = per_axis(node, "high");
  const auto& interior = per_axis(node, "interior");
  std::vector<Dim> dims;
  for (int64_t axis = 0; axis < node.input(0).rank(); ++axis) {
    const auto a = static_cast<size_t>(axis);
    const Dim& d = node.input(0).shape[axis];
    GREGALE_CHECK(low[a] >= 0 && high[a] >= 0 && interior[a] >= 0, invalid_argument,
                  "[pad] axis {} is padded by a negative number", axis);
    GREGALE_CHECK(mode == PadMode::zero || interior[a] == 0, invalid_argument, "[pad] interior needs mode zero, not {}",
                  node.string("mode"));
    if (low[a] == 0 && high[a] == 0 && interior[a] == 0) {
      dims.push_back(d);
      continue;
    }
    GREGALE_CHECK(d.is_constant(), unsupported, "[pad] axis {} of {} is symbolic: it cannot be padded", axis,
                  to_string(node.input(0)));
    const int64_t n = d.value();
    const int64_t most = mode == PadMode::edge && n > 0 ? INT64_MAX : mode == PadMode::periodic ? n : n - 1;
    GREGALE_CHECK(mode == PadMode::zero || (low[a] <= most && high[a] <= most), shape,
                  "[pad] {} padding of axis {} by {} and {} is above {} for extent {}", node.string("mode"), axis,
                  low[a], high[a], most < 0 ? 0 : most, n);
    const int64_t inside = extent_sum(n, n > 0 ? n - 1 : 0, interior[a], "pad");
    dims.push_back(Dim(extent_sum(extent_sum(inside, 1, low[a], "pad"), 1, high[a], "pad")));
  }
  return {Type(node.input(0).dtype, Shape(std::move(dims)))};
}

/// Index in x that element i of a padded axis shows, or -1 for a zero.
int64_t source_index(PadMode mode, int64_t i, int64_t n, int64_t low, int64_t interior) {
  const int64_t j = i - low;
  if (mode == PadMode::periodic) return j < 0 ? j + n : j >= n ? j - n : j;
  if (mode == PadMode::edge) return std::clamp<int64_t>(j, 0, n - 1);
  if (mode == PadMode::reflect) return j < 0 ? -j : j >= n ? 2 * (n - 1) - j : j;
  if (j < 0 || j % (interior + 1) != 0 || j / (interior + 1) >= n) return -1;
  return j / (interior + 1);
}

void reference_pad(ReferenceContext& c) {
  const PadMode mode = mode_of_pad(c.node);
  const Extents& from = c.inputs[0].extents;
  const Extents& to = c.outputs[0].extents;
  const Extents strides = row_major_strides(from);
  const auto &low = c.node.integers("low"), &interior = c.node.integers("interior");
  visit_same(c.inputs[0], c.outputs[0], [&](const auto& in, auto& out) {
    for (int64_t i = 0; i < c.outputs[0].size(); ++i) {
      int64_t rest = i, offset = 0;
      bool zero = false;
      for (size_t a = to.size(); a-- > 0;) {
        const int64_t j = source_index(mode, rest % to[a], from[a], low[a], interior[a]);
        zero = zero || j < 0;
        offset += j * strides[a];
        rest /= to[a];
      }
      if (!zero) out[static_cast<size_t>(i)] = in[static_cast<size_t>(offset)];
    }
  });
}

/// Axis by axis: the middle, plus what the borders showed, moved to where it came from.
Value fold_axis(Graph& g, Value d, PadMode mode, int64_t axis, int64_t n, int64_t low, int64_t high) {
  const auto rank = static_cast<size_t>(g.type(d).rank());
  const auto placed = [&](Value part, int64_t before) {
    const int64_t length = g.type(part).shape[axis].value();
    std::vector<int64_t> l(rank, 0), h(rank, 0);
    l[static_cast<size_t>(axis)] = before;
    h[static_cast<size_t>(axis)] = n - before - length;
    return pad(g, part, std::move(l), std::move(h));
  };
  Value sum = slice_axis(g, d, axis, low, low + n);
  if (mode == PadMode::edge) {
    if (low > 0) sum = add(g, sum, placed(ops::sum(g, slice_axis(g, d, axis, 0, low), {axis}, true), 0));
    if (high > 0)
      sum = add(g, sum, placed(ops::sum(g, slice_axis(g, d, axis, low + n, low + n + high), {axis}, true), n - 1));
    return sum;
  }
  if (low > 0) {
    Value border = slice_axis(g, d, axis, 0, low);
    if (mode == PadMode::reflect) border = reverse(g, border, {axis});
    sum = add(g, sum, placed(border, mode == PadMode::reflect ? 1 : n - low));
  }
  if (high > 0) {
    Value border = slice_axis(g, d, axis, low + n, low + n + high);
    if (mode == PadMode::reflect) border = reverse(g, border, {axis});
    sum = add(g, sum, placed(border, mode == PadMode::reflect ? n - 1 - high : 0));
  }
  return sum;
}

void gradient_pad(GradientContext& c) {
  const PadMode mode = mode_of_pad(c.view());
  const auto &low = c.view().integers("low"), &high = c.view().integers("high"),
             &interior = c.view().integers("interior");
  const Shape shape = c.type(c.input(0)).shape;
  Value d = c.d_output();
  if (mode == PadMode::zero) {
    std::vector<int64_t> starts, stops, steps;
    for (int64_t axis = 0; axis < shape.rank(); ++axis) {
      const auto a = static_cast<size_t>(axis);
      const bool whole = low[a] == 0 && high[a] == 0 && interior[a] == 0;
      const int64_t n = whole ? 0 : shape[axis].value();
      starts.push_back(low[a]);
      stops.push_back(whole ? INT64_MAX : low[a] + (n > 0 ? (n - 1) * (interior[a] + 1) + 1 : 0));
      steps.push_back(n > 1 ? interior[a] + 1 : 1);
    }
    c.set_d_input(0, slice(c.graph(), d, std::move(starts), std::move(stops), std::move(steps)));
    return;
  }
  for (int64_t axis = 0; axis < shape.rank(); ++axis) {
    const auto a = static_cast<size_t>(axis);
    if (low[a] > 0 || high[a] > 0) d = fold_axis(c.graph(), d, mode, axis, shape[axis].value(), low[a], high[a]);
  }
  c.set_d_input(0, d);
}

Result<Kernel> make_pad(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  Kernel k;
  k.run = [size = size_of(node.input(0).dtype), mode = mode_of_pad(node), extents = node.input(0).shape.extents(),
           low = node.integers("low"), high = node.integers("high"),
           interior = node.integers("interior")](const Launch& l) {
    kernels::pad(l.team, size, mode, static_cast<int>(extents.size()), extents.data(), low.data(), high.data(),
                 mode == PadMode::zero ? interior.data() : nullptr, l.inputs[0], l.outputs[0]);
  };
  return k;
}

}  // namespace

const OpDef& pad_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "pad";
    d.doc =
        "x with low[i] elements before and high[i] after along every axis: zeros (mode zero, which may also put "
        "interior[i] zeros between neighbours), the other end of the axis (periodic, as numpy.pad's wrap; at most the "
        "extent), the mirror image without the edge (reflect; at most the extent less one), or the outermost element "
        "(edge).";
    d.inputs = {{"x", "any shape, any dtype"}};
    d.outputs = {{"y", "extents low + n + max(n - 1, 0) interior + high"}};
    d.attributes = {{"low", AttributeKind::integers, "elements before, one entry an axis", {}},
                    {"high", AttributeKind::integers, "elements after, one entry an axis", {}},
                    {"interior", AttributeKind::integers, "zeros between neighbours, one entry an axis", {}},
                    {"mode", AttributeKind::string, "zero, periodic, reflect or edge", std::string("zero")}};
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      std::string x = w.input(0);
      Extents extents = w.extents(0);
      const std::vector<int64_t>&low = node.integers("low"), &high = node.integers("high"),
            &interior = node.integers("interior");
      const std::string& mode = node.string("mode");
      const size_t axes = low.size();
      // Zeros between neighbours: each element becomes a row of itself and zeros, less those behind the last.
      for (size_t a = 0; a < axes; ++a) {
        if (interior[a] == 0 || extents[a] == 0) continue;
        Extents apart = extents;
        apart.insert(apart.begin() + static_cast<int64_t>(a) + 1, 1);
        std::vector<int64_t> zeros(2 * apart.size(), 0);
        zeros[apart.size() + a + 1] = interior[a];
        x = w.add1("Pad", {w.add1("Reshape", {x, w.integers(apart)}), w.integers(zeros)});
        const int64_t kept = (extents[a] - 1) * (interior[a] + 1) + 1;
        extents[a] *= interior[a] + 1;
        x = w.add1("Reshape", {x, w.integers(extents)});
        const auto axis = static_cast<int64_t>(a);
        x = w.add1("Slice", {x, w.integers({0}), w.integers({kept}), w.integers({axis})});
        extents[a] = kept;
      }
      if (mode == "periodic") {  // no such mode in set 17
        for (size_t a = 0; a < axes; ++a) {
          const auto axis = static_cast<int64_t>(a);
          const auto piece = [&](int64_t from, int64_t to) {
            return w.add1("Slice", {x, w.integers({from}), w.integers({to}), w.integers({axis})});
          };
          OnnxWriter::Names pieces;
          if (low[a] > 0) pieces.push_back(piece(extents[a] - low[a], extents[a]));
          pieces.push_back(x);
          if (high[a] > 0) pieces.push_back(piece(0, high[a]));
          if (pieces.size() > 1) x = w.add1("Concat", pieces, {{"axis", axis}});
        }
        return w.set_output(0, x);
      }
      std::vector<int64_t> pads = low;
      pads.resize(extents.size(), 0);  // parts of complex numbers
      pads.insert(pads.end(), high.begin(), high.end());
      pads.resize(2 * extents.size(), 0);
      if (std::all_of(pads.begin(), pads.end(), [](int64_t p) { return p == 0; })) return w.set_output(0, x);
      w.set_output(0,
                   w.add1("Pad", {x, w.integers(pads)}, {{"mode", mode == "zero" ? std::string("constant") : mode}}));
    };
    d.infer = infer_pad;
    d.reference = reference_pad;
    d.gradient = gradient_pad;
    d.operand_as_view = [](const NodeView& node, const StridedView& y) -> std::optional<StridedView> {
      if (mode_of_pad(node) != PadMode::zero) return {};
      StridedView x = y;
      const auto &low = node.integers("low"), &interior = node.integers("interior");
      x.extents = node.input(0).shape.extents();
      for (size_t a = 0; a < x.extents.size(); ++a) {
        x.offset += low[a] * y.strides[a];
        x.strides[a] *= interior[a] + 1;
      }
      return x;
    };
    d.lowerings = {{"rows", make_pad}};
    d.cost = cost_of_move;
    d.bits_exact_integers = true;
    d.samples = [] {
      const auto sample = [](Tensor x, std::vector<int64_t> low, std::vector<int64_t> high,
                             std::vector<int64_t> interior, const char* mode) {
        return Sample{{std::move(x)},
                      {{"low", std::move(low)},
                       {"high", std::move(high)},
                       {"interior", std::move(interior)},
                       {"mode", std::string(mode)}}};
      };
      return std::vector<Sample>{sample(sample_uniform({4}, 1), {2}, {1}, {0}, "zero"),
                                 sample(sample_complex({3, 2}, 2), {0, 1}, {2, 0}, {1, 2}, "zero"),
                                 sample(sample_uniform({0, 2}, 3), {1, 0}, {1, 1}, {3, 0}, "zero"),
                                 sample(sample_uniform({5}, 4), {5}, {3}, {0}, "periodic"),
                                 sample(sample_complex({2, 3, 4}, 5), {0, 2, 1}, {0, 1, 4}, {0, 0, 0}, "periodic"),
                                 sample(sample_uniform({5}, 6), {4}, {2}, {0}, "reflect"),
                                 sample(sample_uniform({3, 4}, 7), {2, 1}, {1, 3}, {0, 0}, "reflect"),
                                 sample(sample_integers({3, 2}, 8), {1, 1}, {0, 1}, {0, 0}, "periodic"),
                                 sample(sample_uniform({3, 2, 2}, 10), {4, 0, 1}, {0, 0, 3}, {0, 0, 0}, "edge"),
                                 sample(sample_uniform({}, 9), {}, {}, {}, "zero")};
    };
    return d;
  }();
  return op;
}

Value pad(Graph& g, Value x, std::vector<int64_t> low, std::vector<int64_t> high, const std::string& mode,
          std::vector<int64_t> interior) {
  if (interior.empty()) interior.assign(low.size(), 0);
  return g.add1(
      pad_op(), {x},
      {{"low", std::move(low)}, {"high", std::move(high)}, {"interior", std::move(interior)}, {"mode", mode}});
}

}  // namespace gregale::ops
