// MLIR asks by t2t_bridge.h how often to unroll a loop:
//
//   mlir-opt --load-pass-plugin=mlir_unroll.so
//            --pass-pipeline='builtin.module(func.func(t2t-affine-loop-unroll))'
//
// $T2T_BRIDGE says whom. Asked is about each innermost affine.for; the own decision is
// 4, which is what MLIR's affine-loop-unroll does. Factors below 1 count as 1.

#include "t2t_bridge.h"

#include "mlir/Dialect/Affine/Analysis/LoopAnalysis.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/LoopUtils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/Config/llvm-config.h"

#include <algorithm>
#include <mutex>
#include <vector>

using namespace mlir;
using affine::AffineForOp;

namespace {

const t2t_spec Features[] = {
    {"trip_count", T2T_INT64, 1, {1}},  // -1 where it is not known
    {"depth", T2T_INT64, 1, {1}},       // of loops around it
    {"operations", T2T_INT64, 1, {1}},  // in its body
    {"loads", T2T_INT64, 1, {1}},
    {"stores", T2T_INT64, 1, {1}},
    {"carried", T2T_INT64, 1, {1}},  // values from one turn to the next
};
const t2t_spec Advice = {"factor", T2T_INT64, 1, {1}};
constexpr int64_t OwnFactor = 4, MostFactor = 1024;

/// One for the process, though MLIR works on many functions at once: a function's
/// questions come one after another, and those of others wait.
struct Shared {
  t2t::Bridge Bridge{nullptr, Features, Advice};
  std::mutex Busy;
};

Shared &shared() {
  static Shared Found;
  return Found;
}

bool isInnermost(AffineForOp Loop) {
  return !Loop.getBody()
              ->walk([](AffineForOp) { return WalkResult::interrupt(); })
              .wasInterrupted();
}

struct Unroll : PassWrapper<Unroll, OperationPass<func::FuncOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(Unroll)

  StringRef getArgument() const final { return "t2t-affine-loop-unroll"; }
  StringRef getDescription() const final { return "Unroll loops as advised"; }

  void runOnOperation() override {
    std::vector<AffineForOp> Loops;
    getOperation().walk([&](AffineForOp Loop) {
      if (isInnermost(Loop)) Loops.push_back(Loop);
    });
    if (Loops.empty()) return;
    std::lock_guard<std::mutex> Lock(shared().Busy);
    t2t::Bridge &Bridge = shared().Bridge;
    Bridge.context(getOperation().getName().str().c_str());
    for (AffineForOp Loop : Loops) {
      describe(Bridge, Loop);
      int64_t Factor = std::clamp<int64_t>(Bridge.ask(OwnFactor), 1, MostFactor);
      // What MLIR cannot unroll so often stays as it is, as in its own pass.
      (void)affine::loopUnrollByFactor(Loop, static_cast<uint64_t>(Factor));
    }
  }

  void describe(t2t::Bridge &Bridge, AffineForOp Loop) {
    int64_t Depth = 0, Operations = 0, Loads = 0, Stores = 0;
    for (Operation *Op = Loop->getParentOp(); Op; Op = Op->getParentOp())
      Depth += isa<AffineForOp>(Op);
    Loop.getBody()->walk([&](Operation *Op) {
      ++Operations;
      Loads += isa<affine::AffineReadOpInterface>(Op);
      Stores += isa<affine::AffineWriteOpInterface>(Op);
    });
    std::optional<uint64_t> Trips = affine::getConstantTripCount(Loop);
    int64_t Count = Trips ? static_cast<int64_t>(*Trips) : -1;
    int64_t Carried = static_cast<int64_t>(Loop.getNumIterOperands());
    int64_t Values[] = {Count, Depth, Operations, Loads, Stores, Carried};
    for (size_t I = 0; I < std::size(Values); ++I)
      *Bridge.tensor<int64_t>(I) = Values[I];
  }
};

}  // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "t2t-unroll", LLVM_VERSION_STRING,
          [] { PassRegistration<Unroll>(); }};
}
