// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/program_executor.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "kernels/contraction/tile_scope.hpp"
#include "tile/cut.hpp"
#include "tile/program_walk.hpp"

namespace gregale::tile {

using kernels::align_bytes;

/// What a step runs on: addresses of buffers, the thread, and who watches.
struct CompiledProgram::Frame {
  std::byte* const* bases = nullptr;  ///< panels: of thread 0
  int64_t thread_offset = 0;
  std::byte* scratch = nullptr;
  int thread = 0;
  CallObserver* observer = nullptr;
};

CompiledProgram::CompiledProgram(kernels::KernelCache& cache, TileProgram program) : program_(std::move(program)) {
  verify(program_);
  for (size_t i = 0; i < program_.buffers.size(); ++i) {
    const Buffer& b = program_.buffers[i];
    const int64_t bytes = align_bytes(b.elements * size_of(b.dtype));
    if (b.scope == Scope::argument) continue;
    int64_t& total = b.scope == Scope::memory ? memory_bytes_ : panel_bytes_;
    buffer_offset_[i] = total;
    // Panels a multiple of 4 KB apart would share cache sets with one another.
    total += bytes + (b.scope == Scope::panel && bytes % 4096 == 0 ? 64 : 0);
  }
  for (const Phase& phase : program_.phases) bind(cache, phase);
  thread_bytes_ = panel_bytes_ + kernel_scratch_;
}

void CompiledProgram::bind(kernels::KernelCache& cache, const Phase& phase) {
  BoundPhase bound;
  bound.dims = letters_of(phase.schedule);
  // The nest numbers its dims by itself: those of the schedule, in the order of the program.
  std::vector<int> own = bound.dims;
  std::sort(own.begin(), own.end());
  own.erase(std::unique(own.begin(), own.end()), own.end());
  std::vector<LoopDim> dims;
  std::string schedule = phase.schedule;
  bool single = true, empty = false;
  for (size_t i = 0; i < own.size(); ++i) {
    const Dim& d = program_.dims[static_cast<size_t>(own[i])];
    const auto times = std::count(bound.dims.begin(), bound.dims.end(), own[i]);
    LoopDim loop{.name = d.name,
                 .extent = d.extent,
                 .step = d.steps[static_cast<size_t>(times) - 1],
                 .blocks = {},
                 .reduction = d.reduction};
    loop.blocks.assign(d.steps.begin(), d.steps.begin() + (times - 1));
    single &= d.extent <= d.steps.front();
    empty |= d.extent == 0;
    dims.push_back(std::move(loop));
  }
  for (char& c : schedule) {
    if (std::isalpha(static_cast<unsigned char>(c)) == 0) continue;
    const int dim = std::tolower(static_cast<unsigned char>(c)) - 'a';
    const auto at = std::lower_bound(own.begin(), own.end(), dim) - own.begin();
    c = static_cast<char>((std::isupper(static_cast<unsigned char>(c)) != 0 ? 'A' : 'a') + at);
  }
  bound.dims = own;
  if (empty) return;
  bound.single = single;
  if (!single) bound.nest.emplace(std::move(dims), schedule);
  const std::vector<int> outer = letters_of(phase.schedule);
  for (const Stage& stage : phase.stages) {
    BoundStage s;
    s.stage = &stage;
    std::vector<int> looped = outer;
    for (const int d : letters_of(stage.loops)) {
      const auto used = static_cast<size_t>(std::count(looped.begin(), looped.end(), d));
      s.loops.push_back({d, program_.dims[static_cast<size_t>(d)].steps[used]});
      looped.push_back(d);
    }
    for (const Call& call : stage.calls) s.calls.push_back(bind_call(cache, stage, call, looped));
    bound.stages.push_back(std::move(s));
  }
  phases_.push_back(std::move(bound));
}

CompiledProgram::BoundCall CompiledProgram::bind_call(kernels::KernelCache& cache, const Stage& stage, const Call& call,
                                                      const std::vector<int>& looped) {
  BoundCall bound;
  bound.call = &call;
  bound.when = call.when;
  for (const Operand& o : call.operands) {
    BoundOperand b;
    b.buffer = o.buffer;
    const Buffer& buffer = program_.buffers[static_cast<size_t>(o.buffer)];
    b.panel = buffer.scope == Scope::panel;
    b.by_step = o.by_step;
    b.offset = o.offset * size_of(buffer.dtype);
    for (size_t d = 0; d < o.strides.size(); ++d) {
      if (o.strides[d] == 0) continue;
      b.dims[b.count] = static_cast<int8_t>(d);
      b.strides[b.count++] = o.strides[d] * size_of(buffer.dtype);
    }
    bound.operands.push_back(b);
  }
  /// The whole and the tail size of an extent; 0 where there is none. What a range leaves of a step is known at the
  /// call.
  const auto pieces = [&](const Size& s) -> std::vector<int64_t> {
    if (s.dim < 0) return {s.constant, 0};
    const Dim& d = program_.dims[static_cast<size_t>(s.dim)];
    const auto loops = std::count(looped.begin(), looped.end(), s.dim);
    for (const Range& w : stage.box)
      if (w.dim == s.dim)
        return loops > 0 ? std::vector<int64_t>{0, kernels::kAtCall} : std::vector{w.end - w.begin, int64_t{0}};
    if (loops == 0) return {d.extent, 0};
    const int64_t step = d.steps[static_cast<size_t>(loops) - 1];
    return {piece_size(d.extent, step, 0), piece_size(d.extent, step, 1)};
  };
  if (const auto* c = std::get_if<Contract>(&call.what)) {
    bound.kind = BoundCall::Kind::contract;
    bound.sum = c->sum;
    if (c->sum >= 0) bound.sum_extent = program_.dims[static_cast<size_t>(c->sum)].extent;
    bind_contract(cache, *c, bound, pieces(c->m), pieces(c->n), pieces(c->k));
  } else if (const auto* e = std::get_if<Express>(&call.what)) {
    bound.kind = BoundCall::Kind::express;
    bound.inputs = call.operands.size() - e->expression.outputs().size();
    const auto m = pieces(e->m), n = pieces(e->n);
    bound.m_full = m[0];
    bound.n_full = n[0];
    for (const size_t tm : {0, 1})
      for (const size_t tn : {0, 1}) {
        if (m[tm] == 0 || n[tn] == 0) continue;
        kernels::ExpressionDesc d;
        d.m = m[tm];
        d.n = n[tn];
        d.compute = e->compute;
        d.expression = e->expression;
        for (size_t i = 0; i < call.operands.size(); ++i) {
          const Operand& o = call.operands[i];
          auto& list = i < bound.inputs ? d.inputs : d.outputs;
          list.push_back({program_.buffers[static_cast<size_t>(o.buffer)].dtype, o.broadcast, o.leading});
        }
        bound.express[tm][tn] = cache.get(d);
        const int64_t columns =
            d.n == kernels::kAtCall ? program_.dims[static_cast<size_t>(e->n.dim)].steps.back() : d.n;
        kernel_scratch_ = std::max(kernel_scratch_, align_bytes(bound.express[tm][tn]->scratch_bytes(columns)));
      }
  } else if (const auto* w = std::get_if<Window>(&call.what)) {
    bound.kind = BoundCall::Kind::window;
    bound.window = w;
    bound.element_bytes = size_of(program_.buffers[static_cast<size_t>(call.operands[0].buffer)].dtype);
    bound.src_leading = call.operands[0].leading;
  } else if (const auto* t = std::get_if<Transform>(&call.what)) {
    bound.kind = BoundCall::Kind::transform;
    bound.fft = std::make_shared<const kernels::FftTile>(
        cache.target(), kernels::FftTile::Desc{t->length, t->columns, t->kind, t->scale, call.operands[0].leading,
                                               call.operands[1].leading});
    kernel_scratch_ = std::max(kernel_scratch_, align_bytes(bound.fft->scratch_bytes()));
  } else {
    const auto& move = std::get<Move>(call.what);
    bound.kind = BoundCall::Kind::move;
    kernels::LayoutDesc d;
    d.op = move.op;
    d.src = program_.buffers[static_cast<size_t>(call.operands.front().buffer)].dtype;
    d.dst = program_.buffers[static_cast<size_t>(call.operands.back().buffer)].dtype;
    d.trans = move.trans;
    d.width = static_cast<int>(move.width);
    d.stream = move.stream;
    if (d.op == kernels::LayoutOp::panels16x3) d.part = call.operands.back().leading / 3;
    bound.src_leading = call.operands.front().leading;
    bound.dst_leading = call.operands.back().leading;
    bound.move = cache.get(d);
  }
  return bound;
}

void CompiledProgram::bind_contract(kernels::KernelCache& cache, const Contract& c, BoundCall& bound,
                                    const std::vector<int64_t>& m, const std::vector<int64_t>& n,
                                    const std::vector<int64_t>& k) {
  bound.m_full = m[0];
  bound.n_full = n[0];
  bound.k_full = k[0];
  const std::vector<Operand>& operands = bound.call->operands;
  const auto dtype = [&](const Operand& o) { return program_.buffers[static_cast<size_t>(o.buffer)].dtype; };
  if (c.batch.size() > 1)
    for (const auto& [a_offset, b_offset] : offsets_of(c)) {
      bound.a_offsets.push_back(a_offset);
      bound.b_offsets.push_back(b_offset);
    }
  const bool several = c.sum >= 0 && program_.dims[static_cast<size_t>(c.sum)].extent >
                                         program_.dims[static_cast<size_t>(c.sum)].steps.back();
  for (const size_t tm : {0, 1})
    for (const size_t tn : {0, 1})
      for (const size_t tk : {0, 1})
        for (const size_t step : {0, 1, 2}) {
          kernels::ContractionDesc d;
          d.m = m[tm];
          d.n = n[tn];
          d.k = k[tk];
          const bool empty_sum = k[0] == 0 && k[1] == 0;
          if (d.m == 0 || d.n == 0 || (d.k == 0 && !(empty_sum && tk == 0 && step == 0))) continue;
          if (step > 0 && !several) continue;
          if (step < 2 && several && tk == 1 && c.k.dim == c.sum) continue;  // a tail is the last
          if (step == 1 && c.epilogue.empty()) continue;                     // as the last
          d.a = dtype(operands[0]);
          d.b = dtype(operands[1]);
          d.c = dtype(operands[2]);
          d.lda = operands[0].leading;
          d.ldb = operands[1].leading;
          d.ldc = operands[2].leading;
          d.compute = c.compute;
          d.b_packing = c.packing;
          if (d.b_packing == kernels::Packing::panels16x3) d.b_part = d.ldb / 3;
          d.trans_a = c.trans_a;
          d.trans_b = c.trans_b;
          d.accumulate = c.accumulate || step > 0;
          d.own_chain = d.accumulate && c.own_chain;
          if (c.batch.size() == 1) {
            d.addressing = kernels::ContractionDesc::Batch::stride;
            d.batch = c.batch[0].count;
            d.a_stride = c.batch[0].a_stride;
            d.b_stride = c.batch[0].b_stride;
          } else if (c.batch.size() > 1) {
            d.addressing = kernels::ContractionDesc::Batch::offset;
            d.batch = static_cast<int64_t>(bound.a_offsets.size());
          }
          const bool complete = !several || step == 2;
          if (complete) d.epilogue = c.epilogue;
          for (size_t i = 3; complete && i < operands.size(); ++i)
            d.epilogue_inputs.push_back({dtype(operands[i]), operands[i].broadcast, operands[i].leading});
          auto& kernel = bound.contract[tm][tn][tk][step];
          kernel = cache.get(d);
          kernel_scratch_ = std::max(kernel_scratch_, align_bytes(kernel->scratch_bytes()));
        }
}

// --- running ---

namespace {

/// Whole rows of pixels at a time where the image is as deep as the band, else pixel by pixel.
void copy_window(const Window& w, const CallSizes& s, const std::byte* src, int64_t leading, int64_t size,
                 std::byte* dst) {
  const Window::Span rows = w.rows_of(s.row, s.m), columns = w.columns_of(s.column, s.n);
  const int64_t pixel = w.depth * size;
  const bool has_slice = w.has_slice(s.slice);
  if (has_slice) src += w.shift_d * w.h * w.w * leading * size;
  const auto clear = [](std::byte* to, int64_t bytes) {
    if (bytes > 0) std::memset(to, 0, static_cast<size_t>(bytes));
  };
  for (int64_t i = 0; i < rows.size; ++i) {
    const bool there = has_slice && i >= rows.first && i < rows.last && columns.first < columns.last;
    const std::byte* image =
        there ? src + ((i - w.pad_top) * w.w + columns.first - w.pad_left) * leading * size : nullptr;
    for (int64_t block = 0; block < w.blocks; ++block) {
      std::byte* to = dst + (block * w.band_rows + i) * w.band_columns * pixel;
      if (!there) {
        clear(to, columns.size * pixel);
        continue;
      }
      clear(to, columns.first * pixel);
      clear(to + columns.last * pixel, (columns.size - columns.last) * pixel);
      to += columns.first * pixel;
      const std::byte* from = image + block * pixel;
      const int64_t bytes = std::min(w.depth, w.channels - block * w.depth) * size;
      if (bytes == leading * size && bytes == pixel) {
        std::memcpy(to, from, static_cast<size_t>((columns.last - columns.first) * bytes));
        continue;
      }
      for (int64_t j = columns.first; j < columns.last; ++j, to += pixel, from += leading * size) {
        std::memcpy(to, from, static_cast<size_t>(bytes));
        clear(to + bytes, pixel - bytes);
      }
    }
  }
}

}  // namespace

void CompiledProgram::run_call(const BoundCall& call, const LoopIndex& at, const LoopIndex& outer,
                               const Frame& frame) const {
  if (!holds(call.when, at, outer)) return;
  std::byte* pointers[kMaxOperands];
  for (size_t i = 0; i < call.operands.size(); ++i) {
    const BoundOperand& o = call.operands[i];
    std::byte* p = frame.bases[o.buffer] + o.offset;
    if (o.by_step) {
      if (o.panel) p += frame.thread_offset;
      for (int j = 0; j < o.count; ++j)
        p += outer.begin[o.dims[j]] / program_.dims[static_cast<size_t>(o.dims[j])].steps.back() * o.strides[j];
    } else if (o.panel) {
      p += frame.thread_offset;
      for (int j = 0; j < o.count; ++j) p += (at.begin[o.dims[j]] - outer.begin[o.dims[j]]) * o.strides[j];
    } else {
      for (int j = 0; j < o.count; ++j) p += at.begin[o.dims[j]] * o.strides[j];
    }
    pointers[i] = p;
  }
  const CallSizes s = sizes_of(*call.call, at);
  const bool continues = call.sum >= 0 && at.begin[call.sum] > 0;
  if (frame.observer != nullptr) {
    frame.observer->call(*call.call, s, pointers, !continues, frame.thread);
    return;
  }
  switch (call.kind) {
    case BoundCall::Kind::contract: {
      kernels::ContractionCall given;
      given.epilogue_inputs = const_cast<const void* const*>(reinterpret_cast<void**>(pointers + 3));
      given.scratch = frame.scratch;
      given.a_offsets = call.a_offsets.data();
      given.b_offsets = call.b_offsets.data();
      int step = continues ? 2 : 0;
      const auto& kernels = call.contract[s.m != call.m_full][s.n != call.n_full][s.k != call.k_full];
      if (continues && kernels[1] != nullptr && at.begin[call.sum] + at.size[call.sum] < call.sum_extent) step = 1;
      const auto& kernel = kernels[step];
      (*kernel)(pointers[0], pointers[1], pointers[2], &given);
      break;
    }
    case BoundCall::Kind::express: {
      kernels::ExpressionCall given;
      given.inputs = const_cast<const void* const*>(reinterpret_cast<void**>(pointers));
      given.outputs = reinterpret_cast<void* const*>(pointers + call.inputs);
      given.scratch = frame.scratch;
      given.m = s.m;
      given.n = s.n;
      (*call.express[s.m != call.m_full][s.n != call.n_full])(given);
      break;
    }
    case BoundCall::Kind::window:
      copy_window(*call.window, s, pointers[0], call.src_leading, call.element_bytes, pointers[1]);
      break;
    case BoundCall::Kind::move: {
      kernels::LayoutCall given;
      given.src = pointers[0];
      given.dst = pointers[call.operands.size() - 1];
      given.m = s.m;
      given.n = s.n;
      given.src_leading = call.src_leading;
      given.dst_leading = call.dst_leading;
      (*call.move)(given);
      break;
    }
    case BoundCall::Kind::transform: {
      (*call.fft)(reinterpret_cast<const float*>(pointers[0]), reinterpret_cast<float*>(pointers[1]), frame.scratch);
      break;
    }
  }
}

void CompiledProgram::run_stage(const BoundStage& stage, size_t loop, LoopIndex& at, const LoopIndex& outer,
                                const Frame& frame) const {
  if (loop == stage.loops.size()) {
    for (const BoundCall& call : stage.calls) run_call(call, at, outer, frame);
    return;
  }
  const BoundLoop& l = stage.loops[loop];
  int64_t &begin = at.begin[l.dim], &size = at.size[l.dim];
  const int64_t begin0 = begin, end0 = begin + size;
  for (int64_t x = begin0; x < end0; x += l.step) {
    begin = x;
    size = std::min(l.step, end0 - x);
    run_stage(stage, loop + 1, at, outer, frame);
  }
  begin = begin0;
  size = end0 - begin0;
}

void CompiledProgram::run_step(const BoundPhase& phase, const LoopIndex& outer, const Frame& frame) const {
  LoopIndex at = outer;
  for (const BoundStage& stage : phase.stages) {
    if (stage.stage->box.empty()) {
      run_stage(stage, 0, at, outer, frame);
      continue;
    }
    LoopIndex cut = outer;
    if (cut_to_box(*stage.stage, cut)) run_stage(stage, 0, cut, outer, frame);
  }
}

void CompiledProgram::execute(ThreadTeam& team, const void* const* arguments, std::byte* memory,
                              std::byte* thread_memory, CallObserver* observer) const {
  std::byte* bases[kMaxBuffers];
  size_t argument = 0;
  for (size_t i = 0; i < program_.buffers.size(); ++i) {
    const Scope scope = program_.buffers[i].scope;
    bases[i] = scope == Scope::argument ? static_cast<std::byte*>(const_cast<void*>(arguments[argument++]))
                                        : (scope == Scope::memory ? memory : thread_memory) + buffer_offset_[i];
  }
  LoopIndex whole;
  for (size_t d = 0; d < program_.dims.size(); ++d) whole.size[d] = program_.dims[d].extent;
  for (const BoundPhase& phase : phases_) {
    if (phase.single) {
      const kernels::TileScope scope;
      run_step(phase, whole, {bases, 0, thread_memory + panel_bytes_, 0, observer});
      continue;
    }
    phase.nest->run(team, [&](const LoopIndex& own, int thread) {
      LoopIndex outer = whole;
      for (size_t i = 0; i < phase.dims.size(); ++i) {
        outer.begin[phase.dims[i]] = own.begin[i];
        outer.size[phase.dims[i]] = own.size[i];
      }
      const int64_t offset = thread * thread_bytes_;
      run_step(phase, outer, {bases, offset, thread_memory + offset + panel_bytes_, thread, observer});
    });
  }
}

void CompiledProgram::run(ThreadTeam& team, const void* const* arguments, std::byte* memory,
                          std::byte* thread_memory) const {
  execute(team, arguments, memory, thread_memory, nullptr);
}

namespace {

/// Runs a region's tasks one after another, as if consecutive runs of them were those of `size` threads.
class PretendedTeam : public ThreadTeam {
 public:
  explicit PretendedTeam(int size) : size_(size) {}
  int size() const override { return size_; }
  void run(int64_t tasks, Task task, void* argument) override {
    for (int64_t i = 0; i < tasks; ++i) task(argument, i, static_cast<int>(i * size_ / tasks));
  }

 private:
  int size_;
};

}  // namespace

void CompiledProgram::observe(int threads, const void* const* arguments, std::byte* memory, std::byte* thread_memory,
                              CallObserver& observer) const {
  PretendedTeam team(threads);
  execute(team, arguments, memory, thread_memory, &observer);
}

std::vector<const kernels::KernelInfo*> CompiledProgram::kernel_infos() const {
  std::vector<const kernels::KernelInfo*> infos;
  const auto first = [&](const auto& table) -> const kernels::KernelInfo* {
    for (const auto& kernel : table)
      if (kernel != nullptr) return &kernel->info();
    return nullptr;
  };
  for (const BoundPhase& phase : phases_)
    for (const BoundStage& stage : phase.stages)
      for (const BoundCall& call : stage.calls) {
        const kernels::KernelInfo* info = call.move != nullptr ? &call.move->info() : nullptr;
        for (const auto& of_m : call.express)
          if (info == nullptr) info = first(of_m);
        for (const auto& of_m : call.contract)
          for (const auto& of_n : of_m)
            for (const auto& of_k : of_n)
              if (info == nullptr) info = first(of_k);
        if (info != nullptr) infos.push_back(info);
      }
  return infos;
}

}  // namespace gregale::tile
