// A real store, pull and HTTP server over them, and a platform that asks over sockets.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gateway/http_server.hpp"
#include "gateway/platform_routes.hpp"
#include "store/cache.hpp"
#include "store/event_store.hpp"
#include "store/worker.hpp"
#include "tests/gateway/http_client.hpp"
#include "tests/gateway/loop_thread.hpp"
#include "tests/support/temp_folder.hpp"
#include "uplink/pull.hpp"

namespace touchpoint::tests {

// The consumer that most tests read as.
inline const std::string crm = "/v1/consumers/crm";
inline const std::string events = crm + "/events";

inline std::string cursor_json(const std::string& cursor) { return R"({"cursor":")" + cursor + R"("})"; }

struct HttpAnswer {
    int status = 0;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;

    std::string header(const std::string& name) const;
    std::string cursor() const { return header("touchpoint-next-cursor"); }
};

// What came over a socket.
HttpAnswer http_answer_of(const std::string& raw);

// One line of an answer: an event, or a gap in the place of a range.
struct Given {
    std::string stream;
    Sequence first = 0;
    Sequence last = 0;
    std::string type;
    std::string reason;  // of a gap

    bool operator==(const Given&) const = default;
};
void PrintTo(const Given& given, std::ostream* out);
Given one(const std::string& stream, Sequence sequence);
Given gap(const std::string& stream, Sequence first, Sequence last, const std::string& reason);

class PlatformShop : public testing::Test {
  protected:
    PlatformShop();
    ~PlatformShop() override;

    void open();   // the store, pull and the server
    void close();  // an orderly stop of all three
    void restart() { close(), open(); }

    // Of one type; waits until they are durable.
    void submit(Stream stream, int count, const std::string& type = "store.pos.sale.v1");
    void record_gap(Stream stream, Sequence first, Sequence last, const std::string& consumer = "",
                    const std::string& reason = "shed");

    using Headers = std::vector<std::pair<std::string, std::string>>;
    HttpAnswer ask(const std::string& method, const std::string& target, const std::string& body = "",
                   const Headers& headers = {});
    HttpAnswer get(const std::string& target, const Headers& headers = {}) {
        return ask("GET", target, "", headers);
    }
    // Sends a request and does not read its answer yet.
    HttpClient begin(const std::string& target);
    static HttpAnswer answer_of(const std::string& raw) { return http_answer_of(raw); }

    static std::vector<Given> given(const HttpAnswer& answer);
    // Whether so many requests are being answered, soon.
    bool answering(std::size_t requests);

    const TempFolder folder_;
    ManualClock clock_;
    store::EventStore::Options options_;
    std::unique_ptr<store::Cache> cache_;
    LoopThread loop_;
    store::Worker reader_{"reader"};
    std::unique_ptr<store::EventStore> store_;
    std::unique_ptr<uplink::Pull> pull_;
    std::unique_ptr<gateway::HttpServer> server_;
    int port_ = 0;
};

}  // namespace touchpoint::tests
