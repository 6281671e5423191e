#include "arrays.hpp"
#include "bind.hpp"

#include "ionstride/covariance.hpp"

namespace ionstride::bindings {
namespace {

constexpr const char *kDoc =
    R"(Return the covariance of the MSD of one ion at some lags, its process being Gaussian with the MSD g.

Parameters
----------
g_A2 : (P) float64 MSD in Å² at 0, 1, … P-1 frames, P at least twice the longest lag.
lags : (M) int64 lags in frames, each in 1 … frames-1.
frames : frames of the trajectory.

Returns
-------
(M, M) float64 in Å⁴, for one axis of unit share; see ionstride.reference.msd_covariance.

Raises
------
ionstride.errors.InputError
    If a shape or dtype is not as wanted or a lag is out of range.
)";

py::object covariance_of_arrays(const py::object &g_A2, const py::object &lags, std::int64_t frames) {
    const auto g = view<double, 1>("g_A2", g_A2, {std::nullopt});
    const auto m = view<std::int64_t, 1>("lags", lags, {std::nullopt});
    auto covariance = make<double, 2>({m.shape[0], m.shape[0]});
    without_gil([&] { msd_covariance(g, m, frames, covariance.second); });
    return covariance.first;
}

} // namespace

void bind_covariance(py::module_ &module) {
    module.def("msd_covariance", &covariance_of_arrays, kDoc, py::arg("g_A2"), py::arg("lags"),
               py::arg("frames"));
}

} // namespace ionstride::bindings
