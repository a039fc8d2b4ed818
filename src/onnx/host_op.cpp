// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/host_op.hpp"

#include "gregale/error.hpp"

namespace gregale::onnx {

const OnnxAttribute* HostNode::attribute(std::string_view name) const {
  const auto at = node_.attributes.find(name);
  return at == node_.attributes.end() ? nullptr : &at->second;
}

bool HostNode::has_input(int64_t i) const { return i < input_count() && inputs_[static_cast<size_t>(i)].has_value(); }

const Datum& HostNode::input(int64_t i) const {
  if (i >= input_count()) fail(fmt::format("input {} is missing", i));
  return inputs_[static_cast<size_t>(i)];
}

const Tensor& HostNode::tensor(int64_t i) const {
  const Tensor* t = input(i).tensor();
  if (t == nullptr) fail(fmt::format("input {} is {}, not a tensor of numbers", i, to_string(input(i))));
  return *t;
}

const Strings& HostNode::strings(int64_t i) const {
  const Strings* s = input(i).strings();
  if (s == nullptr) fail(fmt::format("input {} is {}, not strings", i, to_string(input(i))));
  return *s;
}

const Sequence& HostNode::sequence(int64_t i) const {
  const Sequence* s = input(i).sequence();
  if (s == nullptr) fail(fmt::format("input {} is {}, not a sequence", i, to_string(input(i))));
  return *s;
}

std::vector<int64_t> HostNode::integers(int64_t i) const {
  const Tensor& t = tensor(i);
  if (!is_integer(t.dtype()) && t.dtype() != DType::boolean)
    fail(fmt::format("input {} is {}, not integers", i, to_string(input(i))));
  const Tensor wide = t.cast(DType::i64);
  const auto all = wide.as<int64_t>();
  return {all.begin(), all.end()};
}

int64_t HostNode::integer(int64_t i) const {
  const std::vector<int64_t> all = integers(i);
  if (all.size() != 1) fail(fmt::format("input {} has {} elements, not one", i, all.size()));
  return all[0];
}

std::vector<double> HostNode::reals(int64_t i) const {
  const Tensor& t = tensor(i);
  if (is_complex(t.dtype())) fail(fmt::format("input {} is {}, not real", i, to_string(input(i))));
  const Tensor wide = t.cast(DType::f64);
  const auto all = wide.as<double>();
  return {all.begin(), all.end()};
}

const Block& HostNode::body(const std::string& name) const {
  const auto at = node_.bodies.find(name);
  if (at == node_.bodies.end()) fail(fmt::format("attribute '{}' is missing", name));
  return *at->second;
}

std::vector<Datum> HostNode::run_body(const std::string& name, std::vector<Datum> inputs) const {
  body(name);
  return run_body_(name, std::move(inputs));
}

}  // namespace gregale::onnx
