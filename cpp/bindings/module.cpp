#include "bind.hpp"

#include "ionstride/format_error.hpp"

#include <stdexcept>

namespace {

namespace py = pybind11;

void translate(std::exception_ptr error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::invalid_argument &bad) {
        // Imported when needed: the module itself loads nothing of Python.
        py::set_error(py::module_::import("ionstride.errors").attr("InputError"), bad.what());
    } catch (const ionstride::FormatError &bad) {
        const py::object type = py::module_::import("ionstride.errors").attr("FormatError");
        py::set_error(type, type(bad.path, bad.problem, bad.line));
    }
}

} // namespace

PYBIND11_MODULE(_kernels, module) {
    module.doc() = "Compiled kernels of IonStride; ionstride.reference defines what they compute.";
    py::register_local_exception_translator(translate);
    ionstride::bindings::bind_unwrap(module);
    ionstride::bindings::bind_moments(module);
    ionstride::bindings::bind_covariance(module);
    ionstride::bindings::bind_multitau(module);
    ionstride::bindings::bind_windows(module);
    ionstride::bindings::bind_dump(module);
}
