#include "arrays.hpp"
#include "bind.hpp"

#include "ionstride/moments.hpp"

namespace ionstride::bindings {
namespace {

constexpr const char *kDoc =
    R"(Return moments of the displacements of each ion, averaged over all time origins.

Parameters
----------
r_A : (n, T, 3) float64 unwrapped positions in Å, ion-major.
lags : (M) int64 lags in frames, each in 1 … T-1.
threads : number of threads, 0 for all cores; the result does not depend on it.

Returns
-------
tensor : (n, M, 6) float64 <ΔΔᵀ> in Å², in the order xx, yy, zz, xy, xz, yz.
fourth : (n, M) float64 <|Δ|⁴> in Å⁴.

Raises
------
ionstride.errors.InputError
    If a shape or dtype is not as wanted or a lag is out of range.
)";

py::tuple moments_of_arrays(const py::object &r_A, const py::object &lags, int threads) {
    const auto r = view<double, 3>("r_A", r_A, {std::nullopt, std::nullopt, 3});
    const auto m = view<std::int64_t, 1>("lags", lags, {std::nullopt});
    auto tensor = make<double, 3>({r.shape[0], m.shape[0], 6});
    auto fourth = make<double, 2>({r.shape[0], m.shape[0]});
    without_gil([&] { displacement_moments(r, m, tensor.second, fourth.second, threads); });
    return py::make_tuple(tensor.first, fourth.first);
}

} // namespace

void bind_moments(py::module_ &module) {
    module.def("displacement_moments", &moments_of_arrays, kDoc, py::arg("r_A"), py::arg("lags"),
               py::arg("threads") = 0);
}

} // namespace ionstride::bindings
