#include "router/required_text.h"

#include <cstddef>

namespace gateway::router {
namespace {

bool alphanumeric(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Walks over a pattern and gives up at whatever may change how the rest is read.
class Walk {
 public:
  explicit Walk(std::string_view pattern) : pattern_(pattern) {}

  std::string run() {
    for (at_ = 0; at_ < pattern_.size() && sure_; ++at_) step(pattern_[at_]);
    end_piece();
    return sure_ && depth_ == 0 ? longest_ : std::string{};
  }

 private:
  void step(char c) {
    switch (c) {
      case '\\': return escape();
      case '[': return bracket();
      case '(': return open();
      case ')':
        sure_ = depth_ != 0;
        --depth_;
        return end_piece();
      case '|':
        sure_ = depth_ != 0;  // else either side will do
        return;
      case '?':
      case '*':
      case '+': return repeated();
      case '{':
        repeated();
        at_ = pattern_.find('}', at_);
        sure_ = at_ != std::string_view::npos;
        return;
      case '.':
      case '^':
      case '$':
      case ']':
      case '}': return end_piece();
      default: return literal(c);
    }
  }

  void literal(char c) {
    if (depth_ == 0) piece_ += c;  // groups may be left out or branch
  }
  // What is repeated may be absent.
  void repeated() {
    if (depth_ == 0 && !piece_.empty()) piece_.pop_back();
    end_piece();
  }
  void escape() {
    if (++at_ == pattern_.size()) {
      sure_ = false;
    } else if (!alphanumeric(pattern_[at_])) {
      literal(pattern_[at_]);
    } else {
      sure_ = std::string_view("dDwWsSbB").find(pattern_[at_]) != std::string_view::npos;
      end_piece();
    }
  }
  void bracket() {
    end_piece();
    const auto next_is = [&](char c) { return at_ + 1 < pattern_.size() && pattern_[at_ + 1] == c; };
    if (next_is('^')) ++at_;
    if (next_is(']')) ++at_;
    for (++at_; at_ < pattern_.size() && pattern_[at_] != ']'; ++at_) {
      if (pattern_[at_] == '[') sure_ = false;  // a POSIX class, or unusual
      if (pattern_[at_] == '\\' && ++at_ < pattern_.size() && (pattern_[at_] == 'Q' || pattern_[at_] == 'E')) sure_ = false;
    }
    if (at_ >= pattern_.size()) sure_ = false;
  }
  void open() {
    end_piece();
    ++depth_;
    const std::string_view rest = pattern_.substr(at_ + 1);
    if (rest.starts_with('*')) sure_ = false;
    if (!rest.starts_with('?')) return;
    // Anything else sets options, is a condition, or the like.
    for (const std::string_view kind : {"?:", "?=", "?!", "?<", "?P<"}) {
      if (!rest.starts_with(kind)) continue;
      at_ += kind.size();
      return;
    }
    sure_ = false;
  }

  void end_piece() {
    // The first piece, from the very start, is the literal lead.
    if (begun_ && piece_.size() >= longest_.size()) longest_ = piece_;
    begun_ = true;
    piece_.clear();
  }

  std::string_view pattern_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  bool sure_ = true;
  bool begun_ = false;
  std::string piece_;
  std::string longest_;
};

}  // namespace

std::string required_text(std::string_view pattern) { return Walk(pattern).run(); }

}  // namespace gateway::router
