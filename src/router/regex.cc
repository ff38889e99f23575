#include "router/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

namespace gateway::router {
namespace {

PCRE2_SPTR units(std::string_view text) noexcept {
  // PCRE2 refuses a null subject before 10.40.
  return reinterpret_cast<PCRE2_SPTR>(text.data() != nullptr ? text.data() : "");
}

// What a match needs to write to: one per thread, kept for good.
struct Workspace {
  Workspace()
      : data(pcre2_match_data_create(Captures::limit, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(32 * 1024, 512 * 1024, nullptr)) {
    if (context != nullptr && stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }

  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
};

bool alphanumeric(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// True unless the pattern surely has no alternative outside all groups ("/a|/b"). Reads only what it must and
// gives up, answering true, at constructs that change how the rest is read.
bool may_branch(std::string_view pattern) {
  if (pattern.find('|') == std::string_view::npos) return false;
  std::size_t depth = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    switch (pattern[i]) {
      case '\\':
        if (++i < pattern.size() && (pattern[i] == 'Q' || pattern[i] == 'E')) return true;
        break;
      case '[':
        ++i;
        if (i < pattern.size() && pattern[i] == '^') ++i;
        if (i < pattern.size() && pattern[i] == ']') ++i;
        for (; i < pattern.size() && pattern[i] != ']'; ++i) {
          if (pattern[i] == '[') return true;  // a POSIX class, or unusual
          if (pattern[i] == '\\' && ++i < pattern.size() && (pattern[i] == 'Q' || pattern[i] == 'E')) return true;
        }
        break;
      case '(':
        ++depth;
        if (i + 1 < pattern.size() && pattern[i + 1] == '*') return true;
        if (i + 2 < pattern.size() && pattern[i + 1] == '?') {
          const char kind = pattern[i + 2];
          const bool plain = kind == ':' || kind == '<' || kind == '=' || kind == '!' || (kind == 'P' && i + 3 < pattern.size() && pattern[i + 3] == '<');
          if (!plain) return true;
        }
        break;
      case ')':
        if (depth == 0) return true;
        --depth;
        break;
      case '|':
        if (depth == 0) return true;
        break;
      default: break;
    }
  }
  return false;
}

}  // namespace

void Regex::Free::operator()(pcre2_real_code_8* code) const noexcept { pcre2_code_free(code); }

Result<Regex> Regex::compile(std::string_view pattern, Anchor anchor, std::uint32_t match_limit) {
  int problem = 0;
  PCRE2_SIZE offset = 0;
  // "$" means the very end, also where a decoded line break comes last.
  const std::uint32_t options = PCRE2_DOLLAR_ENDONLY | (anchor == Anchor::start ? PCRE2_ANCHORED : 0U);
  pcre2_code* code = pcre2_compile(units(pattern), pattern.size(), options, &problem, &offset, nullptr);
  if (code == nullptr) {
    PCRE2_UCHAR message[160] = {};
    pcre2_get_error_message(problem, message, sizeof message);
    return Error{
        boost::system::errc::make_error_code(boost::system::errc::invalid_argument), Origin::gateway,
        "compiling regular expression '" + std::string(pattern) + "' (at " + std::to_string(offset) + ": " + reinterpret_cast<const char*>(message) + ")"};
  }
  // Without the JIT (not built in, or a pattern it does not support) the interpreter does the same, slower.
  (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return Regex(code, match_limit);
}

bool Regex::match(std::string_view subject, Captures* captures) const noexcept {
  thread_local Workspace workspace;
  if (workspace.data == nullptr || workspace.context == nullptr) return false;
  pcre2_set_match_limit(workspace.context, match_limit_);
  const int groups = pcre2_match(code_.get(), units(subject), subject.size(), 0, 0, workspace.data, workspace.context);
  if (groups < 0) return false;
  if (captures != nullptr) {
    // Zero: there were more groups than the workspace holds.
    const std::size_t count = groups == 0 ? Captures::limit : static_cast<std::size_t>(groups);
    captures->begin(*this);
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(workspace.data);
    for (std::size_t i = 0; i < count; ++i) {
      const PCRE2_SIZE from = bounds[2 * i];
      const PCRE2_SIZE to = bounds[2 * i + 1];
      // \K inside a look-ahead can make a match end before it starts.
      captures->add(from == PCRE2_UNSET || to < from ? std::string_view{} : subject.substr(from, to - from));
    }
  }
  return true;
}

std::size_t Regex::group(std::string_view name) const noexcept {
  std::uint32_t count = 0;
  std::uint32_t width = 0;
  PCRE2_SPTR entry = nullptr;
  pcre2_pattern_info(code_.get(), PCRE2_INFO_NAMECOUNT, &count);
  pcre2_pattern_info(code_.get(), PCRE2_INFO_NAMEENTRYSIZE, &width);
  pcre2_pattern_info(code_.get(), PCRE2_INFO_NAMETABLE, &entry);
  for (std::uint32_t i = 0; i < count; ++i, entry += width) {
    if (name == reinterpret_cast<const char*>(entry + 2)) return static_cast<std::size_t>(entry[0]) << 8 | entry[1];
  }
  return 0;
}

std::string_view Captures::named(std::string_view name) const noexcept {
  const std::size_t number = regex_ != nullptr ? regex_->group(name) : 0;
  return number == 0 ? std::string_view{} : (*this)[number];
}

std::string literal_lead(std::string_view pattern) {
  if (may_branch(pattern)) return {};
  std::string lead;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (std::string_view("?*+{").find(c) != std::string_view::npos) {
      if (!lead.empty()) lead.pop_back();  // what is repeated may be absent
      break;
    }
    if (c == '\\') {
      if (i + 1 == pattern.size() || alphanumeric(pattern[i + 1])) break;
      c = pattern[++i];
    } else if (std::string_view(".[]()|^$}").find(c) != std::string_view::npos) {
      break;
    }
    lead += c;
  }
  return lead;
}

}  // namespace gateway::router
