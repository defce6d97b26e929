/* A plugin of qemu's user mode that writes which instructions the guest's main thread executed, in order.
 *
 *   cc -shared -fPIC -o qemu_trace.so tools/qemu_trace.c
 *   qemu-aarch64 -plugin ./qemu_trace.so,out=FILE -d plugin PROGRAM
 *
 * It writes between the first and the second of every three times that the guest asks for its priority
 * (os.getpriority in Python). A line "b ID ADDRESS CODE..." says what a block of instructions consists of,
 * a line "ID" that it ran, "mark" that the guest asked. The interface is declared as in qemu_count.c. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = 1;

enum { kGetPriority = 141 }; /* the system call's number on AArch64 */

static FILE* file;
static uintptr_t n_blocks;
static unsigned n_marks;

static void executed(unsigned cpu, void* block) {
  if (cpu == 0 && n_marks % 3 == 1) fprintf(file, "%" PRIuPTR "\n", (uintptr_t)block);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  (void)id;
  ++n_blocks;
  fprintf(file, "b %" PRIuPTR " %" PRIx64, n_blocks, qemu_plugin_tb_vaddr(tb));
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); ++i) {
    const uint32_t* code = qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i));
    fprintf(file, " %08" PRIx32, *code);
  }
  fputc('\n', file);
  qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, (void*)n_blocks);
}

static void mark(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2,
                 uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (cpu != 0 || number != kGetPriority) return;
  ++n_marks;
  fputs("mark\n", file);
}

static void finish(qemu_plugin_id_t id, void* data) {
  (void)id, (void)data;
  fclose(file);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void* info, int argc, char** argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) return 1;
  if ((file = fopen(argv[0] + 4, "w")) == NULL) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, mark);
  qemu_plugin_register_atexit_cb(id, finish, NULL);
  return 0;
}
