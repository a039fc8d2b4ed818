// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/onnx_convolution.hpp"

#include <numeric>

namespace gregale::ops {
namespace {

std::string transposed(OnnxWriter& w, const std::string& x, std::vector<int64_t> order) {
  return w.add1("Transpose", {x}, {{"perm", std::move(order)}});
}

/// [n, spatial..., c] to [n, c, spatial...], and back.
std::string channels_first(OnnxWriter& w, const std::string& x, int64_t rank) {
  std::vector<int64_t> order{0, rank - 1};
  for (int64_t a = 1; a < rank - 1; ++a) order.push_back(a);
  return transposed(w, x, order);
}
std::string channels_last_again(OnnxWriter& w, const std::string& x, int64_t rank) {
  std::vector<int64_t> order{0};
  for (int64_t a = 2; a < rank; ++a) order.push_back(a);
  order.push_back(1);
  return transposed(w, x, order);
}
/// [taps..., c, k] to [k, c, taps...].
std::string weights_first(OnnxWriter& w, const std::string& x, int64_t rank) {
  std::vector<int64_t> order{rank - 1, rank - 2};
  for (int64_t a = 0; a < rank - 2; ++a) order.push_back(a);
  return transposed(w, x, order);
}

OnnxWriter::OnnxAttributeList attributes(const OnnxWriter& w) {
  const NodeView& node = w.view();
  return {{"strides", node.integers("strides")},
          {"pads", node.integers("pads")},
          {"dilations", node.integers("dilations")},
          {"group", node.integer("groups")}};
}

/// Operands in f32 where the result is f32 and they are bf16.
OnnxWriter::Names operands(OnnxWriter& w) {
  OnnxWriter::Names names = w.inputs();
  if (w.view().outputs()[0].dtype == DType::f32 && w.view().input(0).dtype != DType::f32)
    for (std::string& name : names) name = w.add1("Cast", {name}, {{"to", int64_t{1}}});
  return names;
}

}  // namespace

void write_onnx_convolution(OnnxWriter& w, bool channels_last) {
  OnnxWriter::Names in = operands(w);
  const int64_t rank = w.view().input(0).rank();
  if (channels_last) in = {channels_first(w, in[0], rank), weights_first(w, in[1], rank)};
  const std::string y = w.add1("Conv", in, attributes(w));
  w.set_output(0, channels_last ? channels_last_again(w, y, rank) : y);
}

void write_onnx_convolution_d_input(OnnxWriter& w, bool channels_last, const std::vector<int64_t>& image) {
  OnnxWriter::Names in = operands(w);
  const NodeView& node = w.view();
  const int64_t rank = node.input(0).rank(), dims = rank - 2;
  const auto &strides = node.integers("strides"), &pads = node.integers("pads"),
             &dilations = node.integers("dilations");
  const Extents d_y = node.input(0).shape.extents(), weights = node.input(1).shape.extents();
  std::vector<int64_t> extra;  // rows and columns that no window reached
  for (int64_t a = 0; a < dims; ++a) {
    const auto i = static_cast<size_t>(a);
    const int64_t windows = d_y[i + (channels_last ? 1 : 2)], taps = weights[i + (channels_last ? 0 : 2)];
    const int64_t reached =
        strides[i] * (windows - 1) + dilations[i] * (taps - 1) + 1 - pads[i] - pads[i + static_cast<size_t>(dims)];
    extra.push_back(image[i] - reached);
  }
  if (channels_last) in = {channels_first(w, in[0], rank), weights_first(w, in[1], rank)};
  OnnxWriter::OnnxAttributeList list = attributes(w);
  list.emplace_back("output_padding", extra);
  const std::string y = w.add1("ConvTranspose", in, std::move(list));
  w.set_output(0, channels_last ? channels_last_again(w, y, rank) : y);
}

}  // namespace gregale::ops
