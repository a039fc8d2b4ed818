// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// block_autoencoder_bench FIELD.f32 MASK BOUND LATENTS CHANNELS STEPS E0 E1 ...: a learned predictor on one field of
// raw values (bench/compare/codecs.py --export writes them), against the predictive codec at equal PSNR.
#include <fmt/format.h>

#include <cmath>

#include "codec/raw_field_for_benches.hpp"
#include "gregale/codec.hpp"
#include "train/block_autoencoder.hpp"

using namespace gregale;

int main(int argc, char** argv) {
  if (argc < 8) return 2;
  const Tensor field = codec::read_raw_field(argv[1], argv[2], argv + 7, argv + argc);
  train::BlockAutoencoderOptions o;
  o.latents = std::atoll(argv[4]);
  o.channels = std::atoll(argv[5]);
  o.steps = std::atoll(argv[6]);
  ExecutionContext context;
  const auto trained = train::train_block_autoencoder(field, {codec::kNoValue}, o, context);
  if (trained.model == nullptr) return 1;
  const auto encoded = [&](double bound, bool alone, const std::shared_ptr<codec::AutoencoderCounts>& counts) {
    ErrorContract contract = ErrorContract::relative(bound);
    contract.missing = {codec::kNoValue};
    EncodeOptions options;
    if (counts != nullptr) {
      options.codec = "autoencoder";
      options.more_codecs = {codec::autoencoder_codec(Target::detect().isa, trained.model, counts, alone)};
    }
    return encode(field, contract, options).certificate;
  };
  const auto counts = std::make_shared<codec::AutoencoderCounts>();
  const double bound = std::atof(argv[3]);
  const Certificate alone = encoded(bound, true, counts);
  double low = bound / 4, high = bound * 4;  // of the predictive codec, at the same PSNR
  for (int i = 0; i < 12; ++i) {
    const double middle = std::sqrt(low * high);
    (encoded(middle, false, nullptr).psnr() > alone.psnr() ? low : high) = middle;
  }
  const Certificate other = encoded(low, false, nullptr);
  const auto best = std::make_shared<codec::AutoencoderCounts>();
  const Certificate both = encoded(bound, false, best);
  const auto boxes = counts->learned_boxes + counts->mean_boxes + counts->lorenzo_boxes;
  fmt::print(
      "PSNR {:.2f} boxes {:.2f} predictive {:.2f} chosen {:.2f} | learned {:.0f} % Lorenzo {:.0f} % mean {:.0f} % | "
      "blocks by boxes {} of {} | model {} B a block, of {} | error {:.3f} | {:.1f} s\n",
      alone.psnr(), alone.ratio(), other.ratio(), both.ratio(),
      100.0 * static_cast<double>(counts->learned_boxes) / static_cast<double>(boxes),
      100.0 * static_cast<double>(counts->lorenzo_boxes) / static_cast<double>(boxes),
      100.0 * static_cast<double>(counts->mean_boxes) / static_cast<double>(boxes), best->blocks.load(),
      best->blocks + best->other_blocks, counts->model_bytes.load(), alone.bytes_out, trained.error, trained.seconds);
}
