#pragma once

#include "admin/call.h"
#include "admin/context.h"
#include "base/task.h"
#include "http/message.h"

namespace gateway::admin {

/// What the node tells about the names its workers know.
class DnsView {
 public:
  explicit DnsView(Context& context) : context_(context) {}

  Task<http::Reply> statistics(Call& call);  ///< /status/dns, as Kong's newer DNS client tells them
  Task<http::Reply> names(Call& call);       ///< /debug/node/dns[?name=...]: every entry of every worker

 private:
  Context& context_;
};

}  // namespace gateway::admin
