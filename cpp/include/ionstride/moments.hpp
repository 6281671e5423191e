// Moments of displacements, averaged over all time origins.
#pragma once

#include "views.hpp"

#include <cstdint>

namespace ionstride {

// For each ion and lag, averages over the origins t = 0 … T-1-lag of Δ = r(t + lag) - r(t).
//
//   r_A       (n, T, 3) Å
//   lags      (M) frames, each in 1 … T-1
//   tensor    (n, M, 6) Å², output: <ΔxΔx>, <ΔyΔy>, <ΔzΔz>, <ΔxΔy>, <ΔxΔz>, <ΔyΔz>
//   fourth    (n, M) Å⁴, output: <|Δ|⁴>
//
// Throws std::invalid_argument if a lag is out of range.
void displacement_moments(View<const double, 3> r_A, View<const std::int64_t, 1> lags, View<double, 3> tensor,
                          View<double, 2> fourth, int threads);

} // namespace ionstride
