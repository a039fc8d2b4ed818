// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/context.hpp"

#include "gregale/error.hpp"

namespace gregale {

std::byte* Arena::reserve(int64_t bytes) {
  GREGALE_ASSERT(bytes >= 0);
  if (buffer_.data() == nullptr || bytes > buffer_.bytes()) {
    buffer_ = Tensor();  // first, so that the old and the new never live together
    buffer_ = Tensor(DType::u8, {bytes});
  }
  return static_cast<std::byte*>(buffer_.data());
}

ExecutionContext::ExecutionContext() : ExecutionContext(make_thread_team()) {}

ExecutionContext::ExecutionContext(std::unique_ptr<ThreadTeam> team, uint64_t seed)
    : team_(std::move(team)), seed_(seed) {
  GREGALE_ASSERT(team_ != nullptr);
}

}  // namespace gregale
