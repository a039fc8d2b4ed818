// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Runs ONNX's backend tests and holds them to a list of those that are expected to fail: "NAME: REASON", one a line.
// With --write, the list is made again; reasons that it has stay. With --exported FOLDER, what each model becomes when
// it is written again is run, and kept in the folder for onnx_checker.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <string>

#include "gregale/error.hpp"
#include "onnx/suite.hpp"

namespace gregale {
namespace {

constexpr const char* kHead =
    "# ONNX's backend tests (libonnx-testdata) that are expected to fail, and why. Made by\n"
    "# `conformance_check SUITE LIST --write`, which keeps reasons that are written here.\n";

std::map<std::string, std::string> read_list(const std::string& path) {
  std::map<std::string, std::string> expected;
  std::ifstream file(path);
  GREGALE_CHECK(file.good(), io, "no such file: {}", path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const size_t colon = line.find(": ");
    GREGALE_CHECK(colon != std::string::npos && colon + 2 < line.size(), corrupt_data, "{}: no reason in '{}'", path,
                  line);
    GREGALE_CHECK(expected.emplace(line.substr(0, colon), line.substr(colon + 2)).second, corrupt_data,
                  "{}: twice: '{}'", path, line);
  }
  return expected;
}

int check(const std::string& suite, const std::string& list, bool write, const std::string& exported) {
  using Status = onnx::SuiteResult::Status;
  std::map<std::string, std::string> expected = read_list(list), failed;
  ExecutionContext context(make_thread_team());
  onnx::SuiteOptions options;
  options.compile.target.cores = context.team().size();
  options.exported = !exported.empty();
  options.keep = exported;
  int64_t passed = 0, skipped = 0, wrong = 0;
  const auto complain = [&](const std::string& what) {
    ++wrong;
    fmt::print("{}\n", what);
  };
  for (const onnx::SuiteTest& test : onnx::find_suite_tests(suite)) {
    const onnx::SuiteResult result = onnx::run_suite_test(test, context, options);
    const auto at = expected.find(test.name);
    if (result.status == Status::failed) {
      failed[test.name] = at != expected.end() ? at->second : result.reason;
      if (at == expected.end() && !write) complain(fmt::format("failed {}: {}", test.name, result.reason));
    } else {
      ++(result.status == Status::passed ? passed : skipped);
      if (at != expected.end() && !write && exported.empty())
        complain(fmt::format("{} {}, which is on the list of those that fail",
                             result.status == Status::passed ? "passed" : "skipped", test.name));
    }
    expected.erase(test.name);
  }
  if (write) {
    std::ofstream file(list);
    file << kHead;
    for (const auto& [name, reason] : failed) file << name << ": " << reason << "\n";
    file.close();
    GREGALE_CHECK(!file.fail(), io, "{} cannot be written", list);
  } else {
    for (const auto& [name, reason] : expected) complain(fmt::format("{} is on the list, and is no test", name));
  }
  fmt::print("{} passed, {} failed, {} skipped; {} not as {} says\n", passed, failed.size(), skipped, wrong, list);
  if (wrong > 0) fmt::print("To accept all of it: conformance_check {} {} --write\n", suite, list);
  return wrong > 0 ? 1 : 0;
}

}  // namespace
}  // namespace gregale

int main(int argc, char** argv) {
  const bool write = argc == 4 && std::string(argv[3]) == "--write";
  const bool exported = argc == 5 && std::string(argv[3]) == "--exported";
  if (argc != 3 && !write && !exported) {
    std::fprintf(stderr, "usage: conformance_check SUITE LIST [--write | --exported FOLDER]\n");
    return 2;
  }
  try {
    return gregale::check(argv[1], argv[2], write, exported ? argv[4] : "");
  } catch (const gregale::Error& e) {
    std::fprintf(stderr, "conformance_check: %s\n", e.what());
    return 1;
  }
}
