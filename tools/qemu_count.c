/* A plugin of qemu's user mode that prints how many instructions the guest executed.
 *
 *   cc -shared -fPIC -o qemu_count.so tools/qemu_count.c
 *   qemu-aarch64 -plugin ./qemu_count.so -d plugin PROGRAM
 *
 * Distributions ship qemu without qemu-plugin.h, so the few declarations of its interface, version 1,
 * that are used here stand here. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct qemu_plugin_tb;
typedef uint64_t qemu_plugin_id_t;
typedef void (*tb_translated)(qemu_plugin_id_t id, struct qemu_plugin_tb* tb);
typedef void (*tb_executed)(unsigned cpu, void* data);
typedef void (*at_exit)(qemu_plugin_id_t id, void* data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_translated callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb* tb, tb_executed callback, int flags,
                                          void* data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, at_exit callback, void* data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
void qemu_plugin_outs(const char* text);

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = 1;

static uint64_t executed; /* by the one thread that is counted */

static void count(unsigned cpu, void* n_instructions) {
  (void)cpu;
  executed += (uint64_t)(uintptr_t)n_instructions;
}

/* A block of instructions runs from its start to its end. */
static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_cb(tb, count, 0, (void*)(uintptr_t)qemu_plugin_tb_n_insns(tb));
}

static void report(qemu_plugin_id_t id, void* data) {
  char text[64];
  (void)id, (void)data;
  snprintf(text, sizeof(text), "instructions: %" PRIu64 "\n", executed);
  qemu_plugin_outs(text);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void* info, int argc, char** argv) {
  (void)info, (void)argc, (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, report, NULL);
  return 0;
}
