// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <format.pb.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "gregale/error.hpp"
#include "gregale/onnx.hpp"

namespace gregale::onnx {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// y = Identity(x) with x f32[2], to be spoilt.
format::Model small() {
  format::Model m;
  m.set_ir_version(8);
  m.add_opset_import()->set_version(17);
  auto& g = *m.mutable_graph();
  g.set_name("g");
  auto& x = *g.add_input();
  x.set_name("x");
  x.mutable_type()->mutable_tensor_type()->set_elem_type(1);
  x.mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(2);
  auto& n = *g.add_node();
  n.set_op_type("Identity");
  n.set_name("copy");
  n.add_input("x");
  n.add_output("y");
  *g.add_output() = x;
  g.mutable_output(0)->set_name("y");
  return m;
}

format::Tensor& weight(format::Model& m, const std::string& name) {
  auto& t = *m.mutable_graph()->add_initializer();
  t.set_name(name);
  t.set_data_type(1);
  t.add_dims(2);
  t.add_float_data(1);
  t.add_float_data(2);
  return t;
}

std::string error_of(const format::Model& m, const std::string& folder = "") {
  try {
    Model::parse(m.SerializeAsString(), {.folder = folder});
  } catch (const Error& e) {
    EXPECT_NE(e.code(), ErrorCode::internal);
    return e.what();
  }
  return "accepted";
}

TEST(OnnxRead, SmallModel) {
  const Model m = Model::parse(small().SerializeAsString());
  ASSERT_EQ(m.inputs().size(), 1u);
  EXPECT_EQ(to_string(m.inputs()[0]), "f32[2]");
  EXPECT_EQ(m.opset(), 17);
  EXPECT_EQ(m.operators(), (std::vector<std::pair<std::string, int64_t>>{{"Identity", 1}}));
}

struct Spoilt {
  const char* name;
  std::function<void(format::Model&)> spoil;
  std::vector<const char*> words;
};

TEST(OnnxRead, ErrorsNameNodeAndAttribute) {
  const std::vector<Spoilt> cases = {
      {"dangling",
       [](auto& m) { m.mutable_graph()->mutable_node(0)->set_input(0, "ghost"); },
       {"node 'copy' (Identity)", "'ghost' is made by no node"}},
      {"cycle",
       [](auto& m) { m.mutable_graph()->mutable_node(0)->set_input(0, "y"); },
       {"node 'copy' (Identity)", "'y' is made by a later node"}},
      {"made twice", [](auto& m) { *m.mutable_graph()->add_node() = m.graph().node(0); }, {"'y'", "twice"}},
      {"no such output",
       [](auto& m) { m.mutable_graph()->mutable_output(0)->set_name("z"); },
       {"'z'", "made by no node"}},
      {"negative dim", [](auto& m) { weight(m, "w").set_dims(0, -3); }, {"'w'", "-3"}},
      {"absurd dims",
       [](auto& m) {
         auto& t = weight(m, "w");
         for (int i = 0; i < 8; ++i) t.add_dims(int64_t{1} << 40);
       },
       {"tensor 'w'", "more elements"}},
      {"too little data", [](auto& m) { weight(m, "w").set_dims(0, 1'000'000'000); }, {"'w'", "2 elements"}},
      {"unknown type", [](auto& m) { weight(m, "w").set_data_type(99); }, {"no element type 99"}},
      {"attribute's tensor",
       [](auto& m) {
         auto& a = *m.mutable_graph()->mutable_node(0)->add_attribute();
         a.set_name("value");
         a.set_type(4);
         a.mutable_t()->set_data_type(1);
         a.mutable_t()->add_dims(7);
       },
       {"node 'copy' (Identity)", "attribute 'value'", "need 7"}},
      {"newer operators", [](auto& m) { m.mutable_opset_import(0)->set_version(900); }, {"900", "newer"}},
      {"external data without a folder",
       [](auto& m) {
         auto& t = weight(m, "w");
         t.set_data_location(1);
         auto& at = *t.add_external_data();
         at.set_key("location");
         at.set_value("w.bin");
       },
       {"'w'", "without a folder"}}};
  for (const Spoilt& c : cases) {
    format::Model m = small();
    c.spoil(m);
    const std::string error = error_of(m);
    for (const char* word : c.words) EXPECT_THAT(error, HasSubstr(word)) << c.name;
  }
}

TEST(OnnxRead, ExternalDataStaysInTheFolder) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / "gregale-onnx-read-test" / "model";
  fs::create_directories(folder);
  std::ofstream(folder / "w.bin", std::ios::binary).write("\0\0\x80\x3f\0\0\0\x40", 8);
  std::ofstream(folder.parent_path() / "secret.bin", std::ios::binary).write("12345678", 8);
  fs::remove(folder / "link.bin");
  fs::create_symlink("../secret.bin", folder / "link.bin");
  const auto with = [&](const std::string& location) {
    format::Model m = small();
    auto& t = weight(m, "w");
    t.clear_float_data();
    t.set_data_location(1);
    auto& at = *t.add_external_data();
    at.set_key("location");
    at.set_value(location);
    return error_of(m, folder.string());
  };
  EXPECT_EQ(with("w.bin"), "accepted");
  for (const char* outside : {"../secret.bin", "link.bin", "/etc/passwd", "a/../../secret.bin", ""})
    EXPECT_THAT(with(outside), HasSubstr("outside the model's folder")) << outside;
  EXPECT_THAT(with("missing.bin"), HasSubstr("missing.bin"));
  fs::remove_all(folder.parent_path());
}

TEST(OnnxRead, NestingAndExpansionAreBounded) {
  // Bodies within bodies.
  format::Model m = small();
  format::Graph* g = m.mutable_graph();
  for (int i = 0; i < 80; ++i) {
    auto& n = *g->add_node();
    n.set_op_type("If");
    auto& a = *n.add_attribute();
    a.set_name("then_branch");
    a.set_type(5);
    g = a.mutable_g();
  }
  EXPECT_THAT(error_of(m), HasSubstr("nested too deeply"));

  // A function that calls itself, and functions that double the nodes at each of their levels.
  m = small();
  const auto add_function = [&](const std::string& name, const std::string& calls, int times) {
    auto& f = *m.add_functions();
    f.set_name(name);
    f.set_domain("own");
    f.add_opset_import()->set_domain("own");
    f.mutable_opset_import(0)->set_version(1);
    for (int i = 0; i < times; ++i) {
      auto& n = *f.add_node();
      n.set_domain("own");
      n.set_op_type(calls);
    }
  };
  auto& call = *m.mutable_graph()->add_node();
  call.set_domain("own");
  call.set_op_type("f0");
  add_function("f0", "f0", 1);
  EXPECT_THAT(error_of(m), HasSubstr("by itself"));
  m.clear_functions();
  for (int i = 0; i < 40; ++i) add_function("f" + std::to_string(i), "f" + std::to_string(i + 1), 2);
  EXPECT_THAT(error_of(m), HasSubstr("nodes"));

  // Two bytes a node: far more memory than bytes.
  std::string many;
  for (int i = 0; i < 1'000'000; ++i) many += std::string("\x0a\x00", 2);
  std::string file = "\x3a";
  for (size_t n = many.size(); n > 0; n >>= 7) file += static_cast<char>((n & 0x7f) | (n >= 0x80 ? 0x80 : 0));
  EXPECT_THROW(Model::parse(file + many), Error);
  for (const std::string& bytes :
       {std::string(), std::string("\x3a"), std::string("not a model"), std::string(100, '\xff')})
    EXPECT_THROW(Model::parse(bytes), Error);
}

}  // namespace
}  // namespace gregale::onnx
