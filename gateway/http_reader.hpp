// Reads the requests of one connection, one after the other, and refuses what two programs could read in two
// ways.
//
// Promised
//   One deadline (HttpLimits::read) from a request's first byte to its last. Every size has a bound. Refused
//   are: two Content-Length, Content-Length beside Transfer-Encoding, any coding but "chunked", any
//   Content-Encoding but "identity" (415), folded header
//   lines, bare line feeds and control characters, a second Host, Authorization or Content-Type, a target
//   that is no path in UTF-8. Trailers of a chunked body are read and thrown away: they are no header. What
//   the client sent ahead (pipelining) stays for the next request.
//
// Threads: confined to loop.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "gateway/http.hpp"
#include "gateway/http_stream.hpp"

namespace touchpoint::gateway {

class HttpReader {
  public:
    enum class Outcome { done, gone, refused };

    // Both outlive the reader.
    HttpReader(HttpStream& stream, const HttpLimits& limits);
    ~HttpReader();

    // Up to the empty line. refused: `refusal` says why, and nothing more can be read.
    HttpTask<Outcome> read_header(HttpRequest& request);
    // The rest. A client that asks for permission (Expect: 100-continue) is given it.
    HttpTask<Outcome> read_body(HttpRequest& request);

    // Whether the request has been read to its last byte.
    bool complete() const;
    // Whether the client wants the connection to stay.
    bool keep() const { return keep_; }
    HttpResponse refusal;

  private:
    struct Parsing;

    HttpTask<bool> read_more(std::size_t bytes_max);
    bool refuse(unsigned status, std::string_view type, std::string_view detail);
    bool check_text(std::string_view header);
    bool check_fields();
    bool take_header(HttpRequest& request, std::size_t bytes);
    // How far the header has come: its size when it is whole; 0: more must come; none: refused.
    std::optional<std::size_t> header_size();

    HttpStream& stream_;
    const HttpLimits& limits_;
    std::string buffer_;  // read and not used yet
    std::unique_ptr<Parsing> parsing_;
    bool keep_ = false;
};

}  // namespace touchpoint::gateway
