// A client of bytes: what is sent is exactly what a test says, also when it is wrong.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace touchpoint::tests {

class HttpClient {
  public:
    static HttpClient tcp(int port);
    static HttpClient unix_socket(const std::filesystem::path& path);
    HttpClient(HttpClient&& other) noexcept;
    ~HttpClient();

    bool connected() const { return fd_ >= 0; }
    void send(std::string_view bytes);
    // Until the server closes, or 10 s.
    std::string read_all();
    // Until `text` has come, or the end, or 10 s; everything read by this call.
    std::string read_until(std::string_view text);
    // One request with Connection: close; the whole answer.
    std::string get(const std::string& target, const std::string& method = "GET");

  private:
    explicit HttpClient(int fd) : fd_(fd) {}
    int fd_ = -1;
};

// The body behind the header.
std::string body_of(const std::string& answer);

}  // namespace touchpoint::tests
