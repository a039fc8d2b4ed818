// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/onnx.hpp"

namespace gregale::tools {
namespace {

[[noreturn]] void refuse(const std::string& file) {
  throw_error(ErrorCode::unsupported,
              file +
                  ": this program was built without ONNX; install protobuf (Debian: libprotobuf-dev and "
                  "protobuf-compiler) and build it again");
}

}  // namespace

void check_onnx_options(const NetworkOptions& options) { refuse(options.name); }
Workload make_onnx_workload(const NetworkOptions& options, ThreadTeam&, uint64_t) { refuse(options.name); }
int bench_onnx(const Common&, const NetworkOptions& options, std::optional<int64_t>) { refuse(options.name); }
OnnxDescription describe_onnx(const std::string& path) { refuse(path); }

Runner add_run(Command& program) {
  auto common = std::make_shared<Common>();
  auto model = std::make_shared<std::string>();
  Command run = add_command(program, "run", "Run an ONNX model once (this program was built without ONNX)",
                            "gregale run resnet50.onnx --input x=image.npy -o out", *common);
  run.allow_extras();
  run.option("model", *model, "FILE.onnx", "The model").required();
  return [common, model]() -> int { refuse(*model); };
}

}  // namespace gregale::tools
