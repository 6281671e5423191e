// Words and numbers from a stretch of text; nothing is read at or beyond `end`.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace ionstride {

inline bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

inline bool ends_word(const char *p, const char *end) {
    return p == end || is_blank(*p) || *p == '\n';
}

inline const char *skip_blanks(const char *p, const char *end) {
    while (p != end && is_blank(*p)) {
        ++p;
    }
    return p;
}

inline const char *skip_word(const char *p, const char *end) {
    while (!ends_word(p, end)) {
        ++p;
    }
    return p;
}

// Parse a finite number that fills a whole word; returns where it ends, or nullptr if it is none.  The value
// is the double nearest to what is written.
const char *parse_any_number(const char *p, const char *end, double &value);
const char *parse_any_integer(const char *p, const char *end, std::int64_t &value);

// How many lines end in `size` characters, and whether one of the characters after such an end, which may be
// one beyond them, is `first`.
struct LineSurvey {
    std::size_t ends = 0;
    bool begins_with_first = false;
};
LineSurvey survey_lines(const char *p, std::size_t size, char first);

// The words of a line.
std::vector<std::string> split(std::string_view line);

// Words with a space between them.
std::string join(const std::vector<std::string> &words);

// Whether all characters are printable ASCII.
bool is_printable(std::string_view text);

// A piece of a file fit for an error message: short, and printable.
std::string quote(std::string_view text);

// Eight characters at a time: what nearly every number of a dump looks like is read without a loop, and all
// else is left to the functions above.
namespace eight {

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
constexpr bool available = true;
#else
constexpr bool available = false;
#endif

constexpr std::array<std::uint64_t, 9> kPowersOfTen = {1,      10,      100,      1000,     10000,
                                                       100000, 1000000, 10000000, 100000000};
constexpr std::array<double, 17> kDoublePowersOfTen = {1e0, 1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7, 1e8,
                                                       1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16};
constexpr std::uint64_t kLargestExact = std::uint64_t{1} << 53U;

// Characters less '0', one a byte; a digit is then 0 to 9.
inline std::uint64_t load(const char *p) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, p, sizeof bytes);
    return bytes ^ 0x3030303030303030U;
}

// Digits at the start, 0 to 8.  Adding 0x76 sets the top bit of every byte above 9; a carry comes only from a
// byte that is no digit itself, so all up to the first one is right.
inline unsigned count_digits(std::uint64_t bytes) {
    const std::uint64_t others = ((bytes + 0x7676767676767676U) | bytes) & 0x8080808080808080U;
    return others == 0 ? 8U : static_cast<unsigned>(__builtin_ctzll(others)) / 8U;
}

// The number that the first `count` bytes spell: neighbours are joined to pairs, fours and eight.
inline std::uint64_t value_of(std::uint64_t bytes, unsigned count) {
    bytes = count == 0 ? 0 : bytes << (64U - 8U * count); // zeros in front
    bytes = (bytes * 10U + (bytes >> 8U)) & 0x00FF00FF00FF00FFU;
    bytes = (bytes * 100U + (bytes >> 16U)) & 0x0000FFFF0000FFFFU;
    return (bytes * 10000U + (bytes >> 32U)) & 0xFFFFFFFFU;
}

} // namespace eight

inline const char *parse_number(const char *p, const char *end, double &value) {
    if (eight::available && end - p >= 32) { // no load below reaches as far
        const bool negative = *p == '-';
        const char *q = p + (negative ? 1 : 0);
        std::uint64_t bytes = eight::load(q);
        const unsigned whole = eight::count_digits(bytes);
        if (whole >= 1 && whole <= 7 && q[whole] == '.') {
            std::uint64_t mantissa = eight::value_of(bytes, whole);
            q += whole + 1;
            bytes = eight::load(q);
            unsigned decimals = eight::count_digits(bytes);
            mantissa = mantissa * eight::kPowersOfTen[decimals] + eight::value_of(bytes, decimals);
            q += decimals;
            if (decimals == 8) {
                bytes = eight::load(q);
                const unsigned more = eight::count_digits(bytes);
                if (whole + 8 + more > 19) { // would not fit in 64 bits
                    return parse_any_number(p, end, value);
                }
                mantissa = mantissa * eight::kPowersOfTen[more] + eight::value_of(bytes, more);
                decimals += more;
                q += more;
            }
            if (ends_word(q, end) && mantissa <= eight::kLargestExact) {
                // Both are exact doubles, so that one rounding gives the nearest double (Clinger 1990,
                // doi 10.1145/93548.93557).
                const double size = static_cast<double>(mantissa) / eight::kDoublePowersOfTen[decimals];
                value = negative ? -size : size;
                return q;
            }
        }
    }
    return parse_any_number(p, end, value);
}

inline const char *parse_integer(const char *p, const char *end, std::int64_t &value) {
    if (eight::available && end - p >= 16) {
        const bool negative = *p == '-';
        const char *q = p + (negative ? 1 : 0);
        const std::uint64_t bytes = eight::load(q);
        const unsigned digits = eight::count_digits(bytes);
        if (digits >= 1 && digits <= 7 && ends_word(q + digits, end)) {
            const auto size = static_cast<std::int64_t>(eight::value_of(bytes, digits));
            value = negative ? -size : size;
            return q + digits;
        }
    }
    return parse_any_integer(p, end, value);
}

} // namespace ionstride
