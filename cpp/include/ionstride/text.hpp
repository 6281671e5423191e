// Words and numbers from a stretch of text; nothing is read at or beyond `end`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ionstride {

inline bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

inline const char *skip_blanks(const char *p, const char *end) {
    while (p != end && is_blank(*p)) {
        ++p;
    }
    return p;
}

inline const char *skip_word(const char *p, const char *end) {
    while (p != end && !is_blank(*p) && *p != '\n') {
        ++p;
    }
    return p;
}

// Parse a finite number that fills a whole word; returns where it ends, or nullptr if it is none.
const char *parse_number(const char *p, const char *end, double &value);
const char *parse_integer(const char *p, const char *end, std::int64_t &value);

// The words of a line.
std::vector<std::string> split(std::string_view line);

// Whether all characters are printable ASCII.
bool is_printable(std::string_view text);

// A piece of a file fit for an error message: short, and printable.
std::string quote(std::string_view text);

} // namespace ionstride
