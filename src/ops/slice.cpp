// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <numeric>

#include "gregale/error.hpp"
#include "kernels/layout/layout.hpp"
#include "ops/common.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

constexpr int64_t kEnd = INT64_MAX;

/// One axis with its attributes resolved.
struct Range {
  int64_t start = 0, step = 1;
  Dim extent{0};
  bool whole = false;  ///< the axis is left as it is (the only thing a symbolic one allows)
};

std::vector<Range> ranges_of(const NodeView& node) {
  const auto& starts = per_axis(node, "starts");
  const auto& stops = per_axis(node, "stops");
  const auto& steps = per_axis(node, "steps");
  std::vector<Range> ranges;
  for (int64_t axis = 0; axis < node.input(0).rank(); ++axis) {
    const auto a = static_cast<size_t>(axis);
    const Dim& d = node.input(0).shape[axis];
    GREGALE_CHECK(steps[a] >= 1, invalid_argument, "[slice] step {} of axis {} is not positive", steps[a], axis);
    Range r;
    r.step = steps[a];
    if (starts[a] == 0 && stops[a] == kEnd && r.step == 1) {
      r.extent = d;
      r.whole = true;
      ranges.push_back(r);
      continue;
    }
    GREGALE_CHECK(d.is_constant(), unsupported, "[slice] axis {} of {} is symbolic: it can only be kept whole", axis,
                  to_string(node.input(0)));
    const int64_t n = d.value();
    const int64_t start = starts[a] < 0 ? starts[a] + n : starts[a];
    const int64_t stop = stops[a] == kEnd ? n : stops[a] < 0 ? stops[a] + n : stops[a];
    GREGALE_CHECK(0 <= start && start <= stop && stop <= n, shape,
                  "[slice] {}:{} is out of range for axis {} of extent {}", starts[a], stops[a], axis, n);
    r.start = start;
    r.extent = Dim(start == stop ? 0 : (stop - start - 1) / r.step + 1);
    ranges.push_back(r);
  }
  return ranges;
}

std::vector<Type> infer_slice(const NodeView& node) {
  std::vector<Dim> dims;
  for (const Range& r : ranges_of(node)) dims.push_back(r.extent);
  return {Type(node.input(0).dtype, Shape(std::move(dims)))};
}

void reference_slice(ReferenceContext& c) {
  Extents strides = row_major_strides(c.inputs[0].extents);
  const auto ranges = ranges_of(c.node);
  int64_t first = 0;
  for (size_t a = 0; a < ranges.size(); ++a) {
    first += ranges[a].start * strides[a];
    // A step may be as large as an integer gets; with one element along the axis it is never taken.
    strides[a] = c.outputs[0].extents[a] > 1 ? strides[a] * ranges[a].step : 0;
  }
  visit_same(c.inputs[0], c.outputs[0], [&](const auto& in, auto& out) {
    for_each_element<1>(c.outputs[0].extents, {strides}, [&](int64_t i, const std::array<int64_t, 1>& from) {
      out[static_cast<size_t>(i)] = in[static_cast<size_t>(first + from[0])];
    });
  });
}

/// The adjoint: zeros where nothing was taken.
void gradient_slice(GradientContext& c) {
  const Shape& shape = c.type(c.input(0)).shape;
  std::vector<int64_t> low, high, interior;
  for (const Range& r : ranges_of(c.view())) {
    const auto axis = static_cast<int64_t>(low.size());
    low.push_back(r.start);
    if (r.whole) {
      high.push_back(0);
      interior.push_back(0);
      continue;
    }
    const int64_t count = r.extent.value(), n = shape[axis].value();
    interior.push_back(count > 1 ? r.step - 1 : 0);
    high.push_back(n - r.start - (count > 0 ? (count - 1) * (interior.back() + 1) + 1 : 0));
  }
  c.set_d_input(0, pad(c.graph(), c.d_output(), std::move(low), std::move(high), "zero", std::move(interior)));
}

Result<Kernel> make_slice(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  std::vector<int64_t> starts, steps;
  for (const Range& r : ranges_of(node)) {
    starts.push_back(r.start);
    steps.push_back(r.extent.value() > 1 ? r.step : 1);
  }
  Kernel k;
  k.run = [size = size_of(node.input(0).dtype), from = node.input(0).shape.extents(), starts, steps,
           to = node.outputs()[0].shape.extents()](const Launch& l) {
    kernels::slice(l.team, size, static_cast<int>(from.size()), from.data(), starts.data(), steps.data(), to.data(),
                   l.inputs[0], l.outputs[0]);
  };
  return k;
}

}  // namespace

const OpDef& slice_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "slice";
    d.doc =
        "Elements starts[i], starts[i] + steps[i], ... below stops[i] of every axis. Negative starts and stops count "
        "from "
        "the end; the greatest 64-bit integer as a stop means the end. Ranges must lie inside the axis. A symbolic "
        "axis "
        "can only be kept whole.";
    d.inputs = {{"x", "any shape, any dtype"}};
    d.outputs = {{"y", "extents ceil((stop - start) / step)"}};
    d.attributes = {{"starts", AttributeKind::integers, "first element, one entry an axis", {}},
                    {"stops", AttributeKind::integers, "end (not taken), one entry an axis", {}},
                    {"steps", AttributeKind::integers, "distance between elements, at least 1, one entry an axis", {}}};
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      std::vector<int64_t> axes(static_cast<size_t>(node.input(0).rank()));
      std::iota(axes.begin(), axes.end(), int64_t{0});
      if (axes.empty()) return w.set_output(0, w.input(0));
      w.set_output(0,
                   w.add1("Slice", {w.input(0), w.integers(node.integers("starts")), w.integers(node.integers("stops")),
                                    w.integers(axes), w.integers(node.integers("steps"))}));
    };
    d.infer = infer_slice;
    d.reference = reference_slice;
    d.gradient = gradient_slice;
    d.result_as_view = [](const NodeView& node, const StridedView& x) -> std::optional<StridedView> {
      StridedView y = x;
      const std::vector<Range> ranges = ranges_of(node);
      for (size_t i = 0; i < ranges.size(); ++i) {
        y.offset += ranges[i].start * x.strides[i];
        y.strides[i] *= ranges[i].step;
        y.extents[i] = ranges[i].extent.value();
      }
      return y;
    };
    d.lowerings = {{"strided", make_slice}};
    d.cost = [](const NodeView& node) {
      return Cost{0, 2.0 * static_cast<double>(node.outputs()[0].bytes())};  // what is left out is not read
    };
    d.bits_exact_integers = true;
    d.samples = [] {
      const auto sample = [](Tensor x, std::vector<int64_t> starts, std::vector<int64_t> stops,
                             std::vector<int64_t> steps) {
        return Sample{{std::move(x)},
                      {{"starts", std::move(starts)}, {"stops", std::move(stops)}, {"steps", std::move(steps)}}};
      };
      return std::vector<Sample>{sample(sample_uniform({7}, 1), {1}, {6}, {2}),
                                 sample(sample_uniform({7}, 2), {1}, {7}, {2}),
                                 sample(sample_complex({4, 5}, 3), {0, -3}, {kEnd, kEnd}, {1, 1}),
                                 sample(sample_uniform({3, 4, 5}, 4), {1, 0, 2}, {3, -1, 5}, {1, 2, 3}),
                                 sample(sample_integers({6, 2}, 5), {0, 1}, {6, 2}, {5, 1}),
                                 sample(sample_uniform({3, 2}, 6), {2, 0}, {2, 2}, {1, 1})};
    };
    return d;
  }();
  return op;
}

Value slice(Graph& g, Value x, std::vector<int64_t> starts, std::vector<int64_t> stops, std::vector<int64_t> steps) {
  if (steps.empty()) steps.assign(starts.size(), 1);
  return g.add1(slice_op(), {x},
                {{"starts", std::move(starts)}, {"stops", std::move(stops)}, {"steps", std::move(steps)}});
}

Value slice_axis(Graph& g, Value x, int64_t axis, int64_t start, int64_t stop, int64_t step) {
  const int64_t rank = g.type(x).rank();
  const auto a = static_cast<size_t>(normalize_axis(axis, rank, "slice"));
  std::vector<int64_t> starts(static_cast<size_t>(rank), 0), stops(static_cast<size_t>(rank), kEnd),
      steps(static_cast<size_t>(rank), 1);
  starts[a] = start;
  stops[a] = stop;
  steps[a] = step;
  return slice(g, x, std::move(starts), std::move(stops), std::move(steps));
}

}  // namespace gregale::ops
