// LLVM's inliner asks by t2t_bridge.h: clang -fpass-plugin=llvm_inline.so, for LLVM 19
// to 22. $T2T_BRIDGE says whom.
//
// The advisor is LLVM's own for learned policies, so what is asked is what LLVM's
// channel sends; only who answers is another. Its own decision goes along, from the
// cost that it would look at without us. LLVM's -ml-advisor-size-increase-threshold
// holds here, too. With $T2T_BRIDGE_SITES each question has its call as a context:
// caller, tab, callee.

#include "t2t_bridge.h"

#include "llvm/Analysis/AssumptionCache.h"
#include "llvm/Analysis/BlockFrequencyInfo.h"
#include "llvm/Analysis/InlineAdvisor.h"
#include "llvm/Analysis/InlineCost.h"
#include "llvm/Analysis/InlineModelFeatureMaps.h"
#include "llvm/Analysis/MLInlineAdvisor.h"
#include "llvm/Analysis/MLModelRunner.h"
#include "llvm/Analysis/OptimizationRemarkEmitter.h"
#include "llvm/Analysis/ProfileSummaryInfo.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/Analysis/TargetTransformInfo.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/PassManager.h"
#include "llvm/Passes/PassBuilder.h"
#if LLVM_VERSION_MAJOR >= 22
#include "llvm/Plugins/PassPlugin.h"
#else
#include "llvm/Passes/PassPlugin.h"
#endif

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

using namespace llvm;

namespace {

t2t_type typeOf(const TensorSpec &Spec) {
  if (Spec.isElementType<float>()) return T2T_FLOAT;
  if (Spec.isElementType<double>()) return T2T_DOUBLE;
  if (Spec.isElementType<int8_t>()) return T2T_INT8;
  if (Spec.isElementType<uint8_t>()) return T2T_UINT8;
  if (Spec.isElementType<int16_t>()) return T2T_INT16;
  if (Spec.isElementType<uint16_t>()) return T2T_UINT16;
  if (Spec.isElementType<int32_t>()) return T2T_INT32;
  if (Spec.isElementType<uint32_t>()) return T2T_UINT32;
  if (Spec.isElementType<uint64_t>()) return T2T_UINT64;
  return T2T_INT64;
}

t2t_spec specOf(const TensorSpec &Spec) {
  t2t_spec Found = {Spec.name().c_str(), typeOf(Spec), Spec.shape().size(), {0}};
  for (size_t I = 0; I < Found.axes && I < T2T_MOST_AXES; ++I)
    Found.shape[I] = Spec.shape()[I];
  return Found;
}

/// Answers with what the bridge does. Features are written where it reads them.
class BridgeRunner : public MLModelRunner {
 public:
  BridgeRunner(LLVMContext &Ctx, const std::vector<TensorSpec> &Features)
      : MLModelRunner(Ctx, Kind::Interactive, Features.size()) {
    std::vector<t2t_spec> Specs;
    for (const TensorSpec &Spec : Features) Specs.push_back(specOf(Spec));
    const t2t_spec Advice = {"inlining_decision", T2T_INT64, 1, {1}};
    Bridge = t2t_bridge_open(nullptr, Specs.data(), Specs.size(), &Advice);
    for (size_t I = 0; I < Features.size(); ++I)
      setUpBufferForTensor(I, Features[I],
                           Bridge ? t2t_bridge_tensor(Bridge, I) : nullptr);
  }
  ~BridgeRunner() override { t2t_bridge_close(Bridge); }

  void switchContext(StringRef Name) override {
    if (Bridge) t2t_bridge_context(Bridge, Name.str().c_str());
  }

  int64_t Own = 0;  // LLVM's decision, before each question

 private:
  void *evaluateUntyped() override {
    Answer = Own;
    if (Bridge) t2t_bridge_ask(Bridge, &Answer);
    return &Answer;
  }

  t2t_bridge *Bridge;
  int64_t Answer = 0;
};

/// What LLVM itself would decide.
bool wouldInline(CallBase &CB, FunctionAnalysisManager &FAM, const InlineParams &Params) {
  Function &Caller = *CB.getCaller(), &Callee = *CB.getCalledFunction();
  auto *PSI = FAM.getResult<ModuleAnalysisManagerFunctionProxy>(Caller)
                  .getCachedResult<ProfileSummaryAnalysis>(*Caller.getParent());
  auto &ORE = FAM.getResult<OptimizationRemarkEmitterAnalysis>(Caller);
  auto &TTI = FAM.getResult<TargetIRAnalysis>(Callee);
  auto Assumptions = [&](Function &F) -> AssumptionCache & {
    return FAM.getResult<AssumptionAnalysis>(F);
  };
  auto Frequencies = [&](Function &F) -> BlockFrequencyInfo & {
    return FAM.getResult<BlockFrequencyAnalysis>(F);
  };
  auto Libraries = [&](Function &F) -> const TargetLibraryInfo & {
    return FAM.getResult<TargetLibraryAnalysis>(F);
  };
  auto Cost = [&](CallBase &Call) {
    return getInlineCost(Call, Params, TTI, Assumptions, Libraries, Frequencies, PSI);
  };
  bool Deferral = Params.EnableDeferral.value_or(false);
#if LLVM_VERSION_MAJOR >= 21
  return shouldInline(CB, TTI, Cost, ORE, Deferral).has_value();
#else
  return shouldInline(CB, Cost, ORE, Deferral).has_value();
#endif
}

class BridgeAdvisor : public MLInlineAdvisor {
 public:
  using Decision = std::function<bool(CallBase &)>;
#if LLVM_VERSION_MAJOR >= 21
  BridgeAdvisor(Module &M, ModuleAnalysisManager &MAM, Decision Own)
      : MLInlineAdvisor(
            M, MAM,
            [&M](const std::vector<TensorSpec> &Features) {
              return std::make_unique<BridgeRunner>(M.getContext(), Features);
            },
            Own) {}
#else
  BridgeAdvisor(Module &M, ModuleAnalysisManager &MAM, Decision Own)
      : MLInlineAdvisor(M, MAM,
                        std::make_unique<BridgeRunner>(M.getContext(), FeatureMap),
                        Own) {}
#endif

 protected:
  std::unique_ptr<MLInlineAdvice> getAdviceFromModel(
      CallBase &CB, OptimizationRemarkEmitter &ORE) override {
    auto &Runner = static_cast<BridgeRunner &>(*ModelRunner);
    Runner.Own = GetDefaultAdvice(CB);
    if (Sites)
      Runner.switchContext(
          (CB.getCaller()->getName() + "\t" + CB.getCalledFunction()->getName()).str());
    return MLInlineAdvisor::getAdviceFromModel(CB, ORE);
  }

 private:
  const bool Sites = std::getenv("T2T_BRIDGE_SITES") != nullptr;
};

// A factory is a bare function, and is given all but this: the analyses of the module
// that this thread compiles.
thread_local ModuleAnalysisManager *Analyses = nullptr;

InlineAdvisor *advisorFor(Module &M, FunctionAnalysisManager &FAM, InlineParams Params,
                          InlineContext) {
  return new BridgeAdvisor(M, *Analyses, [&FAM, Params](CallBase &CB) {
    return wouldInline(CB, FAM, Params);
  });
}

}  // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo llvmGetPassPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, "t2t-inline", LLVM_VERSION_STRING,
          [](PassBuilder &Builder) {
            Builder.registerAnalysisRegistrationCallback(
                [](ModuleAnalysisManager &MAM) {
                  Analyses = &MAM;
                  MAM.registerPass(
                      [] { return PluginInlineAdvisorAnalysis(advisorFor); });
                });
          }};
}
