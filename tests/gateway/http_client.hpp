// A client of bytes: what is sent is exactly what a test says, also when it is wrong.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace touchpoint::tests {

class HttpClient {
  public:
    // `from`: an address of this machine, such as 127.0.0.2, so that the server sees another client.
    static HttpClient tcp(int port, const std::string& from = "127.0.0.1");
    static HttpClient unix_socket(const std::filesystem::path& path);
    HttpClient(HttpClient&& other) noexcept;
    ~HttpClient();

    bool connected() const { return fd_ >= 0; }
    int descriptor() const { return fd_; }
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

// "GET /x HTTP/1.1" with Host, Connection: close and `headers` ("Name: value\r\n" each).
std::string request_of(const std::string& target, const std::string& headers = {},
                       const std::string& method = "GET", const std::string& body = {});

// The body behind the header.
std::string body_of(const std::string& answer);

}  // namespace touchpoint::tests
