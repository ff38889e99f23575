#pragma once

#include <memory>
#include <vector>

#include "http/h2/session.h"
#include "net/deadline.h"
#include "proxy/connection.h"

namespace gateway::proxy {

class H2Client;

/// HTTP/2 on a client's connection: each of its streams is a request with an answer of its own.
class H2Connection final : public Codec, public http::h2::Session {
 public:
  explicit H2Connection(Connection& connection);
  ~H2Connection() override;

  // Codec
  Task<void> serve() override;
  void drain() noexcept override;
  void abort() noexcept override;

  [[nodiscard]] Connection& connection() noexcept { return connection_; }
  [[nodiscard]] Worker& worker() noexcept { return connection_.worker(); }
  using Session::resume_later;
  /// The same from outside: on the next turn of the loop.
  void resume_soon();
  /// Its answer is over.
  void remove(H2Client& client);
  /// Whether a stream may have a larger window: a few at a time, since all of it may lie here.
  [[nodiscard]] bool may_widen() noexcept {
    if (wide_ == max_wide) return false;
    ++wide_;
    return true;
  }
  void narrowed() noexcept { --wide_; }
  /// A request's head took too long: header blocks of other streams wait behind it.
  void head_too_slow() noexcept { abort(); }

 private:
  static constexpr unsigned max_wide = 8;

  // Session
  void* begin_stream(http::h2::StreamId id) override;
  bool take_field(void* stream, std::string_view name, std::string_view value) override;
  void end_head(void* stream, bool end_of_stream) override;
  void take_data(void* stream, std::string_view bytes) override;
  void end_body(void* stream) override;
  void stream_closed(void* stream, std::uint32_t error) override;
  void came_in() override;
  void misbehaves(const char* how) override;

  void wait_for_streams() noexcept;

  /// Until the last answer is over.
  class AllEnded;

  Connection& connection_;
  std::vector<std::unique_ptr<H2Client>> clients_;
  std::vector<H2Client*> starting_;
  std::coroutine_handle<> waiting_for_end_;
  net::Deadline idle_due_;
  net::Deadline rest_due_;
  unsigned wide_ = 0;
};

}  // namespace gateway::proxy
