#include "check.hpp"

#include "ionstride/text.hpp"

#include <cmath>
#include <cstdlib>
#include <random>

using namespace ionstride;

namespace {

bool number(const std::string &text, double &value) {
    return parse_number(text.data(), text.data() + text.size(), value) == text.data() + text.size();
}

} // namespace

int main() {
    // The fast way gives the same bits as the C library.
    std::mt19937_64 random(1);
    std::uniform_real_distribution<double> digits(-1.0, 1.0);
    for (const char *format : {"%.6g", "%.16g", "%.17g", "%.3f", "%.12e", "%.20f"}) {
        for (int repeat = 0; repeat < 20000; ++repeat) {
            char text[400];
            const double size = std::pow(10.0, static_cast<int>(random() % 40) - 20);
            std::snprintf(text, sizeof text, format, digits(random) * size);
            double value = 0;
            CHECK(number(text, value));
            CHECK(value == std::strtod(text, nullptr));
        }
    }
    double value = 0;
    for (const char *text : {"0", "-0", "+1.5", "1.", ".5", "1e22", "-1E-22", "9007199254740993", "1e300",
                             "5e-300", "123456789012345678901234567890"}) {
        CHECK(number(text, value));
        CHECK(value == std::strtod(text, nullptr));
    }
    for (const char *text : {"", "-", "+", "+-1", "-+1", ".", "e5", "1e", "1e+", "nan", "inf", "-inf",
                             "1e999", "0x10", "1.2.3", "1,5", "12abc", "1e99999999999999999999"}) {
        CHECK(!number(text, value));
    }
    // Nothing beyond the end is read: here the end cuts a number in two.
    const std::string text = "12345";
    CHECK(parse_number(text.data(), text.data() + 2, value) == text.data() + 2 && value == 12.0);

    std::int64_t whole = 0;
    const auto integer = [&](const std::string &t) {
        return parse_integer(t.data(), t.data() + t.size(), whole) == t.data() + t.size();
    };
    CHECK(integer("-9223372036854775808") && whole == INT64_MIN);
    CHECK(!integer("9223372036854775808") && !integer("1.0") && !integer("") && !integer("4x"));
    CHECK(split("  id type\tx \r\n") == (std::vector<std::string>{"id", "type", "x"}));
    CHECK(split("").empty() && split(" \n").empty());
    CHECK(quote(std::string("a\0\xff", 3)) == "'a?"
                                              "?'");
    return 0;
}
