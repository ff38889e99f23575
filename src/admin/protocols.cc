#include "admin/protocols.h"

#include "admin/answers.h"
#include "entity/route.h"
#include "schema/document.h"

namespace gateway::admin {
namespace {

constexpr std::size_t max_page = 1000;

std::optional<Uuid> id_in(const Json& id) { return id.is_string() ? Uuid::parse(id.get_ref<const std::string&>()) : std::nullopt; }

// A WebSocket begins as a request, and plugins for requests run for it.
bool share_a_protocol(const Json& plugin, const Json& route) {
  using entity::Protocol;
  entity::Protocols found = entity::protocols_of(route);
  if ((found & bit(Protocol::ws)) != 0) found |= bit(Protocol::http);
  if ((found & bit(Protocol::wss)) != 0) found |= bit(Protocol::https);
  return (entity::protocols_of(plugin) & found) != 0;
}

bool is_for_websockets(const Json& route) { return (entity::protocols_of(route) & entity::websocket_protocols) != 0; }
bool speaks_websocket(const Json& service) {
  const Json protocol = service.value("protocol", Json());
  return protocol == "ws" || protocol == "wss";
}

}  // namespace

Task<std::optional<http::Reply>> Protocols::check(const entity::Type& type, const Json& document) {
  if (type.name == "plugins") co_return co_await check_plugin(document);
  if (type.name == "routes") co_return co_await check_route(document);
  if (type.name == "services") co_return co_await check_service(document);
  co_return std::nullopt;
}

Task<Result<Json>> Protocols::row(const char* name, const Json& id) {
  const entity::Type* type = context_.catalog.find(name);
  const std::optional<Uuid> wanted = id_in(id);
  if (!wanted) co_return Json();
  auto work = [&] { return context_.store.get(*type, *wanted); };
  const Result<std::optional<Json>> found = co_await context_.pool.run(work);
  if (!found) co_return found.error();
  co_return *found ? **found : Json();
}

Task<Status> Protocols::each_route(const Json& service, std::size_t page, const std::function<bool(const Json&)>& look) {
  const std::optional<Uuid> parent = id_in(service);
  if (!parent) co_return Status();
  const entity::Type* routes = context_.catalog.find("routes");
  store::PageRequest request;
  request.size = page;
  request.parent_field = "service";
  request.parent = *parent;
  for (bool more = true; more;) {
    auto work = [&] { return context_.store.page(*routes, request); };
    const Result<store::Page> got = co_await context_.pool.run(work);
    if (!got) co_return got.error();
    for (const Json& each : got->rows) {
      if (!look(each)) co_return Status();
    }
    request.after = got->next;
    more = got->next.has_value();
  }
  co_return Status();
}

Task<std::optional<http::Reply>> Protocols::check_plugin(const Json& document) {
  const Json& route_id = schema::at_path(document, "route.id");
  if (id_in(route_id)) {
    const Result<Json> route = co_await row("routes", route_id);
    if (!route) co_return unexpected(route.error());
    const bool fits = route->is_null() || share_a_protocol(document, *route);
    if (!fits) co_return schema_violation({{"protocols", "must match the associated route's protocols"}});
    co_return std::nullopt;
  }
  bool any = false;
  bool shared = false;
  const std::function<bool(const Json&)> look = [&](const Json& route) {
    any = true;
    shared = share_a_protocol(document, route);
    return !shared;
  };
  const Status looked = co_await each_route(schema::at_path(document, "service.id"), max_page, look);
  if (!looked) co_return unexpected(looked.error());
  if (any && !shared) co_return schema_violation({{"protocols", "must match the protocols of at least one route pointing to this Plugin's service"}});
  co_return std::nullopt;
}

// A service that speaks WebSocket would not know what to do with other requests, nor would others with a WebSocket.
Task<std::optional<http::Reply>> Protocols::check_route(const Json& document) {
  const Result<Json> service = co_await row("services", schema::at_path(document, "service.id"));
  if (!service) co_return unexpected(service.error());
  const bool fits = service->is_null() || is_for_websockets(document) == speaks_websocket(*service);
  if (!fits) co_return schema_violation({{"protocols", "must match the associated service's protocol"}});
  co_return std::nullopt;
}

Task<std::optional<http::Reply>> Protocols::check_service(const Json& document) {
  bool fits = true;
  const std::function<bool(const Json&)> look = [&](const Json& route) {
    fits = is_for_websockets(route) == speaks_websocket(document);
    return false;  // all of them are alike, since each was checked
  };
  const Status looked = co_await each_route(schema::at_path(document, "id"), 1, look);
  if (!looked) co_return unexpected(looked.error());
  if (!fits) co_return schema_violation({{"protocol", "must match the protocols of the service's routes"}});
  co_return std::nullopt;
}

}  // namespace gateway::admin
