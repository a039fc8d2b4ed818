// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "gregale/error.hpp"
#include "onnx/operators.hpp"

// Control flow whose course is known only when the model runs (trace_control.cpp has the rest).
namespace gregale::onnx {
namespace {

bool truth(const HostNode& node, const Datum& datum) {
  const Tensor* t = datum.tensor();
  if (t == nullptr || t->size() != 1) node.fail(fmt::format("a condition is {}, not one boolean", to_string(datum)));
  return t->cast(DType::boolean).as<bool>()[0];
}

/// Element k of a tensor along an axis, without the axis.
Tensor element(const Tensor& t, int64_t axis, int64_t k) {
  Extents extents = t.extents();
  int64_t outer = 1, inner = size_of(t.dtype());
  for (int64_t a = 0; a < axis; ++a) outer *= t.extent(a);
  for (int64_t a = axis + 1; a < t.rank(); ++a) inner *= t.extent(a);
  extents.erase(extents.begin() + axis);
  Tensor result(t.dtype(), extents);
  for (int64_t o = 0; o < outer; ++o)
    std::memcpy(static_cast<char*>(result.data()) + o * inner,
                static_cast<const char*>(t.data()) + (o * t.extent(axis) + k) * inner, static_cast<size_t>(inner));
  return result;
}

/// Tensors of one type beside each other, along a new axis.
Tensor stack(const HostNode& node, const std::vector<Datum>& turns, int64_t axis, const Port& port) {
  if (turns.empty()) {  // what the body declares, without a turn
    Extents extents;
    for (const Dim& d : port.shape.dims()) extents.push_back(d.is_constant() ? d.value() : 0);
    axis = normalize_axis(axis, static_cast<int64_t>(extents.size()) + 1, "onnx");
    extents.insert(extents.begin() + axis, 0);
    return Tensor(port.dtype, extents);
  }
  const Tensor* first = turns[0].tensor();
  if (first == nullptr) node.fail("what a body gives each turn must be a tensor");
  axis = normalize_axis(axis, first->rank() + 1, "onnx");
  Extents extents = first->extents();
  extents.insert(extents.begin() + axis, static_cast<int64_t>(turns.size()));
  Tensor result(first->dtype(), extents);
  int64_t outer = 1, inner = size_of(first->dtype());
  for (int64_t a = 0; a < axis; ++a) outer *= first->extent(a);
  for (int64_t a = axis; a < first->rank(); ++a) inner *= first->extent(a);
  const auto count = static_cast<int64_t>(turns.size());
  for (int64_t k = 0; k < count; ++k) {
    const Tensor* t = turns[static_cast<size_t>(k)].tensor();
    if (t == nullptr || t->type() != first->type())
      node.fail(fmt::format("turns give {} and {}", to_string(turns[0]), to_string(turns[static_cast<size_t>(k)])));
    for (int64_t o = 0; o < outer; ++o)
      std::memcpy(static_cast<char*>(result.data()) + (o * count + k) * inner,
                  static_cast<const char*>(t->data()) + o * inner, static_cast<size_t>(inner));
  }
  return result;
}

std::vector<Datum> run_if(const HostNode& node) {
  return node.run_body(truth(node, node.input(0)) ? "then_branch" : "else_branch", {});
}

std::vector<Datum> run_loop(const HostNode& node) {
  const Block& body = node.body("body");
  const int64_t turns = node.has_input(0) ? node.integer(0) : INT64_MAX;
  bool goes_on = !node.has_input(1) || truth(node, node.input(1));
  std::vector<Datum> carried;
  for (int64_t i = 2; i < node.input_count(); ++i) carried.push_back(node.input(i));
  if (body.inputs.size() != carried.size() + 2 || body.outputs.size() < carried.size() + 1)
    node.fail(fmt::format("the body takes {} inputs and gives {} results for {} carried values", body.inputs.size(),
                          body.outputs.size(), carried.size()));
  std::vector<std::vector<Datum>> scanned(body.outputs.size() - 1 - carried.size());
  for (int64_t turn = 0; turn < turns && goes_on; ++turn) {
    std::vector<Datum> arguments{Tensor::scalar<int64_t>(turn), Tensor::scalar<bool>(true)};
    arguments.insert(arguments.end(), carried.begin(), carried.end());
    std::vector<Datum> results = node.run_body("body", std::move(arguments));
    goes_on = truth(node, results[0]);
    for (size_t i = 0; i < carried.size(); ++i) carried[i] = std::move(results[i + 1]);
    for (size_t i = 0; i < scanned.size(); ++i) scanned[i].push_back(std::move(results[1 + carried.size() + i]));
  }
  for (size_t i = 0; i < scanned.size(); ++i)
    carried.emplace_back(stack(node, scanned[i], 0, body.output_ports[body.output_ports.size() - scanned.size() + i]));
  return carried;
}

/// One sequence of a Scan: carried values, then scanned operands; results likewise.
std::vector<Datum> scan_one(const HostNode& node, std::vector<Datum> carried, const std::vector<Tensor>& scanned,
                            int64_t turns, const std::vector<int64_t>& axes, const std::vector<int64_t>& backwards) {
  const Block& body = node.body("body");
  const auto at = [](const std::vector<int64_t>& list, size_t i) { return i < list.size() ? list[i] : 0; };
  const std::vector<int64_t> out_axes = node.integers("scan_output_axes", {}),
                             out_backwards = node.integers("scan_output_directions", {});
  std::vector<std::vector<Datum>> made(body.outputs.size() - carried.size());
  for (int64_t turn = 0; turn < turns; ++turn) {
    std::vector<Datum> arguments = carried;
    for (size_t i = 0; i < scanned.size(); ++i) {
      const int64_t extent = scanned[i].extent(axes[i]);
      arguments.emplace_back(element(scanned[i], axes[i], at(backwards, i) == 1 ? extent - 1 - turn : turn));
    }
    std::vector<Datum> results = node.run_body("body", std::move(arguments));
    for (size_t i = 0; i < carried.size(); ++i) carried[i] = std::move(results[i]);
    for (size_t i = 0; i < made.size(); ++i) made[i].push_back(std::move(results[carried.size() + i]));
  }
  std::vector<Datum> results = std::move(carried);
  const size_t first = body.output_ports.size() - made.size();
  for (size_t i = 0; i < made.size(); ++i) {
    if (at(out_backwards, i) == 1) std::reverse(made[i].begin(), made[i].end());
    results.emplace_back(stack(node, made[i], at(out_axes, i), body.output_ports[first + i]));
  }
  return results;
}

std::vector<Datum> run_scan(const HostNode& node) {
  const bool batched = node.opset() < 9;  // operands (sequence_lens, carried..., scanned...), all with a batch in front
  const int64_t first = batched ? 1 : 0, count = node.required_integer("num_scan_inputs");
  const Block& body = node.body("body");
  const int64_t operands = node.input_count() - first;
  if (count < 1 || count > operands || static_cast<int64_t>(body.inputs.size()) != operands ||
      static_cast<int64_t>(body.outputs.size()) < operands - count)
    node.fail(fmt::format("num_scan_inputs {} does not fit {} operands and the body", count, operands));
  std::vector<int64_t> axes = node.integers("scan_input_axes", {});
  axes.resize(static_cast<size_t>(count), 0);
  std::vector<Datum> carried;
  std::vector<Tensor> scanned;
  int64_t turns = -1;
  for (int64_t i = 0; i < operands; ++i) {
    if (i < operands - count) {
      carried.push_back(node.input(first + i));
      continue;
    }
    scanned.push_back(node.tensor(first + i));
    int64_t& axis = axes[scanned.size() - 1];
    axis = normalize_axis(batched ? 1 : axis, scanned.back().rank(), "onnx");
    const int64_t extent = scanned.back().extent(axis);
    if (turns >= 0 && turns != extent)
      node.fail(fmt::format("scanned operands have {} and {} elements", turns, extent));
    turns = extent;
  }
  if (!batched)
    return scan_one(node, std::move(carried), scanned, turns, axes, node.integers("scan_input_directions", {}));

  const std::vector<int64_t> backwards = node.integers("directions", {});
  const int64_t batch = scanned[0].extent(0);
  const std::vector<int64_t> lengths = node.has_input(0) ? node.integers(0) : std::vector<int64_t>();
  if (!lengths.empty() && static_cast<int64_t>(lengths.size()) != batch)
    node.fail(fmt::format("{} lengths for a batch of {}", lengths.size(), batch));
  std::vector<std::vector<Datum>> each(body.outputs.size());
  for (int64_t b = 0; b < batch; ++b) {
    std::vector<Datum> state;
    std::vector<Tensor> sources;
    for (const Datum& d : carried) {
      if (d.tensor() == nullptr || d.tensor()->rank() < 1 || d.tensor()->extent(0) != batch)
        node.fail("no batch in front");
      state.emplace_back(element(*d.tensor(), 0, b));
    }
    for (const Tensor& t : scanned) {
      if (t.extent(0) != batch) node.fail("operands differ in their batch");
      sources.push_back(element(t, 0, b));
    }
    const int64_t length = lengths.empty() ? turns : lengths[static_cast<size_t>(b)];
    if (length < 0 || length > turns) node.fail(fmt::format("a sequence of {} among {}", length, turns));
    const std::vector<Datum> results =
        scan_one(node, std::move(state), sources, length, std::vector<int64_t>(sources.size(), 0), backwards);
    for (size_t i = 0; i < results.size(); ++i) each[i].push_back(results[i]);
  }
  std::vector<Datum> results;
  for (size_t i = 0; i < each.size(); ++i) results.emplace_back(stack(node, each[i], 0, body.output_ports[i]));
  return results;
}

}  // namespace

std::vector<HostOp> control_host_ops() { return {{"If", 1, run_if}, {"Loop", 1, run_loop}, {"Scan", 8, run_scan}}; }

}  // namespace gregale::onnx
