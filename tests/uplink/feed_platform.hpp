// A platform that answers each request as a test says, over a real socket; one connection for each.
#pragma once

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace touchpoint::tests {

class FeedPlatform {
  public:
    // From a request, head and body, to a whole answer. Called on the platform's thread.
    using Respond = std::function<std::string(const std::string& request)>;

    explicit FeedPlatform(Respond respond)
        : respond_(std::move(respond)),
          acceptor_(context_, {boost::asio::ip::make_address("127.0.0.1"), 0}),
          thread_([this] { serve(); }) {}
    ~FeedPlatform() {
        stopping_ = true;
        boost::system::error_code ignored;
        boost::asio::ip::tcp::socket wake(context_);
        wake.connect(acceptor_.local_endpoint(), ignored);
        thread_.join();
    }
    std::string url(const std::string& path) const {
        return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()) + path;
    }
    std::vector<std::string> requests() const {
        const std::lock_guard lock(mutex_);
        return requests_;
    }

    static std::string answer(int status, const std::string& body, const std::string& fields = "") {
        return "HTTP/1.1 " + std::to_string(status) + " x\r\nConnection: close\r\n" + fields +
               (status == 204 ? std::string() : "Content-Length: " + std::to_string(body.size()) + "\r\n") +
               "\r\n" + body;
    }
    static std::string page(const std::string& body, const std::string& next) {
        return answer(200, body, "Touchpoint-Next-Cursor: " + next + "\r\n");
    }

  private:
    void serve() {
        while (!stopping_) {
            boost::system::error_code error;
            boost::asio::ip::tcp::socket socket(context_);
            acceptor_.accept(socket, error);
            if (error || stopping_) continue;
            const std::string request = read(socket);
            if (request.empty()) continue;
            {
                const std::lock_guard lock(mutex_);
                requests_.push_back(request);
            }
            boost::asio::write(socket, boost::asio::buffer(respond_(request)), error);
        }
    }
    static std::string read(boost::asio::ip::tcp::socket& socket) {
        std::string text;
        for (;;) {
            const std::size_t head = text.find("\r\n\r\n");
            const std::size_t length = text.find("Content-Length: ");
            if (head != std::string::npos &&
                text.size() >= head + 4 + (length < head ? std::stoul(text.substr(length + 16)) : 0))
                return text;
            char piece[4096];
            boost::system::error_code error;
            const std::size_t size = socket.read_some(boost::asio::buffer(piece), error);
            if (error) return {};
            text.append(piece, size);
        }
    }

    Respond respond_;
    boost::asio::io_context context_;
    boost::asio::ip::tcp::acceptor acceptor_;
    std::atomic<bool> stopping_{false};
    mutable std::mutex mutex_;
    std::vector<std::string> requests_;
    std::thread thread_;
};

}  // namespace touchpoint::tests
