// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "fuzz/mutate.hpp"
#include "fuzz/onnx_import.hpp"
#include "gregale/ops.hpp"

namespace gregale::fuzz {
namespace {

/// Small models of the backend tests, and one of our own where those are not installed.
std::vector<std::string> seeds() {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {2, 3}));
  const Value w = g.constant(Tensor::from<float>({1, 2, 3, 4, 5, 6}, {3, 2}));
  g.set_outputs({ops::softmax(g, ops::add(g, ops::matmul(g, x, w), 1.0))}, {"y"});
  std::vector<std::string> all = {onnx::export_model(g)};
  std::error_code none;
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("/usr/share/libonnx-testdata/data", none))
    if (entry.path().filename() == "model.onnx" && entry.file_size() < 4096) paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    std::ifstream file(path, std::ios::binary);
    all.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return all;
}

TEST(FuzzReplay, OnnxImport) {
  const std::vector<std::string> all = seeds();
  const Mutator mutator(9, all,
                        {"Loop", "If", "Reshape", "Concat", std::string("\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10),
                         std::string("\x0a\x00", 2), "x", "body"});
  replay(mutator, static_cast<int>(all.size()) + 6000, 1, [](const std::string& bytes) { import_onnx(bytes); });
}

}  // namespace
}  // namespace gregale::fuzz
