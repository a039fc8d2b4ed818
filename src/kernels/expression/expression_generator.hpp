// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>

#include "kernels/expression/expression_analysis.hpp"
#include "kernels/expression/vector_assembler.hpp"

namespace gregale::kernels::expression {

inline constexpr int kMaxUnroll = 4;

/// Registers that hold one value of the block of vectors being computed: one a vector.
struct Group {
  std::array<int8_t, kMaxUnroll> r{};
  int operator[](int u) const { return r[static_cast<size_t>(u)]; }
};

/// Where an instruction finds its last operand.
struct Arg {
  enum class Kind : uint8_t { group, pinned, frame, constant } kind = Kind::group;
  Group group;
  int reg = 0;                    ///< pinned
  int at = 0, step = 0;           ///< frame: offset of vector 0, distance of the others
  Xbyak::Label* label = nullptr;  ///< constant
};

/// Thrown where registers do not suffice even after spilling: the kernel is tried again with fewer vectors at a time.
struct Pressure {};

/// A constant vector: `table` number, or `bits` in all lanes of 4 or 8 bytes.
struct ConstantKey {
  enum class Kind : uint8_t { u32, u64, table } kind = Kind::u32;
  uint64_t bits = 0;
  bool operator==(const ConstantKey&) const = default;
};

/// What the first pass learns for the second.
struct Settings {
  int unroll = 1;
  int64_t frame_bytes = 64;
  std::vector<ConstantKey> pinned_constants;  ///< kept in registers throughout
  std::vector<Expression::Id> pinned_uniforms;
};

/// How many passes over a row's columns, and what each computes.
struct Plan {
  using Id = Expression::Id;
  struct Stage {
    std::vector<Id> reductions;  ///< row_* that end here
    std::vector<bool> loaded;    ///< by node: taken from scratch, where an earlier stage saved it
  };
  std::vector<int> level;  ///< by node: the first stage that can use it
  std::vector<Stage> stages;
  std::vector<Id> saved;              ///< nodes kept in scratch rows
  std::vector<int> saved_in;          ///< the stage that computes each
  std::vector<Id> column_reductions;  ///< used ones
  std::vector<Id> all_reductions;
  bool has_row_reductions = false;
  bool columns_outermost = false;
  bool flat = false;  ///< rows may be joined where they follow each other
  int scratch_rows = 0;
};
/// Row `index` of the table of erf's coefficients.
const float* erf_table(int index);
Plan plan_of(const ExpressionDesc& desc, const Analysis& analysis);

class Generator : public VectorAssembler {
 public:
  using Id = Expression::Id;
  Generator(const Target& target, bool wide, const ExpressionDesc& desc, const Analysis& analysis, const Plan& plan,
            const Settings& settings);
  /// Emits everything; finish() is the caller's.
  void generate();
  /// Settings for a second pass: what to keep in the registers that this one left free.
  Settings improved() const;
  int spills() const { return spills_; }
  int64_t instructions() const { return body_instructions_; }

 private:
  // expression_generator.cpp: registers, values, nodes
  enum class State : uint8_t { none, registers, frame, uniform };
  struct Value {
    State state = State::none;
    Group group;
    int at = 0;
    int pinned = -1;
    int uses = 0;
  };
  struct Constant {
    ConstantKey key;
    Xbyak::Label* label = nullptr;
    int reg = -1;
    int uses = 0;
  };
  struct Pointer {
    int reg = -1, at = -1;  ///< where it is now
    int base_at = -1;       ///< columns outermost: where rows begin
    int64_t step = 0;       ///< bytes a row, -1: in the frame at step_at
    int step_at = -1;
    int ahead = 0;  ///< bytes to what is fetched meanwhile, where that is not known to be near
    DType dtype = DType::f32;
  };

  const Expression::Node& node(Id id) const { return desc_.expression.nodes()[static_cast<size_t>(id)]; }
  const NodeFacts& facts(Id id) const { return analysis_.nodes[static_cast<size_t>(id)]; }
  Value& value(Id id) { return values_[static_cast<size_t>(id)]; }
  bool is_uniform(Id id) const { return facts(id).shape == Broadcast::column || facts(id).shape == Broadcast::scalar; }
  bool in_registers(Id id) { return value(id).state == State::registers; }

  int frame_vector(int count = 1);
  int frame_quad();

  int take_vector();
  int take_mask();
  void give_vector(int r) { free_vectors_ |= 1u << r; }
  void give_mask(int r);
  Group take(bool mask = false);
  void give(const Group& group, bool mask = false);
  void evict(bool mask);
  int next_use(Id id) const;

  template <class F>
  void each(F&& f) {
    for (int u = 0; u < unroll_; ++u) f(u);
  }
  /// f(operand) with what `arg` is for vector u.
  template <class F>
  void with(const Arg& arg, int u, F&& f) {
    switch (arg.kind) {
      case Arg::Kind::group:
        return f(static_cast<const Operand&>(v(arg.group[u])));
      case Arg::Kind::pinned:
        return f(static_cast<const Operand&>(v(arg.reg)));
      case Arg::Kind::frame:
        return f(static_cast<const Operand&>(ptr[rsp + (arg.at + u * arg.step)]));
      case Arg::Kind::constant:
        return f(static_cast<const Operand&>(ptr[rip + *arg.label]));
    }
  }
  Arg constant(const ConstantKey& key);
  Arg c(float value);         ///< f32 computations
  Arg bits(uint32_t value);   ///< f32 computations
  Arg number(double value);   ///< in the computation's dtype
  Arg whole(uint64_t value);  ///< integer lanes of the computation's width
  Arg table(int index);
  Arg arg(Id id);
  static Arg of(const Group& group) {
    Arg a;
    a.group = group;
    return a;
  }

  using Op = void (VectorAssembler::*)(const Reg&, const Reg&, const Operand&);
  void op(Op f, const Group& d, const Group& a, const Arg& b) {
    each([&](int u) { with(b, u, [&](const Operand& o) { (this->*f)(v(d[u]), v(a[u]), o); }); });
  }
  void copy(const Group& d, const Arg& a);
  void compare_each(const Group& mask, const Group& a, const Arg& b, uint8_t predicate);
  void merge_each(const Group& d, const Group& mask, const Arg& yes);

  bool dies(Id id, Id user);
  void release(Id user);
  void emit(Id id);
  Group emit_value(Id id);
  Group binary(Op f, Id user, Id a, Id b, bool commutes);
  std::optional<float> known_divisor(Id id) const;
  Group divide_by(float divisor, Id x);
  Group extremum(Op f, Id user, Id a, Id b);
  Group multiply_add(Id user);
  Group comparison(Id user, uint8_t predicate);
  Group select(Id user);
  Group mask_of(Id id, bool* temporary);
  Group in_vector(Id id, bool* temporary);
  Group load_input(Id id);
  void store_output(size_t output);
  void order_of(Id id, std::vector<Id>* order, std::vector<bool>* seen, const std::vector<bool>* loaded);

  // expression_math.cpp: d = f(x), d not among x's registers; f32
  void exp_(const Group& d, const Arg& x);
  void log_(const Group& d, const Group& x);
  void tanh_(const Group& d, const Group& x);
  void erf_(const Group& d, const Group& x);
  void erf_by_table(const Group& d, const Group& x);
  void erf_by_branches(const Group& d, const Group& x);
  void sigmoid_(const Group& d, const Group& x);
  void sin_cos(const Group& d, const Group& x, int quadrant);
  void polynomial(const Group& d, const Group& x, std::initializer_list<float> coefficients);
  void out_of_line_functions();

  // expression_loops.cpp
  void prologue();
  void rows(bool stream);
  void rows_of_stages();
  void columns_of_rows();
  void epilogue();
  template <class Body>
  void columns(Body&& body);
  static constexpr int kSums = 2;  ///< accumulators of a sum along a row
  template <class Body, class Turn>
  void blocks_of_columns(int unroll, int turns, int limit_at, Body&& body, Turn&& turn);
  template <class Body>
  void each_row(Body&& body);
  void stage(size_t index);
  void store_columns();
  struct Folding {
    Id id = 0;
    Fold fold = Fold::sum;
    Group acc;
    int ordered = -1;  ///< mask of the lanes that met no NaN (max, min, absmax)
  };
  void body(const std::vector<Id>& reductions, size_t stage, bool with_outputs, bool row_outputs,
            std::vector<Folding>* foldings);
  Folding start_folding(Id id, bool of_rows);
  void fold(Folding* folding, const Arg& x);
  void fold_column(Folding* folding, const Arg& x);
  void fold_safely(Fold fold, const Group& acc, const Arg& x);
  void finish_folding(Folding* folding);
  void combine(Fold fold, const Reg& d, const Operand& b);
  void across(Fold fold, int a, int temp);
  void keep_uniform(Id id, int reg);
  void uniforms(Broadcast shape, int level);
  void load_pointer(Pointer* pointer, size_t index, bool output);
  void advance();
  void reset_rows();
  Xbyak::Address at(const Pointer& pointer, int u);
  Xbyak::Address first(const Pointer& pointer);
  int64_t row_step(const ExpressionOperand& operand) const;
  int ahead_of(const ExpressionOperand& operand) const;
  void fetch(const Pointer& pointer);
  double start_of(Fold fold) const;

  const ExpressionDesc& desc_;
  const Analysis& analysis_;
  const Plan& plan_;
  const Settings& settings_;
  int64_t m_, n_;

  std::vector<Value> values_;
  std::vector<Constant> constants_;
  std::vector<int> uniform_uses_;
  std::vector<Pointer> inputs_, outputs_, scratch_;
  uint32_t free_vectors_ = 0, free_masks_ = 0;
  int highest_vector_ = 0;
  int frame_ = 0;
  int unroll_ = 1;
  Lanes lanes_ = Lanes::all;
  bool stream_ = false;
  bool main_body_ = false;
  bool first_stage_ = true;
  int spills_ = 0;
  int64_t body_instructions_ = 0;
  std::vector<Id> order_;
  size_t position_ = 0;
  Id current_ = -1;
  int call_at_ = 0, m_at_ = 0, n_at_ = 0, count_at_ = 0, row_at_ = 0, main_limit_at_ = 0, single_limit_at_ = 0;
  int sums_limit_at_ = 0;
  int x_at_ = 0, y_at_ = 0;
  std::vector<int> all_at_;
  bool needs_sin_ = false, needs_cos_ = false;
  Xbyak::Label sin_label_, cos_label_;
};

}  // namespace gregale::kernels::expression
