// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/inference.hpp"
#include "tile/cut.hpp"
#include "tile/lower_region.hpp"
#include "tile/matmul.hpp"
#include "tile/refusal.hpp"
#include "tile/row_transform.hpp"

namespace gregale::tile {

/// How lower_region makes a program of operators that share rows: values are placed, operators are put in order of
/// products, rows are found and merged, and then each operator adds a stage. Its methods are in three files:
/// region_lowering_rows.cpp, region_lowering_operands.cpp and region_lowering_products.cpp.
class RegionLowering {
 public:
  RegionLowering(const Graph& region, const Target& target, const std::vector<Given>& given,
                 const ScheduleChoice& choice)
      : g_(region), target_(target), given_(given), choice_(choice) {}

  LoweredRegion run();

 private:
  using Broadcast = kernels::Broadcast;
  using Expression = kernels::Expression;

  /// Where a value of the region is.
  struct Place {
    enum class Kind : uint8_t {
      none,
      scalar,   ///< a constant of one element
      operand,  ///< an input of the region, walked by `view`
      result,   ///< of a stage, or of the expression at hand
      alias,    ///< a result seen through operators that move elements
      sum,      ///< of all rows of a result
    } kind = Kind::none;
    double scalar = 0;
    int32_t input = -1;
    StridedView view;
  };

  /// Operators that run on a block of rows one after another: a product, a Fourier transform down the rows, or an
  /// expression of whole rows.
  struct Work {
    bool product = false;
    bool transform = false;
    int32_t node = -1;           ///< of a product or transform
    std::vector<int32_t> nodes;  ///< of an expression, in order
    int level = 0;
    bool folded = false;  ///< an expression that is the epilogue of the product before it
    /// Products of which one multiplies what the other gives, in blocks of these hidden columns.
    enum class Pair : uint8_t { none, first, second } pair = Pair::none;
  };

  const Node& node(int32_t n) const { return g_.nodes()[static_cast<size_t>(n)]; }
  Place& place(Value v) { return places_[static_cast<size_t>(v.id)]; }
  Place::Kind place_of(Value v) const { return places_[static_cast<size_t>(v.id)].kind; }
  const Type& type(Value v) const { return g_.type(v); }
  Extents extents(Value v) const { return type(v).shape.extents(); }
  static bool is_product(const Node& n) { return n.op->name == "matmul"; }
  bool is_transform(const Node& n) const { return row_transform(view_of(g_, n)).has_value(); }
  static bool moves(const Node& n) { return static_cast<bool>(n.op->result_as_view); }

  // --- which operator does what ---

  void place_values();
  /// What is multiplied from the right, in f32 outside: packing rounds it.
  bool is_rounding_of_right(int32_t n);

  static size_t at(Value v) { return static_cast<size_t>(v.id); }

  /// Elementwise expressions of operands from outside, a residual's cast say, join the expressions that use them, so
  /// that they may be part of a product's epilogue.
  void delay_expressions();

  void collect_work();
  /// The nodes of an expression, apart where some make wider tiles than others that they have nothing to do with.
  std::vector<std::vector<int32_t>> parts_by_width(const std::vector<int32_t>& nodes);

  /// For every result: who uses it, and where in memory it goes if it is an output of the region.
  void find_outputs();

  bool is_output(Value v) const { return outputs_.count(v.id) > 0; }

  /// The result of an expression's nodes that others need: outputs of the region, operands of later products and
  /// expressions.
  std::vector<Value> results_of(const Work& w) const {
    std::vector<Value> results;
    for (const int32_t n : w.nodes) {
      const Value v = node(n).outputs[0];
      if (is_output(v) || used_after(v, w)) results.push_back(v);
    }
    return results;
  }

  bool used_after(Value v, const Work& w) const;

  /// A sum over all rows of what an expression makes: each block of rows leaves a partial, and a second phase adds
  /// them.
  struct RowSum {
    int32_t node = -1;
    Value of;
    int32_t output = -1, partials = -1;
  };
  /// Those of the values that an expression computes.
  std::vector<RowSum*> sums_of(const Work& w) {
    std::vector<RowSum*> sums;
    for (RowSum& s : sums_)
      for (const int32_t n : w.nodes)
        if (node(n).outputs[0] == s.of) sums.push_back(&s);
    return sums;
  }
  /// Blocks of rows, over all axes.
  int64_t parts() const;
  void add_partials();

  /// An expression right behind its level's only product, without whole rows and with one result, is its epilogue.
  void fold_epilogues();

  /// Two products in a row, wide between them, on the tile unit: the columns between them are made and multiplied block
  /// by block, so that the blocks stay in the cache with the rows and the sums.
  void find_pairs();

  // --- rows ---

  /// The strides of a view along the axes of the rows and the last axis of the space: broadcast, aligned on the right.
  /// `reduced`: a result without its last axis.
  std::vector<int64_t> aligned(const StridedView& view, bool reduced = false) const;

  /// A reduced result without its axis (keep_dims unset) is one rank lower than the rows it belongs to.
  bool drops_axis(Value v) const {
    const Node& nd = node(g_.producer(v));
    if (is_product(nd) || nd.inputs.empty()) return false;
    return type(v).rank() + 1 == type(nd.inputs[0]).rank() && nd.attributes.count("keep_dims") > 0;
  }

  /// Rows are the axes of results but the last, equal for all; axes that lie evenly in all operands are merged.
  void find_rows();

  /// A transform's operand from outside, said to have the rows of the result: for modes of real numbers, it has others.
  StridedView transformed(const Work& w) {
    StridedView view = place(node(w.node).inputs[0]).view;
    const Extents e = extents(node(w.node).outputs[0]);
    view.extents[view.extents.size() - 2] = e[e.size() - 2];
    return view;
  }

  struct Axis {
    int64_t extent = 1;
    size_t first = 0, last = 0;  ///< of the space
    int32_t dim = -1;
  };

  int64_t total_rows() const {
    int64_t n = 1;
    for (const Axis& a : axes_) n *= a.extent;
    return n;
  }

  // --- buffers ---

  void declare_buffers();

  /// Rows of a block: panels of all stages should take a quarter of L2 at most, and every core should have several
  /// blocks.
  void choose_row_step();

  /// Blocks of rows are multiples of what kernels multiply at once.
  int64_t row_unit() const { return multiplies_tiles_ ? 32 : 12; }

  /// How tile::Matmul would cut this product.
  MatmulBlocks blocks_of(const Node& nd);

  int32_t panel(const char* name, DType dtype, int64_t leading) {
    return out_.program.add_buffer(fmt::format("{}{}", name, panels_++), Scope::panel, dtype, row_step_ * leading);
  }
  /// Elements from row to row of a panel: tiles are loaded and stored faster where they are an odd number of lines.
  int64_t panel_leading(DType dtype, int64_t columns) const {
    const bool tiles = multiplies_tiles_ && columns * size_of(dtype) >= 128;
    return tiles ? odd_lines(columns, size_of(dtype)) : columns;
  }

  // --- operands ---

  /// An operand from strides along the space: dims, leading and how it broadcasts over a tile of rows and columns.
  Operand operand_of(int32_t buffer, int64_t offset, const std::vector<int64_t>& walk, int64_t columns,
                     int32_t column_dim) const;

  /// A value that an earlier stage made, or an operand from outside.
  Operand read(Value v, int64_t columns, int32_t column_dim);

  /// Where a result of this shape is to be written: its output, or a panel for later stages.
  Operand store(Value v, Broadcast shape, int64_t columns);

  /// What an expression's outputs are over a tile, from what its inputs are.
  static std::vector<Broadcast> shapes_of(const Expression& e, const std::vector<Operand>& inputs, bool sums);

  // --- expressions ---

  /// The expression of `nodes`; `given` is what is known already (a product's sums as input 0). Operands are added in
  /// the order they are met.
  Expression express(const std::vector<int32_t>& nodes, std::optional<Value> sums, int64_t columns, int32_t column_dim,
                     std::vector<Operand>& operands, const std::vector<Value>& results);

  void emit(size_t index, std::vector<Stage>& stages);

  int64_t last_extent(Value v) const {
    const Extents e = extents(v);
    return e.empty() ? 1 : e.back();
  }

  // --- Fourier transforms ---

  void emit_transform(const Work& w, std::vector<Stage>& stages);

  // --- products ---

  void emit_product(const Work& w, const Work* epilogue, std::vector<Stage>& stages);

  /// What a block of rows is multiplied from the left with where the product sums over the rows: transposed to a panel.
  /// All rows are in one block.
  Operand turn(const Operand& a, DType dtype, int64_t depth, int32_t k_dim, std::vector<Stage>& stages);

  /// a's rows brought to a panel, all of them or those of one block of k, where that pays; `a` is then the panel. Where
  /// a is stored transposed, they are turned on the way.
  std::optional<Call> copy_rows(Operand& a, Contract& product, const MatmulProblem& problem, int64_t columns);

  Given given(Value value) {
    const auto input = static_cast<size_t>(place(value).input);
    return input < given_.size() ? given_[input] : Given::later;
  }
  /// Whether a product of fp32 is computed on the tile unit, in parts (kernels::Compute::fp32x3).
  bool in_parts(const Node& nd);
  bool of_bytes(const Node& nd);

  /// b as the kernels read it: where it is, packed beforehand, or packed by a stage or a phase of its own. Sets
  /// direct_.
  Operand pack(Value value, const MatmulProblem& problem, bool trans, int64_t panel_width, std::vector<Stage>& stages);

  /// Of a panel of b once packed.
  int64_t elements_of_panel(const MatmulProblem& problem, int64_t panel_width) const;

  int uses_of_input(int32_t input) const;

  void finish(std::vector<Stage> stages);
  /// Adds the partial sums of all blocks of rows, in f64 and in order.
  void add_second_phase();

  const Graph& g_;
  const Target& target_;
  const std::vector<Given>& given_;
  const ScheduleChoice& choice_;
  LoweredRegion out_;
  std::vector<Place> places_;
  std::vector<int> level_, uses_;
  std::vector<Work> work_;
  std::vector<RowSum> sums_;
  std::map<int32_t, std::pair<int32_t, StridedView>> outputs_;  // result -> output and where it lies
  std::map<int32_t, Operand> stored_;                           // result -> where later stages find it
  Extents space_;
  std::vector<Axis> axes_;
  size_t column_axis_ = 0;
  int64_t rows_ = 1, width_ = 1, row_step_ = 1, column_step_ = 1;
  bool turns_rows_ = false;        ///< products that sum over the rows, beside others
  bool multiplies_tiles_ = false;  ///< bf16 products on the tile unit
  int64_t hidden_step_ = 0;        ///< columns of a block between a pair of products, its dim, and the stage of both
  int32_t hidden_dim_ = -1;
  Stage hidden_stage_;
  bool problem_in_steps_ = false;  ///< the product at hand reads its b step by step
  bool has_product_ = false, has_transform_ = false, whole_rows_ = false, direct_ = false, alone_ = false;
  bool bytes_ = false;  ///< of the product being emitted: b is packed as bytes
  int32_t columns_dim_ = -1;
  int panels_ = 0;
};

}  // namespace gregale::tile
