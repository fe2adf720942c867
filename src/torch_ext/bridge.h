// What tch lacks: building a named-parameter TorchScript module and saving it
// with extra files. Plain C types only; no C++ exception leaves a function.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

// Bytes that the caller keeps alive during the call. `data` may be null only
// where `size` is 0.
struct GodwitBytes {
  const char *data;
  size_t size;
};

// `tensor` is a `const torch::Tensor *` that the caller keeps owning.
struct GodwitTensor {
  GodwitBytes name;
  const void *tensor;
};

// `kind`: 0 integer, 1 real, 2 text. The field that `kind` names is read.
struct GodwitConstant {
  GodwitBytes name;
  int32_t kind;
  int64_t integer;
  double real;
  GodwitBytes text;
};

struct GodwitFile {
  GodwitBytes name;
  GodwitBytes content;
};

// Builds a module of class `class_name` with the parameters and constants,
// compiles the methods in `source` into it and saves it to `path`.
// Returns null, or a message to be freed with `godwit_free_message`.
char *godwit_export_script_module(GodwitBytes path, GodwitBytes class_name,
                                  GodwitBytes source,
                                  const GodwitTensor *parameters,
                                  size_t parameter_count,
                                  const GodwitConstant *constants,
                                  size_t constant_count,
                                  const GodwitFile *files, size_t file_count);

void godwit_free_message(char *message);
}
