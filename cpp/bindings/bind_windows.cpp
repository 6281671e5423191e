#include "arrays.hpp"
#include "bind.hpp"

#include "ionstride/windows.hpp"

namespace ionstride::bindings {
namespace {

constexpr const char *kDoc = R"(Cut windows of increments from the paths of ions.

Increment k of window b is r[ion[b], start[b] + (k + 1)·stride] - r[ion[b], start[b] + k·stride].

Parameters
----------
r_A : (n, T, 3) float64 unwrapped positions in Å, ion-major.
ion, start : (B) int64 numbers of the ion and of the first frame.
length : increments in a window.
stride : frames between records.
threads : number of threads, 0 for all cores; the result does not depend on it.

Returns
-------
windows_A : (B, length, 3) float32 increments in Å, differences taken in float64.

Raises
------
ionstride.errors.InputError
    If a shape or dtype is not as wanted or a window reaches outside r_A.
)";

py::array_t<float> windows_of_arrays(const py::object &r_A, const py::object &ion, const py::object &start,
                                     std::int64_t length, std::int64_t stride, int threads) {
    const auto r = view<double, 3>("r_A", r_A, {std::nullopt, std::nullopt, 3});
    const auto i = view<std::int64_t, 1>("ion", ion, {std::nullopt});
    const auto s = view<std::int64_t, 1>("start", start, {i.shape[0]});
    check_windows(r, i, s, length, stride);
    auto windows = make<float, 3>({i.shape[0], static_cast<std::size_t>(length), 3});
    without_gil([&] { gather_windows(r, i, s, stride, windows.second, threads); });
    return windows.first;
}

} // namespace

void bind_windows(py::module_ &module) {
    module.def("gather_windows", &windows_of_arrays, kDoc, py::arg("r_A"), py::arg("ion"), py::arg("start"),
               py::arg("length"), py::arg("stride"), py::arg("threads") = 0);
}

} // namespace ionstride::bindings
