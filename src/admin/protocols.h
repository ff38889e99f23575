#pragma once

#include <functional>
#include <optional>

#include "admin/context.h"
#include "base/task.h"
#include "entity/type.h"
#include "http/message.h"
#include "store/store.h"

namespace gateway::admin {

/// What the protocols of services, routes and plugins must have in common, which none of the rows can tell alone.
/// Source: Kong 3.9, plugins; for ws and wss, its enterprise edition.
class Protocols {
 public:
  explicit Protocols(Context& context) : context_(context) {}

  /// Before a row is written: the refusal, or nullopt.
  Task<std::optional<http::Reply>> check(const entity::Type& type, const Json& document);

 private:
  using Reply = http::Reply;

  Task<std::optional<Reply>> check_plugin(const Json& document);
  Task<std::optional<Reply>> check_route(const Json& document);
  Task<std::optional<Reply>> check_service(const Json& document);
  /// Null when there is none, or `id` names none.
  Task<Result<Json>> row(const char* type, const Json& id);
  /// Looks at the routes of a service, `page` read at a time, until it is told to stop (false).
  Task<Status> each_route(const Json& service, std::size_t page, const std::function<bool(const Json& route)>& look);

  Context& context_;
};

}  // namespace gateway::admin
