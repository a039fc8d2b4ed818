// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace gregale::onnx {

/// Refuses bytes whose messages would take far more memory than the bytes themselves, before protobuf makes them: an
/// empty message of two bytes is an object of hundreds. Throws ErrorCode::corrupt_data where a message is cut short or
/// nested too deeply, too, naming the byte; what is inside of fields is protobuf's to check.
void check_expansion(std::string_view file);

}  // namespace gregale::onnx
