// A file as a stretch of memory, read-only.
#pragma once

#include <cstddef>
#include <string>

namespace ionstride {

class MappedFile {
public:
    // Throws std::invalid_argument if the file cannot be opened.
    explicit MappedFile(const std::string &path);
    ~MappedFile();
    MappedFile(const MappedFile &) = delete;
    MappedFile &operator=(const MappedFile &) = delete;

    const std::string &path() const { return path_; }
    const char *begin() const { return data_; }
    const char *end() const { return data_ + size_; }
    std::size_t size() const { return size_; }

private:
    std::string path_;
    const char *data_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace ionstride
