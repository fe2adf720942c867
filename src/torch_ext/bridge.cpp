#include "bridge.h"
#include "message.h"

#include <cstdlib>
#include <string>

#include <torch/script.h>

namespace {

std::string text(GodwitBytes bytes) {
  return bytes.size == 0 ? std::string() : std::string(bytes.data, bytes.size);
}

c10::IValue value(const GodwitConstant &constant) {
  switch (constant.kind) {
  case 0:
    return c10::IValue(constant.integer);
  case 1:
    return c10::IValue(constant.real);
  default:
    return c10::IValue(text(constant.text));
  }
}

} // namespace

char *godwit_export_script_module(GodwitBytes path, GodwitBytes class_name,
                                  GodwitBytes source,
                                  const GodwitTensor *parameters,
                                  size_t parameter_count,
                                  const GodwitConstant *constants,
                                  size_t constant_count,
                                  const GodwitFile *files, size_t file_count) {
  return godwit::guarded([&] {
    torch::jit::Module module("__torch__." + text(class_name));
    for (size_t i = 0; i < parameter_count; ++i) {
      const auto &tensor =
          *static_cast<const torch::Tensor *>(parameters[i].tensor);
      // A copy on the CPU: the artifact must not depend on the device that it
      // was trained on, nor share memory with weights that go on changing.
      module.register_parameter(
          text(parameters[i].name),
          tensor.detach().to(torch::kCPU).contiguous().clone(),
          /*is_buffer=*/false);
    }
    for (size_t i = 0; i < constant_count; ++i) {
      // An attribute, since code given to `define` cannot see class constants.
      const c10::IValue constant = value(constants[i]);
      module.register_attribute(text(constants[i].name), constant.type(),
                                constant);
    }
    module.define(text(source));
    module.eval();
    torch::jit::ExtraFilesMap extra;
    for (size_t i = 0; i < file_count; ++i) {
      extra[text(files[i].name)] = text(files[i].content);
    }
    module.save(text(path), extra);
  });
}

void godwit_free_message(char *message) { std::free(message); }
