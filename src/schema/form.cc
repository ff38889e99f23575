#include "schema/form.h"

#include <algorithm>
#include <charconv>

namespace gateway::schema {
namespace {

// Deeper keys name nothing that could exist, and must not cost a stack.
constexpr std::size_t max_depth = 16;

struct Step {
  enum class Kind { member, index, append } kind;
  std::string name;
  std::size_t index = 0;

  auto operator<=>(const Step&) const = default;
};

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Step bracketed(std::string_view inside) {
  if (inside.empty()) return {Step::Kind::append, {}, 0};
  std::size_t index = 0;
  const auto parsed = std::from_chars(inside.data(), inside.data() + inside.size(), index);
  if (parsed.ec == std::errc() && parsed.ptr == inside.data() + inside.size()) return {Step::Kind::index, {}, index};
  return {Step::Kind::member, std::string(inside), 0};
}

// "a.b[1]" is a, b, [1]. A key that begins or ends with a dot, or has an open bracket, is one name.
std::vector<Step> steps_of(std::string_view key) {
  const std::vector<Step> whole = {{Step::Kind::member, std::string(key), 0}};
  if (key.empty() || key.front() == '.' || key.back() == '.' || key.front() == '[') return whole;
  std::vector<Step> steps;
  while (!key.empty()) {
    if (key.front() == '[') {
      const std::size_t end = key.find(']');
      if (end == std::string_view::npos) return whole;
      steps.push_back(bracketed(key.substr(1, end - 1)));
      key.remove_prefix(end + 1);
      if (!key.empty() && key.front() == '.') key.remove_prefix(1);
    } else {
      const std::size_t end = key.find_first_of(".[");
      steps.push_back({Step::Kind::member, std::string(key.substr(0, end)), 0});
      key.remove_prefix(std::min(end, key.size()));
      if (!key.empty() && key.front() == '.') key.remove_prefix(1);
    }
    if (steps.size() > max_depth) return whole;
  }
  return steps;
}

void place(Json& at, const std::vector<Step>& steps, std::size_t depth, Json value) {
  if (depth == steps.size()) {
    if (at.is_null()) {
      at = std::move(value);
    } else if (at.is_array()) {
      at.push_back(std::move(value));
    } else {
      at = Json::array({std::move(at), std::move(value)});
    }
    return;
  }
  const Step& step = steps[depth];
  if (step.kind == Step::Kind::member) {
    if (!at.is_object()) at = Json::object();
    return place(at[step.name], steps, depth + 1, std::move(value));
  }
  if (!at.is_array()) at = Json::array();
  // An index is a place in line, not a size: a gap is closed. Arguments come in the order of their indices.
  const bool existing = step.kind == Step::Kind::index && step.index >= 1 && step.index <= at.size();
  if (!existing) at.push_back(nullptr);
  Json& slot = existing ? at[step.index - 1] : at.back();
  if (existing && depth + 1 == steps.size()) {
    slot = std::move(value);
  } else {
    place(slot, steps, depth + 1, std::move(value));
  }
}

}  // namespace

std::string percent_decoded(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const int high = c == '%' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high << 4 | low);
      i += 2;
    } else {
      out += c == '+' && plus_is_space ? ' ' : c;
    }
  }
  return out;
}

std::optional<Arguments> decode_urlencoded(std::string_view text) {
  Arguments arguments;
  while (!text.empty()) {
    const std::size_t end = text.find('&');
    const std::string_view one = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (one.empty()) continue;
    if (arguments.size() == max_arguments) return std::nullopt;
    const std::size_t equals = one.find('=');
    arguments.emplace_back(percent_decoded(one.substr(0, equals), true),
                           equals == std::string_view::npos ? std::string() : percent_decoded(one.substr(equals + 1), true));
  }
  return arguments;
}

Json document_of(std::vector<std::pair<std::string, Json>> arguments) {
  std::vector<std::pair<std::vector<Step>, Json>> placed;
  placed.reserve(arguments.size());
  for (auto& [key, value] : arguments) placed.emplace_back(steps_of(key), std::move(value));
  std::stable_sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  Json document = Json::object();
  for (auto& [steps, value] : placed) {
    if (!steps.empty()) place(document, steps, 0, std::move(value));
  }
  return document;
}

Json document_of(const Arguments& arguments) {
  std::vector<std::pair<std::string, Json>> values;
  values.reserve(arguments.size());
  for (const auto& [key, value] : arguments) values.emplace_back(key, value);
  return document_of(std::move(values));
}

}  // namespace gateway::schema
