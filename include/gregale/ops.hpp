// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "gregale/graph.hpp"
#include "gregale/op.hpp"

/// Graph building, one function an operator: checks happen in Graph::add, definitions live in src/ops/<name>.cpp.
/// Binary operators broadcast as NumPy does. Axes may be negative. See docs/operators.md for the full semantics.
namespace gregale::ops {

/// All operators of the library, from the explicit list in src/ops/list.inc.
const OpSet& standard_ops();

// --- elementwise, real floats (and complex where said) ---
Value neg(Graph& g, Value x);  // also complex
Value abs(Graph& g, Value x);  // complex: modulus
Value sign(Graph& g, Value x);
Value exp(Graph& g, Value x);
Value log(Graph& g, Value x);
Value sqrt(Graph& g, Value x);
Value rsqrt(Graph& g, Value x);
Value reciprocal(Graph& g, Value x);
Value square(Graph& g, Value x);
Value sin(Graph& g, Value x);
Value cos(Graph& g, Value x);
Value tanh(Graph& g, Value x);
Value sigmoid(Graph& g, Value x);
Value erf(Graph& g, Value x);
Value relu(Graph& g, Value x);
Value gelu(Graph& g, Value x);  // exact: x/2 (1 + erf(x/sqrt 2))
Value silu(Graph& g, Value x);
Value softshrink(Graph& g, Value x, double lambda);
Value softplus(Graph& g, Value x);  // log(1 + exp(x))
Value round(Graph& g, Value x);     // ties to even
Value floor(Graph& g, Value x);
Value ceil(Graph& g, Value x);
Value tan(Graph& g, Value x);
Value asin(Graph& g, Value x);
Value acos(Graph& g, Value x);
Value atan(Graph& g, Value x);
Value sinh(Graph& g, Value x);
Value cosh(Graph& g, Value x);
Value asinh(Graph& g, Value x);
Value acosh(Graph& g, Value x);
Value atanh(Graph& g, Value x);
Value logical_not(Graph& g, Value x);
Value is_nan(Graph& g, Value x);
Value stop_gradient(Graph& g, Value x);
/// `exact`: x is known to be whole and in dtype's range, so that casting back gives x.
Value cast(Graph& g, Value x, DType dtype, bool exact = false);

// --- complex ---
Value complex(Graph& g, Value re, Value im);
Value real(Graph& g, Value z);
Value imag(Graph& g, Value z);
Value conj(Graph& g, Value z);

// --- binary, broadcasting; add sub mul div also complex ---
Value add(Graph& g, Value a, Value b);
Value sub(Graph& g, Value a, Value b);
Value mul(Graph& g, Value a, Value b);
Value div(Graph& g, Value a, Value b);
Value pow(Graph& g, Value a, Value b);
Value fmod(Graph& g, Value a, Value b);  // the sign of a
Value mod(Graph& g, Value a, Value b);   // the sign of b
Value bitwise_and(Graph& g, Value a, Value b);
Value bitwise_or(Graph& g, Value a, Value b);
Value bitwise_xor(Graph& g, Value a, Value b);
Value shift_left(Graph& g, Value a, Value b);
Value shift_right(Graph& g, Value a, Value b);
Value maximum(Graph& g, Value a, Value b);
Value minimum(Graph& g, Value a, Value b);
Value equal(Graph& g, Value a, Value b);
Value not_equal(Graph& g, Value a, Value b);
Value less(Graph& g, Value a, Value b);
Value less_equal(Graph& g, Value a, Value b);
Value greater(Graph& g, Value a, Value b);
Value greater_equal(Graph& g, Value a, Value b);
Value logical_and(Graph& g, Value a, Value b);
Value logical_or(Graph& g, Value a, Value b);
/// condition is bool; broadcasts all three.
Value select(Graph& g, Value condition, Value a, Value b);

// Scalars of x's dtype as constants, so that ops::mul(g, x, 0.5) reads well.
Value scalar(Graph& g, DType dtype, double value);
Value add(Graph& g, Value a, double b);
Value mul(Graph& g, Value a, double b);

// --- contraction ---
/// [..., m, k] x [..., k, n] -> [..., m, n]; leading dims broadcast; the transposes apply to the last two dims. Also
/// complex. `f32_result`: the product of bf16 operands in f32, not rounded to bf16.
Value matmul(Graph& g, Value a, Value b, bool transpose_a = false, bool transpose_b = false, bool f32_result = false);
struct Conv2dOptions {
  std::vector<int64_t> strides{1, 1};
  std::vector<int64_t> pads{0, 0, 0, 0};  // top, left, bottom, right (ONNX order)
  std::vector<int64_t> dilations{1, 1};
  int64_t groups = 1;
};
/// x [n, c, h, w], weights [k, c/groups, r, s] -> [n, k, oh, ow]
Value conv2d(Graph& g, Value x, Value weights, const Conv2dOptions& options = {});
/// The same with channels last: x [n, h, w, c], weights [r, s, c/groups, k] -> [n, oh, ow, k]
Value conv2d_nhwc(Graph& g, Value x, Value weights, const Conv2dOptions& options = {});
/// Its adjoints, from the cotangent d_y [n, oh, ow, k] of its result: in x, whose height and width are h and w, and in
/// weights of r rows and s columns.
Value conv2d_nhwc_d_input(Graph& g, Value d_y, Value weights, int64_t h, int64_t w, const Conv2dOptions& options = {});
Value conv2d_nhwc_d_weights(Graph& g, Value x, Value d_y, int64_t r, int64_t s, const Conv2dOptions& options = {});
struct Conv3dOptions {
  std::vector<int64_t> strides{1, 1, 1};
  std::vector<int64_t> pads{0, 0, 0, 0, 0, 0};  // front, top, left, back, bottom, right (ONNX order)
  std::vector<int64_t> dilations{1, 1, 1};
  int64_t groups = 1;
};
/// x [n, c, d, h, w], weights [k, c/groups, t, r, s] -> [n, k, od, oh, ow]
Value conv3d(Graph& g, Value x, Value weights, const Conv3dOptions& options = {});
/// The same with channels last: x [n, d, h, w, c], weights [t, r, s, c/groups, k] -> [n, od, oh, ow, k]
Value conv3d_ndhwc(Graph& g, Value x, Value weights, const Conv3dOptions& options = {});
/// Its adjoints, from the cotangent d_y of its result: in x, whose depth, height and width are `volume`, and in weights
/// of `kernel` slices, rows and columns.
Value conv3d_ndhwc_d_input(Graph& g, Value d_y, Value weights, std::vector<int64_t> volume,
                           const Conv3dOptions& options = {});
Value conv3d_ndhwc_d_weights(Graph& g, Value x, Value d_y, std::vector<int64_t> kernel,
                             const Conv3dOptions& options = {});
struct MaxPool2dOptions {
  std::vector<int64_t> kernel{1, 1};
  std::vector<int64_t> strides{1, 1};
  std::vector<int64_t> pads{0, 0, 0, 0};  // top, left, bottom, right (ONNX order); below the kernel's extent
  bool channels_last = false;             // x [n, h, w, c] -> [n, oh, ow, c]
};
/// x [n, c, h, w] -> [n, c, oh, ow]: the greatest element of every window; padding is never chosen.
Value max_pool2d(Graph& g, Value x, const MaxPool2dOptions& options);
struct PoolOptions {
  std::vector<int64_t> kernel;     // extents of a window, one an axis behind batch and channels
  std::vector<int64_t> strides;    // 1 where empty
  std::vector<int64_t> pads;       // before every axis, then after every axis (ONNX order); 0 where empty
  std::vector<int64_t> dilations;  // 1 where empty
  bool ceil_mode = false;          // elements that the stride leaves over get one more window
};
/// x [n, c, ...] -> [n, c, ...]: kind "max", "sum" or "average" of every window, which averages may count padding in.
Value pool(Graph& g, Value x, const std::string& kind, const PoolOptions& options, bool count_include_pad = false);
/// Where the greatest element of every window is: i64 indices in x flattened. `column_major`: with the last axis
/// slowest.
Value pool_argmax(Graph& g, Value x, const PoolOptions& options, bool column_major = false);
/// Elements of x [n, c, ...] between which `points` [n, ..., axes] lie, in units of elements, first axis first:
/// [n, c, ...]. mode "nearest", "linear" or "cubic"; padding "zeros", "border", "reflection" (about the outer elements'
/// far sides) or "center_reflection" (about their centres).
Value sample_points(Graph& g, Value x, Value points, const std::string& mode = "linear",
                    const std::string& padding = "zeros");
/// Along one axis, every element of the result a weighted sum of a few of x: y[j] = sum over t of weights[j, t]
/// x[indices[j, t]]. indices i64 [n, taps], weights [n, taps] of x's dtype.
Value resample(Graph& g, Value x, Value indices, Value weights, int64_t axis);
/// The determinants of matrices [..., n, n]: [...].
Value det(Graph& g, Value x);

// --- reductions (empty axes: all) ---
Value sum(Graph& g, Value x, std::vector<int64_t> axes = {}, bool keep_dims = false);  // also complex
Value mean(Graph& g, Value x, std::vector<int64_t> axes = {}, bool keep_dims = false);
Value max(Graph& g, Value x, std::vector<int64_t> axes = {}, bool keep_dims = false);
Value min(Graph& g, Value x, std::vector<int64_t> axes = {}, bool keep_dims = false);
Value prod(Graph& g, Value x, std::vector<int64_t> axes = {}, bool keep_dims = false);
/// Where the greatest (or least) element along an axis is: i64.
struct ArgmaxOptions {
  bool keep_dims = false;
  bool least = false;
  bool last = false;  // of those that are equal, the last one
};
Value argmax(Graph& g, Value x, int64_t axis, const ArgmaxOptions& options = {});
/// Sums (or products) of what comes up to each element along an axis.
struct CumulativeOptions {
  bool product = false;
  bool exclusive = false;  // without the element itself
  bool reverse = false;    // from the other end
};
Value cumulative(Graph& g, Value x, int64_t axis, const CumulativeOptions& options = {});
/// Quantises by groups of 256 values (codec/group_quantize.hpp), and the way back to a tensor of this type.
Value group_quantize(Graph& g, Value x, int64_t bits);
Value group_dequantize(Graph& g, Value bytes, int64_t bits, const Type& type);
/// Eight booleans a byte, and the way back.
Value pack_bits(Graph& g, Value x);
Value unpack_bits(Graph& g, Value bytes, const Type& type);
Value softmax(Graph& g, Value x, int64_t axis = -1);
/// The cotangent of softmax's operand from its result y and the cotangent of y.
Value softmax_gradient(Graph& g, Value y, Value d_y, int64_t axis = -1);
/// Normalises the last dim: (x - mean) / sqrt(var + epsilon) * gamma + beta.
Value layer_norm(Graph& g, Value x, Value gamma, Value beta, double epsilon = 1e-5);
struct LayerNormGradient {
  Value d_x, d_gamma, d_beta;
};
LayerNormGradient layer_norm_gradient(Graph& g, Value x, Value gamma, Value d_y, double epsilon = 1e-5);

// --- recurrent layers: the steps, after the products of the inputs; see docs/operators.md for the equations ---
struct RecurrentOptions {
  std::string direction = "forward";     // reverse, bidirectional
  std::vector<std::string> activations;  // tanh, sigmoid, relu, affine, ...; of one direction or of each
  std::vector<double> alpha, beta;       // one an activation; empty: ONNX's
  double clip = 0;                       // sums of gates stay in [-clip, clip]; 0: anywhere
  bool input_forget = false;             // lstm
  bool reset_after = false;              // gru
};
struct RecurrentResult {
  Value y, h, c;  // c only of an lstm
};
/// gates [steps, batch, directions * 1 | 3 | 4 * hidden], weights [directions, 1 | 3 | 4 * hidden, hidden], h and c
/// [directions, batch, hidden], lengths i64 [batch] -> y [steps, directions, batch, hidden]
RecurrentResult rnn_scan(Graph& g, Value gates, Value weights, Value h, Value lengths,
                         const RecurrentOptions& options = {});
/// bias [directions, hidden]: added to the candidate's product of the state
RecurrentResult gru_scan(Graph& g, Value gates, Value weights, Value h, Value lengths, Value bias,
                         const RecurrentOptions& options = {});
/// peepholes [directions, 3 * hidden]
RecurrentResult lstm_scan(Graph& g, Value gates, Value weights, Value h, Value lengths, Value c, Value peepholes,
                          const RecurrentOptions& options = {});

// --- layout ---
Value reshape(Graph& g, Value x, const Shape& shape);  // same number of elements; the attribute `shape` may hold one -1
Value transpose(Graph& g, Value x, std::vector<int64_t> permutation);
/// Elements starts[i], starts[i]+steps[i], ... below stops[i] of every axis; steps positive.
Value slice(Graph& g, Value x, std::vector<int64_t> starts, std::vector<int64_t> stops,
            std::vector<int64_t> steps = {});
/// One axis of it.
Value slice_axis(Graph& g, Value x, int64_t axis, int64_t start, int64_t stop, int64_t step = 1);
Value reverse(Graph& g, Value x, std::vector<int64_t> axes);
/// mode "zero", "periodic", "reflect" (without repeating the edge) or "edge". `interior` zeros go between neighbours
/// (zero mode only).
Value pad(Graph& g, Value x, std::vector<int64_t> low, std::vector<int64_t> high, const std::string& mode = "zero",
          std::vector<int64_t> interior = {});
Value concat(Graph& g, const std::vector<Value>& xs, int64_t axis);
/// x[..., indices, ...] along axis; indices i64 or i32 of any shape, replacing that axis; out of range is an error.
Value gather(Graph& g, Value x, Value indices, int64_t axis);
/// x with updates added at indices along axis (the adjoint of gather); repeated indices add up in order.
Value scatter_add(Graph& g, Value x, Value indices, Value updates, int64_t axis);
/// One element of x for each index, at the index's own place but for one axis; and x with such elements changed.
/// reduction "none", "add", "mul", "max" or "min".
Value gather_elements(Graph& g, Value x, Value indices, int64_t axis);
Value scatter_elements(Graph& g, Value x, Value indices, Value updates, int64_t axis,
                       const std::string& reduction = "none");
/// x[b..., indices[b..., n..., 0], indices[b..., n..., 1], ...], and x with such blocks changed.
Value gather_nd(Graph& g, Value x, Value indices, int64_t batch_dims = 0);
Value scatter_nd(Graph& g, Value x, Value indices, Value updates, const std::string& reduction = "none",
                 int64_t batch_dims = 0);
struct TopK {
  Value values, indices;  // indices i64
};
/// The k greatest (or smallest) elements along an axis, in order; of equal ones the first come first.
TopK top_k(Graph& g, Value x, int64_t k, int64_t axis = -1, bool largest = true);
Value broadcast_to(Graph& g, Value x, const Shape& shape);
/// The adjoint of broadcasting: sums x over what was broadcast, so that the result has `shape`.
Value sum_to(Graph& g, Value x, const Shape& shape);
/// The same with the shape of `like`, which may be symbolic; only its type is used.
Value broadcast_like(Graph& g, Value x, Value like);
Value sum_to_like(Graph& g, Value x, Value like);

// --- Fourier transforms; axes: one or two; norm "ortho", "backward" (inverse scaled by 1/n) or "forward" ---
Value fft(Graph& g, Value z, std::vector<int64_t> axes, bool inverse = false, const std::string& norm = "ortho");
/// Real to complex; the last of `axes` keeps n/2+1 modes.
Value rfft(Graph& g, Value x, std::vector<int64_t> axes, const std::string& norm = "ortho");
/// Complex to real; `size` is the extent of the last of `axes` in the result. Imaginary parts of its first and (n even)
/// last mode are ignored.
Value irfft(Graph& g, Value z, std::vector<int64_t> axes, int64_t size, const std::string& norm = "ortho");

// --- random numbers: functions of a key i64[2] = (seed, step) and the attribute `stream` ---
Value random_uniform(Graph& g, Value key, const Shape& shape, int64_t stream);
Value random_normal(Graph& g, Value key, const Shape& shape, int64_t stream);
/// x with elements zeroed with probability `rate` and the others divided by (1 - rate).
Value dropout(Graph& g, Value x, Value key, double rate, int64_t stream);

// --- state ---
/// x with `update` written at `starts` (constant): how caches grow; in place where nothing else reads x.
Value update_slice(Graph& g, Value x, Value update, std::vector<int64_t> starts);

// --- control flow ---
/// Runs body `count` times on the carried values; captures follow them among the body's inputs.
/// body: (carried..., captures...) -> (carried...).
std::vector<Value> repeat(Graph& g, int64_t count, std::vector<Value> carried, std::vector<Value> captures, Graph body);

// --- optimisers, one pass over a parameter ---
struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;  // decay decoupled (AdamW); 0 gives Adam
};
struct AdamResult {
  Value parameter, m, v;
};
/// learning_rate f32[], step f32[] (1 for the first), scale f32[] multiplies the gradient (clipping).
/// Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
AdamResult adam_update(Graph& g, Value parameter, Value m, Value v, Value d_parameter, Value learning_rate, Value step,
                       Value scale, const AdamOptions& options);

}  // namespace gregale::ops
