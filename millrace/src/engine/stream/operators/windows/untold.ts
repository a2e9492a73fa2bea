/**
 * The windows that have changed since they were told, for `emit: every`. They are told when the wall clock passes a multiple of the
 * interval. The windows themselves know it, too: after a restart the first tick looks for them.
 */
export interface WindowRef {
  readonly key: unknown;
  readonly start: number;
}

export class Untold {
  /** When they are to be told. In the past at first: what a life before this one did not tell. */
  nextTick = 0;
  private readonly everyMs: number;
  private refs: WindowRef[] = [];
  private isFresh = true;

  constructor(everyMs: number) {
    this.everyMs = everyMs;
  }

  /** A window that was told, or new, has changed. */
  add(key: unknown, start: number, nowMs: number): void {
    if (this.refs.length === 0 && !this.isFresh)
      this.nextTick = (Math.floor(nowMs / this.everyMs) + 1) * this.everyMs;
    this.refs.push({ key, start });
  }

  /** All of them; undefined: nobody knows, look for them. */
  take(): readonly WindowRef[] | undefined {
    const { refs } = this;
    this.refs = [];
    this.nextTick = Number.POSITIVE_INFINITY;
    if (!this.isFresh) return refs;
    this.isFresh = false;
    return undefined;
  }
}
