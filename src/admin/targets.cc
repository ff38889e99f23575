#include "admin/targets.h"

#include <algorithm>
#include <charconv>

#include "admin/paging.h"
#include "entity/row.h"
#include "upstream/balancing/health_book.h"

namespace gateway::admin {
namespace {

using http::Reply;
using upstream::TargetHealth;
using upstream::UpstreamHealth;
using upstream::Weights;

constexpr std::size_t default_page = 100;
constexpr std::size_t max_page = 1000;

std::optional<std::size_t> whole_number(const std::string& text) {
  std::size_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

bool is_newer(const Json& a, const Json& b) {
  const double made_a = a.value("created_at", 0.0);
  const double made_b = b.value("created_at", 0.0);
  return made_a != made_b ? made_a > made_b : a.value("id", "") > b.value("id", "");
}

Json weights_json(const Weights& weights) {
  return {{"total", weights.total}, {"available", weights.available}, {"unavailable", weights.total - weights.available}};
}

// `checked` is empty where each address tells of itself whether it is healthy.
Json target_json(const TargetHealth& target, std::optional<bool> checked) {
  Json addresses = Json::array();
  for (const upstream::AddressHealth& each : target.addresses) {
    Json address = {{"ip", each.ip}, {"port", each.port}, {"weight", each.weight}};
    if (!checked) {
      address["healthy"] = each.healthy;
    } else {
      address["health"] = !*checked ? "HEALTHCHECKS_OFF" : each.healthy ? "HEALTHY" : "UNHEALTHY";
    }
    addresses.push_back(std::move(address));
  }
  return {{"host", target.host},
          {"port", target.port},
          {"dns", target.dns},
          {"nodeWeight", target.target_weight},
          {"weight", weights_json(target.weights)},
          {"addresses", std::move(addresses)}};
}

const char* health_of(const TargetHealth* target, bool checked) {
  if (target == nullptr || target->addresses.empty()) return "DNS_ERROR";
  if (!checked || target->target_weight == 0) return "HEALTHCHECKS_OFF";
  const bool any = std::any_of(target->addresses.begin(), target->addresses.end(), [](const auto& each) { return each.healthy; });
  return any ? "HEALTHY" : "UNHEALTHY";
}

}  // namespace

Task<Targets::Parentage> Targets::parent(const Call& call) {
  Parentage out;
  const entity::Type& upstreams = *context_.catalog.find("upstreams");
  Rows::Found found = co_await rows_.find(upstreams, call.path[1], std::nullopt);
  if (found.wrong) {
    out.wrong = std::move(found.wrong);
  } else if (!found.row) {
    out.wrong = not_found();
  } else {
    out.id = *found.id;
    out.upstream = std::move(found.row);
  }
  co_return out;
}

Task<Result<std::vector<Json>>> Targets::newest_first(Uuid upstream) {
  const entity::Type& type = *context_.catalog.find("targets");
  store::PageRequest request;
  request.size = max_page;
  request.parent_field = "upstream";
  request.parent = upstream;
  std::vector<Json> rows;
  for (bool more = true; more;) {
    auto work = [this, &type, &request] { return context_.store.page(type, request); };
    Result<store::Page> page = co_await context_.pool.run(work);
    if (!page) co_return page.error();
    std::move(page->rows.begin(), page->rows.end(), std::back_inserter(rows));
    request.after = page->next;
    more = page->next.has_value();
  }
  std::sort(rows.begin(), rows.end(), is_newer);
  co_return rows;
}

Task<Targets::Slice> Targets::slice(const Call& call, Uuid upstream, std::string path) {
  Slice out;
  std::size_t size = default_page;
  std::size_t offset = 0;
  if (const std::optional<std::string> given = call.argument("size")) {
    const std::optional<std::size_t> number = whole_number(*given);
    if (!number || *number < 1 || *number > max_page) {
      out.wrong = invalid_size(number ? "size must be an integer between 1 and 1000" : "size must be a number");
      co_return out;
    }
    size = *number;
  }
  if (const std::optional<std::string> given = call.argument("offset")) {
    const std::optional<std::size_t> number = whole_number(*given);
    if (!number) {
      out.wrong = invalid_offset(*given, "bad base64 encoding");
      co_return out;
    }
    offset = *number;
  }
  const Result<std::vector<Json>> rows = co_await newest_first(upstream);
  if (!rows) {
    out.wrong = unexpected(rows.error());
    co_return out;
  }
  const entity::Type& type = *context_.catalog.find("targets");
  out.body = {{"data", Json::array()}, {"next", nullptr}};
  const std::size_t begin = std::min(offset, rows->size());
  const std::size_t end = std::min(rows->size(), begin + size);
  for (std::size_t i = begin; i < end; ++i) out.body["data"].push_back(entity::shown(type, (*rows)[i]));
  if (end < rows->size()) {
    out.body["offset"] = std::to_string(end);
    out.body["next"] = path + "?offset=" + std::to_string(end);
  }
  co_return out;
}

Task<Reply> Targets::list(Call& call) {
  Parentage upstream = co_await parent(call);
  if (upstream.wrong) co_return std::move(*upstream.wrong);
  if (call.method == "POST") {
    const Parent of{"upstream", upstream.id};
    co_return co_await rows_.create(*context_.catalog.find("targets"), call, of);
  }
  const std::string path = "/upstreams/" + call.path[1] + "/targets";
  Slice page = co_await slice(call, upstream.id, path);
  if (page.wrong) co_return std::move(*page.wrong);
  co_return json_reply(200, page.body);
}

Task<Reply> Targets::all(Call& call) {
  Parentage upstream = co_await parent(call);
  if (upstream.wrong) co_return std::move(*upstream.wrong);
  const std::string path = "/upstreams/" + call.path[1] + "/targets/all";
  const Parent of{"upstream", upstream.id};
  co_return co_await rows_.list(*context_.catalog.find("targets"), call, of, path);
}

Task<Reply> Targets::item(Call& call) {
  Parentage upstream = co_await parent(call);
  if (upstream.wrong) co_return std::move(*upstream.wrong);
  if (call.method == "PUT") call.method = "PATCH";
  std::string key = call.path[3];
  if (!Uuid::parse(key)) key = entity::normalised_target(key).value_or(key);
  const entity::Type& type = *context_.catalog.find("targets");
  const Parent of{"upstream", upstream.id};
  co_return co_await rows_.item(type, key, call, of);
}

Task<Reply> Targets::mark(Call& call) {
  Parentage upstream = co_await parent(call);
  if (upstream.wrong) co_return std::move(*upstream.wrong);
  std::string key = call.path[3];
  if (!Uuid::parse(key)) key = entity::normalised_target(key).value_or(key);
  const Parent of{"upstream", upstream.id};
  Rows::Found found = co_await rows_.find(*context_.catalog.find("targets"), key, of);
  if (found.wrong) co_return std::move(*found.wrong);
  if (!found.row) co_return not_found();
  const std::string address = call.path.size() == 6 ? entity::normalised_target(call.path[4]).value_or(call.path[4]) : "";
  const std::string complaint = context_.health.mark(entity::Target::from_json(*found.row), address, call.path.back() == "healthy");
  co_return complaint.empty() ? no_content() : message(400, complaint);
}

Task<Reply> Targets::health(Call& call) {
  Parentage upstream = co_await parent(call);
  if (upstream.wrong) co_return std::move(*upstream.wrong);
  const UpstreamHealth health = context_.health.health(upstream.id).value_or(UpstreamHealth{});
  const std::optional<std::string> whole = call.argument("balancer_health");
  if (whole && (*whole == "1" || *whole == "true")) {
    Json hosts = Json::array();
    for (const TargetHealth& target : health.targets) hosts.push_back(target_json(target, std::nullopt));
    const char* state = health.healthy ? "HEALTHY" : "UNHEALTHY";
    Json data = {{"id", upstream.id.to_string()},
                 {"health", health.checked ? state : "HEALTHCHECKS_OFF"},
                 {"balancer_health", state},
                 {"details", {{"healthy", health.healthy}, {"weight", weights_json(health.weights)}, {"hosts", std::move(hosts)}}}};
    co_return json_reply(200, {{"data", std::move(data)}, {"next", nullptr}, {"node_id", context_.node.id}});
  }
  const std::string path = "/upstreams/" + call.path[1] + "/health";
  Slice page = co_await slice(call, upstream.id, path);
  if (page.wrong) co_return std::move(*page.wrong);
  for (Json& row : page.body["data"]) {
    const entity::Target target = entity::Target::from_json(row);
    const auto found = std::find_if(health.targets.begin(), health.targets.end(),
                                    [&](const TargetHealth& each) { return each.host == target.name && each.port == target.port; });
    const TargetHealth* known = found == health.targets.end() ? nullptr : &*found;
    row["health"] = health_of(known, health.checked);
    if (known != nullptr) row["data"] = target_json(*known, health.checked && target.weight != 0);
  }
  page.body["node_id"] = context_.node.id;
  co_return json_reply(200, page.body);
}

}  // namespace gateway::admin
