// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "gregale/exec.hpp"
#include "gregale/nn.hpp"
#include "passes/passes.hpp"

namespace gregale::train {

/// What was measured of kept activations: variances (means over a gradient's elements), and what they may be.
struct ActivationErrors {
  std::vector<passes::KeepPlan::Value> values;  ///< that can be put in few bits, in order
  std::vector<std::string> gradients;
  std::vector<double> size, noise;            ///< by gradient: mean square; variance between batches
  std::vector<double> limit;                  ///< by gradient: of the variance; infinite where nothing is asked
  std::vector<std::vector<double>> variance;  ///< by value and gradient: of the error in `reference_bits`
  std::vector<bool> by_formula;               ///< by value: from the formula alone, not from a run
  int reference_bits = 4;

  /// The variance in other bits: in proportion to the square of a step, range / (2^bits - 1).
  double variance_in(size_t value, size_t gradient, int bits) const;
  /// Of all values together, whose errors are independent.
  double variance_of(size_t gradient, const std::vector<int>& bits) const;
};

/// Bits for each value so that the sum of variances in every gradient is within `looser` times its limit and the bytes
/// are few: from one bit each, greedily what brings the gradients above their limits down most a byte, then back where
/// that was more than needed. A value that no gradient's error tells of gets `usual` bits. Always the same for the same
/// numbers.
std::vector<int> allocate_bits(const ActivationErrors& errors, double looser = 1, int usual = 3);

/// Bytes of a value in so many bits, of CompileOptions::kept_bits.
int64_t bytes_in(const passes::KeepPlan::Value& value, int bits);

struct ActivationOptions {
  /// A gradient's greatest error, over the deviation of gradients between batches (COMET, Jin et al., VLDB 2022), or
  /// over the gradient's own size (AC-GC, Evans and Aamodt, NeurIPS 2021).
  double tolerance = 0.1;
  bool of_size = false;
  CompileOptions compile;  ///< of the step: precision, target
  int64_t batches = 4;     ///< that the noise is measured on
  /// Whether these bits fit into memory; where not, limits are loosened until some do. Empty: they do.
  std::function<bool(const std::vector<int>&)> fits;
};

struct ActivationChoice {
  ActivationErrors errors;
  std::vector<int> bits;  ///< empty where nothing is large enough
  double looser = 1;      ///< errors may be this many times the tolerance, for memory's sake
  nlohmann::json report;
  std::vector<std::string> lines;  ///< the report for a person, without what is chosen
};

/// Measures what the error of each kept value does to each gradient of this loss, at these weights, and chooses bits.
/// `graph` holds the loss and the scope's parameters, `training` is what the bits are for (training_graph); `inputs`
/// gives those of the loss graph for the batch of a number, key included. Takes about as many steps as there are values
/// whose error acts beyond the products that read them, in memory like that of compression to 8 bits. Throws
/// BudgetError where the target's budget is too small for that.
ActivationChoice choose_activation_bits(const Graph& graph, const nn::Scope& scope, Value loss, const Graph& training,
                                        const ActivationOptions& options, ExecutionContext& context,
                                        VariableValues& state,
                                        const std::function<std::vector<Tensor>(int64_t)>& inputs);

}  // namespace gregale::train
