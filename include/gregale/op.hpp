// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gregale/context.hpp"
#include "gregale/graph.hpp"

namespace gregale {

namespace kernels {
class Expression;
}
namespace tile {
class CompiledProgram;
}

/// What an operator implements: one OpDef, in one file of src/ops, is everything about that operator. The operator page
/// of the docs, serialisation and the tests of every operator are derived from it.

enum class AttributeKind : uint8_t { integer, real, boolean, string, integers, reals, dtype, tensor };

struct AttributeDef {
  std::string name;
  AttributeKind kind;
  std::string doc;
  std::optional<Attribute> default_value;  ///< none: the attribute is required
};

struct OperandDef {
  enum class Arity : uint8_t { one, variadic };  ///< variadic (one or more) only in last place
  std::string name;
  std::string doc;
  Arity arity = Arity::one;
};

/// A node seen by inference, lowering and cost: operator, operand types, attributes.
class NodeView {
 public:
  NodeView(const OpDef& op, std::vector<Type> inputs, const Attributes& attributes, const std::vector<Graph>& regions)
      : op_(&op), inputs_(std::move(inputs)), attributes_(&attributes), regions_(&regions) {}
  const OpDef& op() const { return *op_; }
  int64_t input_count() const { return static_cast<int64_t>(inputs_.size()); }
  const Type& input(int64_t i) const { return inputs_.at(static_cast<size_t>(i)); }
  const std::vector<Type>& inputs() const { return inputs_; }
  /// Result types, known everywhere but inside `infer`.
  const std::vector<Type>& outputs() const { return outputs_; }
  void set_outputs(std::vector<Type> outputs) { outputs_ = std::move(outputs); }

  int64_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  bool boolean(std::string_view name) const;
  const std::string& string(std::string_view name) const;
  const std::vector<int64_t>& integers(std::string_view name) const;
  const std::vector<double>& reals(std::string_view name) const;
  DType dtype(std::string_view name) const;
  const Tensor& tensor(std::string_view name) const;
  const Attributes& attributes() const { return *attributes_; }
  const std::vector<Graph>& regions() const { return *regions_; }
  /// Whether an operand never changes, so that a lowering may ask for it in another form (Kernel::prepared).
  bool is_constant(int64_t i) const { return constant(i) != nullptr; }
  /// That operand, which the graph holds; null where it is none.
  const Tensor* constant(int64_t i) const {
    return static_cast<size_t>(i) < constants_.size() ? constants_[static_cast<size_t>(i)] : nullptr;
  }
  void set_constants(std::vector<const Tensor*> constants) { constants_ = std::move(constants); }

 private:
  const Attribute& attribute(std::string_view name) const;
  const OpDef* op_;
  std::vector<Type> inputs_, outputs_;
  std::vector<const Tensor*> constants_;
  const Attributes* attributes_;
  const std::vector<Graph>* regions_;
};

/// A tensor as references see it: floats as f64, complex as pairs of f64, integers and booleans as i64 (u64 by its
/// bits). The interpreter converts on the way in and rounds to the result's dtype on the way out.
struct RefArray {
  using Complex = std::complex<double>;
  Type type;
  Extents extents;
  std::variant<std::vector<double>, std::vector<Complex>, std::vector<int64_t>> values;

  static RefArray zeros(const Type& type);  ///< extents must be constant
  static RefArray from(const Tensor& tensor);
  Tensor to_tensor() const;  ///< rounded to type.dtype
  int64_t size() const;
  std::vector<double>& real() { return std::get<std::vector<double>>(values); }
  const std::vector<double>& real() const { return std::get<std::vector<double>>(values); }
  std::vector<Complex>& complex() { return std::get<std::vector<Complex>>(values); }
  const std::vector<Complex>& complex() const { return std::get<std::vector<Complex>>(values); }
  std::vector<int64_t>& integer() { return std::get<std::vector<int64_t>>(values); }
  const std::vector<int64_t>& integer() const { return std::get<std::vector<int64_t>>(values); }
};

/// Calls body(const std::vector<T>& in, std::vector<T>& out) with T the element category both arrays share: for
/// operators that move elements without looking at them.
template <class Body>
void visit_same(const RefArray& in, RefArray& out, Body&& body) {
  std::visit(
      [&](const auto& from) {
        using Vector = std::decay_t<decltype(from)>;
        body(from, std::get<Vector>(out.values));
      },
      in.values);
}

/// Inputs in, outputs (zeros of the inferred types) to be filled.
struct ReferenceContext {
  const NodeView& node;
  const std::vector<RefArray>& inputs;
  std::vector<RefArray>& outputs;
};

/// What `gradient` emits into: the cotangent of every input, in graph operators, so that gradients of gradients work.
/// Complex cotangents follow the conjugate convention: dL/d(re) + i dL/d(im) (docs/design.md, "Complex gradients").
class GradientContext {
 public:
  GradientContext(Graph& graph, const Node& node, std::vector<Value> d_outputs)
      : graph_(graph), node_(node), d_outputs_(std::move(d_outputs)), d_inputs_(node.inputs.size()) {}
  Graph& graph() { return graph_; }
  Value input(int64_t i) const { return node_.inputs.at(static_cast<size_t>(i)); }
  Value output(int64_t i = 0) const { return node_.outputs.at(static_cast<size_t>(i)); }
  /// The cotangent of an output; invalid where nothing downstream used it.
  Value d_output(int64_t i = 0) const { return d_outputs_.at(static_cast<size_t>(i)); }
  /// The input's cotangent. Leave it unset where the gradient is zero or the input is not differentiable.
  void set_d_input(int64_t i, Value d) { d_inputs_.at(static_cast<size_t>(i)) = d; }
  const std::vector<Value>& d_inputs() const { return d_inputs_; }
  const NodeView& view() const { return *view_; }
  void set_view(const NodeView* view) { view_ = view; }
  const Type& type(Value v) const { return graph_.type(v); }

 private:
  Graph& graph_;
  Node node_;  // a copy: appending to the graph moves its nodes
  std::vector<Value> d_outputs_, d_inputs_;
  const NodeView* view_ = nullptr;
};

/// What `expand` emits into: the same results out of smaller operators.
struct ExpandContext {
  Graph& graph;
  const NodeView& node;
  const std::vector<Value>& inputs;
};

/// Buffers of one step of a compiled program. Inputs and outputs are dense row-major.
struct Launch {
  const void* const* inputs;
  void* const* outputs;
  std::byte* scratch;  ///< as many bytes as the kernel asked for, 64-byte aligned
  ThreadTeam& team;
  std::byte* thread_scratch = nullptr;  ///< Kernel::thread_scratch_bytes for each thread of the team, in one piece
};

/// What a lowering gives: code over buffers. It allocates nothing when run.
struct Kernel {
  std::function<void(const Launch&)> run;
  int64_t scratch_bytes = 0;
  int64_t thread_scratch_bytes = 0;  ///< a multiple of 64
  /// Pairs (output, input) that may share a buffer; the planner decides.
  std::vector<std::pair<int, int>> in_place;
  /// Constant operands that are wanted in another form: `make` is called once when the program is planned, and the
  /// kernel is handed its result, 64-byte aligned, in the operand's place.
  struct Prepared {
    int input = 0;
    int64_t bytes = 0;
    std::function<void(ThreadTeam&, const void* operand, void* prepared)> make;
  };
  std::vector<Prepared> prepared;
  /// What the kernel moves and does, for the ledger; none for kernels that are no tile programs.
  std::shared_ptr<const tile::CompiledProgram> program;
  /// Output 0 has exactly the bytes of input 0: the planner makes them one buffer and never runs the kernel.
  bool view = false;
};

/// One way to run an operator. Candidates are tried in order; a refusal gives its reason, which GREGALE_LOG=kernels
/// shows. After the last comes the operator's reference, which always runs.
struct Lowering {
  std::string name;
  std::function<Result<Kernel>(const NodeView&, const Target&)> make;
};

/// Elements of an array where they lie in memory: element (i, j, ...) at offset + i strides[0] + j strides[1] + ...
struct StridedView {
  Extents extents, strides;
  int64_t offset = 0;
  static StridedView dense(Extents extents);
};

struct Cost {
  double flops = 0;
  double bytes = 0;  ///< each input once, each output once
};

/// One set of operands to test an operator with. Values stay away from kinks, so that differences are derivatives.
struct Sample {
  std::vector<Tensor> inputs;  ///< f64 or c128 where floating; the tests cast them to the other dtypes
  Attributes attributes;
  std::vector<Graph> regions;
  bool check_gradient = true;
};

class OnnxNode;    // ops/onnx_node.hpp
class OnnxWriter;  // ops/onnx_writer.hpp

/// How an operator of ONNX becomes operators of the graph, for operator sets `since` to `until`: results in the order
/// of the node's outputs; trailing ones may be left out.
struct OnnxMapping {
  std::string name;
  int64_t since = 1;
  std::function<std::vector<Value>(OnnxNode&)> import;
  int64_t until = std::numeric_limits<int64_t>::max();
  std::string domain = "";
};

struct OpDef {
  std::string name;
  std::string doc;  ///< one paragraph: semantics, shapes, source where the definition is somebody's
  std::vector<OperandDef> inputs;
  std::vector<OperandDef> outputs;
  std::vector<AttributeDef> attributes;

  std::function<std::vector<Type>(const NodeView&)> infer;
  std::function<void(ReferenceContext&)> reference;
  std::function<void(GradientContext&)> gradient;
  std::string no_gradient;  ///< the reason why there is no `gradient`; exactly one of the two, unless `expand` serves
  std::function<std::vector<Value>(ExpandContext&)> expand;
  std::vector<Lowering> lowerings;
  /// Operators of real floats that act on each element alone, or along the last axis: appends what the node computes to
  /// an expression over tiles whose rows are lanes of that axis, from its operands' ids, and gives the result's id; -1
  /// where this node cannot be said so. Booleans are masks there.
  std::function<int32_t(kernels::Expression&, const NodeView&, const std::vector<int32_t>&)> express;
  /// Operators that move nothing but the way elements are walked: the result as a view of operand 0's memory, nothing
  /// where strides cannot say it. `operand_as_view` is the other way round, for those that lose no element.
  std::function<std::optional<StridedView>(const NodeView&, const StridedView&)> result_as_view, operand_as_view;
  std::function<Cost(const NodeView&)> cost;  ///< none: bytes of operands and one flop an output element
  std::function<std::vector<Sample>()> samples;
  /// The ONNX operators that this one serves, and how a node of it is written as nodes of ONNX (operator set 17).
  std::vector<OnnxMapping> onnx;
  std::function<void(OnnxWriter&)> to_onnx;
  /// Relative tolerance of an f32 lowering against the reference, in units of f32 epsilon times the largest magnitude
  /// of the result.
  double tolerance_eps = 8;
  bool has_side_effect = false;  ///< `write`: never dead
  bool bits_exact_integers = false;

  ~OpDef();
};

/// Bytes of operands once, `flops_per_output` for every output element.
Cost default_cost(const NodeView& node, double flops_per_output = 1);

}  // namespace gregale
