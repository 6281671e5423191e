#include "ionstride/mapped_file.hpp"

#include <cerrno>
#include <cstring>
#include <stdexcept>

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
    } else {
        ::close(file);
    }
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) {
        ::munmap(const_cast<char *>(data_), size_);
    }
}

} // namespace ionstride
