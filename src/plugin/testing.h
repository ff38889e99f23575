#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include "base/json.h"

#include "base/blocking_pool.h"
#include "plugin/local_counters.h"
#include "plugin/plugin.h"
#include "plugin/services.h"
#include "schema/record.h"

/// For tests of plugins: services in memory, and a request made by hand.
namespace gateway::plugin::testing {

using nlohmann::json;

/// Population rows in memory. Nothing is on the worker until it was loaded once, as in a real cache.
class FakePopulation final : public Population {
 public:
  std::map<std::string, std::vector<json>> rows;  ///< by entity
  bool broken = false;
  bool complete = true;  ///< all entities are known; false: none
  int loads = 0;

  PopulationIndex& index(std::string_view entity, std::string_view field, Parse parse) override {
    auto& slot = indexes_[std::string(entity) + "." + std::string(field)];
    if (!slot) slot = std::make_unique<Index>(*this, std::string(entity), std::string(field), parse);
    return *slot;
  }
  [[nodiscard]] bool knows(std::string_view) const override { return complete; }
  /// As when rows change: what is cached goes.
  void forget() {
    for (auto& [name, index] : indexes_) index->known.clear();
  }

 private:
  struct Index final : PopulationIndex {
    Index(FakePopulation& of, std::string entity, std::string field, Parse parse)
        : owner(of), entity(std::move(entity)), field(std::move(field)), parse(parse) {}

    const Value* peek(std::string_view value, const Digest&) override {
      const auto found = known.find(value);
      return found == known.end() ? nullptr : &found->second;
    }
    Task<Result<Value>> load(std::string value) override {
      ++owner.loads;
      if (owner.broken) co_return Error{boost::system::errc::make_error_code(boost::system::errc::io_error), Origin::gateway, "reading rows"};
      std::vector<json> found;
      for (const json& row : owner.rows[entity]) {
        const json& given = row.at(field);
        if ((given.is_object() ? given.at("id") : given) == value) found.push_back(row);
      }
      Value parsed = found.empty() ? nullptr : parse(found);
      known[value] = parsed;
      co_return parsed;
    }

    FakePopulation& owner;
    std::string entity;
    std::string field;
    Parse parse;
    std::map<std::string, Value, std::less<>> known;
  };
  std::map<std::string, std::unique_ptr<Index>> indexes_;
};

class FakeClusterCounters final : public ClusterCounters {
 public:
  std::map<std::string, std::int64_t> values;
  std::int64_t stolen = 0;  ///< what another node counts between a read and the next addition
  bool broken = false;

  Task<Result<std::int64_t>> read(std::string key) override {
    if (broken) co_return Error{boost::system::errc::make_error_code(boost::system::errc::io_error), Origin::gateway, "reading a counter"};
    co_return values[key];
  }
  Task<Result<std::int64_t>> add(std::string key, std::int64_t by, std::chrono::seconds) override {
    if (broken) co_return Error{boost::system::errc::make_error_code(boost::system::errc::io_error), Origin::gateway, "writing a counter"};
    co_return values[key] += by + std::exchange(stolen, 0);
  }
};

class FakeFiles final : public FileAppender {
 public:
  struct Line {
    std::string path;
    std::string text;
    bool reopen = false;
  };
  std::vector<Line> lines;
  void append(const std::string& path, std::string line, bool reopen) override { lines.push_back({path, std::move(line), reopen}); }
};

class FakeBody final : public BodyReader {
 public:
  explicit FakeBody(std::string of) : text(std::move(of)) {}
  std::string text;
  int reads = 0;
  bool too_large = false;

  Task<Result<std::string_view>> read_all(std::size_t) override {
    ++reads;
    if (too_large) co_return Error{boost::system::errc::make_error_code(boost::system::errc::message_size), Origin::client, "reading a body"};
    co_return std::string_view(text);
  }
  void replace(std::string body) override { text = std::move(body); }
};

template <class T>
detail::Detached drive(Task<T>& task, std::optional<T>& out) {
  out.emplace(co_await task);
}

/// The result of a task that waits for nothing but fakes.
template <class T>
T run(Task<T> task) {
  std::optional<T> out;
  drive(task, out);
  return std::move(*out);
}

inline Flow run(Step step) { return step.waits() ? run(step.task()) : step.take(); }

/// A document with what the store fills in: defaults, and null for what is not given.
inline json with_defaults(const schema::Record& record, json document) {
  for (const auto& [name, field] : record.fields()) {
    json& slot = document[name];
    if (slot.is_null() && field.default_json()) slot = *field.default_json();
    if (field.record() != nullptr && (slot.is_object() || (slot.is_null() && field.is_required())))
      slot = with_defaults(*field.record(), slot.is_null() ? json::object() : slot);
  }
  return document;
}

/// What validation says of a plugin's configuration; null: nothing.
inline json complaints(const PluginType& type, json config) { return type.schema->complaints(with_defaults(*type.schema, {{"config", std::move(config)}})); }

/// One request and all it meets.
class Bench {
 public:
  http::Arena arena;
  Connection connection;
  http::RequestHead head{arena};
  FakePopulation population;
  ShardedCounters local_counters;
  FakeClusterCounters cluster_counters;
  FakeFiles files;
  BlockingPool pool{1};
  Node node{"00000000-0000-0000-0000-0000000000aa", "host", "3.9"};
  System::time_point now = System::now();
  Services services{population, local_counters, cluster_counters, files, pool, node, [this] { return now; }};
  std::unique_ptr<Exchange> exchange;

  Bench() {
    connection.client_ip = "10.1.2.3";
    connection.server_ip = "10.0.0.1";
    connection.server_port = 8000;
    request("GET", "/");
  }

  /// Begins a new request on the same connection.
  Exchange& request(std::string_view method, std::string_view target) {
    head.headers.clear();
    head.method = method;
    head.target = head.headers.keep(target);
    const std::size_t mark = head.target.find('?');
    head.path = head.target.substr(0, mark);
    head.has_query = mark != std::string_view::npos;
    head.query = head.has_query ? head.target.substr(mark + 1) : std::string_view();
    head.authority = "gate.test";
    exchange = std::make_unique<Exchange>(head, arena, connection);
    exchange->upstream_query = head.query;
    return *exchange;
  }

  std::string header(std::string_view name) const { return std::string(head.headers.value(name)); }
  std::string told(std::string_view name) const { return std::string(exchange->response_headers.value(name)); }

  /// A plugin from a configuration, which has to be valid.
  std::unique_ptr<Plugin> make(const PluginType& type, json config, std::optional<Uuid> route = {}, std::optional<Uuid> service = {}) {
    json document = with_defaults(*type.schema, {{"config", std::move(config)}});
    EXPECT_EQ(type.schema->complaints(document), json());
    entity::PluginConfig row;
    row.name = type.name;
    row.route = route;
    row.service = service;
    row.config = document["config"];
    Result<std::unique_ptr<Plugin>> made = type.make(row, services);
    return made ? std::move(*made) : nullptr;
  }

  Flow access(const Plugin& plugin) { return run(plugin.access(*exchange)); }

  void add_consumer(const std::string& id, const std::string& username, const std::string& custom_id = {}) {
    population.rows["consumers"].push_back({{"id", id}, {"username", username}, {"custom_id", custom_id.empty() ? json() : json(custom_id)}});
  }
};

}  // namespace gateway::plugin::testing
