#pragma once

#include <coroutine>

namespace gateway::net {

/// A suspended coroutine in a list of those that wait for one thing. Lives in the coroutine's frame and leaves its list when
/// that is destroyed. One thread.
struct Waiting {
  Waiting() = default;
  ~Waiting() { unlink(); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  /// Leaves the list it is in, if any, and enters another at its front.
  void link_to(Waiting*& list) noexcept {
    unlink();
    next = list;
    if (next != nullptr) next->link = &next;
    link = &list;
    list = this;
  }
  void unlink() noexcept {
    if (link == nullptr) return;
    *link = next;
    if (next != nullptr) next->link = link;
    link = nullptr;
  }

  std::coroutine_handle<> handle;
  Waiting* next = nullptr;
  Waiting** link = nullptr;  ///< what points at us; null: in no list
};

}  // namespace gateway::net
