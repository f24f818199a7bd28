"""llvmlite as a compiler: bitcode or IR in, an object out. Run by `llvm`.

    python -I embedded.py MODULE OBJECT [-flag …]

Flags are LLVM's own, as after clang's -mllvm. They are global, so each module has a
process. There is no size level: -Oz is in the attributes of bitcode that clang has
written with it.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    import llvmlite.binding as llvm

    module, output, *flags = sys.argv[1:]
    for flag in flags:
        llvm.set_option("llvmlite", flag)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    content = Path(module).read_bytes()
    try:
        if content.startswith(b"BC\xc0\xde"):
            parsed = llvm.parse_bitcode(content)
        else:
            parsed = llvm.parse_assembly(content.decode())
        parsed.verify()
    except (RuntimeError, UnicodeDecodeError) as error:
        print(f"{module}: {error}", file=sys.stderr)
        return 1
    target = llvm.Target.from_triple(parsed.triple or llvm.get_default_triple())
    # The JIT's default code model would put functions into .ltext.
    machine = target.create_target_machine(opt=2, reloc="pic", codemodel="small")
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(parsed, passes)
    Path(output).write_bytes(machine.emit_object(parsed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
