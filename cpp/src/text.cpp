#include "ionstride/text.hpp"

#include "clones.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace ionstride {
namespace {

constexpr std::array<double, 23> kPowersOfTen = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

inline bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Ends of line and headers in one block, short enough that a byte can count the ends in each column of it.
constexpr std::size_t kColumns = 64;
constexpr std::size_t kRows = 255;

// from_chars is the judge of every number that the fast way below cannot do exactly.
const char *parse_number_slowly(const char *p, const char *end, double &value) {
    if (p != end && *p == '+') {
        ++p;
        if (p != end && *p == '-') {
            return nullptr;
        }
    }
    const auto [stop, error] = std::from_chars(p, end, value);
    return error == std::errc() && ends_word(stop, end) && std::isfinite(value) ? stop : nullptr;
}

} // namespace

const char *parse_any_number(const char *p, const char *end, double &value) {
    const char *start = p;
    const bool negative = p != end && *p == '-';
    if (negative || (p != end && *p == '+')) {
        ++p;
    }
    const char *first_digit = p;
    std::uint64_t mantissa = 0;
    while (p != end && is_digit(*p)) {
        mantissa = 10 * mantissa + static_cast<std::uint64_t>(*p++ - '0');
    }
    auto digits = p - first_digit;
    std::int64_t exponent = 0;
    if (p != end && *p == '.') {
        const char *first_decimal = ++p;
        while (p != end && is_digit(*p)) {
            mantissa = 10 * mantissa + static_cast<std::uint64_t>(*p++ - '0');
        }
        digits += p - first_decimal;
        exponent = -(p - first_decimal);
    }
    // Eighteen digits fit in the mantissa without overflow.
    if (digits == 0 || digits > 18) {
        return parse_number_slowly(start, end, value);
    }
    if (p != end && (*p == 'e' || *p == 'E')) {
        ++p;
        const bool minus = p != end && *p == '-';
        if (minus || (p != end && *p == '+')) {
            ++p;
        }
        const char *first = p;
        std::int64_t written = 0;
        while (p != end && is_digit(*p) && p - first < 4) {
            written = 10 * written + (*p++ - '0');
        }
        if (p == first) {
            return nullptr;
        }
        exponent += minus ? -written : written;
    }
    // Both factors are exact doubles, so that one rounding gives the nearest double (Clinger 1990,
    // doi 10.1145/93548.93557).
    if (!ends_word(p, end) || mantissa > (std::uint64_t{1} << 53) || exponent < -22 || exponent > 22) {
        return parse_number_slowly(start, end, value);
    }
    const auto exact = static_cast<double>(mantissa);
    const double size = exponent < 0 ? exact / kPowersOfTen[static_cast<std::size_t>(-exponent)]
                                     : exact * kPowersOfTen[static_cast<std::size_t>(exponent)];
    value = negative ? -size : size;
    return p;
}

const char *parse_any_integer(const char *p, const char *end, std::int64_t &value) {
    const auto [stop, error] = std::from_chars(p, end, value);
    return error == std::errc() && ends_word(stop, end) ? stop : nullptr;
}

IONSTRIDE_CLONES
LineSurvey survey_lines(const char *p, std::size_t size, char first) {
    LineSurvey survey;
    while (size > 0) {
        std::array<unsigned char, kColumns> ends{};
        std::array<unsigned char, kColumns> begins{};
        const std::size_t rows = std::min(size / kColumns, kRows);
        for (std::size_t row = 0; row < rows; ++row, p += kColumns) {
            for (std::size_t k = 0; k < kColumns; ++k) {
                const auto end = static_cast<unsigned char>(p[k] == '\n' ? 1 : 0);
                const auto begin = static_cast<unsigned char>(p[k + 1] == first ? 1 : 0);
                ends[k] = static_cast<unsigned char>(ends[k] + end);
                begins[k] = static_cast<unsigned char>(begins[k] | (end & begin));
            }
        }
        const std::size_t rest = rows == 0 ? size : 0;
        for (std::size_t k = 0; k < rest; ++k) {
            survey.ends += p[k] == '\n' ? 1 : 0;
            survey.begins_with_first = survey.begins_with_first || (p[k] == '\n' && p[k + 1] == first);
        }
        for (std::size_t k = 0; k < kColumns; ++k) {
            survey.ends += ends[k];
            survey.begins_with_first = survey.begins_with_first || begins[k] != 0;
        }
        p += rest;
        size -= rows * kColumns + rest;
    }
    return survey;
}

std::vector<std::string> split(std::string_view line) {
    std::vector<std::string> words;
    const char *end = line.data() + line.size();
    const char *p = skip_blanks(line.data(), end);
    while (p != end && *p != '\n') {
        const char *stop = skip_word(p, end);
        words.emplace_back(p, stop);
        p = skip_blanks(stop, end);
    }
    return words;
}

std::string join(const std::vector<std::string> &words) {
    std::string text;
    for (const std::string &word : words) {
        text += (text.empty() ? "" : " ") + word;
    }
    return text;
}

bool is_printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

std::string quote(std::string_view text) {
    constexpr std::size_t longest = 60;
    std::string quoted = "'";
    for (const char c : text.substr(0, longest)) {
        quoted += c >= ' ' && c <= '~' ? c : '?';
    }
    return quoted + (text.size() > longest ? "…'" : "'");
}

} // namespace ionstride
