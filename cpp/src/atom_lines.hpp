// The atom lines of one frame of a dump, one after the other.
#pragma once

#include "ionstride/dump.hpp"
#include "ionstride/format_error.hpp"
#include "ionstride/text.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace ionstride {

struct AtomLine {
    std::int64_t id = 0;
    std::int64_t type = 0;
    std::string_view element;
    std::array<double, 3> r{};
    std::array<double, 3> image{};
};

class AtomLines {
public:
    AtomLines(const MappedFile &file, const DumpIndex &index, const DumpLayout &layout,
              const DumpFrame &frame)
        : file_(file), index_(index), roles_(layout.roles), frame_(frame),
          p_(file.begin() + std::min(frame.atoms_offset, file.size())), end_(file.end()), kept_(p_),
          line_(frame.atoms_line - 1) {}

    [[noreturn]] void fail(const std::string &problem) const {
        throw FormatError(file_.path(), problem + " (frame of step " + std::to_string(frame_.step) + ")",
                          line_);
    }

    void next(AtomLine &atom) {
        ++line_;
        const char *p = p_;
        for (std::size_t column = 0; column < roles_.size(); ++column) {
            p = skip_blanks(p, end_);
            if (p == end_ || *p == '\n') {
                fail_short(column);
            }
            const char *word = p;
            p = parse(roles_[column], word, atom);
            if (p == nullptr) {
                fail_value(column, word);
            }
        }
        p = skip_blanks(p, end_);
        if (p != end_ && *p != '\n') {
            fail("the line has more than the " + std::to_string(roles_.size()) + " values of ITEM: ATOMS " +
                 join(index_.columns));
        }
        p_ = p == end_ ? end_ : p + 1;
        if (static_cast<std::size_t>(p_ - kept_) >= kReleaseEvery) {
            file_.release(kept_, p_);
            kept_ = p_;
        }
    }

    // Where the next line begins.
    const char *position() const { return p_; }

private:
    static constexpr std::size_t kReleaseEvery = std::size_t{16} << 20U;

    const char *parse(Role role, const char *p, AtomLine &atom) const {
        switch (role) {
        case Role::skip:
            return skip_word(p, end_);
        case Role::id:
            return parse_integer(p, end_, atom.id);
        case Role::type:
            return parse_integer(p, end_, atom.type);
        case Role::element: {
            const char *stop = skip_word(p, end_);
            atom.element = {p, static_cast<std::size_t>(stop - p)};
            return stop;
        }
        case Role::r0:
        case Role::r1:
        case Role::r2:
            return parse_number(p, end_, atom.r[place_of(role, Role::r0)]);
        case Role::image0:
        case Role::image1:
        case Role::image2: {
            std::int64_t whole = 0;
            const char *stop = parse_integer(p, end_, whole);
            atom.image[place_of(role, Role::image0)] = static_cast<double>(whole);
            return stop;
        }
        }
        return nullptr;
    }

    static std::size_t place_of(Role role, Role first) {
        return static_cast<std::size_t>(role) - static_cast<std::size_t>(first);
    }

    [[noreturn]] void fail_short(std::size_t values) const {
        fail("the line has " + std::to_string(values) + " values, wanted " + std::to_string(roles_.size()) +
             ": " + join(index_.columns));
    }

    [[noreturn]] void fail_value(std::size_t column, const char *word) const {
        const Role role = roles_[column];
        const bool real = role == Role::r0 || role == Role::r1 || role == Role::r2;
        const char *stop = skip_word(word, end_);
        fail("column '" + index_.columns[column] + "' is " +
             quote({word, static_cast<std::size_t>(stop - word)}) + ", wanted a " +
             (real ? "finite" : "whole") + " number");
    }

    const MappedFile &file_;
    const DumpIndex &index_;
    const std::vector<Role> &roles_;
    const DumpFrame &frame_;
    const char *p_;
    const char *end_;
    const char *kept_; // pages from here on are in use
    std::int64_t line_;
};

} // namespace ionstride
