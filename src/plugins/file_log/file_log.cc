#include "plugins/file_log/file_log.h"

#include "base/log.h"
#include "entity/fields.h"
#include "plugin/log_record.h"
#include "plugin/services.h"
#include "schema/record.h"

namespace gateway::plugins::file_log {
namespace {

class FileLog final : public plugin::Plugin {
 public:
  FileLog(std::string path, bool reopen, plugin::FileAppender& files) : path_(std::move(path)), reopen_(reopen), files_(files) {}

  void log(const plugin::Record& record) const noexcept override { append(plugin::log_record(record)); }
  void log_stream(const plugin::StreamRecord& record) const noexcept override { append(plugin::log_record(record)); }

 private:
  void append(const nlohmann::json& record) const {
    std::string line = write_json(record);
    line += '\n';
    files_.append(path_, std::move(line), reopen_);
  }

  std::string path_;
  bool reopen_;
  plugin::FileAppender& files_;
};

// Accepting it would lose the fields in silence, record by record.
std::optional<nlohmann::json> no_lua(const nlohmann::json& fields) {
  if (fields.empty()) return std::nullopt;
  return "this build runs no Lua code, so that it cannot make these fields";
}

bool is_file_name(std::string_view text) { return !text.empty() && text.find_first_of("*&%`") == std::string_view::npos; }

}  // namespace

plugin::PluginType type() {
  using schema::Record;
  plugin::PluginType type;
  type.name = "file-log";
  type.priority = 9;
  type.phases = plugin::Phase::log;
  type.schema = std::make_shared<const Record>(std::vector<Record::Named>{
      entity::plugin_protocols(true),
      {"config",
       schema::record_of(
           Record({
               {"path", schema::string().required().match({"^[^*&%%\\`]+$", is_file_name, "not a valid filename"}).describe("The file.")},
               {"reopen", schema::boolean().required().default_value(false).describe("Whether it is opened anew for every request.")},
               {"custom_fields_by_lua",
                schema::map_of(schema::string().min_length(1), schema::string().min_length(1)).rule(no_lua).describe("Fields of the record made by Lua code.")},
           }))
           .required()},
  });
  type.make = [](const entity::PluginConfig& row, const plugin::Services& services) -> Result<std::unique_ptr<plugin::Plugin>> {
    const auto custom = row.config.find("custom_fields_by_lua");
    if (custom != row.config.end() && !custom->is_null() && !custom->empty()) {
      log::error("file-log row {}: this build runs no Lua, fields of custom_fields_by_lua are left out of the records", row.id.to_string());
    }
    return std::unique_ptr<plugin::Plugin>(std::make_unique<FileLog>(row.config.value("path", ""), row.config.value("reopen", false), services.files));
  };
  return type;
}

}  // namespace gateway::plugins::file_log
