// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "kernels/elementwise/elementwise.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"
#include "tile/matmul.hpp"

namespace gregale::ops {
namespace {

/// The dims of one product: batch extents, rows, columns and what is summed over.
struct Dims {
  Shape batch;
  Dim m = 0, n = 0, k = 0;
};

Shape leading(const Shape& shape) { return Shape(std::vector<Dim>(shape.dims().begin(), shape.dims().end() - 2)); }

Dims dims_of(const NodeView& node) {
  const Shape &a = node.input(0).shape, &b = node.input(1).shape;
  GREGALE_CHECK(a.rank() >= 2 && b.rank() >= 2, shape, "[matmul] operands are {} and {}; each needs two axes or more",
                to_string(node.input(0)), to_string(node.input(1)));
  const bool ta = node.boolean("transpose_a"), tb = node.boolean("transpose_b");
  Dims d;
  d.m = a[a.rank() - (ta ? 1 : 2)];
  d.k = a[a.rank() - (ta ? 2 : 1)];
  d.n = b[b.rank() - (tb ? 2 : 1)];
  const Dim& other = b[b.rank() - (tb ? 1 : 2)];
  GREGALE_CHECK(d.k == other, shape, "[matmul] {}{} times {}{}: {} columns meet {} rows", to_string(node.input(0)),
                ta ? " transposed" : "", to_string(node.input(1)), tb ? " transposed" : "", d.k.to_string(),
                other.to_string());
  d.batch = broadcast(leading(a), leading(b), "matmul");
  return d;
}

std::vector<Type> infer_matmul(const NodeView& node) {
  const DType operands = node.input(0).dtype;
  GREGALE_CHECK(operands != DType::boolean, dtype, "[matmul] a has dtype bool; expected a number");
  check_same_dtype(node, 0, 1);
  const Dims d = dims_of(node);
  Shape shape = d.batch;
  shape.dims().push_back(d.m);
  shape.dims().push_back(d.n);
  const DType dtype = node.input(0).dtype;
  GREGALE_CHECK(!node.boolean("f32_result") || dtype == DType::bf16, dtype,
                "[matmul] f32_result is for operands of bf16, not {}", name_of(dtype));
  return {Type(node.boolean("f32_result") ? DType::f32 : dtype, std::move(shape))};
}

void reference_matmul(ReferenceContext& c) {
  const Dims d = dims_of(c.node);
  const int64_t m = d.m.value(), n = d.n.value(), k = d.k.value();
  const bool ta = c.node.boolean("transpose_a"), tb = c.node.boolean("transpose_b");
  const Extents batch = d.batch.extents();
  // Strides that walk the matrices of an operand: its batch dims broadcast, in units of one matrix.
  const auto matrices = [&](const RefArray& x) {
    return broadcast_strides(Extents(x.extents.begin(), x.extents.end() - 2), batch);
  };
  std::visit(
      [&](const auto& a) {
        using Vector = std::decay_t<decltype(a)>;
        using T = typename Vector::value_type;
        const auto& b = std::get<Vector>(c.inputs[1].values);
        auto& y = std::get<Vector>(c.outputs[0].values);
        const auto at = [](const Vector& x, int64_t matrix, int64_t rows, int64_t columns, int64_t i, int64_t j) {
          return x[static_cast<size_t>((matrix * rows + i) * columns + j)];
        };
        for_each_element<2>(
            batch, {matrices(c.inputs[0]), matrices(c.inputs[1])}, [&](int64_t p, const std::array<int64_t, 2>& from) {
              for (int64_t i = 0; i < m; ++i)
                for (int64_t j = 0; j < n; ++j) {
                  T sum{};
                  for (int64_t l = 0; l < k; ++l) {
                    const T left = ta ? at(a, from[0], k, m, l, i) : at(a, from[0], m, k, i, l);
                    const T right = tb ? at(b, from[1], n, k, j, l) : at(b, from[1], k, n, l, j);
                    if constexpr (std::is_same_v<T, int64_t>)  // unsigned, so that it wraps
                      sum = static_cast<int64_t>(static_cast<uint64_t>(sum) +
                                                 static_cast<uint64_t>(left) * static_cast<uint64_t>(right));
                    else
                      sum += left * right;
                  }
                  y[static_cast<size_t>((p * m + i) * n + j)] = sum;
                }
            });
      },
      c.inputs[0].values);
}

/// Rows of a [..., m, k] under one matrix b: the product is one of all rows at once.
bool is_flat(const NodeView& node) {
  return node.input(0).rank() > 2 && node.input(1).rank() == 2 && !node.boolean("transpose_a");
}

/// [..., r, c] as [rows, c].
Value flatten_rows(Graph& g, Value x) {
  const Shape& shape = g.type(x).shape;
  std::vector<Dim> dims = shape.dims();
  const Dim last = dims.back();
  dims.pop_back();
  int64_t symbols = 0;
  for (const Dim& d : dims) symbols += !d.is_constant();
  if (symbols == 0) {
    int64_t rows = 1;
    for (const Dim& d : dims) rows *= d.value();
    return reshape(g, x, Shape{Dim(rows), last});
  }
  return {};  // a product of symbols is no extent
}

void gradient_matmul(GradientContext& c) {
  Graph& g = c.graph();
  const bool ta = c.view().boolean("transpose_a"), tb = c.view().boolean("transpose_b");
  const Value d = c.type(c.d_output()).dtype == c.type(c.input(0)).dtype
                      ? c.d_output()
                      : cast(g, c.d_output(), c.type(c.input(0)).dtype);
  const Value a = conj_if_complex(g, c.input(0)), b = conj_if_complex(g, c.input(1));
  if (is_flat(c.view())) {
    // Products over all rows: the batch is part of what is summed over, no partial results are stored.
    const Value rows = flatten_rows(g, a), d_rows = flatten_rows(g, d);
    if (rows.valid() && d_rows.valid()) {
      const Shape shape = c.type(c.input(0)).shape;
      c.set_d_input(0, reshape(g, matmul(g, d_rows, b, false, !tb), shape));
      c.set_d_input(1, tb ? matmul(g, d_rows, rows, true, false) : matmul(g, rows, d_rows, true, false));
      return;
    }
  }
  c.set_d_input(0, reduce_like(g, ta ? matmul(g, b, d, tb, true) : matmul(g, d, b, false, !tb), c.input(0)));
  c.set_d_input(1, reduce_like(g, tb ? matmul(g, d, a, true, ta) : matmul(g, a, d, !ta, false), c.input(1)));
}

/// The program's description of the product.
tile::MatmulProblem problem_of_matmul(const NodeView& node) {
  const bool ta = node.boolean("transpose_a"), tb = node.boolean("transpose_b");
  Extents a = node.input(0).shape.extents();
  const Extents b = node.input(1).shape.extents();
  if (is_flat(node)) {
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < a.size(); ++i) rows *= a[i];
    a = {rows, a.back()};
  }
  return tile::broadcast_matmul(static_cast<int>(a.size()), a.data(), ta, static_cast<int>(b.size()), b.data(), tb);
}

std::optional<Error> refusal(const NodeView& node, DType dtype) {
  if (node.input(0).dtype != dtype) return refuse(node, fmt::format("{} needed", name_of(dtype)));
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  if (node.outputs()[0].rank() > kernels::kMaxRank + 2) return refuse(node, "more than 8 batch axes");
  return {};
}

Kernel kernel_of_matmul(std::shared_ptr<const tile::Matmul> program) {
  Kernel kernel;
  kernel.scratch_bytes = program->scratch_bytes();
  kernel.thread_scratch_bytes = program->thread_scratch_bytes();
  kernel.run = [program = std::move(program)](const Launch& l) {
    program->run(l.team, {l.inputs[0], l.inputs[1], l.outputs[0]}, l.scratch, l.thread_scratch);
  };
  return kernel;
}

template <DType dtype, kernels::Compute compute>
Result<Kernel> lower_matmul(const NodeView& node, const Target& target) {
  if (auto error = refusal(node, dtype)) return *error;
  tile::MatmulProblem problem = problem_of_matmul(node);
  problem.a = problem.b = dtype;
  problem.c = node.outputs()[0].dtype;
  problem.compute = compute;
  return kernel_of_matmul(std::make_shared<const tile::Matmul>(*kernel_cache(target), problem));
}

/// Four real products of the real and imaginary parts.
Result<Kernel> lower_c64(const NodeView& node, const Target& target) {
  if (auto error = refusal(node, DType::c64)) return *error;
  tile::MatmulProblem problem = problem_of_matmul(node);
  const auto cache = kernel_cache(target);
  auto first = std::make_shared<const tile::Matmul>(*cache, problem);
  problem.accumulate = true;
  auto second = std::make_shared<const tile::Matmul>(*cache, problem);
  const int64_t a = node.input(0).shape.elements(), b = node.input(1).shape.elements(),
                y = node.outputs()[0].shape.elements();
  const auto bytes = [](int64_t count) { return kernels::align_bytes(count * static_cast<int64_t>(sizeof(float))); };
  Kernel kernel;
  kernel.scratch_bytes =
      3 * bytes(a) + 2 * bytes(b) + 2 * bytes(y) + std::max(first->scratch_bytes(), second->scratch_bytes());
  kernel.thread_scratch_bytes = std::max(first->thread_scratch_bytes(), second->thread_scratch_bytes());
  kernel.run = [first, second, a, b, y, bytes, isa = target.isa](const Launch& l) {
    std::byte* next = l.scratch;
    const auto take = [&](int64_t count) {
      auto* part = reinterpret_cast<float*>(next);
      next += bytes(count);
      return part;
    };
    float *a_re = take(a), *a_im = take(a), *minus_a_im = take(a), *b_re = take(b), *b_im = take(b), *y_re = take(y),
          *y_im = take(y);
    const auto product = [&](const tile::Matmul& program, const float* x, const float* z, float* sum) {
      program.run(l.team, {x, z, sum}, next, l.thread_scratch);
    };
    kernels::complex_split(isa, l.team, a, static_cast<const float*>(l.inputs[0]), a_re, a_im);
    kernels::complex_split(isa, l.team, b, static_cast<const float*>(l.inputs[1]), b_re, b_im);
    kernels::unary_f32(isa, l.team, kernels::UnaryOp::neg, a, a_im, minus_a_im);
    product(*first, a_re, b_re, y_re);
    product(*second, minus_a_im, b_im, y_re);
    product(*first, a_re, b_im, y_im);
    product(*second, a_im, b_re, y_im);
    kernels::complex_join(isa, l.team, y, y_re, y_im, static_cast<float*>(l.outputs[0]));
  };
  return kernel;
}

std::vector<Sample> samples_matmul() {
  std::vector<Sample> all;
  uint32_t stream = 0;
  const auto add = [&](const Extents& a, const Extents& b, bool ta, bool tb, bool complex = false) {
    const Attributes attributes{{"transpose_a", ta}, {"transpose_b", tb}};
    all.push_back({.inputs = {sample_uniform(a, stream + 1), sample_uniform(b, stream + 2)}, .attributes = attributes});
    if (complex)
      all.push_back(
          {.inputs = {sample_complex(a, stream + 3), sample_complex(b, stream + 4)}, .attributes = attributes});
    stream += 4;
  };
  add({2, 3}, {3, 4}, false, false, true);
  add({3, 2}, {3, 4}, true, false, true);
  add({2, 3}, {4, 3}, false, true, true);
  add({3, 2}, {4, 3}, true, true, true);
  add({1, 1}, {1, 1}, false, false);
  add({7, 5}, {5, 18}, false, false);
  add({2, 3, 4}, {4, 2}, false, false, true);  // one b for all rows
  add({2, 3, 4}, {5, 4}, false, true);
  add({2, 4, 3}, {4, 2}, true, false);
  add({2, 2, 3}, {2, 3, 2}, false, false, true);  // batch
  add({2, 1, 2, 3}, {3, 3, 2}, false, false);     // batch dims broadcast both ways
  add({2, 3}, {2, 4, 3}, false, true);
  all.push_back({.inputs = {sample_integers({2, 3}, 90), sample_integers({3, 4}, 91)},
                 .attributes = {{"transpose_a", false}, {"transpose_b", false}},
                 .check_gradient = false});
  return all;
}

}  // namespace

const OpDef& matmul_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "matmul";
    d.doc =
        "Matrix products [..., m, k] x [..., k, n] -> [..., m, n], real, complex or integer (wrapping). Leading axes "
        "broadcast as in NumPy; the transposes (without conjugation) exchange the last two axes of an operand first.";
    d.inputs = {{"a", "[..., m, k], or [..., k, m] where transpose_a is set"},
                {"b", "[..., k, n], or [..., n, k] where transpose_b is set; of a's dtype"}};
    d.outputs = {{"y", "[..., m, n]"}};
    d.attributes = {{"transpose_a", AttributeKind::boolean, "exchange the last two axes of a", false},
                    {"transpose_b", AttributeKind::boolean, "exchange the last two axes of b", false},
                    {"f32_result", AttributeKind::boolean,
                     "of bf16 operands: the sums as they are, in f32, instead of rounded to bf16", false}};
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      const bool complex = is_complex(node.input(0).dtype);
      // Operands with their last two axes exchanged where the node says so; of complex ones, their parts.
      const auto operand = [&](int64_t i, const char* exchanged) {
        std::vector<std::string> parts{w.input(i)};
        if (complex) {
          const auto [re, im] = onnx_parts(w, w.input(i));
          parts = {re, im};
        }
        std::vector<int64_t> order(static_cast<size_t>(node.input(i).rank()));
        std::iota(order.begin(), order.end(), int64_t{0});
        std::swap(order[order.size() - 1], order[order.size() - 2]);
        for (std::string& part : parts) {
          if (node.boolean(exchanged)) part = w.add1("Transpose", {part}, {{"perm", order}});
          if (node.boolean("f32_result")) part = w.add1("Cast", {part}, {{"to", int64_t{1}}});
        }
        return parts;
      };
      const auto a = operand(0, "transpose_a"), b = operand(1, "transpose_b");
      const auto product = [&](size_t i, size_t j) { return w.add1("MatMul", {a[i], b[j]}); };
      if (!complex) return w.set_output(0, product(0, 0));
      const std::string re = w.add1("Sub", {product(0, 0), product(1, 1)});
      w.set_output(0, onnx_pair(w, re, w.add1("Add", {product(0, 1), product(1, 0)})));
    };
    d.infer = infer_matmul;
    d.reference = reference_matmul;
    d.gradient = gradient_matmul;
    d.lowerings = {{"f32", lower_matmul<DType::f32, kernels::Compute::f32>},
                   {"f64", lower_matmul<DType::f64, kernels::Compute::f64>},
                   {"bf16", lower_matmul<DType::bf16, kernels::Compute::bf16>},
                   {"c64", lower_c64}};
    d.cost = [](const NodeView& node) {
      // A complex multiply-add is four real ones.
      const double flops = is_complex(node.input(0).dtype) ? 8 : 2;
      return default_cost(node, flops * static_cast<double>(dims_of(node).k.value()));
    };
    d.samples = samples_matmul;
    d.bits_exact_integers = true;
    return d;
  }();
  return op;
}

Value matmul(Graph& g, Value a, Value b, bool transpose_a, bool transpose_b, bool f32_result) {
  return g.add1(matmul_op(), {a, b},
                {{"transpose_a", transpose_a}, {"transpose_b", transpose_b}, {"f32_result", f32_result}});
}

}  // namespace gregale::ops
