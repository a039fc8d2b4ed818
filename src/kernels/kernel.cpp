// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/kernel.hpp"

#include <fmt/format.h>

namespace gregale::kernels {

std::string to_string(const KernelInfo& info) {
  std::string text = fmt::format("{}: {} ({}), {} bytes of code", info.request, info.implementation,
                                 gregale::to_string(info.isa), info.code_bytes);
  if (!info.blocking.empty()) text += ", " + info.blocking;
  if (info.traffic.flops > 0) {
    text += fmt::format(", {:.0f} flops, {:.0f} bytes L1, {:.0f} bytes L2", info.traffic.flops, info.traffic.l1_bytes,
                        info.traffic.l2_bytes);
  }
  for (const std::string& reason : info.refusals) text += "; not " + reason;
  return text;
}

}  // namespace gregale::kernels
