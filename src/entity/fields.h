#pragma once

#include "schema/record.h"

namespace gateway::entity {

using schema::Field;
using schema::Record;

// The kinds of field that entities and plugins share. Source: Kong 3.9 schema type definitions.

[[nodiscard]] Record::Named id_field();
[[nodiscard]] Record::Named created_at_field();  ///< seconds
[[nodiscard]] Record::Named updated_at_field();  ///< seconds
[[nodiscard]] Record::Named tags_field();

[[nodiscard]] Field name_text();  ///< unreserved ASCII or any other UTF-8
[[nodiscard]] Field host_text();  ///< a name or an address without a port
[[nodiscard]] Field port_number();
[[nodiscard]] Field path_text();       ///< absolute, in RFC 3986 characters
[[nodiscard]] Field timeout_number();  ///< milliseconds, from 1
[[nodiscard]] Field protocol_text();
[[nodiscard]] Field header_name_text();
[[nodiscard]] Field sni_text();           ///< a host's name: no address, no port
[[nodiscard]] Field wildcard_sni_text();  ///< the same, with one star in front or at the end
/// Protocols as plugins take them; `stream` for those that work on tcp and its like too.
[[nodiscard]] Record::Named plugin_protocols(bool stream = false);
/// For plugins that cannot be bound to a consumer.
[[nodiscard]] Record::Named no_consumer();

extern const std::vector<Json> all_protocols;
/// Of Kong's enterprise edition: taken, but not shown in /schemas, which clients compare with that of the open one.
extern const std::vector<Json> websocket_names;

/// nullopt, or what is wrong with the percent escapes of a path.
[[nodiscard]] std::optional<std::string> escape_complaint(std::string_view path);

}  // namespace gateway::entity
