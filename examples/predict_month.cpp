// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
//
// Predicts one month with a trained model:
//   predict_month winds-out/model.safetensors /usr/share/ferret-vis/data/monthly_navy_winds.cdf 1990-12
#include <cmath>
#include <cstdio>

#include "gregale/emulator.hpp"

using namespace gregale;

int main(int argc, char** argv) try {
  if (argc != 4) return std::fprintf(stderr, "usage: predict_month MODEL DATA.nc TIME\n"), 2;
  const Emulator emulator = Emulator::load(argv[1]);
  ExecutionContext context;
  const Tensor fields =
      emulator.forecast(context, {argv[2]}, argv[3], /*steps=*/1).fields;  // [init, lead, variable, lat, lon]
  const size_t cells = emulator.latitudes().size() * emulator.longitudes().size(),
               variables = emulator.variables().size();
  for (size_t v = 0; v < variables; ++v) {
    double square = 0;
    for (const float x : fields.as<float>().subspan((variables + v) * cells, cells)) square += double{x} * double{x};
    std::printf("%s %s after %s: root mean square %.3f %s\n", emulator.variables()[v].c_str(), emulator.step().c_str(),
                argv[3], std::sqrt(square / static_cast<double>(cells)), emulator.units()[v].c_str());
  }
} catch (const Error& error) {
  return std::fprintf(stderr, "predict_month: %s\n", error.what()), 1;
}
