// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Writes the pages of a made-up world, to be looked at or driven by a browser: sample_pages FOLDER
#include <cstdio>
#include <exception>
#include <string>

#include "report/sample_report_for_tests.hpp"

int main(int argc, char** argv) {
  using namespace gregale::report;
  if (argc != 2) {
    std::fprintf(stderr, "usage: sample_pages FOLDER\n");
    return 2;
  }
  const std::string folder = argv[1];
  try {
    write_score_report(folder + "/score.html", sample_score_report());
    TrainingReport training = sample_training_report();
    write_training_report(folder + "/training.html", training);
    training.status = "finished";
    training.step = training.total_steps;
    write_training_report(folder + "/finished.html", training);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sample_pages: %s\n", error.what());
    return 1;
  }
  return 0;
}
