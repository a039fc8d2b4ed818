#!/usr/bin/env bash
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
#
# ./demo.sh
#
# Installs the core packages that are missing, builds the program, trains an emulator on ten years of observed monthly
# winds, forecasts two years it has not seen, and scores them against the standard baselines. Everything is written to
# demo-out/. Stopped at any moment and started again, it goes on where it was.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [[ $# -gt 0 ]]; then
  sed -n '5,9s/^# \{0,1\}//p' demo.sh
  case "$1" in -h | --help) exit 0 ;; *) exit 2 ;; esac
fi
step() { printf '\n%s\n' "$*" >&2; }

scripts/setup.sh core

winds=/usr/share/ferret-vis/data/monthly_navy_winds.cdf
if [[ ! -r "$winds" ]]; then
  echo "demo: no such file: $winds (it comes with the package ferret-datasets: apt-get install --reinstall ferret-datasets)" >&2
  exit 1
fi

step "1. The program"
scripts/build.sh release
gregale=build/release/bin/gregale

step "2. Training on 1982-1989, validated on 1990 (watch demo-out/report.html)"
"$gregale" train examples/winds/run.yaml --out demo-out --resume

step "3. Forecasting each month of 1991 and 1992 from the month before"
"$gregale" forecast demo-out --init "$winds" --time 1990-12/1992-11 --steps 1 -o demo-out/forecast.nc

step "4. Scoring the forecasts against what was observed"
"$gregale" score demo-out --truth "$winds" --baselines --report demo-out/score.html

cat <<TEXT

The report is demo-out/score.html: open it in a browser. Three things to try next:

  $gregale info demo-out/model.safetensors
      what the one file of the trained model holds

  $gregale forecast demo-out --init $winds --time 1992-12 --steps 6 -o demo-out/next.nc
      half a year beyond the end of the data, as a CF-NetCDF file for any viewer

  $gregale train examples/winds/run.yaml --seed 1 --out demo-out-1
      the same network from other random weights: how much of the score is luck?
TEXT
