/** Chooses how the windows of a node are kept. */
import { assert } from '../../../../core/errors.ts';
import type { WindowAggregateNode } from '../../../../flow/stream-nodes.ts';
import type { Operator, OperatorContext } from '../operator.ts';
import { FixedWindows } from './fixed-windows.ts';
import type { Merge } from './merged-panes.ts';
import { PaneWindows, paneOf } from './pane-windows.ts';
import { SessionWindows } from './session-windows.ts';
import { SlidingPanes } from './sliding-panes.ts';
import { SlidingWindows } from './sliding-windows.ts';

export function createWindowAggregate(context: OperatorContext<WindowAggregateNode>): Operator {
  const { window, merge } = context.node;
  const panes = panesOf(context.node);
  switch (window.kind) {
    case 'tumbling':
      return new FixedWindows(context, { ...window, everyMs: window.sizeMs });
    case 'hopping':
      return panes === undefined
        ? new FixedWindows(context, window)
        : new PaneWindows(context, window, panes.paneMs, panes.merge);
    case 'sliding':
      return panes === undefined
        ? new SlidingWindows(context, window.sizeMs, window.graceMs)
        : new SlidingPanes(context, window.sizeMs, window.graceMs, panes.merge);
    case 'session':
      assert(merge !== undefined, 'an aggregation over sessions can merge');
      return new SessionWindows(context, window.gapMs, window.graceMs, merge);
  }
}

interface Panes {
  readonly merge: Merge;
  /** Of hopping windows. */
  readonly paneMs: number;
}

/** How the windows of a node are made of panes; undefined: each has an accumulator of its own. */
export function panesOf({ window, emit, merge }: WindowAggregateNode): Panes | undefined {
  if (emit.kind !== 'close' || merge === undefined) return undefined;
  if (window.kind === 'sliding') return { merge, paneMs: 1 };
  if (window.kind !== 'hopping') return undefined;
  const paneMs = paneOf(window);
  return paneMs === undefined ? undefined : { merge, paneMs };
}
