/* What the plugins here use of qemu's plugin interface, version 1, and the mark that a guest sets.
 *
 * Distributions ship qemu without qemu-plugin.h, so its few declarations stand here. A guest marks a moment by
 * asking for its priority (os.getpriority in Python, getpriority in C). */
#ifndef BIFAST_TOOLS_QEMU_PLUGIN_H
#define BIFAST_TOOLS_QEMU_PLUGIN_H

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
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
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb* tb);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* tb, size_t index);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn* insn);
void qemu_plugin_outs(const char* text);

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = 1;

/* Called whenever the guest's main thread sets a mark; each plugin defines it. */
static void marked(void);

static void watch_syscall(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2,
                          uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                          uint64_t a8) {
  enum { kGetPriority = 141 }; /* the system call's number on AArch64 */
  (void)id, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (cpu == 0 && number == kGetPriority) marked();
}

static void watch(qemu_plugin_id_t id, tb_translated translated, at_exit finish) {
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, watch_syscall);
  qemu_plugin_register_atexit_cb(id, finish, NULL);
}

#endif
