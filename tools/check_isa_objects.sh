#!/usr/bin/env bash
# check_isa_objects.sh BUILD_DIR: each instruction set's object exports one symbol, its kernel table.
#
# Anything else that such an object exports or defines weakly (an inline function of the standard library,
# say) could be the copy that the linker keeps for everyone: illegal instructions on older CPUs.
set -euo pipefail
failed=0
checked=0
while read -r object; do
  isa=$(basename "$object" .cpp.o)
  symbols=$(nm --defined-only --extern-only --demangle --format=posix "$object" | cut -d' ' -f1)
  if [ "$symbols" != "bifast::${isa}_kernels" ]; then
    echo "$object: expected bifast::${isa}_kernels alone, got: ${symbols//$'\n'/, }" >&2
    failed=1
  fi
  checked=$((checked + 1))
done < <(find "$1" -path '*csrc/kernels/*.o')
[ "$checked" -gt 0 ] || { echo "$1: no kernel objects found" >&2; exit 1; }
[ "$failed" -eq 0 ] && echo "$checked kernel objects export their table alone"
