// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fnmatch.h>

#include <cstdio>

#include "base/json.hpp"
#include "onnx/suite.hpp"
#include "tools/command.hpp"

namespace gregale::tools {
namespace {

struct ConformanceOptions {
  Common common;
  std::string folder, filter;
  bool list = false, optimize = true;
  onnx::SuiteOptions suite;
};

int run_conformance(const ConformanceOptions& o) {
  using Status = onnx::SuiteResult::Status;
  std::vector<onnx::SuiteTest> tests = for_option("DIR", [&] { return onnx::find_suite_tests(o.folder); });
  GREGALE_CHECK(!tests.empty(), io, "DIR: {} holds no folder with a model.onnx", o.folder);
  if (!o.filter.empty())
    std::erase_if(tests, [&](const onnx::SuiteTest& t) { return fnmatch(o.filter.c_str(), t.name.c_str(), 0) != 0; });
  GREGALE_CHECK(!tests.empty(), usage, "--filter: no test matches '{}'", o.filter);
  nlohmann::json document = {{"tests", nlohmann::json::array()}};
  if (o.list) {
    for (const onnx::SuiteTest& t : tests) {
      if (!o.common.json) fmt::print("{}\n", t.name);
      document["tests"].push_back({{"name", t.name}});
    }
    if (o.common.json) fmt::print("{}\n", document.dump(2));
    return 0;
  }
  auto context = o.common.make_context();
  onnx::SuiteOptions options = o.suite;
  options.compile.target.cores = context->team().size();
  options.compile.optimize = o.optimize;
  int64_t counts[3] = {0, 0, 0};
  const char* const words[3] = {"passed", "failed", "skipped"};
  Progress progress("test", static_cast<int64_t>(tests.size()), o.common.quiet || !o.common.json);
  for (const onnx::SuiteTest& t : tests) {
    const onnx::SuiteResult result = onnx::run_suite_test(t, *context, options);
    const auto status = static_cast<size_t>(result.status);
    ++counts[status];
    document["tests"].push_back({{"name", t.name}, {"status", words[status]}, {"reason", result.reason}});
    if (!o.common.json)
      fmt::print("{} {}{}{}\n", words[status], t.name, result.reason.empty() ? "" : ": ", result.reason);
    progress.update(counts[0] + counts[1] + counts[2]);
  }
  progress.done();
  o.common.finish(*context);
  if (o.common.json) {
    for (size_t s = 0; s < 3; ++s) document[words[s]] = counts[s];
    fmt::print("{}\n", document.dump(2));
  } else {
    fmt::print("{} passed, {} failed, {} skipped\n", counts[static_cast<size_t>(Status::passed)],
               counts[static_cast<size_t>(Status::failed)], counts[static_cast<size_t>(Status::skipped)]);
  }
  return counts[static_cast<size_t>(Status::failed)] > 0 ? 1 : 0;
}

}  // namespace

Runner add_conformance(Command& program) {
  auto o = std::make_shared<ConformanceOptions>();
  Command c =
      add_command(program, "conformance", "Run ONNX's backend tests",
                  "gregale conformance /usr/share/libonnx-testdata/data/node --filter 'test_conv_*'", o->common);
  c.option("folder", o->folder, "DIR", "A folder of tests, or one test").required();
  c.option("--filter", o->filter, "GLOB", "Only tests whose path below DIR matches, as in a shell");
  c.flag("--list", o->list, "Name the tests, run none");
  c.flag("!--no-optimize", o->optimize, "Without rewriting or fusing operators");
  c.flag("--exported", o->suite.exported, "Write each model as ONNX again, and run what was written");
  c.flag("--interpreted", o->suite.interpreted, "Run each model's graph in the interpreter");
  return [o] { return run_conformance(*o); };
}

}  // namespace gregale::tools
