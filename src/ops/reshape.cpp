// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "gregale/error.hpp"
#include "kernels/elementwise/elementwise.hpp"
#include "ops/common.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

// The attribute `shape` names extents of x as -2 - axis, so that symbolic extents survive, and stay right when symbols
// are bound later.
constexpr int64_t kRest = -1;
constexpr int64_t kFirstCopy = -2;

/// Constant extents multiplied up, and the symbols beside them.
struct Count {
  Extents constants;
  std::vector<Dim> symbols;
  void add(const Dim& d) {
    if (d.is_constant())
      constants.push_back(d.value());
    else
      symbols.push_back(d);
  }
};

/// The same elements in the same order with other extents, where strides can say it: runs of axes that lie evenly in
/// memory are merged, then cut again.
std::optional<StridedView> reshaped(const StridedView& x, const Extents& extents) {
  StridedView merged;
  for (size_t i = 0; i < x.extents.size(); ++i) {
    if (x.extents[i] == 0) return {};
    if (x.extents[i] == 1) continue;
    if (!merged.extents.empty() && merged.strides.back() == x.strides[i] * x.extents[i]) {
      merged.extents.back() *= x.extents[i];
      merged.strides.back() = x.strides[i];
    } else {
      merged.extents.push_back(x.extents[i]);
      merged.strides.push_back(x.strides[i]);
    }
  }
  StridedView y;
  y.offset = x.offset;
  y.extents = extents;
  y.strides.assign(extents.size(), 0);
  size_t run = merged.extents.size();
  int64_t left = 1, stride = 0;  // of the run at hand, from its end
  for (size_t i = extents.size(); i-- > 0;) {
    if (extents[i] == 1) continue;
    if (left == 1) {
      if (run == 0) return {};
      left = merged.extents[--run];
      stride = merged.strides[run];
    }
    if (left % extents[i] != 0) return {};
    y.strides[i] = stride;
    stride *= extents[i];
    left /= extents[i];
  }
  return y;
}

std::vector<Type> infer_reshape(const NodeView& node) {
  const Type& x = node.input(0);
  const auto& shape = node.integers("shape");
  std::vector<Dim> dims;
  int64_t rest = -1;
  Count wanted, given;
  for (const Dim& d : x.shape.dims()) given.add(d);
  for (int64_t e : shape) {
    if (e == kRest) {
      GREGALE_CHECK(rest < 0, invalid_argument, "[reshape] shape {} has more than one -1", fmt::join(shape, ","));
      rest = static_cast<int64_t>(dims.size());
      dims.push_back(Dim(1));
      continue;
    }
    if (e <= kFirstCopy) {
      GREGALE_CHECK(e >= kFirstCopy - x.rank() + 1, invalid_argument, "[reshape] shape entry {} names no axis of {}", e,
                    to_string(x));
      dims.push_back(x.shape[kFirstCopy - e]);
    } else {
      dims.push_back(Dim(e));
    }
    wanted.add(dims.back());
  }
  const auto fail = [&] {
    throw_error(ErrorCode::shape,
                fmt::format("[reshape] {} does not fit shape [{}]", to_string(x), fmt::join(shape, ",")));
  };
  for (const Dim& d : wanted.symbols) {
    auto at = std::find(given.symbols.begin(), given.symbols.end(), d);
    if (at == given.symbols.end()) fail();
    given.symbols.erase(at);
  }
  const int64_t have = element_count(given.constants), want = element_count(wanted.constants);
  if (rest < 0) {
    if (!given.symbols.empty() || have != want) fail();
  } else if (given.symbols.empty()) {
    if (want == 0 || have % want != 0) fail();
    dims[static_cast<size_t>(rest)] = Dim(have / want);
  } else {
    if (given.symbols.size() != 1 || have != want) fail();
    dims[static_cast<size_t>(rest)] = given.symbols[0];
  }
  return {Type(x.dtype, Shape(std::move(dims)))};
}

Result<Kernel> make_reshape(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  Kernel k;
  k.view = true;
  k.run = [bytes = node.input(0).bytes()](const Launch& l) {
    if (l.outputs[0] != l.inputs[0]) kernels::copy_bytes(l.team, bytes, l.inputs[0], l.outputs[0]);
  };
  return k;
}

}  // namespace

const OpDef& reshape_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "reshape";
    d.doc =
        "The same elements in row-major order with another shape of as many elements. Symbolic extents are carried "
        "over "
        "by naming the axis they come from; nothing moves where the planner lets the result share x's buffer.";
    d.inputs = {{"x", "any shape, any dtype"}};
    d.outputs = {{"y", "the elements of x, with the new shape"}};
    d.attributes = {{"shape",
                     AttributeKind::integers,
                     "extents of the result; -1 (once) stands for what is left, -2 - i for the extent of axis i of x",
                     {}}};
    d.to_onnx = [](OnnxWriter& w) {
      // A 0 means "as it was" there, unless said otherwise.
      w.set_output(0, w.add1("Reshape", {w.input(0), w.integers(w.output_extents())}, {{"allowzero", int64_t{1}}}));
    };
    d.infer = infer_reshape;
    d.reference = [](ReferenceContext& c) {
      visit_same(c.inputs[0], c.outputs[0], [](const auto& in, auto& out) { out = in; });
    };
    d.gradient = [](GradientContext& c) {
      c.set_d_input(0, reshape(c.graph(), c.d_output(), c.type(c.input(0)).shape));
    };
    d.result_as_view = [](const NodeView& node, const StridedView& x) {
      return reshaped(x, node.outputs()[0].shape.extents());
    };
    d.operand_as_view = [](const NodeView& node, const StridedView& y) {
      return reshaped(y, node.input(0).shape.extents());
    };
    d.lowerings = {{"copy", make_reshape}};
    d.cost = cost_of_move;
    d.bits_exact_integers = true;
    d.samples = [] {
      const auto sample = [](Tensor x, std::vector<int64_t> shape) {
        return Sample{{std::move(x)}, {{"shape", std::move(shape)}}};
      };
      return std::vector<Sample>{
          sample(sample_uniform({2, 6}, 1), {3, 4}),      sample(sample_complex({2, 3}, 2), {-1}),
          sample(sample_uniform({2, 3, 4}, 3), {-2, -1}), sample(sample_uniform({1}, 4), {}),
          sample(sample_uniform({}, 5), {1, 1}),          sample(sample_integers({4, 2}, 6), {2, -1, 2})};
    };
    return d;
  }();
  return op;
}

Value reshape(Graph& g, Value x, const Shape& shape) {
  const Shape& from = g.type(x).shape;
  std::vector<int64_t> entries;
  for (const Dim& d : shape.dims()) {
    if (d.is_constant()) {
      entries.push_back(d.value());
      continue;
    }
    const auto at = std::find(from.dims().begin(), from.dims().end(), d);
    GREGALE_CHECK(at != from.dims().end(), shape, "[reshape] {} has no symbolic extent {}", to_string(g.type(x)),
                  d.to_string());
    entries.push_back(kFirstCopy - (at - from.dims().begin()));
  }
  return g.add1(reshape_op(), {x}, {{"shape", std::move(entries)}});
}

}  // namespace gregale::ops
