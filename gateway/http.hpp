// HTTP as plain values: what a route is given and what it answers. No sockets, no library types.
//
// Threads: HttpRequest and HttpResponse are values. Presence, BodyStream and Reply: see there.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/roles.hpp"

namespace touchpoint::gateway {

// Who asks, as far as it has proved it.
struct Caller {
    // Of its token. Every role on the control socket, and on loopback while no tokens are configured.
    Roles roles;
    std::string device;       // "pos/t1": the device that a device's token stands for; else empty
    std::string token;        // the token's id, for counters and logs; empty: none was needed
    std::string certificate;  // subject of its client certificate, "CN=platform"; empty: none was asked for
};

// Whether the client still waits for its answer. A route that answers late asks, so that it does not read
// from the disk for nobody.
//
// A client counts as gone when it has closed its side of the connection, also if it only closed the half that
// it sends on. One whose cable was pulled does not: the route's deadline ends that.
//
// Threads: confined to loop.
class Presence {
  public:
    bool gone() const { return gone_; }
    // Called once on loop, within about a quarter of a second after the client left, if the reply has not
    // been given by then; at once when it is gone already. A later hook replaces an earlier one. What the
    // hook replies is still sent (for a half-closed client); without a reply the connection is closed.
    void on_gone(std::function<void()> hook) {
        if (gone_) return hook();
        if (!settled_) hook_ = std::move(hook);
    }

    // The server's side.
    void leave() {
        gone_ = true;
        if (const auto hook = std::exchange(hook_, nullptr)) hook();
    }
    // The reply is there: nobody is told any more, and what the hook holds is let go.
    void settle() {
        settled_ = true;
        hook_ = nullptr;
    }

  private:
    std::function<void()> hook_;
    bool gone_ = false;
    bool settled_ = false;
};

struct HttpRequest {
    std::string method;
    std::string target;                                           // as it came
    std::string path;                                             // decoded, without the query
    std::vector<std::pair<std::string, std::string>> query;       // decoded
    std::vector<std::pair<std::string, std::string>> parameters;  // of the route's {braces}
    std::vector<std::pair<std::string, std::string>> headers;     // names in lower case
    std::string body;
    std::string peer;     // "192.0.2.7:4711" or "uid=0"
    bool chunked = true;  // false: of HTTP/1.0, where a stream has no frame and ends with the connection
    Caller caller;
    std::shared_ptr<Presence> client = std::make_shared<Presence>();  // owned by its session and by the route

    // Empty when it is not there.
    std::string_view query_value(std::string_view name) const;
    std::string_view parameter(std::string_view name) const;
    std::string_view header(std::string_view name) const;
};

// A body without an end: lines are put in by whoever has something to tell, and leave as fast as the reader
// takes them. A slow reader loses lines, and gets one line that says how many; nobody waits for it.
//
// Threads: confined to loop.
class BodyStream {
  public:
    static constexpr std::size_t waiting_bytes_max = 256u << 10;  // of lines that wait for the reader

    // `dropped` makes the line that stands for so many lost ones.
    explicit BodyStream(std::function<std::string(std::uint64_t)> dropped)
        : dropped_line_(std::move(dropped)) {}

    // False: the reader is gone; forget the stream.
    bool push(std::string_view line);
    std::uint64_t dropped() const { return dropped_; }
    bool closed() const { return closed_; }
    // Whether all of it is on its way: who tells only the newest waits for that.
    bool empty() const { return waiting_.empty() && dropped_unsaid_ == 0; }
    // What is sent now and then while there is nothing to say; an empty line, if nothing else is set.
    void set_pulse(std::string text) { pulse_ = std::move(text); }
    const std::string& pulse() const { return pulse_; }

    // The server's side.
    std::string take();  // everything that waits; empty: nothing does
    void close();
    void on_data(std::function<void()> wake) { wake_ = std::move(wake); }

  private:
    std::function<std::string(std::uint64_t)> dropped_line_;
    std::function<void()> wake_;
    std::string waiting_;
    std::string pulse_ = "\n";
    std::uint64_t dropped_ = 0;         // in all
    std::uint64_t dropped_unsaid_ = 0;  // since the last line that said so
    bool closed_ = false;
};

struct HttpResponse {
    unsigned status = 200;
    std::string content_type;
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    std::shared_ptr<BodyStream> stream;  // instead of the body; owned by its writer and by the connection
};

// What one listener allows. The keys of [http.local] and [http.platform] set them.
struct HttpLimits {
    std::size_t header_bytes_max = 8192;  // request line and fields
    std::size_t header_fields_max = 64;
    std::size_t target_bytes_max = 4096;
    std::size_t body_bytes_max = 1u << 20;  // decoded; chunks may come in twice as many raw bytes
    std::size_t connections_max = 64;
    std::chrono::milliseconds handshake{10'000};  // of TLS
    std::chrono::milliseconds idle{60'000};       // a kept connection without a request
    std::chrono::milliseconds read{15'000};       // from the first byte of a request to its last
    // For an answer or a piece of a stream, and beyond that as long as a reader of 16 KiB/s needs.
    std::chrono::milliseconds write{30'000};
    // A stream that has nothing to say sends its pulse this often, so that a gone reader is noticed.
    std::chrono::milliseconds stream_pulse{10'000};
};

// Of one listener, since the start.
struct HttpStats {
    std::uint64_t connections = 0;  // open now
    std::uint64_t streams = 0;      // of them, those that only listen
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;  // connections: all places taken, by anyone or by that address, or no right
    std::uint64_t requests = 0;
    std::uint64_t malformed = 0;          // requests that broke a rule of HTTP or a limit
    std::uint64_t throttled = 0;          // answered 429, or cut off for the same reason
    std::uint64_t wrong_tokens = 0;       // answered 401 with a token
    std::uint64_t forbidden = 0;          // answered 403
    std::uint64_t handshakes_failed = 0;  // of TLS
};

HttpResponse json_response(std::string body, unsigned status = 200);
HttpResponse text_response(std::string body, std::string content_type = "text/plain; charset=utf-8");
// RFC 9457. `type` is a word ("not-found"), as in the messages to devices; the title follows from the status.
HttpResponse problem(unsigned status, std::string_view type, std::string_view detail);
// A problem that passes by itself: who is told "not now" is told when, by Retry-After.
HttpResponse not_now(unsigned status, std::string_view type, std::string_view detail,
                     std::chrono::seconds retry_after = std::chrono::seconds(1));

// Takes the answer, once; may be called at once or later, from any thread. Dropped without a call, the client
// gets 503 `timeout` when the deadline comes; what the route does goes on all the same. Given after the
// client has gone (Presence) it changes nothing.
using Reply = std::function<void(HttpResponse)>;

struct Route {
    std::string method;  // GET also answers HEAD
    std::string path;    // "/v1/quarantine/{sequence}": a part in braces is any one part
    std::function<void(const HttpRequest&, Reply)> handler;         // runs on loop and does not block
    std::chrono::milliseconds deadline = std::chrono::seconds(10);  // for the reply; a long poll has more
    // Whom it serves. Empty: everybody, also without a token.
    Roles roles = Roles::all();
};

// A route that answers at once.
Route get(std::string path, std::function<HttpResponse(const HttpRequest&)> handler);

// %41 becomes A. Empty: a bad escape, or a NUL.
std::optional<std::string> percent_decoded(std::string_view text);
// Of a target: decoded path and query. False: not a target we serve (not origin-form, bad escape, a NUL,
// no UTF-8).
bool parse_target(std::string_view target, HttpRequest& out);

// The route for a request, with parameters filled in; or null, and `refusal` holds 404 or 405 with Allow.
const Route* find_route(const std::vector<Route>& routes, HttpRequest& request, HttpResponse& refusal);

}  // namespace touchpoint::gateway
