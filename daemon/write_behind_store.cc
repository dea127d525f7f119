#include "daemon/write_behind_store.h"

#include <spdlog/spdlog.h>

#include "daemon/background.h"
#include "daemon/caught.h"

namespace kiln {

WriteBehindStore::WriteBehindStore(Store& store, std::uint64_t max_waiting, std::chrono::milliseconds quiet)
    : store_(store),
      max_waiting_(max_waiting),
      quiet_(quiet),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

std::optional<StoredCode> WriteBehindStore::find(const StoreKey& key) {
  if (store_.limit() == 0) return std::nullopt;
  // In this order: what is waiting no longer has its file.
  if (const auto object = waiting_at(digest_of(key))) return object->stored;
  return store_.find(key);
}

void WriteBehindStore::keep(const StoreKey& key, StoredCode stored) {
  if (store_.limit() == 0) return;
  const auto object = std::make_shared<const Object>(digest_of(key), key, std::move(stored));
  if (!put_off(object)) write(*object);
}

// False: there is no room for it, or nobody to write it later.
bool WriteBehindStore::put_off(const ObjectPointer& object) {
  const std::lock_guard lock(mutex_);
  if (waiting_.contains(object->digest)) return true;
  if (closed_ || object->bytes() > max_waiting_ - waiting_bytes_) return false;
  waiting_.emplace(object->digest, object);
  waiting_bytes_ += object->bytes();
  queue_.push_back(object);
  last_kept_ = Clock::now();
  if (queue_.size() == 1) changed_.notify_all();
  return true;
}

WriteBehindStore::ObjectPointer WriteBehindStore::waiting_at(const Sha256& digest) const {
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find(digest);
  return found == waiting_.end() ? nullptr : found->second;
}

void WriteBehindStore::run(const std::stop_token& stop) {
  enter_background();
  while (!stop.stop_requested()) {
    std::unique_lock lock(mutex_);
    const auto due = last_kept_ + quiet_;
    if (queue_.empty()) {
      changed_.wait(lock, stop, [this] { return !queue_.empty(); });
    } else if (Clock::now() < due) {
      changed_.wait_until(lock, stop, due, [] { return false; });
    } else {
      lock.unlock();
      write_next();
    }
  }
}

// On the thread, or on that of somebody who cannot wait for it. False: nothing waits.
bool WriteBehindStore::write_next() {
  const std::lock_guard turn(turn_);
  const auto object = take_next();
  if (object == nullptr) return false;
  write(*object);
  forget(*object);
  return true;
}

WriteBehindStore::ObjectPointer WriteBehindStore::take_next() {
  const std::lock_guard lock(mutex_);
  if (queue_.empty()) return nullptr;
  ObjectPointer next = std::move(queue_.front());
  queue_.pop_front();
  return next;
}

void WriteBehindStore::forget(const Object& object) {
  const std::lock_guard lock(mutex_);
  waiting_bytes_ -= object.bytes();
  waiting_.erase(object.digest);
}

void WriteBehindStore::write(const Object& object) {
  const auto kept = caught([&] { return store_.keep(object.key, object.stored); });
  if (!kept) spdlog::debug("not kept in the store: {}", kept.error().message);  // a full disk is harmless
}

std::size_t WriteBehindStore::count_waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

// They are written in their order, so that this ends however much is kept meanwhile.
void WriteBehindStore::flush() {
  for (std::size_t count = count_waiting(); count > 0 && write_next(); --count) {
  }
}

void WriteBehindStore::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  flush();
}

}  // namespace kiln
