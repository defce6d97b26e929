/* A plugin of qemu's user mode that writes which instructions the guest's main thread executed, in order.
 *
 *   cc -shared -fPIC -o qemu_trace.so tools/qemu_trace.c
 *   qemu-aarch64 -plugin ./qemu_trace.so,out=FILE -d plugin PROGRAM
 *
 * It writes between the first and the second of every three times that the guest asks for its priority
 * (os.getpriority in Python). A line "b ID ADDRESS CODE..." says what a block of instructions consists of,
 * a line "ID" that it ran, "mark" that the guest asked. */
#include <string.h>

#include "qemu_plugin.h"

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

static void marked(void) {
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
  watch(id, translated, finish);
  return 0;
}
