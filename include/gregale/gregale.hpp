// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Everything public, for programs that prefer one line to many.
#include "gregale/autodiff.hpp"
#include "gregale/context.hpp"
#include "gregale/dtype.hpp"
#include "gregale/emulator.hpp"
#include "gregale/error.hpp"
#include "gregale/exec.hpp"
#include "gregale/fourier.hpp"
#include "gregale/graph.hpp"
#include "gregale/nn.hpp"
#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "gregale/random.hpp"
#include "gregale/tensor.hpp"
#include "gregale/train.hpp"
#include "gregale/type.hpp"
