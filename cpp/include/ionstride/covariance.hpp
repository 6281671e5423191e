// Covariance of mean squared displacements whose windows overlap.
#pragma once

#include "views.hpp"

#include <cstdint>

namespace ionstride {

// For a Gaussian process with stationary increments whose MSD is g, for each two lags k and l the sum, over
// all pairs of time origins that differ by d, of C(d)², divided by the number of pairs; C(d) = [g(|d+l|) +
// g(|d-k|) - g(|d|) - g(|d+l-k|)] / 2.
//
//   g_A2        (P) Å², MSD at 0, 1, … P-1 frames, P at least twice the longest lag
//   lags        (M) frames, each in 1 … frames-1
//   frames      of the trajectory
//   covariance  (M, M) Å⁴, output
//
// Throws std::invalid_argument if a lag is out of range.
void msd_covariance(View<const double, 1> g_A2, View<const std::int64_t, 1> lags, std::int64_t frames,
                    View<double, 2> covariance);

} // namespace ionstride
