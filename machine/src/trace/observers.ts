/** Several listeners where the processor has room for one. */
import type { ProcessorObserver } from "../i386/core.ts";

/** Tells all of them, in order. Null for none. */
export function combineObservers(observers: readonly ProcessorObserver[]): ProcessorObserver | null {
  if (observers.length < 2) return observers[0] ?? null;
  return {
    trap(...values) {
      for (const observer of observers) observer.trap?.(...values);
    },
    returned(...values) {
      for (const observer of observers) observer.returned?.(...values);
    },
    idle(...values) {
      for (const observer of observers) observer.idle?.(...values);
    },
    ringTransition(...values) {
      for (const observer of observers) observer.ringTransition?.(...values);
    },
    taskSwitch(...values) {
      for (const observer of observers) observer.taskSwitch?.(...values);
    },
    tlbMiss(...values) {
      for (const observer of observers) observer.tlbMiss?.(...values);
    },
  };
}
