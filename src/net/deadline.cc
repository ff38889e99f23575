#include "net/deadline.h"

#include <algorithm>

namespace gateway::net {

void Deadline::set(std::chrono::milliseconds after) noexcept {
  const auto ticks = static_cast<std::uint64_t>(std::max<std::int64_t>(after.count(), 0)) / DeadlineWheel::tick.count();
  due_ = wheel_.now_ + ticks + 1;
  // Only a deadline that moved forward must change its place at once.
  if (link_ == nullptr || due_ < looked_at_) {
    unlink();
    wheel_.hang(*this, due_);
  }
}

void Deadline::unlink() noexcept {
  if (link_ == nullptr) return;
  *link_ = next_;
  if (next_ != nullptr) next_->link_ = link_;
  link_ = nullptr;
  next_ = nullptr;
}

void DeadlineWheel::hang(Deadline& deadline, std::uint64_t due) noexcept {
  Deadline*& head = slots_[due % slots];
  deadline.looked_at_ = due;
  deadline.next_ = head;
  deadline.link_ = &head;
  if (head != nullptr) head->link_ = &deadline.next_;
  head = &deadline;
}

void DeadlineWheel::advance(Steady::time_point now) {
  while (last_ + tick <= now) {
    last_ += tick;
    ++now_;
    // Take the slot's list away first: an expiry may set other deadlines, or end this one's owner.
    Deadline* due_list = slots_[now_ % slots];
    slots_[now_ % slots] = nullptr;
    if (due_list != nullptr) due_list->link_ = &due_list;
    while (due_list != nullptr) {
      Deadline& deadline = *due_list;
      deadline.unlink();
      if (deadline.due_ == Deadline::never) continue;
      if (deadline.due_ > now_) {
        hang(deadline, deadline.due_);
        continue;
      }
      deadline.due_ = Deadline::never;
      deadline.expired_(deadline.owner_);
    }
  }
}

}  // namespace gateway::net
