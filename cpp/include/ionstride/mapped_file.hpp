// A file as a stretch of memory, read-only.
#pragma once

#include <cstddef>
#include <string>

namespace ionstride {

class MappedFile {
public:
    // Throws std::invalid_argument if the file cannot be opened.
    explicit MappedFile(const std::string &path);
    // Text that is in memory already and stays the caller's; `path` serves for messages.
    MappedFile(std::string path, const char *data, std::size_t size);
    ~MappedFile();
    MappedFile(const MappedFile &) = delete;
    MappedFile &operator=(const MappedFile &) = delete;

    const std::string &path() const { return path_; }
    const char *begin() const { return data_; }
    const char *end() const { return data_ + size_; }
    std::size_t size() const { return size_; }

    // Say that what lies between is not needed for now: its pages leave this process, so that a file larger
    // than memory can be read from end to end.  Reading there again is allowed and brings them back.
    void release(const char *from, const char *to) const;

private:
    std::string path_;
    const char *data_ = nullptr;
    std::size_t size_ = 0;
    bool mapped_ = false;
};

} // namespace ionstride
