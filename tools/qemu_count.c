/* A plugin of qemu's user mode that prints how many instructions the guest's main thread executed: at its
 * end, and as "mark: N" whenever it asks for its priority (os.getpriority in Python, getpriority in C).
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
typedef void (*syscall_made)(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2,
                             uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                             uint64_t a8);
typedef void (*at_exit)(qemu_plugin_id_t id, void* data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_translated callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb* tb, tb_executed callback, int flags,
                                          void* data);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t id, syscall_made callback);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, at_exit callback, void* data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
void qemu_plugin_outs(const char* text);

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = 1;

enum { kGetPriority = 141 }; /* the system call's number on AArch64 */

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

static void mark(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2,
                 uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (cpu == 0 && number == kGetPriority) print("mark");
}

static void report(qemu_plugin_id_t id, void* data) {
  (void)id, (void)data;
  print("instructions");
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void* info, int argc, char** argv) {
  (void)info, (void)argc, (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, mark);
  qemu_plugin_register_atexit_cb(id, report, NULL);
  return 0;
}
