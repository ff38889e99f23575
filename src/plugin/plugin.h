#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "entity/plugin_config.h"
#include "entity/type.h"
#include "plugin/exchange.h"
#include "plugin/flow.h"
#include "plugin/stream_session.h"

namespace gateway::schema {
class Record;
}

namespace gateway::plugin {

struct Services;

/// Bits of PluginType::phases: phases not named are never called, and cost nothing.
enum class Phase : unsigned {
  rewrite = 1,
  access = 2,
  response = 4,
  header_filter = 8,
  body_filter = 16,
  log = 32,  ///< of requests and of streams
  preread = 64,
};
[[nodiscard]] constexpr Phase operator|(Phase a, Phase b) noexcept { return static_cast<Phase>(static_cast<unsigned>(a) | static_cast<unsigned>(b)); }
[[nodiscard]] constexpr bool has(Phase set, Phase phase) noexcept { return (static_cast<unsigned>(set) & static_cast<unsigned>(phase)) != 0; }

/// The whole upstream answer, for plugins with a `response` phase.
struct BufferedResponse {
  http::ResponseHead& head;
  std::string& body;
};

/// A plugin configured once, then shared by every request and every worker of one snapshot. Phases are
/// const: what changes between requests belongs to a service handed to the constructor. A phase does
/// nothing unless overridden; to end the request is to return a reply.
class Plugin {
 public:
  virtual ~Plugin() = default;

  /// Before routing; global configurations only.
  virtual Step rewrite(Exchange&) const { return Flow::next(); }
  /// After routing, before a peer is chosen.
  virtual Step access(Exchange&) const { return Flow::next(); }
  /// With the whole upstream answer in memory, before header_filter. Turns buffering on.
  virtual Step response(Exchange&, BufferedResponse&) const { return Flow::next(); }
  /// Once, when the response head is known and before any of its body is sent. Also for our own answers.
  virtual void header_filter(Exchange&, unsigned& status, http::Headers&) const { (void)status; }
  /// Each piece of the body in order, `last` with the final (maybe empty) one. May change it.
  virtual void body_filter(Exchange&, std::string& piece, bool last) const { (void)piece, (void)last; }
  /// After the last byte, whatever happened. Must not fail or wait: nobody is left to tell.
  virtual void log(const Record&) const noexcept {}

  /// The host it may send requests to (Exchange::set_upstream) instead of to their service; empty: none.
  [[nodiscard]] virtual std::string_view detours_to() const noexcept { return {}; }

  // The same for streams, where the row's protocols name one of theirs.
  /// After routing and TLS, before a peer is chosen; of UDP with the first datagram. A refusal ends the stream.
  virtual std::optional<Refusal> preread(const StreamSession&) const { return std::nullopt; }
  /// At the end, whatever happened. Must not fail or wait.
  virtual void log_stream(const StreamRecord&) const noexcept {}
};

/// A kind of plugin: what its configuration looks like and how to make one.
struct PluginType {
  std::string name;
  int priority = 0;  ///< higher runs first; ties: names descending
  Phase phases = Phase::access;
  std::shared_ptr<const schema::Record> schema;               ///< fields `consumer` (when restricted), `protocols`, `config`
  std::vector<std::shared_ptr<const entity::Type>> entities;  ///< credentials and the like that it brings
  bool per_consumer = true;                                   ///< false: configurations bound to a consumer are refused
  /// From a configuration row whose document is valid. Errors: something outside the schema is wrong
  /// (a regular expression that does not compile); the row is then left out and the error logged.
  std::function<Result<std::unique_ptr<Plugin>>(const entity::PluginConfig&, const Services&)> make;
};

}  // namespace gateway::plugin
