#include "admin/writer.h"

namespace gateway::admin {

Task<Result<store::Outcome>> Writer::write(std::vector<store::Write> writes) {
  auto work = [this, &writes] { return store_.write(writes); };
  Result<store::Outcome> outcome = co_await pool_.run(work);
  if (outcome && std::holds_alternative<std::vector<store::Change>>(*outcome)) {
    const auto& changes = std::get<std::vector<store::Change>>(*outcome);
    // Where somebody else's came in between, ours will be met once more by follow(): that does no harm.
    if (!changes.empty() && changes.front().sequence == seen_ + 1) seen_ = changes.back().sequence;
    changed_(changes);
  }
  co_return outcome;
}

Task<Status> Writer::follow(Changed others) {
  constexpr std::size_t at_a_time = 1000;
  for (;;) {
    const Pass pass = co_await enter();
    auto work = [this] { return store_.changes_after(seen_, at_a_time); };
    const Result<std::vector<store::Change>> changes = co_await pool_.run(work);
    if (!changes) co_return changes.error();
    if (changes->empty()) co_return Status{};
    seen_ = changes->back().sequence;
    others(*changes);
  }
}

void Writer::leave() {
  if (waiting_.empty()) {
    busy_ = false;
    return;
  }
  const std::coroutine_handle<> next = waiting_.front();
  waiting_.pop_front();
  // Through the loop: resumed from here, a long queue would be a deep stack.
  Executor::current()->post([next] { next.resume(); });
}

}  // namespace gateway::admin
