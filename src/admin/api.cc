#include "admin/api.h"

#include <algorithm>

#include "base/clock.h"

namespace gateway::admin {
namespace {

using http::Reply;

const std::vector<std::string> read_only = {"GET"};
const std::vector<std::string> collection = {"GET", "POST"};
const std::vector<std::string> row = {"DELETE", "GET", "PATCH", "PUT"};

std::vector<std::string> segments_of(std::string_view path, bool decode) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view one = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    if (!one.empty()) segments.push_back(decode ? schema::percent_decoded(one) : std::string(one));
  }
  return segments;
}

bool is_parameter(const std::string& segment) { return segment.size() > 2 && segment.front() == '{' && segment.back() == '}'; }

Reply robots() {
  Reply reply;
  reply.content_type = "text/plain; charset=UTF-8";
  reply.body = "User-agent: *\nDisallow: /";
  return reply;
}

// Sorted, with the verbs every path has.
std::string verb_list(std::vector<std::string> verbs) {
  verbs.push_back("OPTIONS");
  if (std::find(verbs.begin(), verbs.end(), "GET") != verbs.end()) verbs.push_back("HEAD");
  std::sort(verbs.begin(), verbs.end());
  std::string out;
  for (const std::string& verb : verbs) out += (out.empty() ? "" : ", ") + verb;
  return out;
}

Reply options(const std::vector<std::string>& verbs, const http::RequestHead& head) {
  Reply reply = no_content();
  const std::string list = verb_list(verbs);
  const std::string_view wanted = head.headers.value("Access-Control-Request-Headers");
  reply.headers.emplace_back("Allow", list);
  reply.headers.emplace_back("Access-Control-Allow-Methods", list);
  reply.headers.emplace_back("Access-Control-Allow-Headers", wanted.empty() ? "Content-Type" : std::string(wanted));
  return reply;
}

// Any site may ask, unless it is known where the GUI is.
std::string allowed_origin(std::string_view asking, const std::vector<std::string>& gui) {
  if (gui.empty()) return asking.empty() ? "*" : std::string(asking);
  const auto known = std::find(gui.begin(), gui.end(), asking);
  return known == gui.end() ? gui.front() : *known;
}

Task<Reply> said(Reply reply) { co_return reply; }

}  // namespace

Api::Api(Context context, Interface which)
    : context_(std::move(context)), rows_(context_), targets_(context_, rows_), legacy_(context_, rows_), information_(context_, rows_), dns_(context_) {
  if (which == Interface::status) {
    add_status();
    return;
  }
  add_information();
  add_legacy();
  for (const auto& type : context_.catalog.types()) {
    if (type->name != "targets") add_entity(*type);
  }
  for (const auto& type : context_.catalog.types()) {
    if (type->name == "targets") continue;
    for (const entity::Foreign& foreign : type->foreign) add_nested(*type, foreign);
  }
  add_targets();
  add_absent();
}

void Api::add(std::string_view path, std::vector<std::string> verbs, Handler handler) {
  endpoints_.push_back({segments_of(path, false), std::move(verbs), std::move(handler)});
}

void Api::add_status() {
  add("/status", read_only, [this](Call& call) { return information_.status(call); });
  add("/status/ready", read_only, [this](Call& call) { return information_.ready(call); });
  add("/status/dns", read_only, [this](Call& call) { return dns_.statistics(call); });
}

void Api::add_information() {
  const auto tell = [this](Task<Reply> (Information::*what)(Call&)) { return [this, what](Call& call) { return (information_.*what)(call); }; };
  const auto refuse = [](const char* why) { return [why](Call&) { return said(message(400, why)); }; };
  add("/", read_only, tell(&Information::root));
  add("/status", read_only, tell(&Information::status));
  add("/status/dns", read_only, [this](Call& call) { return dns_.statistics(call); });
  add("/debug/node/dns", read_only, [this](Call& call) { return dns_.names(call); });
  add("/endpoints", read_only, [this](Call&) { return said(json_reply(200, {{"data", endpoint_paths()}})); });
  add("/timers", read_only, tell(&Information::timers));
  add("/plugins/enabled", read_only, tell(&Information::enabled_plugins));
  add("/plugins/schema/{name}", read_only, tell(&Information::plugin_config_schema));
  add("/schemas/plugins/validate", {"POST"}, tell(&Information::validate));
  add("/schemas/plugins/{name}", read_only, tell(&Information::plugin_schema));
  add("/schemas/{name}", read_only, tell(&Information::schema));
  add("/schemas/{db_entity_name}/validate", {"POST"}, tell(&Information::validate));
  add("/tags", read_only, tell(&Information::tags));
  add("/tags/{tags}", read_only, tell(&Information::tags));
  add("/cache", {"DELETE"}, tell(&Information::clear_cache));
  add("/cache/{key}", {"DELETE", "GET"}, [this](Call& call) { return call.method == "DELETE" ? information_.clear_cache(call) : information_.cached(call); });
  add("/debug/node/log-level", read_only, tell(&Information::log_level));
  add("/debug/node/log-level/{log_level}", {"GET", "PUT"}, tell(&Information::log_level));
  add("/config", collection, refuse("this endpoint is only available when Kong is configured to not use a database"));
  const char* only_control_plane = "this endpoint is only available when Kong is configured to run as Control Plane for the cluster";
  add("/clustering/data-planes", read_only, refuse(only_control_plane));
  add("/clustering/status", read_only, refuse(only_control_plane));
  add("/robots.txt", read_only, [](Call&) { return said(robots()); });
}

void Api::add_legacy() {
  add("/apis", {"GET", "POST", "PUT"}, [this](Call& call) {
    if (call.method == "GET") return legacy_.list(call);
    return call.method == "POST" ? legacy_.create(call) : legacy_.put(call);
  });
  add("/apis/{apis}", {"DELETE", "GET", "PATCH"}, [this](Call& call) { return legacy_.item(call); });
  add("/apis/{apis}/plugins", {"GET", "POST", "PUT"}, [this](Call& call) { return legacy_.plugins(call); });
  add("/apis/{apis}/plugins/{plugins}", {"DELETE", "GET", "PATCH"}, [this](Call& call) { return legacy_.plugin(call); });
}

void Api::add_entity(const entity::Type& type) {
  const std::string base = "/" + type.collection;
  add(base, collection,
      [this, &type, base](Call& call) { return call.method == "POST" ? rows_.create(type, call, std::nullopt) : rows_.list(type, call, std::nullopt, base); });
  add(base + "/{" + type.name + "}", row, [this, &type](Call& call) { return rows_.item(type, call.path[1], call, std::nullopt); });
}

void Api::add_nested(const entity::Type& child, const entity::Foreign& foreign) {
  const entity::Type& parent = *context_.catalog.find(foreign.reference);
  const std::string follow = "/" + child.collection + "/{" + child.name + "}/" + foreign.field;
  if (parent.named_by_entity == child.name) {
    add(follow, row, [](Call&) { return said(not_found()); });  // the name itself leads there: /certificates/{sni}
  } else {
    add(follow, row, [this, &child, &foreign](Call& call) { return rows_.followed(child, call.path[1], foreign, call); });
  }
  const std::string base = "/" + parent.collection + "/{" + parent.name + "}/" + child.nested;
  const auto handler = [this, &parent, &child, &foreign](Call& call) { return nested(parent, child, foreign, call); };
  add(base, collection, handler);
  add(base + "/{" + child.name + "}", row, handler);
}

// Targets are found below their upstream alone.
void Api::add_targets() {
  const auto tell = [this](Task<Reply> (Targets::*what)(Call&)) { return [this, what](Call& call) { return (targets_.*what)(call); }; };
  const std::string base = "/upstreams/{upstreams}";
  const std::string target = base + "/targets/{targets}";
  add(base + "/health", read_only, tell(&Targets::health));
  add(base + "/targets", collection, tell(&Targets::list));
  add(base + "/targets/all", read_only, tell(&Targets::all));
  add(target, row, tell(&Targets::item));
  for (const char* mark : {"/healthy", "/unhealthy"}) {
    // PUT as Kong 3 has it; its own Go client still sends POST.
    add(target + mark, {"POST", "PUT"}, tell(&Targets::mark));
    add(target + "/{address}" + mark, {"POST", "PUT"}, tell(&Targets::mark));
  }
  const auto absent = [](Call&) { return said(not_found()); };
  add("/targets", collection, absent);
  add("/targets/{targets}", row, absent);
  add("/targets/{targets}/upstream", row, absent);
}

// What clients read before anything else, giving up where it is not found (decK), although they may never use it.
void Api::add_absent() {
  const auto no_wasm = [](Call&) { return said(message(400, "this endpoint is only available when wasm is enabled")); };
  for (const std::string base : {"/filter-chains", "/routes/{routes}/filter-chains", "/services/{services}/filter-chains"}) {
    add(base, collection, no_wasm);
    add(base + "/{filter_chains}", row, no_wasm);
  }
  for (const char* parent : {"route", "service"}) add(std::string("/filter-chains/{filter_chains}/") + parent, row, no_wasm);
}

Task<Reply> Api::nested(const entity::Type& parent, const entity::Type& child, const entity::Foreign& foreign, Call& call) {
  Rows::Found found = co_await rows_.find(parent, call.path[1], std::nullopt);
  if (found.wrong) co_return std::move(*found.wrong);
  if (!found.row && !found.id) co_return Rows::missing(parent, found);
  if (!found.row) co_return not_found();
  const Parent of{foreign.field, *found.id};
  if (call.path.size() == 4) co_return co_await rows_.item(child, call.path[3], call, of);
  if (call.method == "POST") co_return co_await rows_.create(child, call, of);
  const std::string path = "/" + parent.collection + "/" + call.path[1] + "/" + child.nested;
  co_return co_await rows_.list(child, call, of, path);
}

// Of several that fit, the one with a word where the other takes anything.
const Api::Endpoint* Api::locate(const std::vector<std::string>& path) const {
  const Endpoint* best = nullptr;
  std::size_t best_words = 0;
  for (const Endpoint& endpoint : endpoints_) {
    if (endpoint.pattern.size() != path.size()) continue;
    std::size_t words = 0;
    bool fits = true;
    for (std::size_t i = 0; i < path.size() && fits; ++i) {
      if (is_parameter(endpoint.pattern[i])) continue;
      fits = endpoint.pattern[i] == path[i];
      ++words;
    }
    if (!fits || (best != nullptr && words <= best_words)) continue;
    best = &endpoint;
    best_words = words;
  }
  return best;
}

Json Api::endpoint_paths() const {
  std::vector<std::vector<std::string>> sorted;
  for (const Endpoint& endpoint : endpoints_) {
    if (endpoint.pattern != std::vector<std::string>{"robots.txt"}) sorted.push_back(endpoint.pattern);
  }
  std::sort(sorted.begin(), sorted.end());
  Json out = Json::array();
  for (const auto& pattern : sorted) {
    std::string path;
    for (const std::string& segment : pattern) path += "/" + segment;
    out.push_back(path.empty() ? "/" : path);
  }
  return out;
}

Task<Reply> Api::answer(const http::RequestHead& head, std::string_view body) {
  Call call;
  call.method = head.method == "HEAD" ? "GET" : std::string(head.method);
  call.raw_path = std::string(head.path);
  call.host = std::string(head.authority);
  call.path = segments_of(head.path, true);
  const Endpoint* endpoint = locate(call.path);
  if (endpoint == nullptr) co_return not_found();
  if (call.method == "OPTIONS") co_return options(endpoint->verbs, head);
  if (std::find(endpoint->verbs.begin(), endpoint->verbs.end(), call.method) == endpoint->verbs.end()) co_return method_not_allowed();
  std::optional<schema::Arguments> query = schema::decode_urlencoded(head.query);
  if (!query) co_return message(400, "Too many arguments");
  call.query = std::move(*query);
  std::optional<Unreadable> unreadable = read_body(head, body, call);
  if (unreadable) co_return std::move(unreadable->reply);
  co_return co_await endpoint->handler(call);
}

Task<Reply> Api::handle(const http::RequestHead& head, std::string_view body) {
  const Steady::time_point started = Steady::now();
  Reply reply = co_await answer(head, body);
  if (reply.content_type.starts_with("text/plain")) co_return reply;
  const Manner manner = context_.manner();
  const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - started);
  reply.headers.emplace_back("Access-Control-Allow-Origin", allowed_origin(head.headers.value("Origin"), manner.gui_origins));
  reply.headers.emplace_back("Access-Control-Allow-Credentials", "true");
  if (manner.server) reply.headers.emplace_back("Server", context_.product);
  if (manner.latency) reply.headers.emplace_back("X-Kong-Admin-Latency", std::to_string(elapsed.count()));
  co_return reply;
}

}  // namespace gateway::admin
