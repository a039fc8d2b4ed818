// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "gregale/graph.hpp"
#include "gregale/ops.hpp"

/// Layers, losses and models: functions that append to a graph. Parameters are variables of the graph; a Scope names
/// them, remembers how they start, and hands the same one out again when a model is applied twice (a rolled-out loss).
namespace gregale::nn {

/// How a parameter starts. Draws come from (seed, stream of its name), so they depend on nothing else.
struct Initialiser {
  enum class Kind : uint8_t { zeros, ones, normal, truncated_normal, uniform } kind = Kind::zeros;
  double scale = 0;  ///< standard deviation (truncated at two of them), or half-width of the uniform
  static Initialiser zeros() { return {Kind::zeros, 0}; }
  static Initialiser ones() { return {Kind::ones, 0}; }
  static Initialiser normal(double std) { return {Kind::normal, std}; }
  static Initialiser truncated_normal(double std) { return {Kind::truncated_normal, std}; }
  static Initialiser uniform(double bound) { return {Kind::uniform, bound}; }
};

struct Parameter {
  std::string name;
  int64_t variable = -1;  ///< index in the graph
  Type type;
  Initialiser initialiser;
  bool decay = true;  ///< whether weight decay applies (not to biases, normalisation, embeddings)
};

/// How the parameter starts under this seed.
Tensor initial_value(const Parameter& parameter, uint64_t seed);

class Scope {
 public:
  /// `key` i64[2] = (seed, step) for dropout; without one, dropout is the identity (inference). Parameters are of
  /// `dtype`.
  explicit Scope(Graph& graph, Value key = {}, DType dtype = DType::f32) : graph_(graph), key_(key), dtype_(dtype) {}

  Graph& graph() { return graph_; }
  Value key() const { return key_; }
  /// The parameter's value: declared at the first call, the same one at later calls (types must agree).
  Value parameter(const std::string& name, const Shape& shape, Initialiser initialiser, bool decay = true);
  const std::vector<Parameter>& parameters() const { return parameters_; }
  /// Values of all parameters, in the order of parameters().
  const std::vector<Value>& values() const { return values_; }
  /// A new stream for each use of random numbers, in the order of building.
  int64_t next_stream() { return stream_++; }
  int64_t parameter_count() const;  ///< elements
  /// Fresh values for all parameters.
  VariableValues initial_values(uint64_t seed) const;

 private:
  Graph& graph_;
  Value key_;
  DType dtype_;
  std::vector<Parameter> parameters_;
  std::vector<Value> values_;
  int64_t stream_ = 1;
};

// --- layers; `name` prefixes the parameters' names ---
/// x [..., in] -> [..., out]: x W + b, W truncated normal of std 0.02 unless told otherwise.
Value linear(Scope& scope, const std::string& name, Value x, int64_t out, bool bias = true,
             Initialiser weights = Initialiser::truncated_normal(0.02));
/// Normalises the last dim with learnt scale and shift.
Value layer_norm(Scope& scope, const std::string& name, Value x, double epsilon = 1e-6);
Value dropout(Scope& scope, Value x, double rate);
/// [..., c] -> [..., hidden] -> [..., out] with GELU between and dropout after both.
Value feed_forward(Scope& scope, const std::string& name, Value x, int64_t hidden, int64_t out,
                   double dropout_rate = 0);

// --- models ---
struct MlpOptions {
  int64_t width = 64;
  int64_t depth = 2;  ///< hidden layers
  int64_t out = 1;
  std::string activation = "gelu";  ///< gelu, relu, silu, tanh
  double dropout = 0;
  bool zero_head = false;  ///< the last layer starts at zero, so that a correction starts at its baseline
};
/// x [..., in] -> [..., out]. Weights start as He et al. (2015): normal of std sqrt(2/in); the last as sqrt(1/in).
Value mlp(Scope& scope, const std::string& name, Value x, const MlpOptions& options);

/// The Adaptive Fourier Neural Operator layer (Guibas et al., "Adaptive Fourier Neural Operators", ICLR 2022; as in
/// FourCastNet, Pathak et al. 2022, arXiv 2202.11214): x [b, h, w, c] -> the same. Real FFT over (h, w), ortho;
/// channels in `blocks` blocks; on every mode the same complex two-layer perceptron a block, ReLU on real and imaginary
/// part each; soft-shrink; inverse FFT; plus x. All longitude modes are kept (the published code drops those above
/// h/2+1).
struct AfnoFilterOptions {
  int64_t blocks = 8;
  double sparsity_threshold = 0.01;
  double hidden_factor = 1;
  double scale = 0.02;  ///< of the initial weights
};
Value afno_filter(Scope& scope, const std::string& name, Value x, const AfnoFilterOptions& options);
/// x [b, h, w, c] of one block: norm, filter, skip, norm, feed-forward through `hidden` channels, skip.
Value afno_block(Scope& scope, const std::string& name, Value x, const AfnoFilterOptions& options, int64_t hidden,
                 double dropout = 0);

struct AfnoOptions {
  int64_t patch = 4;
  int64_t width = 64;
  int64_t depth = 4;
  int64_t blocks = 8;
  double mlp_ratio = 4;
  double sparsity_threshold = 0.01;
  double dropout = 0;
  int64_t out = 1;         ///< channels of the result
  bool zero_head = false;  ///< the head starts at zero, so that the network starts at its baseline
};
/// FourCastNet's network: x [b, c, h, w] -> [b, out, h, w], with h and w multiples of the patch. Patch embedding,
/// learnt position embedding, blocks (norm, filter, skip, norm, feed-forward, skip), linear head, patches put back.
Value afno(Scope& scope, const std::string& name, Value x, const AfnoOptions& options);

struct BertLayerOptions {
  int64_t heads = 12;
  int64_t hidden = 3072;  ///< of the feed-forward part
  double dropout = 0;
};
/// One encoder layer of BERT (Devlin et al., "BERT", NAACL 2019; after Vaswani et al. 2017): x [b, l, width] -> the
/// same. Self-attention over all l positions with softmax(q k^T / sqrt(width / heads)), and a GELU feed-forward part,
/// each added to its operand and then normalised.
Value bert_layer(Scope& scope, const std::string& name, Value x, const BertLayerOptions& options);

struct ResnetOptions {
  int64_t depth = 50;  ///< 50, 101 or 152
  int64_t classes = 1000;
  int64_t width = 64;  ///< channels of the stem; the published networks have 64
};
/// The residual network of He et al. (CVPR 2016) as it is served: x [b, c, h, w] -> [b, classes], the normalisations
/// folded into weights and biases of the convolutions before them. Bottlenecks have the stride on the 3x3 convolution
/// ("v1.5").
Value resnet(Scope& scope, const std::string& name, Value x, const ResnetOptions& options);

struct Surrogate3dOptions {
  int64_t width = 32;
  int64_t depth = 8;  ///< 3x3x3 convolutions
  int64_t out = 1;
};
/// A convolutional surrogate of a field in a box: x [b, c, d, h, w] -> [b, out, d, h, w]. `depth` convolutions of 3x3x3
/// with zeros around the volume, a GELU behind each; from the second on its operand is added, so that layers refine
/// what is there (He et al., CVPR 2016); and a linear head on every point's channels. Volumes are [b, d, h, w,
/// channels] inside.
Value surrogate3d(Scope& scope, const std::string& name, Value x, const Surrogate3dOptions& options);

// --- the sphere ---
/// How fields [b, c, lat, lon] are continued beyond their edges.
struct SpherePadding {
  int64_t south = 0, north = 0, west = 0, east = 0;  ///< rows and columns to add (south: before row 0)
  bool across_poles = true;   ///< rows beyond a pole are those 180 degrees further along; otherwise reflected
  bool pole_rows = false;     ///< rows 0 and last lie on the poles, so they are not repeated
  bool periodic = true;       ///< longitudes wrap; otherwise reflected
  std::vector<double> signs;  ///< per channel: -1 for vector components, which turn over the pole; empty: all +1
};
Value pad_sphere(Graph& graph, Value x, const SpherePadding& padding);

// --- losses: scalars. `weights` broadcasts against the fields (area weights, mask), missing points weigh 0 ---
/// sum w (p - t)^2 / sum w
Value mse_loss(Graph& graph, Value prediction, Value truth, Value weights = {});
/// sum w |p - t| / sum w
Value mae_loss(Graph& graph, Value prediction, Value truth, Value weights = {});
/// Mean over the first axis of |p - t|_2 / |t|_2 (Li et al., "Fourier neural operator", ICLR 2021), points weighted.
Value relative_l2_loss(Graph& graph, Value prediction, Value truth, Value weights = {});
/// By name: "mse", "mae", "relative_l2"; throws ErrorCode::invalid_argument for another.
Value loss(Graph& graph, const std::string& name, Value prediction, Value truth, Value weights = {});

}  // namespace gregale::nn
