/* A plugin of qemu's user mode that prints how many instructions the guest's main thread executed: at its
 * end, and as "mark: N" whenever it asks for its priority (os.getpriority in Python, getpriority in C).
 *
 *   cc -shared -fPIC -o qemu_count.so tools/qemu_count.c
 *   qemu-aarch64 -plugin ./qemu_count.so -d plugin PROGRAM
 */
#include "qemu_plugin.h"

static uint64_t executed;

static void count(unsigned cpu, void* n_instructions) {
  if (cpu == 0) executed += (uint64_t)(uintptr_t)n_instructions;
}

/* A block of instructions runs from its start to its end. */
static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_cb(tb, count, 0, (void*)(uintptr_t)qemu_plugin_tb_n_insns(tb));
}

static void print(const char* what) {
  char text[64];
  snprintf(text, sizeof(text), "%s: %" PRIu64 "\n", what, executed);
  qemu_plugin_outs(text);
}

static void marked(void) { print("mark"); }

static void report(qemu_plugin_id_t id, void* data) {
  (void)id, (void)data;
  print("instructions");
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void* info, int argc, char** argv) {
  (void)info, (void)argc, (void)argv;
  watch(id, translated, report);
  return 0;
}
