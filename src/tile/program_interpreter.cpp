// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cctype>
#include <complex>
#include <cstring>
#include <numbers>

#include "gregale/error.hpp"
#include "gregale/tensor.hpp"
#include "tile/program_walk.hpp"

// Written apart from the executor on purpose: no loop nest class, no compiled code, no special cases of tails.
namespace gregale::tile {
namespace {

/// The loops of a phase or stage, recursively; `used` counts how many loops each dim already has.
void loop(const TileProgram& program, const std::vector<int>& dims, size_t at, std::vector<size_t>& used,
          LoopIndex& index, const std::function<void()>& body) {
  if (at == dims.size()) {
    body();
    return;
  }
  const int d = dims[at];
  const int64_t step = program.dims[static_cast<size_t>(d)].steps[used[static_cast<size_t>(d)]++];
  const int64_t begin = index.begin[d], size = index.size[d];
  for (int64_t x = begin; x < begin + size; x += step) {
    index.begin[d] = x;
    index.size[d] = std::min(step, begin + size - x);
    loop(program, dims, at + 1, used, index, body);
  }
  index.begin[d] = begin;
  index.size[d] = size;
  --used[static_cast<size_t>(d)];
}

}  // namespace

void walk(const TileProgram& program, const Visit& visit) {
  for (const Phase& phase : program.phases) {
    LoopIndex index;
    bool empty = false;
    for (size_t d = 0; d < program.dims.size(); ++d) index.size[d] = program.dims[d].extent;
    const std::vector<int> outer_loops = letters_of(phase.schedule);
    for (const int d : outer_loops) empty |= program.dims[static_cast<size_t>(d)].extent == 0;
    if (empty) continue;
    std::vector<size_t> used(program.dims.size(), 0);
    loop(program, outer_loops, 0, used, index, [&] {
      const LoopIndex outer = index;
      for (const Stage& stage : phase.stages) {
        LoopIndex at = outer;
        if (!cut_to_box(stage, at)) continue;
        std::vector<size_t> inner_used = used;
        loop(program, letters_of(stage.loops), 0, inner_used, at, [&] {
          for (const Call& call : stage.calls)
            if (holds(call.when, at, outer)) visit(phase, stage, call, at, outer);
        });
      }
    });
  }
}

namespace {

using kernels::Broadcast;

class Interpreter {
 public:
  Interpreter(const TileProgram& program, const std::vector<void*>& arguments) : program_(program) {
    target_.isa = Isa::reference;
    size_t argument = 0;
    for (const Buffer& b : program.buffers) {
      if (b.scope == Scope::argument) {
        GREGALE_CHECK(argument < arguments.size(), invalid_argument,
                      "[interpret] '{}' has more arguments than the {} given", program.name, arguments.size());
        base_.push_back(static_cast<std::byte*>(arguments[argument++]));
        continue;
      }
      own_.emplace_back(DType::u8, Extents{std::max<int64_t>(1, b.elements * size_of(b.dtype))});
      base_.push_back(static_cast<std::byte*>(own_.back().data()));
    }
  }

  void run() {
    walk(program_, [this](const Phase&, const Stage&, const Call& call, const LoopIndex& at, const LoopIndex& outer) {
      pointers_.clear();
      for (const Operand& o : call.operands) {
        const int64_t element = o.offset + relative_offset(program_, o, at, outer);
        pointers_.push_back(base_[static_cast<size_t>(o.buffer)] + element * size_of(dtype(o)));
      }
      const CallSizes s = sizes_of(call, at);
      if (const auto* c = std::get_if<Contract>(&call.what))
        contract(*c, call, s, c->sum >= 0 && at.begin[c->sum] > 0, is_complete(program_, *c, at));
      if (const auto* e = std::get_if<Express>(&call.what)) express(*e, call, s);
      if (const auto* m = std::get_if<Move>(&call.what)) move(*m, call, s);
      if (const auto* w = std::get_if<Window>(&call.what)) window(*w, call, s);
      if (const auto* t = std::get_if<Transform>(&call.what)) transform(*t, call);
    });
  }

 private:
  DType dtype(const Operand& o) const { return program_.buffers[static_cast<size_t>(o.buffer)].dtype; }
  void* scratch(int64_t bytes) {
    if (scratch_.bytes() < bytes) scratch_ = Tensor(DType::u8, Extents{bytes});
    return scratch_.data();
  }

  void contract(const Contract& c, const Call& call, const CallSizes& s, bool continues, bool complete) {
    kernels::ContractionDesc d;
    d.m = s.m;
    d.n = s.n;
    d.k = s.k;
    d.lda = call.operands[0].leading;
    d.ldb = call.operands[1].leading;
    d.ldc = call.operands[2].leading;
    d.a = dtype(call.operands[0]);
    d.b = dtype(call.operands[1]);
    d.c = dtype(call.operands[2]);
    d.compute = c.compute;
    d.b_packing = c.packing;
    if (d.b_packing == kernels::Packing::panels16x3) d.b_part = d.ldb / 3;
    d.trans_a = c.trans_a;
    d.trans_b = c.trans_b;
    d.accumulate = c.accumulate || continues;
    d.own_chain = d.accumulate && c.own_chain;
    std::vector<int64_t> a_offsets, b_offsets;
    for (const auto& [a, b] : offsets_of(c)) {
      a_offsets.push_back(a);
      b_offsets.push_back(b);
    }
    d.addressing = kernels::ContractionDesc::Batch::offset;
    d.batch = static_cast<int64_t>(a_offsets.size());
    if (complete) d.epilogue = c.epilogue;
    for (size_t i = 3; complete && i < call.operands.size(); ++i)
      d.epilogue_inputs.push_back({dtype(call.operands[i]), call.operands[i].broadcast, call.operands[i].leading});
    const auto kernel = kernels::ContractionKernel::compile(target_, d);
    kernels::ContractionCall given;
    given.epilogue_inputs = pointers_.data() + 3;
    given.scratch = scratch(kernel->scratch_bytes());
    given.a_offsets = a_offsets.data();
    given.b_offsets = b_offsets.data();
    (*kernel)(pointers_[0], pointers_[1], const_cast<void*>(pointers_[2]), &given);
  }

  void express(const Express& e, const Call& call, const CallSizes& s) {
    kernels::ExpressionDesc d;
    d.m = s.m;
    d.n = s.n;
    d.compute = e.compute;
    d.expression = e.expression;
    const size_t inputs = call.operands.size() - e.expression.outputs().size();
    std::vector<void*> outputs;
    for (size_t i = 0; i < call.operands.size(); ++i) {
      const Operand& o = call.operands[i];
      (i < inputs ? d.inputs : d.outputs).push_back({dtype(o), o.broadcast, o.leading});
      if (i >= inputs) outputs.push_back(const_cast<void*>(pointers_[i]));
    }
    const auto kernel = kernels::ExpressionKernel::compile(target_, d);
    kernels::ExpressionCall given;
    given.inputs = pointers_.data();
    given.outputs = outputs.data();
    given.scratch = scratch(kernel->scratch_bytes(s.n));
    (*kernel)(given);
  }

  void move(const Move& m, const Call& call, const CallSizes& s) {
    kernels::LayoutDesc d;
    d.op = m.op;
    d.src = dtype(call.operands.front());
    d.dst = dtype(call.operands.back());
    d.trans = m.trans;
    d.width = static_cast<int>(m.width);
    if (d.op == kernels::LayoutOp::panels16x3) d.part = call.operands.back().leading / 3;
    kernels::LayoutCall given;
    given.src = pointers_.front();
    given.dst = const_cast<void*>(pointers_.back());
    given.m = s.m;
    given.n = s.n;
    given.src_leading = call.operands.front().leading;
    given.dst_leading = call.operands.back().leading;
    (*kernels::LayoutKernel::compile(target_, d))(given);
  }

  /// Element by element: image where there is one, zeros elsewhere.
  void window(const Window& w, const Call& call, const CallSizes& s) {
    const int64_t size = size_of(dtype(call.operands[0])), leading = call.operands[0].leading;
    const auto* from = static_cast<const std::byte*>(pointers_[0]);
    auto* to = static_cast<std::byte*>(const_cast<void*>(pointers_[1]));
    const int64_t rows = (s.m - 1) * w.stride_h + w.reach_h, columns = (s.n - 1) * w.stride_w + w.reach_w;
    for (int64_t channel = 0; channel < w.blocks * w.depth; ++channel)
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) {
          const int64_t y = s.row * w.stride_h - w.pad_top + i, x = s.column * w.stride_w - w.pad_left + j;
          const bool there = w.has_slice(s.slice) && y >= 0 && y < w.h && x >= 0 && x < w.w && channel < w.channels;
          std::byte* element =
              to + (((channel / w.depth * w.band_rows + i) * w.band_columns + j) * w.depth + channel % w.depth) * size;
          std::memset(element, 0, static_cast<size_t>(size));
          if (!there) continue;
          const int64_t pixel = (w.shift_d * w.h + i - w.pad_top) * w.w + j - w.pad_left;
          std::memcpy(element, from + (pixel * leading + channel) * size, static_cast<size_t>(size));
        }
  }

  /// By definition, in f64: sum over j of z[j] exp(-+2 pi i jk / n), where the modes of real numbers that are not there
  /// are the conjugates of those that are.
  void transform(const Transform& t, const Call& call) {
    using Complex = std::complex<double>;
    const bool from_real = t.kind == kernels::FftKind::real_forward, to_real = t.kind == kernels::FftKind::real_inverse;
    const bool inverse = to_real || t.kind == kernels::FftKind::inverse;
    const auto* src = static_cast<const float*>(pointers_[0]);
    auto* dst = static_cast<float*>(const_cast<void*>(pointers_[1]));
    const int64_t n = t.length, read = to_real ? n / 2 + 1 : n, made = from_real ? n / 2 + 1 : n;
    std::vector<Complex> z(static_cast<size_t>(n));
    std::vector<std::vector<Complex>> results;
    for (int64_t c = 0; c < t.columns; ++c) {
      for (int64_t j = 0; j < read; ++j) {
        const float* row = src + j * call.operands[0].leading;
        const bool real = from_real || (to_real && (j == 0 || 2 * j == n));
        z[static_cast<size_t>(j)] = {row[c], real ? 0.0 : static_cast<double>(row[c + t.columns])};
        if (to_real && !real) z[static_cast<size_t>(n - j)] = std::conj(z[static_cast<size_t>(j)]);
      }
      results.emplace_back();
      for (int64_t k = 0; k < made; ++k) {
        Complex sum = 0;
        for (int64_t j = 0; j < n; ++j)
          sum +=
              z[static_cast<size_t>(j)] * std::polar(1.0, (inverse ? 2 : -2) * std::numbers::pi *
                                                              static_cast<double>(j * k % n) / static_cast<double>(n));
        results.back().push_back(sum * t.scale);
      }
    }
    for (int64_t c = 0; c < t.columns; ++c)  // after all is read: it may be in place
      for (int64_t k = 0; k < made; ++k) {
        const Complex y = results[static_cast<size_t>(c)][static_cast<size_t>(k)];
        float* row = dst + k * call.operands[1].leading;
        row[c] = static_cast<float>(y.real());
        if (!to_real) row[c + t.columns] = static_cast<float>(y.imag());
      }
  }

  const TileProgram& program_;
  Target target_;
  std::vector<Tensor> own_;
  std::vector<std::byte*> base_;
  std::vector<const void*> pointers_;
  Tensor scratch_;
};

}  // namespace

void interpret(const TileProgram& program, const std::vector<void*>& arguments) {
  verify(program);
  Interpreter(program, arguments).run();
}

}  // namespace gregale::tile
