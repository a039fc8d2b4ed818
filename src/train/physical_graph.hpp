// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/emulator.hpp"

namespace gregale::train {

/// One forecast step in physical units, normalisation and climatology folded in, weights as constants:
///   fields [1, window, variable, lat, lon], newest last; not finite where missing
///   bins i64[window + 1], of emulators of anomalies: the climatology's bin of each record and of the forecast's date
///   windows, forcing, network_scale: as the step takes them (docs/onnx.md)
/// -> prediction [1, variable, lat, lon].
Graph physical_graph(const Emulator::State& emulator);
/// The same step in the network's units, weights as constants.
Graph normalised_graph(const Emulator::State& emulator);

}  // namespace gregale::train
