#include "admin/dns_view.h"

#include <map>

#include "admin/answers.h"
#include "http/headers.h"

namespace gateway::admin {

using http::Reply;

Task<Reply> DnsView::statistics(Call&) {
  if (!context_.new_dns_client()) co_return message(501, "not implemented with the legacy DNS client");
  const std::vector<std::vector<DnsName>> workers = co_await context_.dns();
  // All workers together: which of them answers a request is nothing a client could choose.
  Json stats = Json::object();
  const auto add = [](Json& to, const char* what, std::uint64_t count) {
    if (count != 0) to[what] = to.value(what, std::uint64_t{0}) + count;
  };
  for (const std::vector<DnsName>& names : workers) {
    for (const DnsName& each : names) {
      if (each.runs == 0) continue;
      Json& of_name = stats[each.type.empty() ? each.name : each.name + "|" + each.type];
      if (of_name.is_null()) of_name = Json::object();
      add(of_name, "runs", each.runs);
      add(of_name, "cache_hit", each.hits);
      add(of_name, "stale", each.stale_hits);
      add(of_name, "query", each.queries);
      add(of_name, "query_succ", each.queries - each.failures);
      add(of_name, "query_fail", each.failures);
    }
  }
  co_return json_reply(200, {{"worker", {{"id", 0}, {"count", workers.size()}}}, {"stats", std::move(stats)}});
}

Task<Reply> DnsView::names(Call& call) {
  const std::optional<std::string> wanted = call.argument("name");
  const std::vector<std::vector<DnsName>> workers = co_await context_.dns();
  Json data = Json::array();
  for (std::size_t worker = 0; worker < workers.size(); ++worker) {
    for (const DnsName& each : workers[worker]) {
      if (wanted && !http::equals_ignoring_case(each.name, *wanted)) continue;
      Json line = {{"worker", worker},
                   {"name", each.name},
                   {"type", each.type.empty() ? Json(nullptr) : Json(each.type)},
                   {"addresses", each.addresses},
                   {"ttl", static_cast<double>(each.ttl_left.count()) / 1000},
                   {"stale", each.stale},
                   {"hosts_file", each.hosts_file}};
      if (!each.error.empty()) line["error"] = each.error;
      data.push_back(std::move(line));
    }
  }
  co_return json_reply(200, {{"data", std::move(data)}, {"next", nullptr}});
}

}  // namespace gateway::admin
