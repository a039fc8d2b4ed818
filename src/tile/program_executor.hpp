// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/fft/fft_tile.hpp"
#include "kernels/kernel_cache.hpp"
#include "tile/schedule.hpp"
#include "tile/tile_program.hpp"

/// A tile program bound to code: kernels compiled for every size of tile that occurs, addresses reduced to a few
/// multiply-adds a call. The one executor of all tile programs.
namespace gregale::tile {

/// What an executor tells of each call it makes; for counting (tile/ledger.hpp), never for timing.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  virtual void call(const Call& call, const CallSizes& sizes, const std::byte* const* operands, bool first_step,
                    int thread) = 0;
};

class CompiledProgram {
 public:
  /// Verifies and compiles; a shape never seen takes about a millisecond a kernel. Throws ErrorCode::invalid_argument.
  CompiledProgram(kernels::KernelCache& cache, TileProgram program);
  CompiledProgram(CompiledProgram&&) = default;
  CompiledProgram& operator=(CompiledProgram&&) = default;

  /// Scratch of a run: of the memory buffers, and, for each thread of the team, of panels and kernels. 64-byte aligned.
  int64_t memory_bytes() const { return memory_bytes_; }
  int64_t thread_bytes() const { return thread_bytes_; }
  /// `arguments`: the argument buffers in order. Allocates nothing. Bits depend neither on the team nor on schedules.
  void run(ThreadTeam& team, const void* const* arguments, std::byte* memory, std::byte* thread_memory) const;
  /// Makes the same calls, on the calling thread as if it were `threads` threads, but only tells `observer` of each:
  /// nothing is computed and no memory is touched, so addresses may be anything.
  void observe(int threads, const void* const* arguments, std::byte* memory, std::byte* thread_memory,
               CallObserver& observer) const;

  const TileProgram& program() const { return program_; }
  /// Kernels compiled, in words, one for each call of the program.
  std::vector<const kernels::KernelInfo*> kernel_infos() const;

 private:
  struct BoundOperand {
    int32_t buffer = 0;
    bool panel = false, by_step = false;
    int64_t offset = 0;  ///< bytes
    int count = 0;
    int8_t dims[kMaxDims];
    int64_t strides[kMaxDims];  ///< bytes a unit of the loop index
  };
  struct BoundCall {
    const Call* call = nullptr;
    enum class Kind : uint8_t { contract, express, move, window, transform } kind = Kind::contract;
    When when;
    int32_t sum = -1;
    int64_t sum_extent = 0;
    std::vector<BoundOperand> operands;
    size_t inputs = 0;  ///< of an expression
    int64_t m_full = -1, n_full = -1, k_full = -1;
    /// By whether the tile is a tail in m, n, k; and by the step of its sum: the only one or the first, one between,
    /// the last of several.
    std::shared_ptr<const kernels::ContractionKernel> contract[2][2][2][3];
    std::shared_ptr<const kernels::ExpressionKernel> express[2][2];
    std::shared_ptr<const kernels::LayoutKernel> move;
    const Window* window = nullptr;
    std::vector<int64_t> a_offsets, b_offsets;  ///< of a nest of products
    int64_t src_leading = 0, dst_leading = 0, element_bytes = 0;
    std::shared_ptr<const kernels::FftTile> fft;
  };
  struct BoundLoop {
    int dim = 0;
    int64_t step = 1;
  };
  struct BoundStage {
    const Stage* stage = nullptr;
    std::vector<BoundLoop> loops;
    std::vector<BoundCall> calls;
  };
  struct BoundPhase {
    std::optional<LoopNest> nest;
    std::vector<int> dims;  ///< of the nest, as dims of the program
    bool single = false;    ///< one step, run by the caller
    std::vector<BoundStage> stages;
  };
  struct Frame;

  void bind(kernels::KernelCache& cache, const Phase& phase);
  BoundCall bind_call(kernels::KernelCache& cache, const Stage& stage, const Call& call,
                      const std::vector<int>& looped);
  void bind_contract(kernels::KernelCache& cache, const Contract& c, BoundCall& bound, const std::vector<int64_t>& m,
                     const std::vector<int64_t>& n, const std::vector<int64_t>& k);
  void run_step(const BoundPhase& phase, const LoopIndex& outer, const Frame& frame) const;
  void run_stage(const BoundStage& stage, size_t loop, LoopIndex& at, const LoopIndex& outer, const Frame& frame) const;
  void run_call(const BoundCall& call, const LoopIndex& at, const LoopIndex& outer, const Frame& frame) const;
  void execute(ThreadTeam& team, const void* const* arguments, std::byte* memory, std::byte* thread_memory,
               CallObserver* observer) const;

  TileProgram program_;
  std::vector<BoundPhase> phases_;
  int64_t buffer_offset_[kMaxBuffers] = {};  ///< of memory and panels
  int64_t memory_bytes_ = 0, thread_bytes_ = 0, panel_bytes_ = 0, kernel_scratch_ = 0;
};

}  // namespace gregale::tile
