#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "http/h1/body_decoder.h"
#include "net/stream.h"
#include "proxy/body_room.h"
#include "proxy/request_body.h"

namespace gateway::proxy {

/// The bodies of an HTTP/1 connection's requests, one after the other.
class H1Body final : public BodySource {
 public:
  struct Limits {
    std::uint64_t max_bytes = 0;  ///< zero: none
    std::chrono::milliseconds timeout{60000};
  };

  H1Body(net::Stream& client, Limits limits) : client_(client), limits_(limits) {}

  /// Looks at what came with the head, the `size` bytes at `rest`: the number of them that are the whole body, which is
  /// then put into `body`; nullopt when more must come, from here. The caller keeps those bytes, which may have been
  /// rearranged, alive. Errors: BodyError.
  Result<std::optional<std::size_t>> begin(RequestBody& body, const http::Framing& framing, char* rest, std::size_t size);
  /// To be called before the first read() where the client waits for 100 (Continue).
  void send_continue() noexcept { send_continue_ = true; }

  Task<Result<std::string_view>> read() override;
  [[nodiscard]] bool complete() const noexcept override { return complete_; }
  [[nodiscard]] std::uint64_t received() const noexcept override { return received_; }
  void release() noexcept override;
  void finish() noexcept override { client_.read_ahead(); }
  void interrupt() noexcept override { client_.interrupt(); }

 private:
  Result<std::optional<std::size_t>> begin_chunked(RequestBody& body, char* rest, std::size_t size);

  net::Stream& client_;
  Limits limits_;
  std::optional<http::h1::BodyDecoder> decoder_;
  BodyRoom room_;
  std::size_t consume_next_ = 0;  // bytes of the stream that the last piece covered
  std::uint64_t received_ = 0;
  bool complete_ = true;
  bool send_continue_ = false;
};

}  // namespace gateway::proxy
