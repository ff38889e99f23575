#include "proxy/client.h"

#include "proxy/cancellable.h"
#include "proxy/request.h"

namespace gateway::proxy {

Answer::Answer(Request& of) : request(of), chunk_end(&of.arena) {}

void Client::left() noexcept {
  gone_ = true;
  if (upstream_ != nullptr) upstream_->cancel();
}

void Client::watch_for(Cancellable* upstream) noexcept {
  upstream_ = upstream;
  if (upstream != nullptr) awaits_upstream();
}

}  // namespace gateway::proxy
