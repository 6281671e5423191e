#include "ionstride/mapped_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ionstride {
namespace {

[[noreturn]] void throw_unreadable(const std::string &path, const std::string &why) {
    throw std::invalid_argument("path '" + path + "' cannot be read (" + why + "), wanted a readable file");
}

} // namespace

MappedFile::MappedFile(const std::string &path) : path_(path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        throw_unreadable(path, std::strerror(errno));
    }
    struct stat status{};
    if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
        ::close(file);
        throw_unreadable(path, "not a regular file");
    }
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ > 0) { // an empty file cannot be mapped
        void *data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
        const int problem = errno;
        ::close(file);
        if (data == MAP_FAILED) {
            throw_unreadable(path, std::strerror(problem));
        }
        data_ = static_cast<const char *>(data);
        mapped_ = true;
    } else {
        ::close(file);
    }
}

MappedFile::MappedFile(std::string path, const char *data, std::size_t size)
    : path_(std::move(path)), data_(data), size_(size) {}

MappedFile::~MappedFile() {
    if (mapped_) {
        ::munmap(const_cast<char *>(data_), size_);
    }
}

void MappedFile::release(const char *from, const char *to) const {
    // The kernel brings in pages by groups, of 64 KiB as a rule: give back whole groups, or their rest stays.
    constexpr std::uintptr_t group = 64 * 1024;
    if (!mapped_ || from >= to) {
        return;
    }
    const auto first = reinterpret_cast<std::uintptr_t>(from) / group * group;
    const auto last = (reinterpret_cast<std::uintptr_t>(to) + group - 1) / group * group;
    const auto lowest = reinterpret_cast<std::uintptr_t>(begin());
    const std::size_t begin_at = first > lowest ? first - lowest : 0;
    const std::size_t end_at = std::min(size_, static_cast<std::size_t>(last - lowest));
    // Only advice: if the system does not take it, more memory is used and nothing else happens.
    static_cast<void>(::madvise(const_cast<char *>(data_) + begin_at, end_at - begin_at, MADV_DONTNEED));
}

} // namespace ionstride
