#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct pcre2_real_code_8;

namespace gateway::router {

class Regex;

/// What the groups of a path's regular expression matched: views into the request's path.
class Captures {
 public:
  static constexpr std::size_t limit = 16;

  // Most routes have no regular expression: only the groups that there are get written and copied.
  Captures() noexcept {}  // NOLINT(cppcoreguidelines-pro-type-member-init)
  Captures(const Captures& other) noexcept { *this = other; }
  Captures& operator=(const Captures& other) noexcept {  // NOLINT(bugprone-unhandled-self-assignment): copies what is there onto itself
    regex_ = other.regex_;
    count_ = other.count_;
    std::copy_n(other.groups_.begin(), count_, groups_.begin());
    return *this;
  }

  /// Forgets the groups there were. `regex`: what they are of.
  void begin(const Regex& regex) noexcept {
    regex_ = &regex;
    count_ = 0;
  }
  void add(std::string_view group) noexcept { groups_[count_++] = {group.data(), group.size()}; }

  /// Number 0 is the whole match; groups beyond the limit are not kept.
  [[nodiscard]] std::string_view operator[](std::size_t number) const noexcept {
    return number < count_ ? std::string_view(groups_[number].data, groups_[number].size) : std::string_view{};
  }
  /// Empty when there is no such group or it took no part in the match.
  [[nodiscard]] std::string_view named(std::string_view name) const noexcept;

 private:
  struct Group {
    const char* data;
    std::size_t size;
  };
  std::array<Group, limit> groups_;
  std::uint8_t count_ = 0;
  const Regex* regex_ = nullptr;
};

/// A compiled PCRE2 pattern over bytes. May be used by any number of threads at once.
class Regex {
 public:
  enum class Anchor : std::uint8_t { start, none };

  /// `match_limit` bounds the work one match may take; a match that runs into it fails.
  static Result<Regex> compile(std::string_view pattern, Anchor anchor, std::uint32_t match_limit);

  /// Does not allocate once a thread has matched before. `captures` may be null.
  [[nodiscard]] bool match(std::string_view subject, Captures* captures) const noexcept;

  /// Number of the named group; zero when there is none.
  [[nodiscard]] std::size_t group(std::string_view name) const noexcept;

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const noexcept;
  };
  Regex(pcre2_real_code_8* code, std::uint32_t match_limit) noexcept : code_(code), match_limit_(match_limit) {}

  std::unique_ptr<pcre2_real_code_8, Free> code_;
  std::uint32_t match_limit_;
};

/// Text every match of an anchored pattern begins with; empty when unsure. Lets patterns be indexed like prefixes.
[[nodiscard]] std::string literal_lead(std::string_view pattern);

}  // namespace gateway::router
