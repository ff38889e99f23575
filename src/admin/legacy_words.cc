#include "admin/legacy_words.h"

#include <algorithm>

#include "schema/record.h"

namespace gateway::admin {
namespace {

// The first element that is wrong stands for a list; the others are null.
const Json& first_of(const Json& complaint) {
  if (!complaint.is_array()) return complaint;
  const auto found = std::find_if(complaint.begin(), complaint.end(), [](const Json& each) { return !each.is_null(); });
  return found == complaint.end() ? complaint : first_of(*found);
}

// What every kind of field can have wrong, as that generation said it.
Json in_words_of(const std::string& field, const Json& complaint) {
  if (!complaint.is_string()) return complaint;
  const std::string& text = complaint.get_ref<const std::string&>();
  if (text == "required field missing") return field + " is required";
  if (text == "unknown field") return field + " is an unknown field";
  if (text == "immutable field cannot be updated") return field + " cannot be updated";
  if (text == "expected a set" || text == "expected an array") return field + " is not an array";
  if (text == "expected a record" || text == "expected a map") return field + " is not a table";
  if (text == "expected a number" || text == "expected an integer") return field + " is not a number";
  if (text == "expected a string" || text == "expected a boolean") return field + " is not" + text.substr(std::string_view("expected").size());
  return complaint;
}

void flatten(const Json& tree, const std::string& prefix, Json& out) {
  for (const auto& [name, value] : tree.items()) {
    const Json& complaint = first_of(value);
    if (complaint.is_object()) {
      flatten(complaint, prefix + name + ".", out);
    } else {
      out[name == "@entity" ? "message" : prefix + name] = in_words_of(name, complaint);
    }
  }
}

// `{"consumer": {"id": "<v>"}}` of a row that is not there.
Json does_not_exist(const Json& fields) {
  Json out = Json::object();
  for (const auto& [name, key] : fields.items()) {
    if (const Json& id = schema::at_path(key, "id"); id.is_string()) out[name + "_id"] = "does not exist with value '" + id.get<std::string>() + "'";
  }
  return out;
}

}  // namespace

Json flat_complaints(const Json& tree) {
  Json out = Json::object();
  flatten(tree, "", out);
  return out;
}

Json already_exists(const Json& fields) {
  Json out = Json::object();
  for (const auto& [name, value] : fields.items()) {
    if (value.is_string()) out[name] = "already exists with value '" + value.get<std::string>() + "'";
  }
  return out;
}

http::Reply in_old_words(http::Reply reply) {
  if (reply.status < 400 || reply.status >= 500) return reply;
  const Json body = parse_json(reply.body);
  if (!body.is_object() || !body.contains("code")) return reply;
  const Json fields = body.value("fields", Json::object());
  switch (body.value("code", 0)) {
    case 3:
    case 5: return json_reply(409, already_exists(fields));
    case 4: {
      const Json missing = does_not_exist(fields);
      return missing.empty() ? message(reply.status, body.value("message", "")) : json_reply(404, missing);
    }
    case 6: return not_found();
    default: return fields.empty() ? message(reply.status, body.value("message", "")) : json_reply(reply.status, flat_complaints(fields));
  }
}

}  // namespace gateway::admin
