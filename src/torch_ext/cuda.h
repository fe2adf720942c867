// What tch lacks for updates on a CUDA device: pinned memory, copies that do
// not wait, events, a side stream, CUDA graphs, a fused Adam, and the switches
// of TF32 and bf16. Nothing here is linked to libtorch's CUDA libraries:
// streams and events come from c10's device-generic guards, and the few symbols
// of at::cuda::CUDAGraph are looked up in the library that is loaded at run
// time. Every `char *` is null, or a message for `godwit_free_message`.
#pragma once

#include <cstdint>

extern "C" {

// A float tensor of `size` elements in pinned host memory; the caller owns it.
char *godwit_pinned(int64_t size, void **tensor);

// Copies between tensors of equal size; where one is pinned and the other on a
// device, without waiting for it.
char *godwit_copy_async(void *destination, const void *source);

// AdamW on flat tensors, in place. `step` and `learning_rate` are float tensors
// of one element on the device of the rest.
char *godwit_adamw(void *parameters, void *gradient, void *mean, void *square,
                   void *step, void *learning_rate, double beta1, double beta2,
                   double weight_decay, double epsilon);

// A point in the work of the device's current stream. Created where `*event` is
// null, else recorded anew.
char *godwit_event_record(int32_t device, void **event);
// Waits until the device has reached the point; `waited` tells whether it had
// not yet.
char *godwit_event_wait(void *event, int32_t *waited);
// Milliseconds of device time between two points that it has reached.
char *godwit_event_elapsed(void *from, void *to, double *milliseconds);
void godwit_event_free(void *event);

// A stream beside the current one.
char *godwit_side_new(int32_t device, void **side);
// Makes it this thread's current one, after what the current one has to do.
char *godwit_side_enter(void *side);
// Goes back; what comes next waits for the side stream's work.
char *godwit_side_leave(void *side);
void godwit_side_free(void *side);

// Starts recording the current stream's work, which must not be the default
// stream's, as a graph.
char *godwit_graph_begin(void **graph);
// Ends it. The graph is still to be freed where this fails.
char *godwit_graph_end(void *graph);
// Enqueues the recorded work on the current stream.
char *godwit_graph_replay(void *graph);
void godwit_graph_free(void *graph);

// Whether float matrix products on CUDA may round their factors to TF32.
char *godwit_allow_tf32(int32_t allow);
// Makes matrix products on CUDA compute in bf16, on this thread, until ended.
void godwit_bf16_begin();
void godwit_bf16_end();

// Makes every operation of libtorch that waits for a CUDA device fail, or not.
char *godwit_refuse_synchronisation(int32_t refuse);
}
