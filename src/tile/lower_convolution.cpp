// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/lower_convolution.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "gregale/error.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "tile/convolution.hpp"
#include "tile/cut.hpp"
#include "tile/refusal.hpp"

namespace gregale::tile {
namespace {

using kernels::Broadcast;
using kernels::Compute;
using kernels::Expression;
using kernels::LayoutOp;
using kernels::Packing;

constexpr const char* kConvolution = "conv2d_nhwc";
constexpr const char* kInputGradient = "conv2d_nhwc_d_input";
constexpr const char* kConvolution3d = "conv3d_ndhwc";
constexpr const char* kInputGradient3d = "conv3d_ndhwc_d_input";

bool is_gradient(const Node& n) { return n.op->name == kInputGradient || n.op->name == kInputGradient3d; }
bool is_convolution(const Node& n) {
  return n.op->name == kConvolution || n.op->name == kConvolution3d || is_gradient(n);
}

/// One axis of a part: which taps it has and where they fall.
struct AxisPart {
  int64_t taps = 1, first = 0, step = 1;  ///< of the packed kernel's rows (columns): the first one, and how many apart
  int64_t dilation = 1;                   ///< of the pixels read
  int64_t pad = 0, crop = 0;              ///< pixels that the first output pixel sees before the image, or leaves out
  int64_t out = 0;                        ///< output pixels
};

/// Output pixels that one convolution gives. A forward convolution has one part. The gradient of an image has one for
/// each residue of its rows and columns modulo the strides: there, every second (third, ...) tap meets a pixel of d_y,
/// and neighbouring output pixels see neighbouring pixels.
struct Part {
  AxisPart slices{.out = 1}, rows, columns;
  int64_t first_slice = 0, first_row = 0, first_column = 0;  ///< of the result
  bool is_empty() const { return taps() == 0; }
  int64_t taps() const { return slices.taps * rows.taps * columns.taps; }
};

/// Row i of the image is tap r of output row o where i = o stride + r dilation - pad. Of the rows i = phase + t stride,
/// the taps r that give an o are those with r dilation = phase + pad modulo the stride: first, first + q, ...; with
/// every further one o falls by dilation / gcd. Read with descending r, o ascends.
AxisPart phase_of(int64_t phase, int64_t stride, int64_t dilation, int64_t taps, int64_t pad, int64_t extent,
                  int64_t source) {
  AxisPart part;
  part.out = ceil_div(extent - phase, stride);
  const int64_t common = std::gcd(stride, dilation);
  int64_t first = 0;
  while (first < taps && (phase + pad - first * dilation) % stride != 0) ++first;
  part.step = stride / common;
  part.dilation = dilation / common;
  part.taps = first < taps ? (taps - 1 - first) / part.step + 1 : 0;
  if (part.taps == 0) return part;
  const int64_t last = first + (part.taps - 1) * part.step;
  const int64_t begin = (phase + pad - last * dilation) / stride;
  part.first = taps - 1 - last;
  part.pad = std::max<int64_t>(0, -begin);
  part.crop = std::max<int64_t>(0, begin);
  if (part.crop >= source) part.taps = 0;
  return part;
}

class ConvolutionLowering {
 public:
  ConvolutionLowering(const Graph& region, const Target& target, const std::vector<Given>& given)
      : g_(region), target_(target), given_(given) {}

  LoweredRegion run() {
    find_problem();
    find_parts();
    at_ = *std::max_element(parts_.begin(), parts_.end(),
                            [](const Part& a, const Part& b) { return a.taps() < b.taps(); });
    choose_blocks();
    declare();
    place_operands();
    for (const Part& part : parts_) {
      at_ = part;
      declare_part();
      emit();
    }
    require(out_.program.dims.size() <= static_cast<size_t>(kMaxDims), "too many extents for one program");
    for (Phase& phase : out_.program.phases)
      for (Stage& s : phase.stages)
        for (Call& call : s.calls)
          for (Operand& o : call.operands) o.strides.resize(out_.program.dims.size(), 0);
    return std::move(out_);
  }

 private:
  const Type& type(Value v) const { return g_.type(v); }
  int32_t input_of(Value v) const {
    const std::vector<Value>& inputs = g_.inputs();
    const auto found = std::find(inputs.begin(), inputs.end(), v);
    return found == inputs.end() ? -1 : static_cast<int32_t>(found - inputs.begin());
  }

  // --- what is to be computed ---

  void find_problem() {
    require(g_.outputs().size() == 1 && g_.variables().empty(), "a convolution's group has one result and no state");
    for (const Value v : g_.inputs()) require(type(v).shape.is_constant(), "an extent is symbolic");
    for (const Node& nd : g_.nodes()) {
      if (!is_convolution(nd)) continue;
      require(conv_ == nullptr, "two convolutions in one group");
      conv_ = &nd;
    }
    GREGALE_ASSERT(conv_ != nullptr);
    x_ = input_of(conv_->inputs[0]);
    weights_ = input_of(conv_->inputs[1]);
    require(x_ >= 0 && weights_ >= 0, "a convolution of what is computed inside the group");
    for (const Node& nd : g_.nodes())
      for (size_t i = 0; i < nd.inputs.size(); ++i)
        require(input_of(nd.inputs[i]) != weights_ || (&nd == conv_ && i == 1), "the weights have other readers");
    const Extents x = type(conv_->inputs[0]).shape.extents(), w = type(conv_->inputs[1]).shape.extents(),
                  y = type(conv_->outputs[0]).shape.extents();
    // Volumes have one axis more in front.
    const size_t v = x.size() - 4;
    Conv3d volume;
    volume.plane = {.n = x[0], .c = x[v + 3], .h = x[v + 1], .w = x[v + 2], .k = y[v + 3], .r = w[v], .s = w[v + 1]};
    if (v > 0) {
      volume.d = x[1];
      volume.t = w[0];
      set_geometry(volume, view_of(g_, *conv_));
    } else {
      set_geometry(volume.plane, view_of(g_, *conv_));
    }
    has_slices_ = v > 0;
    s_ = volume.plane;
    source_slices_ = volume.d;
    kernel_slices_ = volume.t;
    stride_d_ = volume.stride_d;
    pad_front_ = volume.pad_front;
    dilation_d_ = volume.dilation_d;
    backward_ = is_gradient(*conv_);
    y_d_ = has_slices_ ? y[1] : 1;
    y_h_ = y[v + 1];
    y_w_ = y[v + 2];
    // An image of one column is one of one row: the same memory, but contractions over many pixels instead of one.
    if (!has_slices_ && s_.w == 1 && s_.s == 1 && s_.pad_left == 0 && s_.pad_right == 0) {
      std::swap(s_.h, s_.w);
      std::swap(s_.r, s_.s);
      std::swap(s_.stride_h, s_.stride_w);
      std::swap(s_.dilation_h, s_.dilation_w);
      std::swap(s_.pad_top, s_.pad_left);
      std::swap(s_.pad_bottom, s_.pad_right);
      std::swap(y_h_, y_w_);
    }
    dtype_ = type(conv_->inputs[0]).dtype;
    require(dtype_ == DType::f32 || dtype_ == DType::bf16, "a convolution of other than f32 and bf16");
    require(s_.n > 0 && s_.c > 0 && s_.k > 0, "an empty convolution");
    constexpr int64_t kLargest = int64_t{1} << 20;
    require(std::max({s_.h, s_.w, s_.c, s_.k, s_.r * s_.dilation_h, s_.s * s_.dilation_w, source_slices_,
                      kernel_slices_ * dilation_d_}) <= kLargest,
            "an extent of a convolution is above 1048576");
    require(s_.c / s_.groups >= 4 || s_.groups == 1, "few channels a group: nothing to contract");
    const int64_t pixels = backward_ ? source_slices_ * s_.h * s_.w : y_d_ * y_h_ * y_w_;
    out_.flops = 2.0 * static_cast<double>(s_.n * s_.k) * static_cast<double>(pixels) *
                 static_cast<double>(s_.c / s_.groups * s_.r * s_.s * kernel_slices_);
  }

  /// After this, s_ is the convolution of what is read: the gradient's parts have no strides.
  void find_parts() {
    kernel_taps_ = kernel_slices_ * s_.r * s_.s;
    kernel_columns_ = s_.s;
    if (!backward_) {
      parts_ = {{.slices = {.taps = kernel_slices_, .dilation = dilation_d_, .pad = pad_front_, .out = y_d_},
                 .rows = {.taps = s_.r, .dilation = s_.dilation_h, .pad = s_.pad_top, .out = y_h_},
                 .columns = {.taps = s_.s, .dilation = s_.dilation_w, .pad = s_.pad_left, .out = y_w_}}};
      return;
    }
    for (int64_t z = 0; z < std::min(stride_d_, y_d_); ++z)
      for (int64_t i = 0; i < std::min(s_.stride_h, y_h_); ++i)
        for (int64_t j = 0; j < std::min(s_.stride_w, y_w_); ++j)
          parts_.push_back(
              {.slices = phase_of(z, stride_d_, dilation_d_, kernel_slices_, pad_front_, y_d_, source_slices_),
               .rows = phase_of(i, s_.stride_h, s_.dilation_h, s_.r, s_.pad_top, y_h_, s_.h),
               .columns = phase_of(j, s_.stride_w, s_.dilation_w, s_.s, s_.pad_left, y_w_, s_.w),
               .first_slice = z,
               .first_row = i,
               .first_column = j});
    y_stride_d_ = std::exchange(stride_d_, 1);
    require(!parts_.empty(), "an empty image");
    y_stride_h_ = std::exchange(s_.stride_h, 1);
    y_stride_w_ = std::exchange(s_.stride_w, 1);
  }

  bool interleaved() const { return dtype_ == DType::bf16; }
  int64_t group_channels() const { return s_.c / s_.groups; }
  int64_t group_outputs() const { return s_.k / s_.groups; }

  // --- how the loops are cut ---

  void choose_blocks() {
    const int64_t channels = group_channels(), outputs = group_outputs(), oh = at_.rows.out, ow = at_.columns.out;
    const int64_t size = size_of(dtype_);
    tiles_ = interleaved() && kernels::has_tiles(target_);
    call_outputs_ = interleaved() ? (tiles_ ? 32 : 64) : target_.isa >= Isa::avx512 ? 64 : 16;
    panel_width_ = interleaved() ? 16 : call_outputs_;
    // One call's weights stay in L2 while the rows of a band go by.
    const int64_t call_bytes = (tiles_ ? 512 : 160) << 10;
    const int64_t unit = interleaved() ? 32 : 16;
    const int64_t most = call_bytes / (kernel_taps_ * call_outputs_ * size);
    depth_ = balanced_block(channels, std::max(most, unit), unit);
    blocks_ = ceil_div(channels, depth_);
    in_place_ = reads_in_place();
    constexpr int64_t kFewChannels = 32;  // neighbouring taps are neighbours in the copy
    join_taps_ = !backward_ && !in_place_ && s_.s > 1 && s_.dilation_w == 1 && blocks_ == 1 && depth_ < kFewChannels;
    pitch_ = depth_;
    if (tiles_ && blocks_ == 1 && !join_taps_ && depth_ * size > 128) pitch_ = odd_lines(depth_, size);

    constexpr int64_t kColumns = 128;
    columns_ = balanced_block(ow, kColumns, 4);
    rows_ = oh;
    const int64_t most_sums = target_.l2_bytes / 4 / (columns_ * call_outputs_ * 4);
    if (blocks_ > 1) rows_ = std::clamp<int64_t>(most_sums, 1, oh);
    while (rows_ > 1 && band_bytes() > target_.l2_bytes / 4) --rows_;
    rows_ = balanced_block(oh, rows_, 1);
    span_ = round_up(outputs, call_outputs_);
    // Enough bands for the cores: of two tasks both read either the same weights or the same band.
    const int64_t cells_per_core = tiles_ ? 2 : 4;
    constexpr int64_t kTaskWork = 1 << 20;
    const int64_t weights_bytes = kernel_taps_ * channels * outputs * size;
    while (target_.cores > 1) {
      const int64_t cells =
          s_.n * at_.slices.out * s_.groups * ceil_div(oh, rows_) * ceil_div(ow, columns_) * ceil_div(outputs, span_);
      const int64_t work = rows_ * columns_ * std::min(outputs, span_) * channels * at_.taps();
      if (cells >= cells_per_core * target_.cores || work < 2 * kTaskWork) break;
      const bool can_span = span_ > call_outputs_, can_rows = rows_ > 1;
      if (can_span && (!can_rows || weights_bytes > band_bytes())) {
        span_ = round_up(ceil_div(span_, 2), call_outputs_);
      } else if (can_rows) {
        rows_ = ceil_div(rows_, 2);
      } else {
        break;
      }
    }
    choose_whole_bands();
    items_ = join_taps_ ? kernel_slices_ * s_.r : kernel_taps_;
    item_depth_ = join_taps_ ? s_.s * depth_ : depth_;
    item_ = interleaved() ? round_up(item_depth_, 32) * panel_width_ : item_depth_ * panel_width_;
    panel_elements_ = blocks_ * items_ * item_;
  }

  /// One tap that sees pixels of the image only.
  bool reads_in_place() const {
    const auto whole = [](const AxisPart& p, int64_t stride, int64_t extent) {
      return p.taps == 1 && p.pad == 0 && p.crop == 0 && (p.out - 1) * stride < extent;
    };
    return whole(at_.slices, stride_d_, source_slices_) && whole(at_.rows, s_.stride_h, s_.h) &&
           whole(at_.columns, s_.stride_w, s_.w);
  }

  /// Tiles have 16 rows, so the pixels of all rows of a band are multiplied as one: between those of one row and the
  /// next lie some that are no pixels of the result, whose sums are not looked at.
  void choose_whole_bands() {
    const int64_t oh = at_.rows.out;
    if (!tiles_ || in_place_ || blocks_ > 1 || s_.stride_h != 1 || s_.stride_w != 1 || columns_ < at_.columns.out)
      return;
    if (parts_.size() > 1) return;  // they share the blocks, not the extents
    const auto sums_bytes = [&](int64_t rows) { return rows * band_columns() * odd_lines(span_, 4) * 4; };
    int64_t rows = rows_;
    while (rows > 1 && (oh % rows != 0 || sums_bytes(rows) > target_.l2_bytes / 3)) --rows;
    whole_bands_ = rows > 1;
    if (whole_bands_) rows_ = rows;
  }

  static int64_t reach(const AxisPart& p) { return p.crop + (p.taps - 1) * p.dilation + 1; }
  int64_t band_rows() const { return (rows_ - 1) * s_.stride_h + reach(at_.rows); }
  int64_t band_columns() const { return (columns_ - 1) * s_.stride_w + reach(at_.columns); }
  int64_t slice_elements() const { return band_rows() * band_columns() * pitch_ * blocks_; }
  int64_t band_elements() const { return at_.slices.taps * slice_elements(); }
  /// What a band takes of the cache. Pixels that are skipped take their share of its sets.
  int64_t band_bytes() const {
    const int64_t size = size_of(dtype_);
    return in_place_ ? rows_ * columns_ * s_.stride_w * group_channels() * size : band_elements() * size;
  }

  void declare() {
    TileProgram& p = out_.program;
    p.name = g_.name();
    for (size_t i = 0; i < g_.inputs().size(); ++i)
      p.add_buffer(fmt::format("in{}", i), Scope::argument, type(g_.inputs()[i]).dtype,
                   type(g_.inputs()[i]).shape.elements());
    const Value y = g_.outputs()[0];
    y_ = p.add_buffer("out0", Scope::argument, type(y).dtype, type(y).shape.elements());
    image_ = p.add_dim("image", s_.n, {1});
    if (s_.groups > 1) group_ = p.add_dim("group", s_.groups, {1});
    declare_part();
    const bool spans = span_ < group_outputs();
    output_ = p.add_dim("output", group_outputs(),
                        spans && span_ > call_outputs_ ? std::vector<int64_t>{span_, call_outputs_}
                                                       : std::vector<int64_t>{call_outputs_});
    if (blocks_ > 1) channel_ = p.add_dim("channel", group_channels(), {depth_}, true);
  }

  /// Parts of the same extents share their dims.
  void declare_part() {
    TileProgram& p = out_.program;
    const auto dim = [&](const char* name, int64_t extent, const std::vector<int64_t>& steps) {
      for (size_t d = 0; d < p.dims.size(); ++d)
        if (p.dims[d].name == name && p.dims[d].extent == extent) return static_cast<int32_t>(d);
      return p.add_dim(name, extent, steps);
    };
    if (has_slices_) slice_ = dim("slice", at_.slices.out, {1});
    row_ = dim("row", at_.rows.out, rows_ > 1 ? std::vector<int64_t>{rows_, 1} : std::vector<int64_t>{1});
    column_ = dim("column", at_.columns.out, {columns_});
    in_place_ = reads_in_place();
  }

  /// A panel of this name that holds so many elements; parts share theirs.
  int32_t panel(const char* name, DType dtype, int64_t elements) {
    TileProgram& p = out_.program;
    for (size_t b = 0; b < p.buffers.size(); ++b)
      if (p.buffers[b].scope == Scope::panel && p.buffers[b].name == name) {
        p.buffers[b].elements = std::max(p.buffers[b].elements, elements);
        return static_cast<int32_t>(b);
      }
    return p.add_buffer(name, Scope::panel, dtype, elements);
  }

  // --- operands ---

  Operand operand(int32_t buffer) const {
    Operand o;
    o.buffer = buffer;
    o.strides.assign(out_.program.dims.size(), 0);
    return o;
  }
  static void walk(Operand& o, int32_t dim, int64_t stride) {
    if (dim >= 0) o.strides[static_cast<size_t>(dim)] = stride;
  }

  /// Of a value with the result's shape, in the result's order: the part's pixels.
  Operand full(int32_t buffer) const {
    Operand o = operand(buffer);
    o.offset = ((at_.first_slice * y_h_ + at_.first_row) * y_w_ + at_.first_column) * s_.k;
    walk(o, image_, y_d_ * y_h_ * y_w_ * s_.k);
    walk(o, slice_, y_stride_d_ * y_h_ * y_w_ * s_.k);
    walk(o, group_, group_outputs());
    walk(o, row_, y_stride_h_ * y_w_ * s_.k);
    walk(o, column_, y_stride_w_ * s_.k);
    walk(o, output_, 1);
    o.leading = y_stride_w_ * s_.k;
    return o;
  }

  Operand epilogue_operand(Value v) const {
    const int32_t buffer = input_of(v);
    const Extents e = type(v).shape.extents();
    require(type(v).dtype == DType::f32 || type(v).dtype == DType::bf16 || type(v).dtype == DType::f16,
            "an operand is no f32, bf16 or f16");
    if (e == type(conv_->outputs[0]).shape.extents()) return full(buffer);
    const int64_t elements = type(v).shape.elements();
    Operand o = operand(buffer);
    o.broadcast = elements == 1 ? Broadcast::scalar : Broadcast::row;
    if (elements == 1) return o;
    require(!e.empty() && e.back() == s_.k && elements == s_.k, "an operand is neither a row nor whole");
    walk(o, group_, group_outputs());
    walk(o, output_, 1);
    return o;
  }

  void place_operands() {
    std::map<int32_t, Expression::Id> ids;
    std::map<int32_t, double> scalars;
    ids[conv_->outputs[0].id] = expression_.input(0);
    for (const Node& nd : g_.nodes()) {
      const Value result = nd.outputs[0];
      if (&nd == conv_) continue;
      if (nd.op->name == kConstantOp) {
        const Tensor& t = std::get<Tensor>(nd.attributes.at("value"));
        require(t.size() == 1 && is_real_float(t.dtype()), "a constant inside is no scalar");
        scalars[result.id] = RefArray::from(t).real()[0];
        continue;
      }
      require(nd.outputs.size() == 1 && static_cast<bool>(nd.op->express), "an operator that is no expression");
      std::vector<Expression::Id> in;
      for (const Value v : nd.inputs) {
        if (ids.count(v.id) == 0) {
          if (const auto scalar = scalars.find(v.id); scalar != scalars.end()) {
            ids[v.id] = expression_.constant(scalar->second);
          } else {
            require(input_of(v) >= 0, "an operator before its operand");
            epilogue_operand(v);  // or it refuses
            extra_.push_back(v);
            ids[v.id] = expression_.input(static_cast<int>(extra_.size()));
          }
        }
        in.push_back(ids.at(v.id));
      }
      const size_t before = expression_.nodes().size();
      const Expression::Id id = nd.op->express(expression_, view_of(g_, nd), in);
      require(id >= 0, "an operator that is no expression");
      for (size_t i = before; i < expression_.nodes().size(); ++i)
        require(expression_.nodes()[i].op < kernels::ExprOp::row_sum, "whole rows of a convolution's result");
      const DType dtype = type(result).dtype;
      require(dtype == DType::f32 || dtype == DType::boolean || dtype == DType::bf16 || dtype == DType::f16,
              "arithmetic in other than f32, bf16 and f16");
      ids[result.id] = id;
    }
    const Value y = g_.outputs()[0];
    require(ids.count(y.id) > 0 && type(y).shape == type(conv_->outputs[0]).shape,
            "the result is not the convolution's");
    require(type(y).dtype == DType::f32 || type(y).dtype == DType::bf16, "the result is no f32 or bf16");
    if (y == conv_->outputs[0]) {
      expression_ = {};
    } else {
      expression_.output(ids.at(y.id));
    }
  }

  // --- the program ---

  /// The weights [r, s, c/groups, k] as the kernels read them, [group][panel][block][item][depth][width]: a phase of
  /// `p` that packs `from` into `to`. For the gradient of an image, what is summed over are the columns, and the taps
  /// are turned round.
  void pack(TileProgram& p, int32_t from_buffer, int32_t to_buffer) const {
    std::string schedule;
    Operand from, to;
    from.buffer = from_buffer;
    to.buffer = to_buffer;
    from.leading = backward_ ? s_.c : s_.k;
    to.leading = panel_elements_;
    const auto loop = [&](const char* name, int64_t extent, int64_t step, int64_t from_stride, int64_t to_stride) {
      const int32_t dim = p.add_dim(name, extent, {step});
      schedule += static_cast<char>('A' + dim);
      from.strides.resize(static_cast<size_t>(dim) + 1, 0);
      to.strides.resize(static_cast<size_t>(dim) + 1, 0);
      from.strides.back() = from_stride;
      to.strides.back() = to_stride;
      return dim;
    };
    Move move;
    move.op = interleaved() ? LayoutOp::panels16 : LayoutOp::column_panels;
    move.width = interleaved() ? 0 : panel_width_;
    move.trans = backward_;
    move.m = Size::of(item_depth_);
    move.n = Size::of(group_outputs());
    if (!backward_) loop("tap", items_, 1, (join_taps_ ? s_.s : 1) * group_channels() * s_.k, item_);
    if (s_.groups > 1)
      loop("pack group", s_.groups, 1, backward_ ? group_channels() : group_outputs(), group_elements());
    if (blocks_ > 1)
      move.m =
          Size::along(loop("pack channel", group_channels(), depth_, backward_ ? 1 : s_.k, items_ * item_ / depth_));
    Stage stage;
    if (!backward_) {
      stage.calls.push_back({.what = move, .operands = {from, to}, .when = {}});
    } else {
      move.n = Size::along(loop("pack output", group_outputs(), call_outputs_, s_.c, panel_elements_ / panel_width_));
      for (int64_t tap = 0; tap < kernel_taps_; ++tap) {
        from.offset = (kernel_taps_ - 1 - tap) * group_outputs() * s_.c;
        to.offset = tap * item_;
        stage.calls.push_back({.what = move, .operands = {from, to}, .when = {}});
      }
    }
    p.phases.push_back({schedule, {stage}});
  }

  int64_t group_elements() const { return ceil_div(group_outputs(), panel_width_) * panel_elements_; }

  Operand weights() {
    TileProgram& p = out_.program;
    const int64_t elements = s_.groups * group_elements();
    const auto at = static_cast<size_t>(weights_);
    Operand b = operand(weights_);
    if (packed_ >= 0) {
      // An earlier part's.
    } else if (at < given_.size() && given_[at] != Given::later) {
      packed_ = weights_;
      TileProgram own;
      own.name = fmt::format("pack in{}", weights_);
      const int32_t plain = own.add_buffer("plain", Scope::argument, dtype_, p.buffers[at].elements);
      const int32_t packed = own.add_buffer("packed", Scope::argument, dtype_, elements);
      pack(own, plain, packed);
      out_.packed.push_back({weights_, std::move(own)});
      p.buffers[at].elements = elements;
    } else {
      packed_ = p.add_buffer("packed0", Scope::memory, dtype_, elements);
      pack(p, weights_, packed_);
    }
    b.buffer = packed_;
    walk(b, group_, group_elements());
    walk(b, output_, panel_elements_ / panel_width_);
    walk(b, channel_, items_ * item_ / depth_);
    b.leading = interleaved() ? panel_elements_ : panel_width_;
    b.offset = ((at_.slices.first * s_.r + at_.rows.first) * kernel_columns_ + at_.columns.first) * item_;
    return b;
  }

  /// A row of pixels of complete sums becomes the result's.
  Call finish(const Operand& sums, const Operand& y) const {
    Express e;
    e.m = Size::along(column_);
    e.n = Size::along(output_);
    e.expression = expression_;
    if (e.expression.empty()) e.expression.output(e.expression.input(0));
    Call call;
    call.what = e;
    call.operands = {sums};
    for (const Value v : extra_) call.operands.push_back(epilogue_operand(v));
    call.operands.push_back(y);
    return call;
  }

  /// Pixels that no tap reaches: the epilogue of zeros.
  void emit_empty() {
    TileProgram& p = out_.program;
    Operand zeros = operand(panel("zeros", DType::f32, columns_ * group_outputs()));
    zeros.leading = group_outputs();
    Move zero;
    zero.op = LayoutOp::zero;
    zero.m = Size::along(column_);
    zero.n = Size::of(group_outputs());
    Call last = finish(zeros, full(y_));
    std::get<Express>(last.what).n = zero.n;
    std::string loops = rows_ > 1 ? std::string(1, p.letter(row_)) : "";
    p.phases.push_back({schedule({image_, slice_, group_, row_, column_}),
                        {{"", {{.what = zero, .operands = {zeros}, .when = {}}}, {}}, {loops, {last}, {}}}});
  }

  std::string schedule(std::initializer_list<int32_t> dims) const {
    std::string letters;
    for (const int32_t dim : dims)
      if (dim >= 0) letters += out_.program.letter(dim);
    constexpr double kParallelFlops = 1 << 20;
    if (target_.cores > 1 && out_.flops >= kParallelFlops)
      for (char& l : letters) l = static_cast<char>(std::toupper(static_cast<unsigned char>(l)));
    return letters;
  }

  void emit() {
    if (at_.is_empty()) return emit_empty();
    TileProgram& p = out_.program;
    std::vector<Stage> stages;
    // What a step reads of the image.
    Operand image = operand(x_);
    walk(image, image_, source_slices_ * s_.h * s_.w * s_.c);
    walk(image, slice_, stride_d_ * s_.h * s_.w * s_.c);
    walk(image, group_, group_channels());
    walk(image, row_, s_.stride_h * s_.w * s_.c);
    walk(image, column_, s_.stride_w * s_.c);
    Contract c;
    Operand a = image;
    if (in_place_) {
      walk(a, channel_, 1);
      a.leading = s_.stride_w * s_.c;
    } else {
      image.leading = s_.c;
      Operand band = operand(panel("band", dtype_, band_elements()));
      Window w;
      w.rows = Size::along(row_);
      w.columns = Size::along(column_);
      w.h = s_.h;
      w.w = s_.w;
      w.channels = group_channels();
      w.stride_h = s_.stride_h;
      w.stride_w = s_.stride_w;
      w.pad_top = at_.rows.pad;
      w.pad_left = at_.columns.pad;
      w.reach_h = reach(at_.rows);
      w.reach_w = reach(at_.columns);
      w.band_rows = band_rows();
      w.band_columns = band_columns();
      w.depth = pitch_;
      w.blocks = blocks_;
      Stage copies;
      w.d = source_slices_;
      w.stride_d = stride_d_;
      if (has_slices_) w.slices = Size::along(slice_);
      for (int64_t z = 0; z < at_.slices.taps; ++z) {
        w.shift_d = at_.slices.crop - at_.slices.pad + z * at_.slices.dilation;
        Operand to = band;
        to.offset = z * slice_elements();
        copies.calls.push_back({.what = w, .operands = {image, to}, .when = {}});
      }
      stages.push_back(copies);
      a = band;
      walk(a, row_, s_.stride_h * band_columns() * pitch_);
      walk(a, channel_, band_rows() * band_columns());
      a.offset = (at_.rows.crop * band_columns() + at_.columns.crop) * pitch_;
      a.leading = s_.stride_w * pitch_;
      const AxisPart &r = at_.rows, &s = at_.columns;
      const int64_t row_items = join_taps_ ? 1 : kernel_columns_;
      if (at_.slices.taps > 1)
        c.batch.push_back({at_.slices.taps, slice_elements(), at_.slices.step * s_.r * row_items * item_});
      if (r.taps > 1) c.batch.push_back({r.taps, r.dilation * band_columns() * pitch_, r.step * row_items * item_});
      if (s.taps > 1 && !join_taps_) c.batch.push_back({s.taps, s.dilation * pitch_, s.step * item_});
    }
    const Operand b = weights(), y = full(y_);
    c.m = Size::along(column_);
    c.n = Size::along(output_);
    c.k = channel_ >= 0 ? Size::along(channel_) : Size::of(item_depth_);
    c.compute = interleaved() ? Compute::bf16 : Compute::f32;
    c.packing = interleaved() ? Packing::panels16 : Packing::plain;
    c.sum = channel_;
    c.own_chain = !tiles_;  // as in tile::Matmul
    const bool spans = span_ < group_outputs();
    Stage stage;
    if (!spans || span_ > call_outputs_) stage.loops += p.letter(output_);
    if (channel_ >= 0) stage.loops += p.letter(channel_);
    if (rows_ > 1 && !whole_bands_) stage.loops += p.letter(row_);
    Call product;
    std::optional<Stage> afterwards;
    if (whole_bands_) {
      c.m = Size::of((rows_ - 1) * band_columns() + columns_);
      Operand sums = operand(-1);
      sums.leading = odd_lines(spans ? span_ : group_outputs(), 4);
      sums.buffer = panel("sums", DType::f32, rows_ * band_columns() * sums.leading);
      walk(sums, output_, 1);
      product.operands = {a, b, sums};
      product.what = c;
      stage.calls = {product};
      walk(sums, row_, band_columns() * sums.leading);
      const Call last = finish(sums, y);
      afterwards = Stage{std::string(1, p.letter(row_)), {last}, {}};
    } else if (blocks_ == 1) {
      c.epilogue = expression_;
      product.operands = {a, b, y};
      for (const Value v : extra_) product.operands.push_back(epilogue_operand(v));
      product.what = c;
      stage.calls = {product};
    } else {
      // Sums of several blocks of channels are kept in f32 until they are complete.
      Operand sums = operand(panel("sums", DType::f32, rows_ * columns_ * call_outputs_));
      walk(sums, row_, columns_ * call_outputs_);
      sums.leading = call_outputs_;
      product.operands = {a, b, sums};
      product.what = c;
      Call last = finish(sums, y);
      last.when = {When::Kind::last, channel_};
      stage.calls = {product, last};
    }
    stages.push_back(std::move(stage));
    if (afterwards) stages.push_back(*std::move(afterwards));
    p.phases.push_back({schedule({image_, slice_, group_, row_, column_, spans ? output_ : -1}), std::move(stages)});
  }

  const Graph& g_;
  const Target& target_;
  const std::vector<Given>& given_;
  LoweredRegion out_;
  const Node* conv_ = nullptr;
  int32_t x_ = -1, weights_ = -1, y_ = -1, packed_ = -1;
  bool backward_ = false;  ///< the gradient of an image: what is read is d_y
  Conv2d s_;               ///< extents of what is read and its channels, of the kernel, output channels, strides
  int64_t kernel_taps_ = 0, kernel_columns_ = 0;
  bool has_slices_ = false;  ///< of volumes; all others are one slice
  int64_t source_slices_ = 1, kernel_slices_ = 1, stride_d_ = 1, pad_front_ = 0, dilation_d_ = 1;
  int64_t y_d_ = 1, y_h_ = 0, y_w_ = 0, y_stride_d_ = 1, y_stride_h_ = 1,
          y_stride_w_ = 1;  ///< the result, and how far apart a part's pixels are
  std::vector<Part> parts_;
  Part at_;  ///< the part at hand
  DType dtype_ = DType::f32;
  /// Blocks: channels of one (part of the numerical recipe) and how many; output pixels of a band; output channels of a
  /// task, of a kernel call, of a panel of weights.
  int64_t depth_ = 0, blocks_ = 0, rows_ = 0, columns_ = 0, span_ = 0, call_outputs_ = 0, panel_width_ = 0;
  int64_t pitch_ = 0;                                                   ///< of a pixel in a band
  bool tiles_ = false;                                                  ///< on the tile unit
  bool whole_bands_ = false;                                            ///< one product for all rows of a band
  bool in_place_ = false;                                               ///< the image is read where it is
  bool join_taps_ = false;                                              ///< the taps of a row are one sum: few channels
  int64_t items_ = 0, item_depth_ = 0, item_ = 0, panel_elements_ = 0;  ///< of packed weights
  int32_t image_ = -1, slice_ = -1, group_ = -1, row_ = -1, column_ = -1, output_ = -1, channel_ = -1;
  Expression expression_;
  std::vector<Value> extra_;  ///< what the epilogue reads besides the sums
};

}  // namespace

bool has_convolution(const Graph& region) {
  return std::any_of(region.nodes().begin(), region.nodes().end(), [](const Node& n) { return is_convolution(n); });
}

Result<LoweredRegion> lower_convolution(const Graph& region, const Target& target, const std::vector<Given>& given) {
  return lowered_or_refused([&] { return ConvolutionLowering(region, target, given).run(); });
}

}  // namespace gregale::tile
