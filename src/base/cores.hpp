// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace gregale {

/// Hardware threads that this process's affinity mask allows; at least 1.
int allowed_cores();

}  // namespace gregale
