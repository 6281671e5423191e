// A file that does not say what its format promises.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace ionstride {

struct FormatError : std::runtime_error {
    FormatError(std::string path_, std::string problem_, std::int64_t line_)
        : std::runtime_error(path_ + ", line " + std::to_string(line_) + ": " + problem_),
          path(std::move(path_)), problem(std::move(problem_)), line(line_) {}

    std::string path;
    std::string problem;
    std::int64_t line; // 1-based
};

} // namespace ionstride
