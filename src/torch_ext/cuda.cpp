#include "cuda.h"
#include "message.h"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <dlfcn.h>

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

using godwit::guarded;

namespace {

at::Tensor &tensor(void *pointer) { return *static_cast<at::Tensor *>(pointer); }

c10::impl::VirtualGuardImpl cuda() {
  return c10::impl::VirtualGuardImpl(c10::DeviceType::CUDA);
}

c10::Device cuda_device(int32_t index) {
  return c10::Device(c10::DeviceType::CUDA,
                     static_cast<c10::DeviceIndex>(index));
}

struct Side {
  explicit Side(c10::Device device)
      : stream(cuda().getStreamFromGlobalPool(device)), before(stream),
        ready(c10::DeviceType::CUDA), done(c10::DeviceType::CUDA) {}
  c10::Stream stream;
  c10::Stream before;
  c10::Event ready;
  c10::Event done;
};

// A symbol of a library that this process has loaded already.
void *symbol(const char *library, const char *name) {
  void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
  TORCH_CHECK(handle != nullptr, "expected ", library, " to be loaded");
  void *found = dlsym(handle, name);
  // Only the count that dlopen raised: the library stays.
  dlclose(handle);
  TORCH_CHECK(found != nullptr, "expected a symbol ", name, " in ", library);
  return found;
}

// at::cuda::CUDAGraph by its symbols: its header needs CUDA's own, and its
// library must not be linked.
struct GraphApi {
  using Pool = std::pair<unsigned long long, unsigned long long>;
  void (*construct)(void *, bool);
  void (*destroy)(void *);
  void (*begin)(void *, Pool, int);
  void (*end)(void *);
  void (*replay)(void *);
};

const GraphApi &graph_api() {
  static const GraphApi api = [] {
    const auto find = [](auto &function, const char *name) {
      const std::string full = std::string("_ZN2at4cuda9CUDAGraph") + name;
      function = reinterpret_cast<std::decay_t<decltype(function)>>(
          symbol("libtorch_cuda.so", full.c_str()));
    };
    GraphApi found{};
    find(found.construct, "C1Eb");
    find(found.destroy, "D1Ev");
    find(found.begin, "13capture_beginESt4pairIyyE21cudaStreamCaptureMode");
    find(found.end, "11capture_endEv");
    find(found.replay, "6replayEv");
    return found;
  }();
  return api;
}

// Room for the object: libtorch 2.11 needs less than 300 bytes.
struct Graph {
  Graph() { graph_api().construct(room, /*keep_graph=*/false); }
  ~Graph() { graph_api().destroy(room); }
  Graph(const Graph &) = delete;
  Graph &operator=(const Graph &) = delete;
  alignas(std::max_align_t) std::byte room[4096];
};

} // namespace

char *godwit_pinned(int64_t size, void **out) {
  return guarded([&] {
    *out = new at::Tensor(
        at::zeros({size}, at::TensorOptions().dtype(at::kFloat).pinned_memory(true)));
  });
}

char *godwit_copy_async(void *destination, const void *source) {
  return guarded([&] {
    const at::NoGradGuard no_grad;
    tensor(destination)
        .copy_(*static_cast<const at::Tensor *>(source), /*non_blocking=*/true);
  });
}

char *godwit_adamw(void *parameters, void *gradient, void *mean, void *square,
                   void *step, void *learning_rate, double beta1, double beta2,
                   double weight_decay, double epsilon) {
  return guarded([&] {
    const at::NoGradGuard no_grad;
    at::_fused_adamw_({tensor(parameters)}, {tensor(gradient)}, {tensor(mean)},
                      {tensor(square)}, {}, {tensor(step)},
                      tensor(learning_rate), beta1, beta2, weight_decay,
                      epsilon, /*amsgrad=*/false, /*maximize=*/false);
  });
}

char *godwit_event_record(int32_t device, void **event) {
  return guarded([&] {
    if (*event == nullptr) {
      *event = new c10::Event(c10::DeviceType::CUDA,
                              c10::EventFlag::BACKEND_DEFAULT);
    }
    static_cast<c10::Event *>(*event)->record(
        cuda().getStream(cuda_device(device)));
  });
}

char *godwit_event_wait(void *event, int32_t *waited) {
  return guarded([&] {
    const auto &point = *static_cast<c10::Event *>(event);
    *waited = point.query() ? 0 : 1;
    if (*waited != 0) {
      point.synchronize();
    }
  });
}

char *godwit_event_elapsed(void *from, void *to, double *milliseconds) {
  return guarded([&] {
    *milliseconds =
        static_cast<c10::Event *>(from)->elapsedTime(*static_cast<c10::Event *>(to));
  });
}

void godwit_event_free(void *event) { delete static_cast<c10::Event *>(event); }

char *godwit_side_new(int32_t device, void **side) {
  return guarded([&] { *side = new Side(cuda_device(device)); });
}

char *godwit_side_enter(void *pointer) {
  return guarded([&] {
    auto &side = *static_cast<Side *>(pointer);
    side.before = cuda().getStream(side.stream.device());
    side.ready.record(side.before);
    side.ready.block(side.stream);
    cuda().exchangeStream(side.stream);
  });
}

char *godwit_side_leave(void *pointer) {
  return guarded([&] {
    auto &side = *static_cast<Side *>(pointer);
    // Back first: this must happen even where the rest fails.
    cuda().exchangeStream(side.before);
    side.done.record(side.stream);
    side.done.block(side.before);
  });
}

void godwit_side_free(void *side) { delete static_cast<Side *>(side); }

char *godwit_graph_begin(void **out) {
  return guarded([&] {
    auto graph = std::make_unique<Graph>();
    // A pool of its own; global mode: any call that a graph cannot hold fails.
    graph_api().begin(graph->room, {0, 0}, 0);
    *out = graph.release();
  });
}

char *godwit_graph_end(void *graph) {
  return guarded([&] { graph_api().end(static_cast<Graph *>(graph)->room); });
}

char *godwit_graph_replay(void *graph) {
  return guarded([&] { graph_api().replay(static_cast<Graph *>(graph)->room); });
}

void godwit_graph_free(void *graph) { delete static_cast<Graph *>(graph); }

char *godwit_allow_tf32(int32_t allow) {
  return guarded([&] { at::globalContext().setAllowTF32CuBLAS(allow != 0); });
}

void godwit_bf16_begin() {
  at::autocast::set_autocast_dtype(at::kCUDA, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCUDA, true);
  at::autocast::increment_nesting();
}

void godwit_bf16_end() {
  // The cache holds weights that are about to change.
  if (at::autocast::decrement_nesting() == 0) {
    at::autocast::clear_cache();
  }
  at::autocast::set_autocast_enabled(at::kCUDA, false);
}

char *godwit_refuse_synchronisation(int32_t refuse) {
  return guarded([&] {
    // c10::cuda::warning_state(), whose first field is the mode: 0 off, 2 error.
    auto *mode = static_cast<int *>(
        symbol("libc10_cuda.so", "_ZZN3c104cuda13warning_stateEvE14warning_state_"));
    *mode = refuse != 0 ? 2 : 0;
  });
}
