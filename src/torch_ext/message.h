// How the bridge reports a failure: null, or text that the caller frees.
#pragma once

#include <cstdlib>
#include <cstring>
#include <exception>

#include <c10/util/Exception.h>

namespace godwit {

// malloc, so that the message can outlive the exception and be freed without
// knowing its type. Out of memory gives null, which would read as success, so
// it ends the process as Rust's own allocation failure does.
inline char *copy_message(const char *message) {
  const size_t size = std::strlen(message) + 1;
  char *copy = static_cast<char *>(std::malloc(size));
  if (copy == nullptr) {
    std::abort();
  }
  std::memcpy(copy, message, size);
  return copy;
}

// Does the work; no exception leaves.
template <typename Work> char *guarded(Work work) {
  try {
    work();
    return nullptr;
  } catch (const c10::Error &error) {
    // Without the C++ backtrace, which says nothing to the reader.
    return copy_message(error.what_without_backtrace());
  } catch (const std::exception &error) {
    return copy_message(error.what());
  } catch (...) {
    return copy_message("unknown C++ exception");
  }
}

} // namespace godwit
