#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/task.h"
#include "http/message.h"
#include "proxy/client.h"
#include "proxy/request.h"
#include "proxy/upload.h"
#include "proxy/upstream_side.h"

namespace gateway::proxy {

/// Brings an upstream's answer to the client.
class Relay {
 public:
  enum class End {
    keep,   ///< the upstream connection may serve another request
    close,  ///< it may not
  };

  Relay(Request& request, UpstreamSide& upstream, std::chrono::milliseconds timeout)
      : request_(request), upstream_(upstream), client_(request.client), timeout_(timeout), head_(request.arena), answer_(request) {}

  /// Errors: the upstream failed; request.response_started tells whether the client has seen anything.
  /// A client that fails is not an error: then the end is `close`, and request.client_gone is set.
  Task<Result<End>> run(Upload& upload);

 private:
  using Piece = UpstreamSide::Piece;

  Task<Result<Piece>> next_piece();
  Task<Status> pass_interim();
  Task<Result<End>> send_buffered();
  Task<Result<End>> tunnel();
  void prepare_head();
  [[nodiscard]] bool body_follows() const noexcept;
  [[nodiscard]] bool any_chosen(plugin::Phase phase) const noexcept;
  [[nodiscard]] std::string_view filtered(Piece piece);
  [[nodiscard]] End end() const noexcept { return head_.keep_alive ? End::keep : End::close; }

  Request& request_;
  UpstreamSide& upstream_;
  Client& client_;
  std::chrono::milliseconds timeout_;
  http::ResponseHead head_;
  Answer answer_;
  std::string filtered_;       // a piece that body_filter has changed
  bool filters_body_ = false;  // some plugin changes the body, so that its length is not known
};

}  // namespace gateway::proxy
